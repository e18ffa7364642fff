"""From where each stream, and the whole server, may be watched: rows of rules.

What they mean is in `mediaserver.people.place_rules`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, delete, func, insert, select

from mediaserver.people.place_rules import PlaceRules
from mediaserver.people.schema import stream_rules
from metering.book.rows import chunks
from metering.book.touched import mark
from metering.errors import InvalidValueError

RULES_BYTES_MAX: Final = 512 << 10
"""Of all streams: they go along with each policy of the HTTP processes."""


def of(connection: Connection, stream: UUID | None) -> PlaceRules:
    """Return the rules of a stream, or of the server."""
    query = select(stream_rules.c.rules).where(stream_rules.c.stream == _kept(stream))
    text = connection.execute(query).scalar_one_or_none()
    return PlaceRules() if text is None else _rules(text)


def some(connection: Connection, streams: Sequence[UUID]) -> dict[UUID | None, PlaceRules]:
    """Return the rules of some streams, those that have some alone, and with None the server's."""
    found: dict[UUID | None, PlaceRules] = {}
    for kept in chunks([b"", *(stream.bytes for stream in streams)]):
        rows = connection.execute(select(stream_rules).where(stream_rules.c.stream.in_(kept)))
        found |= {UUID(bytes=bytes(row[0])) if row[0] else None: _rules(row[1]) for row in rows}
    return found


def put(connection: Connection, stream: UUID | None, rules: PlaceRules, now_ms: int) -> None:
    """Keep rules in place of those before.

    Raises:
        InvalidValueError: All rules together are more than fit.
    """
    if stream is not None:
        mark(connection, stream)
    connection.execute(delete(stream_rules).where(stream_rules.c.stream == _kept(stream)))
    if rules.is_empty:
        return
    text = json.dumps(asdict(rules), separators=(",", ":"))
    others = select(func.coalesce(func.sum(func.length(stream_rules.c.rules)), 0))
    if connection.execute(others).scalar_one() + len(text) > RULES_BYTES_MAX:
        raise InvalidValueError(
            f"the rules of all streams together are over {RULES_BYTES_MAX} bytes: name wider "
            "networks, or fewer"
        )
    connection.execute(
        insert(stream_rules).values(stream=_kept(stream), rules=text, changed_ms=now_ms)
    )


def _kept(stream: UUID | None) -> bytes:
    return b"" if stream is None else stream.bytes


def _rules(text: str) -> PlaceRules:
    return PlaceRules(**{name: tuple(items) for name, items in json.loads(text).items()})
