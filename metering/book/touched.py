"""Which streams a book's own transactions changed, so that others read those alone again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, Engine, event

_MARKED: Final = "touched_streams"
"""In a connection's `info`: those of its transaction under way."""


def mark(connection: Connection, stream: UUID) -> None:
    """Say that something of a stream is changed in this transaction."""
    connection.info.setdefault(_MARKED, set()).add(stream)


class Touched:
    """Collects what was marked; knows nothing of other processes' writes.

    What is taken back may be among them: to read a stream again is harmless.
    """

    def __init__(self, engine: Engine) -> None:
        self._streams: set[UUID] = set()
        event.listen(engine, "commit", self._add)
        event.listen(engine, "rollback", _forget)

    def take(self) -> set[UUID]:
        """Return the streams changed since the last call.

        Those of a transaction are there before it is durable: read them in the book's thread.
        """
        taken, self._streams = self._streams, set()
        return taken

    def give_back(self, streams: Iterable[UUID]) -> None:
        """Have streams in the next `take` again: they could not be read."""
        self._streams |= set(streams)

    def _add(self, connection: Connection) -> None:
        marked = connection.info.pop(_MARKED, None)
        if marked:
            self._streams |= marked


def _forget(connection: Connection) -> None:
    connection.info.pop(_MARKED, None)
