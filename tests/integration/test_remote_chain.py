"""The chain's ports over a unix socket: the same results, the same errors, and a peer that dies."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Protocol
from uuid import UUID

import pytest
from msgspec import Raw

from mediaserver.accounting.remote_chain import (
    RemoteChain,
    RemoteEvents,
    chain_handlers,
    event_handlers,
)
from mediaserver.accounting.remote_escrow import RemoteCallService, call_handlers
from mediaserver.ipc.client import CallClient
from mediaserver.ipc.framing import FRAME_BYTES_MAX, VERSION
from mediaserver.ipc.messages import Failure, Hello, MessageReader, Request, Result
from mediaserver.ipc.operations import served
from mediaserver.ipc.server import CALLERS_MAX, REQUESTS_MAX, CallServer
from metering.chain.node.extrinsic import Era, Terms
from metering.chain.node.scale import Hash
from metering.errors import (
    BatchTooLargeError,
    ChainUnavailableError,
    OperatorNotReadyError,
    RuntimeUnsupportedError,
)
from metering.escrow.call_client import CallOutcome, ChainFacts, Draft, Reading, Verdict
from metering.escrow.event_follower import Heads
from metering.model.escrow_events import BlockRef, EventBlock, PalletEvent
from metering.model.join_caps import JoinLimits
from metering.ports import (
    BatchOutcome,
    BatchStatus,
    Chain,
    ChainLimits,
    ChainSettled,
    ChainSnapshot,
    Finding,
    InFlight,
)
from metering.settlement.journal import Journal
from metering.units import AccountId, EntryKey
from tests.support.book_fixture import OPERATOR, InlineBook, make_book
from tests.support.clock import FakeClock
from tests.support.wire import wire

ACCOUNT = AccountId(b"\xffa" * 16)
HASH = Hash(bytes(range(32)))


@pytest.fixture
def socket() -> Iterator[Path]:
    # A unix socket's path has 107 bytes at most; tmp_path may be longer.
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "chain.sock"


def make_journal() -> Journal:
    return Journal(InlineBook(make_book().book), OPERATOR, FakeClock(), 1000)


@contextlib.asynccontextmanager
async def pair(socket: Path, handlers, timeout_s: float = 5) -> AsyncIterator[CallClient]:
    async with CallServer(socket, handlers):
        calls = CallClient(socket, timeout_s)
        try:
            yield calls
        finally:
            await calls.close()


class Scripted:
    """A port whose results and errors are given."""

    def __init__(self, result) -> None:
        self.result = result
        self.asked: list = []

    def __getattr__(self, name):
        async def call(*args, **kwargs):
            self.asked.append((name, *args, *kwargs.items()))
            if isinstance(self.result, Exception):
                raise self.result
            return self.result

        return call


async def test_every_field_of_a_look_arrives(socket):
    """Nothing is lost or rounded on the way, in either direction."""
    flights = [InFlight(1, b"a" * 32, None), InFlight(2, b"b" * 32, b"\x00\xff signed")]
    look = ChainSnapshot(
        100,
        103,
        2**63,
        (
            Finding(1, BatchStatus.FINAL, BatchOutcome(1, b"a" * 32, ((3, "TooFast"),), 99)),
            Finding(2, BatchStatus.WAITING, None, "", is_in_block=True),
            Finding(3, BatchStatus.OTHER_CONTENT, BatchOutcome(3, b"c" * 32, (), 98), "why"),
        ),
    )
    chain = Scripted(look)
    async with pair(socket, chain_handlers(chain)) as calls:
        assert await RemoteChain(calls).look(flights) == look

    assert chain.asked == [("look", flights)]


async def test_bytes_to_sign_arrive(socket):
    """With their defaults, as the chain's own caller would pass them."""
    chain = Scripted(b"\x84 signed")
    async with pair(socket, chain_handlers(chain)) as calls:
        remote = RemoteChain(calls)
        assert await remote.sign(1, HASH, b"\x00\xff", [b"alive"]) == b"\x84 signed"
        assert await remote.sign(2, HASH, b"") == b"\x84 signed"

    assert chain.asked == [("sign", 1, HASH, b"\x00\xff", [b"alive"]), ("sign", 2, HASH, b"", [])]


async def test_what_the_chain_keeps_of_entries_arrives(socket):
    """Those that it has, and no others."""
    keys = [EntryKey(UUID(int=number), ACCOUNT, number, 1) for number in range(3)]
    kept = ChainSettled(HASH, 2**63, {keys[0]: 0, keys[2]: 7})
    chain = Scripted(kept)
    async with pair(socket, chain_handlers(chain)) as calls:
        assert await RemoteChain(calls).settled(keys, HASH) == kept
        chain.result = None
        assert await RemoteChain(calls).settled(keys) is None

    assert chain.asked == [("settled", keys, HASH), ("settled", keys, None)]


async def test_blocks_and_their_events_arrive(socket):
    """Bytes stay bytes, text stays text, and amounts keep their 128 bits."""
    fields = {"who": b"\x00\xff", "amount": 2**128 - 1, "why": "AAE=", "none": None, "is": True}
    block = EventBlock(5, HASH, HASH, 1_700_000_000, (PalletEvent(3, "EscrowDeposited", fields),))
    events = Scripted(block)
    async with pair(socket, event_handlers(events)) as calls:
        remote = RemoteEvents(calls)
        assert await remote.block(HASH) == block
        events.result = [b"\x00", None]
        assert await remote.values([b"a", b"b"], HASH) == [b"\x00", None]
        events.result = Heads(BlockRef(1, HASH), BlockRef(2, HASH))
        assert await remote.heads() == events.result
        events.result = JoinLimits(1, 2, 3, 4)
        assert await remote.limits() == events.result
        events.result = HASH
        assert await remote.hash_of(7) == HASH

    assert events.asked[0] == ("block", HASH)
    assert events.asked[1] == ("values", [b"a", b"b"], HASH)
    assert events.asked[-1] == ("hash_of", 7)


async def test_calls_are_prepared_sent_and_followed(socket):
    """Draft and all: what comes back is what was prepared."""
    terms = Terms(2**32 - 1, Era(64, 77), HASH, 100, 1, HASH)
    draft = Draft(ACCOUNT, b"\x07\x00call", terms, b"payload")
    service = Scripted(draft)
    async with pair(socket, call_handlers(service)) as calls:
        remote = RemoteCallService(calls)
        assert await remote.prepare(ACCOUNT, "TickStream", "join", b"\x01", HASH) == draft
        service.result = HASH
        assert await remote.send(draft, b"s" * 64) == HASH
        service.result = Verdict(CallOutcome.FAILED, 9, "TickStream.StreamExists")
        assert await remote.verdict(draft, HASH) == service.result
        service.result = Reading(5, HASH, 6, (b"\x00", None))
        assert await remote.read([b"k"], ACCOUNT, best=True) == service.result
        service.result = ChainFacts("name", 1, HASH, 2, 3, 4, {"TickBurst": 5})
        assert await remote.facts() == service.result

    assert service.asked[1] == ("send", draft, b"s" * 64)
    assert service.asked[2] == ("verdict", draft, HASH)
    assert service.asked[3] == ("read", [b"k"], ACCOUNT, ("best", True))


@pytest.mark.parametrize(
    "error",
    [
        ChainUnavailableError("away"),
        ChainUnavailableError("no text: \ud800"),
        OperatorNotReadyError("register"),
        RuntimeUnsupportedError("CheckMoon"),
        BatchTooLargeError("heavy", 77),
    ],
    ids=["away", "no_text", "not_ready", "unsupported", "too_large"],
)
async def test_an_error_arrives_as_what_it_is(socket, error):
    """What the settler does next depends on its class."""
    text = str(error).replace("\ud800", ".")
    async with pair(socket, chain_handlers(Scripted(error))) as calls:
        with pytest.raises(type(error), match=text) as met:
            await RemoteChain(calls).sign(1, bytes(32), b"\x00")

    assert getattr(met.value, "entries_max", None) == getattr(error, "entries_max", None)


async def test_a_bug_there_is_no_crash_here(socket):
    """It is logged where it happened."""
    async with pair(socket, chain_handlers(Scripted(KeyError("x")))) as calls:
        with pytest.raises(ChainUnavailableError, match="KeyError"):
            await RemoteChain(calls).limits()


class Hanging:
    """A chain that never replies."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def last_settled(self) -> int:
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        return 0


async def test_a_settler_that_is_killed_is_away_and_comes_back(socket):
    """Pending calls fail at once; the next call reaches the one that was started again."""
    chain = Hanging()
    calls = CallClient(socket, 30)
    async with CallServer(socket, served(chain, Chain.last_settled)):
        asked = asyncio.create_task(RemoteChain(calls).last_settled())
        await chain.began.wait()
    with pytest.raises(ChainUnavailableError, match="away"):
        await asked
    with pytest.raises(ChainUnavailableError, match="away"):
        await RemoteChain(calls).last_settled()

    async with CallServer(socket, chain_handlers(Scripted(5))):
        assert await RemoteChain(calls).last_settled() == 5
        await calls.close()


async def test_a_result_that_does_not_come_costs_one_time_out(socket):
    """And what was asked is cancelled there too, so nothing piles up."""
    chain = Hanging()
    async with pair(socket, served(chain, Chain.last_settled), timeout_s=0.05) as calls:
        with pytest.raises(ChainUnavailableError, match="within"):
            await RemoteChain(calls).last_settled()
        async with asyncio.timeout(5):
            await chain.cancelled.wait()


class Pace(Protocol):
    async def slow(self) -> str:
        """Return when it is allowed to."""

    async def quick(self) -> str:
        """Return at once."""


class Paced:
    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def slow(self) -> str:
        await self.go.wait()
        return "slow"

    async def quick(self) -> str:
        return "quick"


async def test_calls_do_not_wait_for_each_other(socket):
    """Escrow is read while a batch is signed."""
    paced = Paced()
    async with pair(socket, served(paced, Pace.slow, Pace.quick)) as calls:
        waiting = asyncio.create_task(calls.call(Pace.slow))
        assert await calls.call(Pace.quick) == "quick"
        paced.go.set()
        assert await waiting == "slow"


LIMITS = Request(1, "Chain.limits", Raw(b"[]"))


@pytest.mark.parametrize(
    "sent",
    [
        b"\xff" * 64,
        struct.pack("!IBI", FRAME_BYTES_MAX + 1, VERSION, 0),
        struct.pack("!IBI", 5 + 3, VERSION, 3) + b"{{{",
        struct.pack("!I", 2) + b'{"v":1,"id":1}',
        wire(Hello("control", "control", 1)),
        wire(Result(1, Raw(b"null"))),
        wire(Request(1, "Chain.limitz", Raw(b"[]"))),
        wire(Request(1, "Chain.limits", Raw(b"[1]"))),
        wire(Request(1, "Chain.submit", Raw(b"[1]"))),
        wire(Request(1, "Chain.submit", Raw(b'["no base64"]'))),
        wire(*[Request(number, "Chain.last_settled", Raw(b"[]")) for number in range(1, 99)]),
    ],
)
async def test_a_faulty_peer_loses_its_connection_alone(socket, sent):
    """It gets a reason at most; others go on."""
    handlers = chain_handlers(make_journal()) | served(Hanging(), Chain.last_settled)
    async with CallServer(socket, handlers) as server:
        reader, writer = await asyncio.open_unix_connection(socket)
        writer.write(sent)
        async with asyncio.timeout(5):
            (reply,) = MessageReader().feed(await reader.read())
        writer.close()

        assert isinstance(reply, Failure)
        assert reply.number == 0
        assert server.dropped == {"broken": 1}
        calls = CallClient(socket, 5)
        assert await RemoteChain(calls).limits() == ChainLimits(None, 1)
        await calls.close()


async def test_a_connection_may_have_so_many_calls_at_once_and_no_more(socket):
    """At the bound all run; what one releases, the next may take."""
    assert REQUESTS_MAX == 16
    paced = Paced()
    async with pair(socket, served(paced, Pace.slow, Pace.quick)) as calls:
        waiting = [asyncio.create_task(calls.call(Pace.slow)) for _ in range(REQUESTS_MAX - 1)]
        for _ in range(3):
            assert await calls.call(Pace.quick) == "quick"
        paced.go.set()
        assert await asyncio.gather(*waiting) == ["slow"] * (REQUESTS_MAX - 1)


async def test_connections_beyond_the_bound_are_closed_and_counted(socket):
    """Whatever opens them; those that are there go on."""
    async with CallServer(socket, chain_handlers(make_journal())) as server:
        peers = [await asyncio.open_unix_connection(socket) for _ in range(CALLERS_MAX)]
        for _, writer in peers:
            writer.write(wire(LIMITS))
        for reader, _ in peers:
            assert await reader.read(1)
        reader, last = await asyncio.open_unix_connection(socket)
        async with asyncio.timeout(5):
            assert await reader.read() == b""

        assert server.dropped == {"peers": 1}
        for writer in (last, *(writer for _, writer in peers)):
            writer.close()


async def test_the_socket_is_ours_alone(socket):
    """It signs with the operator's key: no other user may ask."""
    socket.touch()
    async with CallServer(socket, chain_handlers(make_journal())):
        assert socket.stat().st_mode & 0o777 == 0o600
    assert not socket.exists()


async def serve_bytes(socket: Path, replies: Sequence[bytes]) -> asyncio.Server:
    """Return a settler that sends the next of `replies` to each request, then closes."""
    left = list(replies)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(left.pop(0))
        await writer.drain()
        writer.close()

    return await asyncio.start_unix_server(serve, socket)


def of_version(frame: bytes, version: int) -> bytes:
    return frame[:4] + bytes((version,)) + frame[5:]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (
            of_version(wire(Failure(0, "X", "y")), VERSION + 1),
            f"version {VERSION + 1} of the wire, not {VERSION}",
        ),
        (wire(Failure(0, "ChainUnavailableError", "version 2, not 3")), "version 2, not 3"),
        (wire(Hello("worker", "w", 1)), "Hello is no reply"),
        (wire(Result(1, Raw(b"[1]"))), "result of Chain.limits is malformed"),
        (b"\xff" * 64, "broke the protocol"),
        (wire(Failure(1, "NoSuchError", "text")), "NoSuchError: text"),
        (wire(Failure(1, "StoreUnavailableError", "text")), "StoreUnavailableError: text"),
    ],
)
async def test_a_settler_that_breaks_the_protocol_is_away_with_the_reason(socket, reply, reason):
    """A half-done upgrade waits instead of guessing, and the log names both versions."""
    calls = CallClient(socket, 5)
    async with await serve_bytes(socket, [reply]):
        with pytest.raises(ChainUnavailableError, match=reason):
            await RemoteChain(calls).limits()
        await calls.close()
