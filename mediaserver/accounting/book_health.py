"""Whether the book can be written, also while nobody watches and nothing is to be written.

A write that failed says no at once. Between writes the book's lock is taken and a small file beside
it is written through to the disk: a full disk, one that became read-only, a quota and a lock that
another program keeps are seen within a period, and so is their end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from prometheus_client import Gauge

from mediaserver import log
from metering.book.async_book import AsyncBook
from metering.errors import BookError
from metering.log_throttle import LogThrottle

PROBE_S: Final = 10.0
"""A cut period: a disk that fills is told about when the next cut would fail."""
PROBE_AGAIN_S: Final = 2.0
"""While it cannot be written: its end is seen soon."""
_PROBE_BYTES: Final = 64 << 10
"""What a round of cuts adds to the book's log, at least."""

_WRITABLE: Final = Gauge("metering_book_writable", "1 while the book can be written")

_log = log.get("money")


class BookHealth:
    """Looks after one book for as long as `run` runs.

    Attributes:
        fault: Why the book cannot be written, for people; empty while it can.
    """

    def __init__(
        self,
        book: AsyncBook,
        folder: Path,
        changed: Callable[[], None],
        *,
        probe_s: float = PROBE_S,
        again_s: float = PROBE_AGAIN_S,
    ) -> None:
        """Take collaborators.

        Args:
            folder: Where the book's file is.
            changed: Called when `fault` is another.
        """
        self.fault = ""
        self._book = book
        self._path = folder / "book.probe"
        self._changed = changed
        self._probe_s = probe_s
        self._again_s = again_s
        self._throttle = LogThrottle()

    async def run(self) -> None:
        """Probe until cancelled; at once when a write failed."""
        while True:
            self._book.failed.clear()
            self._set(await self._probe())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._again_s if self.fault else self._probe_s):
                    await self._book.failed.wait()
                self._set(self._book.failure)
                # A fault that the probe does not see stays for as long as its end takes to show.
                await asyncio.sleep(self._again_s)

    async def _probe(self) -> str:
        try:
            await self._book.run(lambda book: book.recoveries.try_to_write())
            await asyncio.to_thread(_write_through, self._path)
        except BookError as error:
            return str(error)
        except OSError as error:
            return (
                f"nothing can be written beside the book: {error.strerror}; make room on its disk"
            )
        return ""

    def _set(self, fault: str) -> None:
        _WRITABLE.set(not fault)
        if fault:
            if count := self._throttle.failed(fault):
                _log.error("money.book.unwritable", reason=fault, times=count)
        elif self.fault:
            self._throttle.succeeded()
            _log.info("money.book.writable")
        if fault != self.fault:
            self.fault = fault
            self._changed()


def _write_through(path: Path) -> None:
    """Write a file so that the disk has it, and remove it.

    Raises:
        OSError: It cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, bytes(_PROBE_BYTES))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
        path.unlink(missing_ok=True)
