"""The chain's port over a unix socket: the same answers, the same errors, and a peer that dies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from metering.chain.chain_wire import RemoteChain, chain_operations
from metering.chain.link import Remote, RemoteServer
from metering.errors import (
    BatchTooLargeError,
    ChainUnavailableError,
    OperatorNotReadyError,
    RuntimeUnsupportedError,
)
from metering.ports import BatchOutcome, ChainLimits, Fate, Finding, InFlight, Look
from tests.support.memory_chain import MemoryChain


@pytest.fixture
def socket() -> Path:
    # A unix socket's path has 107 bytes at most; tmp_path may be longer.
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "chain.sock"


@contextlib.asynccontextmanager
async def pair(socket: Path, operations, timeout_s: float = 5) -> AsyncIterator[Remote]:
    async with RemoteServer(socket, operations):
        remote = Remote(socket, timeout_s)
        try:
            yield remote
        finally:
            await remote.close()


class Said:
    """A chain whose answers and errors are given."""

    def __init__(self, answer) -> None:
        self.answer = answer
        self.asked: list = []

    def __getattr__(self, name):
        async def call(*args):
            self.asked.append((name, *args))
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

        return call


async def test_every_field_of_a_look_arrives(socket):
    """Nothing is lost or rounded on the way, in either direction."""
    flights = [InFlight(1, b"a" * 32, None), InFlight(2, b"b" * 32, b"\x00\xff signed")]
    answer = Look(
        100,
        103,
        2**63,
        (
            Finding(1, Fate.FINAL, BatchOutcome(1, b"a" * 32, ((3, "TooFast"),), 99)),
            Finding(2, Fate.WAITING, None, "", is_in_block=True),
            Finding(3, Fate.OTHER_CONTENT, BatchOutcome(3, b"c" * 32, (), 98), "why"),
        ),
    )
    chain = Said(answer)
    async with pair(socket, chain_operations(chain)) as remote:
        found = await RemoteChain(remote).look(flights)

    assert found == answer
    assert chain.asked == [("look", flights)]


@pytest.mark.parametrize(
    "error",
    [
        ChainUnavailableError("away"),
        OperatorNotReadyError("register"),
        RuntimeUnsupportedError("CheckMoon"),
        BatchTooLargeError("heavy", 77),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_error_arrives_as_what_it_is(socket, error):
    """What the settler does next hangs on its class."""
    async with pair(socket, chain_operations(Said(error))) as remote:
        with pytest.raises(type(error), match=str(error)) as met:
            await RemoteChain(remote).sign(1, bytes(32), b"\x00")

    assert getattr(met.value, "entries_max", None) == getattr(error, "entries_max", None)


async def test_a_bug_there_is_no_crash_here(socket):
    """It is logged where it happened."""
    async with pair(socket, chain_operations(Said(KeyError("x")))) as remote:
        with pytest.raises(ChainUnavailableError, match="KeyError"):
            await RemoteChain(remote).limits()


async def test_a_settler_that_is_killed_is_away_and_comes_back(socket):
    """Who waits is told at once; the next question finds the one that was started again."""
    began = asyncio.Event()

    async def hang() -> None:
        began.set()
        await asyncio.Event().wait()

    remote = Remote(socket, 30)
    server = RemoteServer(socket, {"last_settled": hang})
    async with server:
        asked = asyncio.create_task(RemoteChain(remote).last_settled())
        await began.wait()
    with pytest.raises(ChainUnavailableError, match="away"):
        await asked
    with pytest.raises(ChainUnavailableError, match="away"):
        await RemoteChain(remote).last_settled()

    async with RemoteServer(socket, chain_operations(Said(5))):
        assert await RemoteChain(remote).last_settled() == 5
        await remote.close()


async def test_an_answer_that_does_not_come_costs_one_time_out(socket):
    """And what was asked is given up there too, so nothing piles up."""
    given_up = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    async with pair(socket, {"limits": hang}, timeout_s=0.05) as remote:
        with pytest.raises(ChainUnavailableError, match="within"):
            await RemoteChain(remote).limits()
        async with asyncio.timeout(5):
            await given_up.wait()


async def test_questions_do_not_wait_for_each_other(socket):
    """Escrow is read while a batch is signed."""
    go = asyncio.Event()

    async def slow() -> str:
        await go.wait()
        return "slow"

    async def quick() -> str:
        return "quick"

    async with pair(socket, {"slow": slow, "quick": quick}) as remote:
        waiting = asyncio.create_task(remote.call("slow"))
        assert await remote.call("quick") == "quick"
        go.set()
        assert await waiting == "slow"


@pytest.mark.parametrize(
    "sent",
    [
        struct.pack("!I", 2**31),
        struct.pack("!I", 4) + b"null",
        struct.pack("!I", 3) + b"{{{",
        struct.pack("!I", 2) + b"{}",
    ],
)
async def test_a_mad_peer_loses_its_connection_alone(socket, sent):
    """Others go on."""
    async with pair(socket, chain_operations(MemoryChain())) as remote:
        reader, writer = await asyncio.open_unix_connection(socket)
        writer.write(sent)
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()

        assert await RemoteChain(remote).limits() == ChainLimits(None, 1)


async def test_another_version_is_told_so(socket):
    """Both ends are of one release; a half-done upgrade waits instead of guessing."""
    async with RemoteServer(socket, chain_operations(MemoryChain())):
        reader, writer = await asyncio.open_unix_connection(socket)
        raw = json.dumps({"v": 2, "id": 1, "op": "limits", "args": []}).encode()
        writer.write(struct.pack("!I", len(raw)) + raw)
        (length,) = struct.unpack("!I", await reader.readexactly(4))
        answer = json.loads(await reader.readexactly(length))
        writer.close()

    assert answer["error"][0] == "ChainUnavailableError"
    assert "version 2" in answer["error"][1]
