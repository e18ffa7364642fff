"""What a service manager such as systemd hears of the server: sd_notify(3) over its socket.

Without ``NOTIFY_SOCKET`` in the environment nobody listens, and nothing is sent or asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final

ASK_S: Final = 0.5
"""Between two questions while the server is starting."""
STEADY_ASK_S: Final = 10.0
"""Once it is ready: the state that `systemctl status` shows is no older."""
ANSWER_S: Final = 5.0
_ANSWER_BYTES_MAX: Final = 1 << 16
_OURS: Final = "vilokanam"
"""In the name of the service that a socket unit of ours starts."""


class ServiceManager:
    """Tells the manager that started us how far we are."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        """Take the manager's socket out of the environment: no child shall speak for us."""
        address = environ.pop("NOTIFY_SOCKET", "")
        period_us = environ.pop("WATCHDOG_USEC", "")
        is_ours = environ.pop("WATCHDOG_PID", "") in ("", str(os.getpid()))
        # sd_notify(3): an address that begins with @ is in the abstract namespace.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        is_watched = bool(address) and is_ours and period_us.isdecimal() and int(period_us) > 0
        self.watchdog_s = int(period_us) / 1e6 if is_watched else None

    @property
    def is_there(self) -> bool:
        """True when a manager listens."""
        return bool(self._address)

    def tell(self, *facts: str, fds: Sequence[int] = ()) -> None:
        """Send facts such as ``READY=1``; a manager that is away misses them.

        Args:
            fds: Open files that go with them.
        """
        if not self._address:
            return
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as channel,
        ):
            channel.connect(self._address)
            socket.send_fds(channel, ["\n".join(facts).encode()], list(fds))

    def reloading(self) -> None:
        """Say that the settings are read again; sd_notify(3) wants the time with it."""
        self.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def keep(self, name: str, fds: Sequence[int]) -> None:
        """Have open files passed to the next server; a stop of the unit closes them."""
        self.tell("FDSTORE=1", f"FDNAME={name}", fds=fds)

    def forget(self, name: str) -> None:
        """Have what was kept under a name closed."""
        self.tell("FDSTOREREMOVE=1", f"FDNAME={name}")

    async def follow(self, host: str, port: int, stop: asyncio.Event) -> None:
        """Say READY once ``/readyz`` answers so, and what is missing whenever it does not."""
        if not self.is_there:
            return
        is_ready = False
        while not stop.is_set():
            faults = await missing(host, port)
            if not faults and not is_ready:
                is_ready = True
                self.tell("READY=1")
            waits = "; ".join(faults)
            self.tell(f"STATUS=waiting: {waits}" if waits else f"STATUS=serving on port {port}")
            await _sleep(stop, STEADY_ASK_S if is_ready else ASK_S)

    async def keep_watchdog(
        self,
        stop: asyncio.Event,
        pause: Callable[[asyncio.Event, float], Awaitable[None]] | None = None,
    ) -> None:
        """Send a sign of life twice in the time after which the manager calls us hung.

        Args:
            pause: Waits for seconds, or for `stop`.
        """
        while self.watchdog_s is not None and not stop.is_set():
            self.tell("WATCHDOG=1")
            await (pause or _sleep)(stop, self.watchdog_s / 2)


async def socket_unit(places: set[str]) -> str:
    """Return which socket unit of systemd listens at some places for a server of ours, if any.

    Args:
        places: Such as ``127.0.0.1:8080``.
    """
    program = shutil.which("systemctl")
    if program is None:
        return ""
    process = await asyncio.create_subprocess_exec(
        program,
        *("list-sockets", "--output=json", "--no-pager"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(ANSWER_S):
            text, _ = await process.communicate()
        rows: list[dict[str, Any]] = json.loads(text)
        ours = {row["listen"]: str(row["unit"]) for row in rows if _OURS in row["activates"]}
    except (TimeoutError, ValueError, KeyError, TypeError):
        return ""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return ours[min(places)] if places and places <= ours.keys() else ""


async def missing(host: str, port: int) -> list[str]:
    """Return what ``/readyz`` of a server says is missing; nothing when it is ready."""
    try:
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
                answer = b""
                while len(answer) < _ANSWER_BYTES_MAX and (more := await reader.read(4096)):
                    answer += more
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return ["the HTTP processes are starting"]
    head, _, body = answer.partition(b"\r\n\r\n")
    if head.split(b" ")[1:2] == [b"200"]:
        return []
    try:
        faults = json.loads(body)["faults"]
        return [str(fault) for fault in faults] or ["it is not ready"]
    except (ValueError, KeyError, TypeError):
        return ["it is not ready"]


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
