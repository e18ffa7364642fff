"""A network of one's own: a namespace with a veth pair, for stacks that ignore loopback."""

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ADDRESS: Final = "10.77.0.1"
_CLONE_NEWNET: Final = 0x40000000
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_COMMANDS: Final = (
    "link set lo up",
    "link add va type veth peer name vb",
    f"address add {ADDRESS}/24 dev va",
    "address add 10.77.0.2/24 dev vb",
    "link set va up",
    "link set vb up",
)


def is_allowed() -> bool:
    """Return whether this process may make a namespace: CAP_NET_ADMIN and CAP_SYS_ADMIN."""
    return os.geteuid() == 0


@contextlib.contextmanager
def own_network() -> Iterator[str]:
    """Put this thread, and what it starts, into a new namespace; yield an address that is there.

    The namespace ends with its last process.
    """
    with Path("/proc/thread-self/ns/net").open("rb") as before:
        _call(_LIBC.unshare(_CLONE_NEWNET))
        try:
            for command in _COMMANDS:
                subprocess.run(["ip", *command.split()], check=True, timeout=10)
            yield ADDRESS
        finally:
            _call(_LIBC.setns(before.fileno(), _CLONE_NEWNET))


def _call(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
