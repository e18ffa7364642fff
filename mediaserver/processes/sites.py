"""Where an HTTP process accepts: apart from `listeners`, as the parent holds no HTTP library."""

from __future__ import annotations

import socket

from aiohttp import web

from mediaserver.processes.listeners import BACKLOG, listen


async def start_sites(runner: web.ServerRunner, fds: str, host: str, port: int) -> None:
    """Accept on the sockets that a process got from its parent; without one, on sockets of its own.

    Args:
        fds: Their numbers, with commas between.
    """
    received = [socket.socket(fileno=int(fd)) for fd in fds.split(",") if fd]
    for each in received or listen(host, port):
        await web.SockSite(runner, each, backlog=BACKLOG).start()
