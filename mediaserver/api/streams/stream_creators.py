"""Who may make streams: the operator, and whom ``[people]`` lets; and how many there may be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.who import principal
from mediaserver.http.problem import ApiError
from mediaserver.people import audit
from mediaserver.people.records import Role
from mediaserver.people.service import Connection
from metering.book.records import StreamRecord

STREAMS_MAX: Final = 10_000
"""What one policy message to the HTTP processes holds (mediaserver/ipc/framing.py)."""
POLICY_BYTES_MAX: Final = 11 << 20
"""The same, when titles are long: 10,000 of 800 bytes each, or 1,700 of 500 emoji."""

MADE: Final = "stream.create"
"""What the audit log calls it."""
_STREAM_BYTES: Final = 330
"""Its policy without title and prices, the hash of its key, and whom it is for."""
_PRICE_BYTES: Final = 104
_NAMED_BYTES: Final = 64 + 3 * _PRICE_BYTES
"""A viewer with a price of their own: what they paid before, pay now, and will."""


def check_creator(request: web.Request, *, is_all_theirs: bool) -> None:
    """Hold that somebody may make a stream, and set of it what is theirs to set.

    Args:
        is_all_theirs: Whether they leave out what the operator sets.

    Raises:
        ApiError: 403, with what `[people]` says of it.
    """
    who, people = principal(request), context.of(request).settings.people
    if who.person is None or Role.OWNER in who.roles:
        return
    is_invited = people.stream_creators == "invited" and Role.CREATOR in who.roles
    if people.stream_creators != "anyone" and not is_invited:
        raise ApiError(
            403,
            "Not allowed",
            f"people.stream_creators is {people.stream_creators}: ask the operator for an "
            "invitation to be a creator, or to a stream that they make for you",
        )
    if not is_all_theirs:
        raise ApiError(
            403,
            "Not allowed",
            "platform_fee_ppm and creator are the operator's to set: leave them out",
        )


def check_count(request: web.Request, connection: Connection) -> None:
    """Hold that somebody makes no more streams than `[people]` lets, in the stream's transaction.

    Those count that they made, by the log: who gives one away, or up, made it all the same.

    Raises:
        ApiError: 403 when it is one too many.
    """
    who, people = principal(request), context.of(request).settings.people
    if who.person is None or Role.OWNER in who.roles:
        return
    made, most = audit.count(connection, who.actor, MADE), people.streams_per_person_max
    if made >= most:
        raise ApiError(
            403,
            "Enough streams",
            f"you made {made} streams, and people.streams_per_person_max is {most}",
        )


def check_room(records: Sequence[StreamRecord], title: str, named: int = 0) -> None:
    """Hold that one more stream fits the policy of the HTTP processes.

    Args:
        named: Viewers with a price of their own, over all streams.

    Raises:
        ApiError: 409 when it does not.
    """
    size = policy_bytes(title, 1) + named * _NAMED_BYTES
    size += sum(
        policy_bytes(record.title, len(record.prices) + len(record.caps)) for record in records
    )
    if len(records) >= STREAMS_MAX or size > POLICY_BYTES_MAX:
        raise ApiError(
            409,
            "Too many streams",
            f"there are {len(records)} streams: no more, with such titles, fit",
        )


def policy_bytes(title: str, price_count: int) -> int:
    """Return at most how many bytes a stream takes in a policy message."""
    return _STREAM_BYTES + len(json.dumps(title)) + price_count * _PRICE_BYTES
