"""Which Redis is the book's: the one that was last rebuilt from it, and under which names."""

from __future__ import annotations

import secrets
from hashlib import sha256
from typing import Final

from sqlalchemy import BigInteger, cast, select

from metering.book import schema
from metering.book.meta import meta, put_meta
from metering.book.records import Recovered
from metering.book.rows import Repository

_EPOCH: Final = "epoch:"


class RecoveryRepository(Repository):
    """Reads and writes which Redis was recovered."""

    def book_id(self) -> str:
        """Return the id of this book, given to it by the first call: 32 hexadecimal digits.

        A backup and a copy have the same. A book of a version without ids gets one by its first
        recovery, so that a backup from before the upgrade is still the same book.
        """
        with self._writing() as connection:
            known = meta(connection, "book_id")
            if known is None:
                first = connection.execute(
                    select(schema.meta.c.name)
                    .where(schema.meta.c.name.startswith(_EPOCH))
                    .order_by(cast(schema.meta.c.value, BigInteger), schema.meta.c.name)
                    .limit(1)
                ).scalar_one_or_none()
                known = sha256(first.encode()).hexdigest()[:32] if first else secrets.token_hex(16)
                put_meta(connection, "book_id", known)
        return known

    def try_to_write(self) -> None:
        """Take the right to write, and give it back: nothing is changed.

        Raises:
            BookError: It cannot be written.
        """
        with self._writing() as connection:
            connection.rollback()

    def newest(self) -> Recovered | None:
        """Return which Redis was last recovered, None before the first."""
        with self._reading() as connection:
            epoch, run_id, at_ms = (
                meta(connection, f"recovered_{name}") for name in ("epoch", "run_id", "at_ms")
            )
        if epoch is None or run_id is None or at_ms is None:
            return None
        return Recovered(epoch, run_id, int(at_ms))

    def epochs(self) -> set[str]:
        """Return every epoch that this book ever began to give a Redis."""
        with self._reading() as connection:
            return {
                name.removeprefix(_EPOCH)
                for name in connection.execute(
                    select(schema.meta.c.name).where(schema.meta.c.name.startswith(_EPOCH))
                ).scalars()
            }

    def add_epoch(self, epoch: str, now_ms: int) -> None:
        """Note that a Redis is going to be rebuilt under this name."""
        with self._writing() as connection:
            put_meta(connection, _EPOCH + epoch, str(now_ms))

    def put(self, recovered: Recovered) -> None:
        """Note which Redis is ours from now on."""
        with self._writing() as connection:
            put_meta(connection, "recovered_epoch", recovered.epoch)
            put_meta(connection, "recovered_run_id", recovered.run_id)
            put_meta(connection, "recovered_at_ms", str(recovered.at_ms))
