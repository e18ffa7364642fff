"""A mail server that keeps what it is given."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from typing import Any

from aiosmtpd.smtp import SMTP

from tests.support.people_browser import ORIGIN


class Mailbox:
    """Each letter's receivers, subject and text."""

    def __init__(self) -> None:
        self.port = 0
        self.letters: asyncio.Queue[tuple[list[str], str, str]] = asyncio.Queue()

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        letter = message_from_bytes(envelope.content)
        content: Any = letter.get_payload(decode=True)
        self.letters.put_nowait((envelope.rcpt_tos, str(letter["Subject"]), content.decode()))
        return "250 OK"

    async def next(self) -> tuple[list[str], str, str]:
        """Return receivers, subject and text of the next letter."""
        async with asyncio.timeout(20):
            return await self.letters.get()

    async def secret(self, purpose: str = "mail") -> str:
        """Return what is behind the # of the link in the next letter."""
        _, _, text = await self.next()
        match = re.search(rf"{re.escape(ORIGIN)}/me/#{purpose}=(\S+)", text)
        assert match, text
        return match[1]


@asynccontextmanager
async def open_mailbox() -> AsyncIterator[Mailbox]:
    """Serve one on this machine."""
    made, loop = Mailbox(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(made, loop=loop), "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()
    await server.wait_closed()
