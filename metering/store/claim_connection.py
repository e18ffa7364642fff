"""One raw, pipelined connection to Redis: commands as bytes, each reply to its callback.

What is sent over it, and when, is decided by metering/store/claim_client.py.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from metering.errors import StoreUnavailableError
from metering.store import resp
from metering.store.address import RedisAddress
from metering.store.resp import Script

OnReply = Callable[[Any], None]


class ClaimConnection(asyncio.Protocol):
    """Bytes in, replies to the callbacks in the order of the commands.

    Attributes:
        closed: Done when the connection is lost.
    """

    def __init__(self) -> None:
        self.closed = asyncio.get_running_loop().create_future()
        self._reader = resp.reader()
        self._expected: deque[OnReply] = deque()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]  # asyncio types it too wide

    def data_received(self, data: bytes) -> None:
        """Hand out the replies that are complete."""
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            self._expected.popleft()(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail every reply that is still expected."""
        self._transport = None
        lost = StoreUnavailableError("the connection to Redis was lost")
        while self._expected:
            self._expected.popleft()(lost)
        if not self.closed.done():
            self.closed.set_result(exc)

    def send(self, data: bytes, replies: Iterable[OnReply]) -> None:
        """Write commands; each reply, in order, goes to its callback. Errors come as values."""
        if self._transport is None:
            lost = StoreUnavailableError("the connection to Redis was lost")
            for on_reply in replies:
                on_reply(lost)
            return
        self._expected.extend(replies)
        self._transport.write(data)

    async def ask(self, commands: Sequence[bytes]) -> list[Any]:
        """Send commands and return their replies; errors are values."""
        if not commands:
            return []
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        replies: list[Any] = []

        def on_reply(reply: Any) -> None:
            replies.append(reply)
            if len(replies) == len(commands) and not done.done():
                done.set_result(None)

        self.send(b"".join(commands), [on_reply] * len(commands))
        await done
        return replies

    def abort(self) -> None:
        """Drop the connection now."""
        if self._transport is not None:
            self._transport.abort()


async def connect(
    address: RedisAddress, timeout_s: float, scripts: Sequence[Script]
) -> tuple[ClaimConnection, str]:
    """Return a connection with its scripts loaded, and the run id of the Redis that answers.

    Raises:
        OSError: Nothing listens there.
        StoreUnavailableError: Redis does not answer in time, or refuses.
    """
    connection = ClaimConnection()
    hello = _hello(address)
    try:
        async with asyncio.timeout(timeout_s):
            await _open(address, connection)
            info = resp.command(b"INFO", b"server")
            replies = await connection.ask([*hello, info, *load_commands(scripts)])
    except TimeoutError as error:
        connection.abort()
        raise StoreUnavailableError("Redis does not answer") from error
    except BaseException:
        connection.abort()
        raise
    for reply in replies:
        if isinstance(reply, Exception):
            connection.abort()
            raise StoreUnavailableError(f"Redis: {reply}")
    return connection, _run_id(replies[len(hello)])


def load_commands(scripts: Sequence[Script]) -> list[bytes]:
    """Return the commands that load scripts."""
    return [resp.command(b"SCRIPT", b"LOAD", script.text) for script in scripts]


async def _open(address: RedisAddress, connection: ClaimConnection) -> None:
    loop = asyncio.get_running_loop()
    if address.path:
        await loop.create_unix_connection(lambda: connection, address.path)
        return
    context = ssl.create_default_context() if address.is_tls else None
    await loop.create_connection(lambda: connection, address.host, address.port, ssl=context)


def _hello(address: RedisAddress) -> list[bytes]:
    commands = []
    if address.password:
        words = [word.encode() for word in ("AUTH", address.user, address.password) if word]
        commands.append(resp.command(*words))
    if address.database:
        commands.append(resp.command(b"SELECT", b"%d" % address.database))
    return commands


def _run_id(info: bytes) -> str:
    for line in info.splitlines():
        if line.startswith(b"run_id:"):
            return line[7:].decode()
    raise StoreUnavailableError("Redis does not report its run id")
