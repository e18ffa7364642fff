"""How many descriptors a process may have: each connection, socket and file is one."""

from __future__ import annotations

import resource
from typing import Final

from mediaserver import log

ENOUGH: Final = 8192
"""Below it a few thousand idle connections shut everybody out."""
_WANTED_MAX: Final = 1 << 20
"""What Linux grants by default at most; an unlimited hard limit is not asked for."""

_log = log.get("server")


def raise_limit() -> int:
    """Raise our soft limit to the hard one, for us and all that we start; return it.

    The soft limit of a login or a unit is 1,024 still, for programs that use select(2). A low one
    is logged: nothing else says why nobody can connect any more.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_MAX if hard == resource.RLIM_INFINITY else min(hard, _WANTED_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft != resource.RLIM_INFINITY and soft < ENOUGH:
        _log.warning("server.descriptors.low", limit=soft, wanted=ENOUGH)
    return soft


def limit() -> int:
    """Return how many descriptors this process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _WANTED_MAX if soft == resource.RLIM_INFINITY else soft
