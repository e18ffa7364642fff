"""What `ps` and `top` show of a forked process: a command line and a name of its own."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_PR_SET_NAME: Final = 15
_NAME_BYTES_MAX: Final = 15
"""prctl(2), PR_SET_NAME: 16 with the zero."""
_ARGUMENTS_AT: Final = 48
"""proc_pid_stat(5): field 48 is where the arguments begin in memory, 49 where they end."""


def set_title(name: str, words: Sequence[str]) -> None:
    """Show `name` in ``top`` and `words` as the command line.

    The words are written over the arguments that this process was started with, so they are cut
    where those end: a process that forks makes room by arguments of its own.
    """
    _LIBC.prctl(_PR_SET_NAME, name.encode()[:_NAME_BYTES_MAX], 0, 0, 0)
    begin, end = _arguments()
    if end - begin > 1:
        text = b"\0".join(map(os.fsencode, words))[: end - begin - 1]
        ctypes.memmove(begin, text.ljust(end - begin, b"\0"), end - begin)


def _arguments() -> tuple[int, int]:
    """Return where this process's arguments are in its memory; 0, 0 where nobody says so."""
    try:
        text = Path("/proc/self/stat").read_text()
    except OSError:
        return 0, 0
    # The second field, the name in parentheses, may hold spaces.
    fields = text.rpartition(")")[2].split()
    begin, end = (int(fields[at - 3]) for at in (_ARGUMENTS_AT, _ARGUMENTS_AT + 1))
    return begin, end
