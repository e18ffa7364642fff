"""The sending end of the link: every HTTP process receives everything, from the beginning."""

import asyncio
from pathlib import Path

import pytest

from mediaserver.ipc.client import LinkClients
from mediaserver.ipc.messages import Health, Hello, Message, MessageReader, ShowEnded

HELLO = Hello("worker", "w1", 1)


class Listener:
    """An HTTP process's end: collects what it receives; may stop reading."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.received: asyncio.Queue[Message | None] = asyncio.Queue()
        self.readers: list[asyncio.StreamReader] = []
        self.is_reading = True

    async def __aenter__(self):
        self.server = await asyncio.start_unix_server(self._serve, str(self.path))
        return self

    async def __aexit__(self, *_):
        self.server.close()
        for writer in getattr(self, "writers", []):
            writer.transport.abort()

    async def _serve(self, reader, writer):
        self.writers = [*getattr(self, "writers", []), writer]
        frames = MessageReader()
        while self.is_reading and (data := await reader.read(65536)):
            for message in frames.feed(data):
                self.received.put_nowait(message)
        if not self.is_reading:
            await asyncio.Event().wait()
        self.received.put_nowait(None)
        writer.close()

    async def take(self, count):
        return [await asyncio.wait_for(self.received.get(), 5) for _ in range(count)]


@pytest.fixture
def run_dir(tmp_path):
    return tmp_path


async def test_each_http_process_receives_hello_then_the_replay_then_what_is_sent(run_dir) -> None:
    """A message reaches every HTTP process, after what it must know first."""
    replay = [Health("live", {}, ())]
    async with Listener(run_dir / "http-0.link") as a, Listener(run_dir / "http-1.link") as b:
        async with LinkClients(run_dir, HELLO, lambda: replay) as links:
            links.send(ShowEnded())

            assert links.names == ("http-0.link", "http-1.link")
            for listener in (a, b):
                assert await listener.take(4 - 1) == [HELLO, *replay, ShowEnded()]
        assert await a.take(1) == [None]


async def test_an_http_process_that_comes_back_receives_everything_again(run_dir) -> None:
    """A restarted HTTP process is refilled without anyone asking."""
    async with LinkClients(run_dir, HELLO, lambda: [ShowEnded()]):
        async with Listener(run_dir / "http-0.link") as first:
            assert await first.take(2) == [HELLO, ShowEnded()]
        (run_dir / "http-0.link").unlink(missing_ok=True)
        async with Listener(run_dir / "http-0.link") as second:
            assert await second.take(2) == [HELLO, ShowEnded()]


async def test_a_peer_that_does_not_read_is_dropped_and_nobody_waits_for_it(run_dir) -> None:
    """One stuck HTTP process costs its own connection, not memory and not the others."""
    big = Health("live", {}, ("x" * 100_000,))
    async with Listener(run_dir / "http-0.link") as stuck, Listener(run_dir / "http-1.link") as ok:
        stuck.is_reading = False
        async with LinkClients(run_dir, HELLO, list, buffer_bytes_max=2_000_000) as links:
            for _ in range(40):
                links.send(big)
                await ok.take(1)

            assert links.dropped >= 1
            assert "http-1.link" in links.names
