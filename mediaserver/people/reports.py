"""What people report of streams, and what staff made of it: rows, never removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Row, func, insert, select, update

from mediaserver.people import tokens
from mediaserver.people.schema import reports
from mediaserver.text import fault as text_fault
from metering.errors import InvalidValueError, UnknownNameError

TEXT_MAX: Final = 1000
WORD_MAX: Final = 200
OPEN_MAX: Final = 10_000
"""More than staff reads in a month: then they say so first, and take more."""
PER_ADDRESS_MAX: Final = 5
"""Within an hour."""
PER_HOUR_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class Report:
    """A report.

    Attributes:
        number: Grows from row to row: pages go by it.
        text: As somebody wrote it: anything.
        word: What staff made of it; empty: nothing yet.
    """

    id: str
    number: int
    stream: UUID
    text: str
    made_ms: int
    word: str
    resolved_by: str
    resolved_ms: int | None


def add(connection: Connection, stream: UUID, text: str, now_ms: int) -> Report:
    """Keep a report.

    Raises:
        InvalidValueError: It says nothing or too much, or too many are open.
    """
    lines = [" ".join(line.split()) for line in text.splitlines()[:TEXT_MAX]]
    written = "\n".join(line for line in lines if line)
    if not 0 < len(written) <= TEXT_MAX:
        raise InvalidValueError(f"text: has {len(written)} characters, not 1 to {TEXT_MAX}")
    if fault := text_fault(written.replace("\n", " ")):
        raise InvalidValueError(f"text: {fault}; leave it out")
    count = select(func.count()).where(reports.c.resolved_ms.is_(None))
    if connection.execute(count).scalar_one() >= OPEN_MAX:
        raise InvalidValueError("too many reports wait to be read: write to the operator")
    row = connection.execute(
        insert(reports)
        .values(id=tokens.new_id(), stream=stream, text=written, made_ms=now_ms, word="", by="")
        .returning(reports)
    ).one()
    return _report(row)


def resolve(connection: Connection, report: str, word: str, by: str, now_ms: int) -> Report:
    """Say what was made of a report; again says it anew.

    Raises:
        InvalidValueError: There is no word, or too many.
        UnknownNameError: There is no such report.
    """
    if not 0 < len(word.strip()) <= WORD_MAX:
        raise InvalidValueError(f"word: has {len(word)} characters, not 1 to {WORD_MAX}")
    row = connection.execute(
        update(reports)
        .where(reports.c.id == report)
        .values(word=word.strip(), by=by, resolved_ms=now_ms)
        .returning(reports)
    ).one_or_none()
    if row is None:
        raise UnknownNameError(f"there is no report {report[:32]!r}")
    return _report(row)


def page(
    connection: Connection,
    limit: int,
    before: int | None = None,
    *,
    stream: UUID | None = None,
    is_open: bool | None = None,
) -> list[Report]:
    """Return reports, the newest first.

    Args:
        before: Number behind which the page begins.
        stream: Of this one alone; None: of all.
        is_open: Those that wait, or those that do not; None: all.
    """
    query = select(reports)
    if before is not None:
        query = query.where(reports.c.number < before)
    if stream is not None:
        query = query.where(reports.c.stream == stream)
    if is_open is not None:
        waits = reports.c.resolved_ms.is_(None)
        query = query.where(waits if is_open else ~waits)
    rows = connection.execute(query.order_by(reports.c.number.desc()).limit(limit))
    return [_report(row) for row in rows]


def _report(row: Row[Any]) -> Report:
    return Report(
        row.id, row.number, row.stream, row.text, row.made_ms, row.word, row.by, row.resolved_ms
    )
