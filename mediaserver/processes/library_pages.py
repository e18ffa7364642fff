"""Gives back memory that only an import or a start needed: pages of libraries' files, free heap."""

from __future__ import annotations

import asyncio
import ctypes
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_MADV_DONTNEED: Final = 4
_MAPPING: Final = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ (\d+)")
"""proc_pid_smaps(5): first and last address, permissions, inode (0: of no file)."""

SETTLED_S: Final = 4.0
"""After its start a process has made its first round of all that it does again and again."""


def release_later() -> None:
    """Release once the start is over: code that a first round runs is 1 to 5 MB by itself."""
    asyncio.get_running_loop().call_later(SETTLED_S, release)


def release() -> None:
    """Unmap what loading libraries mapped and nothing runs now, and the heap's free pages.

    Does nothing where it cannot. Pages of libraries are as they are in the file: the kernel keeps
    them in its page cache while it has room, and maps them again, without reading, when they are
    used. It is 25 MB for the codecs.
    """
    try:
        # Line by line: the whole text is a megabyte and a half of strings, whose pages stay ours.
        with Path("/proc/self/smaps").open() as lines:
            found = list(unwritten(lines))
    except OSError:
        return
    if hasattr(_LIBC, "malloc_trim"):  # glibc's
        _LIBC.malloc_trim(0)
    for first, last in found:
        _LIBC.madvise(first, last - first, _MADV_DONTNEED)


def unwritten(lines: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Yield first and last address of each mapping of a file that is not and was not written.

    A page that was written, such as by relocation, is not as it is in the file and would be lost.
    """
    mapping: re.Match[str] | None = None
    for line in lines:
        if match := _MAPPING.match(line):
            permissions, inode = match[3], match[4]
            is_candidate = "w" not in permissions and permissions.endswith("p") and inode != "0"
            mapping = match if is_candidate else None
        elif mapping is not None and line.split() == ["Anonymous:", "0", "kB"]:
            yield int(mapping[1], 16), int(mapping[2], 16)
