"""The listening sockets of a server: the parent's, handed to every HTTP process.

An HTTP process that dies or is replaced closes its copy. The socket stays, and who connects
meanwhile waits in its queue for the process that accepts next. All share one socket: with one each
(SO_REUSEPORT) the kernel would give connections to a queue that nobody empties, and reset them with
it.

Where systemd started us, a restart of the whole server is bridged in the same way: it passes the
sockets of a socket unit, or those that we gave it to keep (sd_listen_fds(3), sd_notify(3)).
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mediaserver.processes.bootstrap import StartRefusedError
from mediaserver.processes.listen_check import addresses_of, host_fault
from mediaserver.processes.service_manager import ServiceManager

BACKLOG: Final = 4096
"""Connections that wait to be accepted: the kernel's own bound (`net.core.somaxconn`), so that the
players of a server find room while it restarts."""
KEPT_NAME: Final = "vilokanam-kept"
"""Of the sockets that we gave to systemd; those of a socket unit have that unit's name."""
_FIRST_FD: Final = 3
"""sd_listen_fds(3): SD_LISTEN_FDS_START."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A socket that systemd passed at the start.

    Attributes:
        name: Of the socket unit, or `KEPT_NAME`.
    """

    name: str
    socket: socket.socket

    @property
    def place(self) -> str:
        """Return where it listens, in words where that is not a TCP address."""
        kind = self.socket.type, self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if self.socket.family not in (socket.AF_INET, socket.AF_INET6):
            return f"{self.socket.getsockname()!r}, which is no TCP address"
        place = _place(self.socket.getsockname())
        return place if kind == (socket.SOCK_STREAM, 1) else f"{place}, which is no TCP listener"


class Listeners:
    """The listening sockets, from the start to the end of a server."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        """Take what was passed to this process out of the environment: no child shall take it."""
        self._passed = _passed(environ)
        self._sockets: list[socket.socket] = []

    @property
    def fds(self) -> tuple[int, ...]:
        """Return the numbers of the open sockets."""
        return tuple(each.fileno() for each in self._sockets)

    @property
    def words(self) -> tuple[str, str]:
        """Return what tells an HTTP process on its command line of the files that it gets."""
        return "--listen-fds", ",".join(map(str, self.fds))

    def open(self, host: str, port: int, manager: ServiceManager) -> None:
        """Listen: on the sockets that were passed, else on new ones, which `manager` then keeps.

        Raises:
            StartRefusedError: A socket unit disagrees with ``server.host`` and ``server.port``, or
                this machine cannot listen there.
        """
        self.check(host, port)
        kept = [each for each in self._passed if each.name == KEPT_NAME]
        usable = self._of_unit()
        if not usable and {each.place for each in kept} == places(host, port):
            self._sockets = [each.socket for each in kept]
            return
        if kept:
            # They are of another address, or a unit has taken their place.
            manager.forget(KEPT_NAME)
            for each in kept:
                each.socket.close()
        if usable:
            self._sockets = [each.socket for each in usable]
            return
        self._sockets = listen(host, port)
        manager.keep(KEPT_NAME, self.fds)

    def check(self, host: str, port: int) -> None:
        """Compare an address with what a socket unit passed.

        Raises:
            StartRefusedError: They differ.
        """
        of_unit = self._of_unit()
        passed, wanted = {each.place for each in of_unit}, places(host, port)
        if of_unit and passed != wanted:
            unit = of_unit[0].name
            raise StartRefusedError(
                f"server.host, server.port: {', '.join(sorted(wanted)) or host} is configured, "
                f"but {unit} passes {', '.join(sorted(passed))}; write the unit anew with "
                "vilokanam config unit --socket, then systemctl daemon-reload and restart it, or "
                "mend the configuration"
            )

    def _of_unit(self) -> list[Passed]:
        return [each for each in self._passed if each.name != KEPT_NAME]

    def close(self) -> None:
        """Close our copies; those of children and of systemd stay open."""
        for each in (*self._sockets, *(passed.socket for passed in self._passed)):
            each.close()
        self._sockets, self._passed = [], ()


def listen(host: str, port: int) -> list[socket.socket]:
    """Return a listening socket for each address of `host`.

    Raises:
        StartRefusedError: The host is not this machine's, or the port is not to be had.
    """
    if fault := host_fault(host):
        raise StartRefusedError(fault)
    made: list[socket.socket] = []
    try:
        for family, kind, address in addresses_of(host, port):
            made.append(socket.socket(family, kind))
            made[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                # 0.0.0.0 has a socket of its own where both are wanted.
                made[-1].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made[-1].bind(address)
            made[-1].listen(BACKLOG)
    except OSError as error:
        for each in made:
            each.close()
        raise StartRefusedError(_port_fault(host, port, error)) from error
    return made


def places(host: str, port: int) -> set[str]:
    """Return where `listen` would listen, as systemd writes it; nothing where it cannot."""
    try:
        return {_place(address) for _, _, address in addresses_of(host, port)}
    except (OSError, UnicodeError):
        return set()  # `listen` says why


def _port_fault(host: str, port: int, error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        return (
            f"server.port: {port} on {host} is not for this user ({error.strerror}); use one "
            "from 1024 on, and a proxy before it, or let systemd listen: vilokanam config unit "
            "--socket"
        )
    is_used = error.errno == errno.EADDRINUSE
    reason = "is in use by another program" if is_used else f"{error.strerror}"
    return (
        f"server.port: {port} on {host} {reason}; stop that program, or choose another port "
        "with server.port, VILOKANAM_SERVER__PORT or --port"
    )


def _passed(environ: MutableMapping[str, str]) -> tuple[Passed, ...]:
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    if pid != str(os.getpid()) or not count.isdecimal():
        return ()
    fds = range(_FIRST_FD, _FIRST_FD + int(count))
    names = names if len(names) == len(fds) else [""] * len(fds)
    for fd in fds:
        os.set_inheritable(fd, False)
    return tuple(
        Passed(name or "systemd", socket.socket(fileno=fd))
        for name, fd in zip(names, fds, strict=True)
    )


def _place(address: Sequence[Any]) -> str:
    """Return ``127.0.0.1:8080`` or ``[::1]:8080``, as systemd.socket(5) takes them."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
