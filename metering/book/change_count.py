"""Counts the rows that a book's own connections changed, so that idle tasks need not read again."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Engine, event

_SEEN: Final = "changes"
"""In a connection's `info`: its changes that are in the sum."""


class ChangeCount:
    """Grows with every transaction that changed a row; knows nothing of other processes' writes.

    Attributes:
        value: Rows changed so far, perhaps more, never less; None where the driver does not say.
    """

    def __init__(self, engine: Engine) -> None:
        self.value: int | None = None
        if engine.dialect.name == "sqlite":
            self.value = 0
            event.listen(engine, "commit", self._add)

    def _add(self, connection: Connection) -> None:
        """Add what the connection changed since it last committed: it is about to commit."""
        total: int = getattr(connection.connection.dbapi_connection, "total_changes", 0)
        assert self.value is not None
        self.value += total - connection.info.get(_SEEN, 0)
        connection.info[_SEEN] = total
