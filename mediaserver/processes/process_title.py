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
_FIELDS: Final = (48, 49, 50, 51)
"""proc_pid_stat(5): where arguments begin and end in memory, and where the environment does."""


def set_title(name: str, words: Sequence[str]) -> None:
    """Show `name` in ``top`` and `words` as the command line.

    The words are written, with spaces between, over the arguments and the environment that this
    process was started with, and are cut where those end. The kernel reads on from the arguments
    into the environment when no zero is at their end (proc_pid_cmdline(5)); the environment is
    copied elsewhere first.
    """
    _LIBC.prctl(_PR_SET_NAME, name.encode()[:_NAME_BYTES_MAX], 0, 0, 0)
    begin, end = _written_over()
    if end - begin > 1:
        for variable, value in os.environb.items():
            os.putenv(variable, value)
        text = b" ".join(map(os.fsencode, words))[: end - begin - 1]
        ctypes.memmove(begin, text.ljust(end - begin, b"\0"), end - begin)


def _written_over() -> tuple[int, int]:
    """Return where the arguments begin and the environment ends; 0, 0 where nobody says so."""
    try:
        text = Path("/proc/self/stat").read_text()
    except OSError:
        return 0, 0
    # The second field, the name in parentheses, may hold spaces.
    fields = text.rpartition(")")[2].split()
    begin, end, environment, last = (int(fields[at - 3]) for at in _FIELDS)
    return begin, last if environment == end else end
