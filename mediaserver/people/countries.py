"""In which country an address is: by a file of the operator's, read again when it changes.

The file is a MaxMind DB (``.mmdb``). It is held in memory: one that is mapped and written over in
place would end the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import maxminddb

from mediaserver import log
from mediaserver.people.place_rules import Address
from mediaserver.people.settings import WatchSettings

LOOK_PERIOD_S: Final = 2.0
"""A new file counts as soon."""
SIZE_MAX_BYTES: Final = 256 << 20
"""Files of countries have some 10 MB, those of cities 60 MB, and each process holds one."""
_log = log.get("people")


class Countries:
    """The file, as it was last read.

    What was read stays in use while a newer file cannot be: nobody who watches is stopped by a copy
    that is under way. Without any, countries are not known.

    Attributes:
        is_known: Whether it was looked for; before that nothing can be said.
        fault: What is wrong with the file, in words; empty: nothing.
        version: Another number whenever countries may have changed.
        is_open_unread: Whether rules of countries are passed over while none was ever read.
    """

    def __init__(self, settings: WatchSettings) -> None:
        """Read nothing yet."""
        path = settings.country_file
        self.is_open_unread = settings.country_failure == "open"
        self.is_known = not path
        self.fault = "" if path else "watch.country_file is empty"
        self.version = 0
        self._path = path
        self._reader: maxminddb.Reader | None = None
        self._stamp: tuple[int, ...] = ()
        self._wanted = asyncio.Event()
        self._looked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        if not path:
            self._looked.set()

    async def __aenter__(self) -> Self:
        """Read the file when it is wanted, and again when it changes."""
        if self._path:
            self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Look at it no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    @property
    def is_read(self) -> bool:
        """Return whether countries can be told."""
        return self._reader is not None

    @property
    def wanted_fault(self) -> str:
        """Return what is wrong with the file, where somebody needs it; empty: nothing."""
        return self.fault if self._wanted.is_set() else ""

    def want(self, *, is_wanted: bool = True) -> None:
        """Say whether a stream has lists of countries: the file is read while one has."""
        if is_wanted:
            self._wanted.set()
        else:
            self._wanted.clear()

    async def ready(self) -> None:
        """Wait until the file was looked for."""
        self.want()
        await self._looked.wait()

    def of(self, address: Address) -> str | None:
        """Return the country of an address, two letters, empty when the file has none.

        Returns:
            None: No file could be read.
        """
        if self._reader is None:
            return None
        try:
            return _code(self._reader.get(address))
        except (maxminddb.InvalidDatabaseError, ValueError, TypeError, IndexError, UnicodeError):
            return ""  # one entry is damaged, or the file has IPv4 alone

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            await asyncio.to_thread(self._look)
            self.is_known = True
            self._looked.set()
            await asyncio.sleep(LOOK_PERIOD_S)

    def _look(self) -> None:
        try:
            found = os.stat(self._path)  # noqa: PTH116 -- a path of the operator's, as it is
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp == self._stamp and not self.fault:
                return
            reader = read(self._path)
        except (OSError, ValueError) as error:
            text = f"watch.country_file {self._path} cannot be read: {error}"
            if text != self.fault:
                self.fault = text
                self.version += 1
                _log.error("people.countries.failed", reason=text, is_older_used=self.is_read)
            return
        self._reader, self._stamp, self.fault = reader, stamp, ""
        self.version += 1
        built_s = reader.metadata().build_epoch
        _log.info("people.countries.read", file=self._path, built_s=built_s)


def read(path: str) -> maxminddb.Reader:
    """Return a reader of a file, in memory.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no such file, or larger than `SIZE_MAX_BYTES`.
    """
    size = Path(path).stat().st_size
    if size > SIZE_MAX_BYTES:
        raise ValueError(f"it has {size} bytes, over {SIZE_MAX_BYTES}: use one of countries")
    try:
        return maxminddb.open_database(path, maxminddb.MODE_MEMORY)
    except (maxminddb.InvalidDatabaseError, TypeError, KeyError, IndexError) as error:
        raise ValueError(f"it is no MaxMind DB: {error}") from error


def _code(record: Any) -> str:
    """Return the country of a record: GeoLite2, GeoIP2 and DB-IP nest it, IPinfo does not."""
    if not isinstance(record, Mapping):
        return ""
    found = record.get("country")
    if isinstance(found, Mapping):
        found = found.get("iso_code")
    code = found if _is_code(found) else record.get("country_code")
    return str(code) if _is_code(code) else ""


def _is_code(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 2 and value.isascii() and value.isupper()
