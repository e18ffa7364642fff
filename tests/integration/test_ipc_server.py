"""The link's receiving end over a real socket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import Raw

from mediaserver.clock import SystemClock
from mediaserver.hls.live_store import LiveStore
from mediaserver.ipc.messages import Hello, Message, Policy, PolicyChange, Request, SegmentEnded
from mediaserver.ipc.server import LinkServer
from metering.units import Asset
from tests.support.builders import OPENED, Show
from tests.support.wire import wire

POLICY = Policy((), ((1, b"k"),), Asset(), "e", "r", "", is_top_up_open=False, replay_from_ms=0)


class LinkFixture:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = LiveStore(SystemClock(), reconnect_wait_s=60, waiters_max=10)
        self.policies: list[Policy | PolicyChange] = []
        self.heard = asyncio.Event()
        self.writers: list[asyncio.StreamWriter] = []
        self.server = LinkServer(path, self.store, self.on_policy)

    def on_policy(self, policy: Policy | PolicyChange) -> None:
        self.policies.append(policy)
        self.heard.set()

    async def say(self, *messages: Message) -> asyncio.StreamWriter:
        _, writer = await self.connect()
        writer.write(wire(*messages))
        await writer.drain()
        return writer

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_unix_connection(self.path)
        self.writers.append(writer)
        return reader, writer

    async def close(self) -> None:
        for writer in self.writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[LinkFixture]:
    harness = LinkFixture(tmp_path / "http-0.link")
    async with harness.server, asyncio.timeout(10):
        yield harness
        await harness.close()


async def test_a_workers_messages_become_a_live_stream(harness: LinkFixture) -> None:
    """From the worker's socket to the playlist."""
    show = Show()
    writer = await harness.say(Hello("worker", "w1", 1), *show.open(), *show.segments(3))
    await harness.say(Hello("control", "control", 1), POLICY)
    await harness.heard.wait()
    while harness.store.state("cam") != "live":  # noqa: ASYNC110 - the store signals nobody
        await asyncio.sleep(0)

    assert harness.policies == [POLICY]
    writer.close()
    while harness.store.state("cam") == "live":  # noqa: ASYNC110 - the store signals nobody
        await asyncio.sleep(0)
    assert harness.store.state("cam") == "restarting", "its worker went, not its publisher"


@pytest.mark.parametrize(
    "sent",
    [
        wire(OPENED),
        wire(Hello("viewer", "x", 1)),
        wire(Hello("control", "c", 1), OPENED),
        wire(Hello("control", "c", 1), Request(1, "Chain.limits", Raw(b"[]"))),
        wire(Hello("worker", "w", 1), POLICY),
        wire(Hello("worker", "w", 1), SegmentEnded("source", 1, 1, 1)),
        b"\xff" * 64,
    ],
)
async def test_a_faulty_peer_is_dropped_and_others_go_on(harness: LinkFixture, sent: bytes) -> None:
    """One connection is closed; the next peer is heard."""
    reader, writer = await harness.connect()
    writer.write(sent)

    assert await reader.read() == b""
    assert harness.server.dropped["broken"] == 1
    await harness.say(Hello("control", "control", 1), POLICY)
    await harness.heard.wait()


async def test_the_socket_is_ours_alone_and_goes_when_we_go(tmp_path: Path) -> None:
    """No other user may speak as a worker; a stale file does not stop a start."""
    path = tmp_path / "http-0.link"
    path.touch()
    harness = LinkFixture(path)
    async with harness.server:
        assert path.stat().st_mode & 0o777 == 0o600
    assert not path.exists()
