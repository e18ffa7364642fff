"""One suite for every back end of `metering.ports.Chain`; later ones join by a case in `BACKENDS`.

A case gives the chain, and `finalize`: what makes everything submitted so far final. The fake node
and the real runtime in chopsticks are asked over their sockets by the back end that ships; the last
test turns red when one of the two was spared what the other went through.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from uuid import UUID

import pytest

from metering.book.book import Book
from metering.chain.node.client import Node
from metering.chain.pallet_chain import PalletChain
from metering.errors import ChainUnavailableError, ExtrinsicRejectedError
from metering.model.batch import Batch, seal
from metering.ports import BatchStatus, Chain, Finding, InFlight
from metering.settlement import journal
from metering.settlement.journal import Journal
from metering.signing import KeyPair
from metering.testing.chopsticks import Chopsticks
from metering.testing.fake_node.node import FakeNode
from metering.testing.fake_node.rpc import Rpc
from metering.testing.fake_node.runtime import UNIT
from metering.testing.fake_node.world import World
from metering.units import Asset, EntryKey
from tests.support.book_fixture import OPERATOR, InlineBook, open_book
from tests.support.chain_scenario import setup_calls
from tests.support.clock import FakeClock
from tests.support.servers import chopsticks
from tests.support.wallet import Ask, account, dev, send, transfer


@dataclass
class Case:
    chain: Chain
    finalize: Callable[[], None]


@asynccontextmanager
async def journal_case() -> AsyncIterator[Case]:
    clock = FakeClock()
    chain = Journal(InlineBook(open_book("sqlite://", Asset())), OPERATOR, clock, 1000)

    def finalize() -> None:
        clock.wall_ms += 1000

    yield Case(chain, finalize)


@asynccontextmanager
async def fake_case() -> AsyncIterator[Case]:
    world = World(1, now_ms=1_700_000_000_000, funds=FUNDS, finality_blocks=3)
    rpc = Rpc(world, b"")

    def finalize() -> None:
        world.make_block()
        world.finalize()

    begin(lambda method, *rest: rpc.answer(method, list(rest)), finalize, OPERATOR)
    async with FakeNode(world, chopsticks.metadata_bytes()) as node, Node(node.url, 5.0) as line:
        yield Case(PalletChain(line, OPERATOR, era_blocks=64, in_flight_max=4), finalize)


@asynccontextmanager
async def chopsticks_case(process: Chopsticks) -> AsyncIterator[Case]:
    """Give each test an operator and a stream of its own: the chain is one for all."""
    operator = account(f"operator {next(NUMBERS)}")
    with ThreadPoolExecutor(1) as thread:

        def ask(method: str, *rest: object) -> object:
            # Of another thread: the guard against a blocked loop would object.
            return thread.submit(process.call, method, *rest).result()

        def finalize() -> None:
            ask("dev_newBlock", {"count": 1})

        for who, planck in {**FUNDS, operator.account: 1000 * UNIT}.items():
            send(ask, dev("Alice"), transfer(who, planck))
            finalize()
        begin(ask, finalize, operator)
        async with Node(process.url, 30.0) as line:
            yield Case(PalletChain(line, operator, era_blocks=64, in_flight_max=4), finalize)


VIEWER = account("viewer 0")
FUNDS = {one.account: 1000 * UNIT for one in (OPERATOR, account("creator"), VIEWER)}
NUMBERS = itertools.count(1)
NODES = {"fake", "chopsticks"}
BACKENDS = {"journal": journal_case, "fake": fake_case}
stream = UUID(int=0)
"""The stream of the test under way."""


def begin(ask: Ask, finalize: Callable[[], None], operator: KeyPair) -> None:
    """Put on a chain what must be there before a batch can settle anything."""
    for who, call in setup_calls(stream, 1, operator=operator):
        send(ask, who, call)
        finalize()


@pytest.fixture(scope="module")
def real_chain() -> Iterator[Callable[[], Chopsticks]]:
    """The real runtime, started when it is first asked for."""
    with ExitStack() as stack:
        yield functools.cache(lambda: stack.enter_context(chopsticks.launch()))


@pytest.fixture(params=sorted({*BACKENDS, "chopsticks"}))
async def case(request, real_chain):
    global stream  # noqa: PLW0603 -- one test at a time
    stream = UUID(int=next(NUMBERS))
    if request.param in NODES:
        chopsticks.require()
    if request.param == "chopsticks":
        made = chopsticks_case(await asyncio.to_thread(real_chain))
    else:
        made = BACKENDS[request.param]()
    async with made as found:
        yield found


def make_batch(seq: int, cumulative: int = 5) -> Batch:
    key = EntryKey(stream, VIEWER.account, 1, 1)
    return seal([(key, cumulative)], seq, 10)[0]


async def find(chain: Chain, batch: Batch, signed: bytes | None = None) -> Finding:
    look = await chain.look([InFlight(batch.seq, batch.hash, signed)])
    (finding,) = look.findings
    assert finding.seq == batch.seq
    return finding


async def submit(chain: Chain, batch: Batch) -> bytes:
    signed = await chain.sign(batch.seq, batch.hash, batch.entries)
    await chain.submit(signed)
    return signed


async def test_an_outcome_is_learnt_later_and_only_when_final(case):
    """Submitting says nothing."""
    batch = make_batch(1)
    assert await case.chain.last_settled() == 0

    signed = await submit(case.chain, batch)

    assert (await find(case.chain, batch, signed)).status is BatchStatus.WAITING
    assert await case.chain.last_settled() == 0
    case.finalize()
    found = await find(case.chain, batch, signed)
    assert found.status is BatchStatus.FINAL
    outcome = found.outcome
    assert outcome is not None
    assert (outcome.seq, outcome.hash, outcome.refused) == (1, batch.hash, ())
    assert await case.chain.last_settled() == 1
    assert (await find(case.chain, make_batch(2))).status is BatchStatus.WAITING


async def test_the_same_bytes_again_change_nothing(case):
    """Before and after they are final."""
    batch = make_batch(1)
    signed = await submit(case.chain, batch)
    await case.chain.submit(signed)
    case.finalize()
    before = await find(case.chain, batch, signed)

    await case.chain.submit(signed)
    case.finalize()

    assert before.status is BatchStatus.FINAL
    assert await find(case.chain, batch, signed) == before
    assert await case.chain.last_settled() == 1


async def test_a_number_taken_keeps_its_first_content(case):
    """At or below the last settled one, a batch is a no-op."""
    first = make_batch(1)
    await submit(case.chain, first)
    case.finalize()

    other = make_batch(1, cumulative=9)
    signed = await submit(case.chain, other)
    case.finalize()

    assert (await find(case.chain, first)).status is BatchStatus.FINAL
    found = await find(case.chain, other, signed)
    assert found.status is BatchStatus.OTHER_CONTENT
    assert found.outcome is not None
    assert found.outcome.hash == first.hash


async def test_numbers_leave_no_gap(case):
    """Batch 3 takes no effect before batch 2, whether it is refused or ignored."""
    await submit(case.chain, make_batch(1))
    case.finalize()

    third = make_batch(3)
    with suppress(ExtrinsicRejectedError):
        await submit(case.chain, third)
    case.finalize()

    assert (await find(case.chain, third)).status is not BatchStatus.FINAL
    assert await case.chain.last_settled() == 1


async def test_signing_alone_has_no_effect(case):
    """Bytes that were kept and never sent settle nothing."""
    batch = make_batch(1)

    await case.chain.sign(batch.seq, batch.hash, batch.entries)
    case.finalize()

    assert (await find(case.chain, batch)).status is BatchStatus.WAITING


async def test_one_look_tells_of_all_batches_in_order(case):
    """Final, waiting and unknown, all as of one moment."""
    batches = [make_batch(seq, 5 * seq) for seq in (1, 2, 3)]
    await submit(case.chain, batches[0])
    case.finalize()

    look = await case.chain.look([InFlight(one.seq, one.hash, None) for one in batches])

    assert [one.seq for one in look.findings] == [1, 2, 3]
    assert [one.status for one in look.findings] == [
        BatchStatus.FINAL,
        BatchStatus.WAITING,
        BatchStatus.WAITING,
    ]
    assert look.last_settled == 1
    assert look.best >= look.finalized


async def test_several_in_flight_settle_in_order(case):
    """As many as the chain takes at once, signed one after the other before any is final."""
    limits = await case.chain.limits()
    batches = [make_batch(seq, 5 * seq) for seq in range(1, limits.in_flight_max + 1)]
    alive: list[bytes] = []
    for batch in batches:
        alive.append(await case.chain.sign(batch.seq, batch.hash, batch.entries, alive))
    for signed in alive:
        await case.chain.submit(signed)
    case.finalize()

    look = await case.chain.look(
        [InFlight(one.seq, one.hash, signed) for one, signed in zip(batches, alive, strict=True)]
    )

    assert all(one.status is BatchStatus.FINAL for one in look.findings)
    assert look.last_settled == len(batches)


@pytest.mark.chain
def test_both_nodes_went_through_every_case(request, ran):
    """What the fake node is judged by, the real runtime is judged by, and the other way round."""
    chopsticks.require()
    chosen = {
        (one.originalname, one.callspec.params["case"])
        for one in request.session.items
        if one.path == request.path and "case" in getattr(one, "fixturenames", ())
    }
    names = {name for name, _ in chosen}

    missing = {(name, node) for name in names for node in NODES} - ran

    assert missing == set()


# What the journal alone promises


def make_journal(records: int = 3) -> tuple[Book, Journal]:
    book = open_book("sqlite://", Asset())
    return book, Journal(InlineBook(book), OPERATOR, FakeClock(), 0)


async def filled(records: int = 3) -> Book:
    book, chain = make_journal()
    for seq in range(1, records + 1):
        await submit(chain, make_batch(seq, seq * 5))
    return book


async def test_a_journal_left_alone_verifies():
    """Every hash and signature."""
    assert journal.verify((await filled()).journal) is None


@pytest.mark.parametrize(
    ("statement", "number", "reason"),
    [
        ("UPDATE journal SET at_ms = at_ms + 1 WHERE number = 2", 2, "hash"),
        ("UPDATE journal SET signed = substr(signed, 1, 200) WHERE number = 2", 2, "hash"),
        ("UPDATE journal SET hash = zeroblob(32) WHERE number = 1", 1, "hash"),
        ("UPDATE journal SET previous = zeroblob(32) WHERE number = 3", 3, "follow"),
        ("DELETE FROM journal WHERE number = 2", 2, "missing"),
    ],
)
async def test_the_first_break_of_a_journal_is_named(statement, number, reason):
    """Whatever was changed behind our back."""
    book = await filled()
    with book.streams._writing() as connection:
        connection.exec_driver_sql(statement)

    found = journal.verify(book.journal)

    assert found is not None
    assert found.number == number
    assert reason in found.reason


async def test_a_record_rehashed_by_somebody_else_has_no_signature():
    """Who can write the database cannot write the operator's signature."""
    from metering.book.journal_rows import FIRST_PREVIOUS, JournalRecord, record_hash

    book = open_book("sqlite://", Asset())
    batch = make_batch(1)
    forged = journal._HEAD.pack(1, batch.hash, OPERATOR.account, bytes(64)) + batch.entries
    book.journal.append(1, forged, 1, 1)
    (record,) = book.journal.page(0, 5)
    assert record.hash == record_hash(JournalRecord(1, 1, forged, 1, 1, FIRST_PREVIOUS, b""))

    found = journal.verify(book.journal)

    assert found is not None
    assert "not signed" in found.reason


@pytest.mark.parametrize("harm", ["cut", "entry", "hash", "signature", "operator"])
async def test_a_journal_refuses_bytes_that_the_operator_did_not_sign(harm):
    """For good: the same bytes will never be taken."""
    _, chain = make_journal()
    batch = make_batch(1)
    signed = bytearray(await chain.sign(1, batch.hash, batch.entries))
    at = {"entry": -1, "hash": 8, "signature": 80, "operator": 40}.get(harm)
    if at is None:
        del signed[50:]
    else:
        signed[at] ^= 1

    with pytest.raises(ExtrinsicRejectedError):
        await chain.submit(bytes(signed))

    assert await chain.last_settled() == 0


async def test_a_journal_whose_book_is_away_is_unavailable(tmp_path):
    """Not rejected: the same bytes may be sent again."""
    path = tmp_path / "book.sqlite3"
    book = open_book(f"sqlite:///{path}", Asset())
    chain = Journal(InlineBook(book), OPERATOR, FakeClock(), 0)
    book.close()
    path.unlink()
    path.mkdir()

    with pytest.raises(ChainUnavailableError):
        await chain.last_settled()
