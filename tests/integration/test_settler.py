"""Ticks go from store to chain exactly once, wherever it crashes on the way."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metering.book.async_book import AsyncBook
from metering.book.book import Book
from metering.errors import StoreUnavailableError
from metering.model import receipt_file
from metering.model.batch_state import Action, BatchState
from metering.model.ledger import Holder, Role
from metering.recovery.reconcile import reconcile
from metering.recovery.recovery import recover
from metering.recovery.shard_state import RecoveryPolicy
from metering.settings import ChainSettings
from metering.settlement import journal
from metering.settlement.cutter import Cutter
from metering.settlement.journal import Journal
from metering.settlement.settler import Settler
from metering.signing import KeyPair
from metering.units import Asset, Run, shard_of
from tests.support.book_fixture import OPERATOR, PRICE, BookFixture, InlineBook, make_book
from tests.support.chain_scenario import DEPOSIT
from tests.support.crash_proxy import CrashError, CrashProxy, Steps
from tests.support.inline_chain import InlineChain, join, make_chain
from tests.support.memory_store import MemoryStore
from tests.support.wallet import account

POLICY = RecoveryPolicy(watched_hours=24, cut_period_s=10)
SETTINGS = ChainSettings(batch_period_s=30, batch_entries_max=2)


class World:
    """What outlives a crash: book, store, chain. `processes` is what does not."""

    def __init__(self, fixture: BookFixture, chain: InlineChain | Journal) -> None:
        self.fixture = fixture
        self.chain = chain
        self.store = MemoryStore()

    def processes(self, steps: Steps, key: KeyPair = OPERATOR) -> tuple[Cutter, Settler]:
        """Return a cutter and a settler that have just started, the latter with a key."""
        book: Any = CrashProxy(self.fixture.book, "book", steps)
        store: Any = CrashProxy(self.store, "store", steps)
        port = self.chain if isinstance(self.chain, Journal) else self.chain.port(key)
        chain: Any = CrashProxy(port, "chain", steps)
        cutter = Cutter(store, InlineBook(book), self.fixture.clock, 10)
        settler = Settler(
            InlineBook(book),
            chain,
            settings=SETTINGS,
            now_ms=self.fixture.clock,
            operator=OPERATOR,
            forget=cutter.forget_final,
            receipt_wait_ms=0,
        )
        return cutter, settler

    async def start(self) -> None:
        await recover(self.store, InlineBook(self.fixture.book), self.fixture.clock.wall_ms, POLICY)

    async def live(self, steps: Steps, rounds: int = 8) -> None:
        """Book what is pending and settle until nothing is left to do."""
        cutter, settler = self.processes(steps)
        await cutter.round()
        for _ in range(rounds):
            act = await settler.turn(is_due=True)
            self.fixture.clock.wall_ms += 1000
            if isinstance(self.chain, InlineChain):
                self.chain.make_block()
            if act is Action.WAIT and self.fixture.book.outbox.oldest() is None:
                return

    def watch(self) -> int:
        """Three viewers watch; return how many ticks are new."""
        return sum(
            self.store.claim(self.fixture.key(viewer), Run(1_699_999_000, 10 + viewer))
            for viewer in range(3)
        )

    async def assert_settled(self, ticks: int) -> None:
        """Everything watched is paid once, the books balance, nothing is left over."""
        report = await reconcile(
            InlineBook(self.fixture.book), self.store, has_journal=isinstance(self.chain, Journal)
        )
        assert report.differences == ()
        assert sum(row.settled for row in report.rows) == ticks
        assert sum(row.metered for row in report.rows) == ticks
        ledger = self.fixture.book.ledger.balances()
        assert sum(ledger.values()) == 0
        spent = sum(
            DEPOSIT - ledger[Holder(Role.VIEWER, viewer)] for viewer in self.fixture.accounts
        )
        assert spent == ticks * PRICE
        assert all(not cuts for cuts in self.store.cuts.values())
        self.fixture.book.receipts.make(OPERATOR, self.fixture.clock.wall_ms)
        for viewer in self.fixture.accounts:
            chain = self.fixture.book.receipts.of(viewer, self.fixture.stream.id)
            data = receipt_file.file_bytes(Asset(), OPERATOR.account, chain)
            proven = receipt_file.verify(data, OPERATOR.account)
            assert proven.amount == self.fixture.book.cuts.spent(viewer)


def journal_world() -> World:
    """Return a world that settles on the journal."""
    fixture = make_book(viewers=3, deposit=DEPOSIT)
    return World(fixture, Journal(InlineBook(fixture.book), OPERATOR, fixture.clock, 1000))


def chain_world(absent: int = 0) -> tuple[World, InlineChain]:
    """Return a world that settles on a chain, which the first `absent` viewers have not joined."""
    fixture = make_book(viewers=3, deposit=DEPOSIT)
    chain = make_chain(fixture, absent=absent)
    return World(fixture, chain), chain


async def steps_of_one_life() -> list[str]:
    world = journal_world()
    await world.start()
    world.watch()
    steps = Steps()
    await world.live(steps)
    return steps.made


async def test_ticks_settle_on_the_journal():
    """Store, cut, book, batch, journal, book, forgotten."""
    world = journal_world()
    await world.start()
    ticks = world.watch()

    await world.live(Steps())

    await world.assert_settled(ticks)
    assert journal.verify(world.fixture.book.journal) is None


async def test_a_crash_at_any_step_repeats_harmlessly():
    """Between any two calls that the code makes, then a restart."""
    steps = await steps_of_one_life()
    for name in (
        "store.cut",
        "book.cuts.book",
        "book.settlements.seal",
        "chain.sign",
        "book.outbox.add_attempt",
        "chain.submit",
        "book.outbox.set_state",
        "chain.look",
        "book.settlements.finalize",
        "book.receipts.make",
        "store.forget",
        "book.cuts.mark_forgotten",
        "book.cuts.compact",
    ):
        assert name in steps, f"{name} is no step any more: mend this list"

    for at in range(len(steps)):
        world = journal_world()
        await world.start()
        ticks = world.watch()
        with pytest.raises(CrashError):
            await world.live(Steps(at))
        assert world.watch() == 0
        await world.live(Steps())
        await world.live(Steps())
        await world.assert_settled(ticks)
        world.fixture.book.close()


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.sampled_from(["turn", "block", "away", "back", "expire", "crash", "watch", "cut"]),
        max_size=40,
    )
)
async def test_no_order_of_chain_answers_pays_twice(events):
    """Whatever the chain answers and whenever we crash, what it paid is what was watched."""
    world, chain = chain_world()
    await world.start()
    cutter, settler = world.processes(Steps())
    ticks = world.watch()
    for number, event in enumerate(events):
        if event == "turn":
            await settler.turn(is_due=True)
        elif event == "block":
            chain.make_block()
        elif event in ("away", "back"):
            chain.node.is_away = event == "away"
        elif event == "expire":
            chain.expire_pool()
        elif event == "crash":
            cutter, settler = world.processes(Steps())
        elif event == "watch":
            key = world.fixture.key(number % 3)
            ticks += world.store.claim(key, Run(1_699_000_000 + number, 3))
        else:
            await cutter.round()
        assert sum(chain.paid().values()) <= ticks
        report = await reconcile(InlineBook(world.fixture.book), world.store, has_journal=False)
        assert report.differences == ()

    chain.node.is_away = False
    for _ in range(4):
        await world.live(Steps(), rounds=40)

    assert sum(chain.paid().values()) == ticks
    assert chain.paid() == chain.settled()
    await world.assert_settled(ticks)
    world.fixture.book.close()


async def test_an_expired_batch_is_signed_again_under_the_same_number():
    """The entries and their hash stay; only the signed bytes are new."""
    world, chain = chain_world()
    await world.start()
    ticks = world.watch()
    cutter, settler = world.processes(Steps())
    await cutter.round()
    await settler.turn(is_due=True)
    chain.expire_pool()

    await settler.turn(is_due=True)

    attempts = world.fixture.book.outbox.attempts(1)
    assert [attempt.number for attempt in attempts] == [1, 2]
    assert attempts[0].signed != attempts[1].signed
    await world.live(Steps(), rounds=20)
    await world.assert_settled(ticks)


async def test_a_rejected_batch_waits_for_a_person_and_loses_nothing():
    """The settler came up with another key: the reason is kept; with the right one it settles."""
    world, chain = chain_world()
    await world.start()
    ticks = world.watch()
    cutter, settler = world.processes(Steps())
    await cutter.round()
    await settler.turn(is_due=True)
    chain.drop_first()
    _, settler = world.processes(Steps(), key=account("another operator"))

    assert await settler.turn(is_due=True) is Action.STOP

    assert world.fixture.book.settlements.get(1).state is BatchState.REJECTED
    reason = world.fixture.book.outbox.attempts(1)[0].reason
    assert "signed with another operator's key: put that key back" in (reason or "")
    assert await settler.turn(is_due=True) is Action.STOP
    world.fixture.book.outbox.retry(1)
    await world.live(Steps(), rounds=20)
    await world.assert_settled(ticks)


async def test_a_conflict_that_is_over_is_tried_again_and_settled():
    """A wrong chain had other content under its number; the right one has none."""
    world, _ = chain_world()
    await world.start()
    ticks = world.watch()
    cutter, _ = world.processes(Steps())
    await cutter.round()
    world.fixture.book.settlements.seal(world.fixture.clock.wall_ms, 100)
    world.fixture.book.outbox.set_state(1, BatchState.CONFLICT, 0)
    _, settler = world.processes(Steps())
    assert await settler.turn(is_due=False) is Action.STOP

    before = world.fixture.book.outbox.retry(1)

    assert before.state is BatchState.CONFLICT
    await world.live(Steps(), rounds=20)
    await world.assert_settled(ticks)
    assert world.fixture.book.settlements.get(1).state is BatchState.FINALIZED


async def test_refused_entries_show_in_the_books_and_heal():
    """A viewer whom the chain does not know is refused; their next seconds carry it again."""
    world, chain = chain_world(absent=1)
    await world.start()
    ticks = world.watch()
    await world.live(Steps(), rounds=20)
    report = await reconcile(InlineBook(world.fixture.book), world.store, has_journal=False)
    assert report.is_balanced
    assert sum(row.refused for row in report.rows) == 10

    join(chain)
    ticks += world.store.claim(world.fixture.key(0), Run(1_699_999_500, 1))
    await world.live(Steps(), rounds=20)

    await world.assert_settled(ticks)


async def test_a_batch_is_sealed_when_its_period_is_over():
    """Not before, however much is booked, and though the book does not change meanwhile."""
    world = journal_world()
    await world.start()
    cutter, settler = world.processes(Steps())
    world.store.claim(world.fixture.key(0), Run(1_699_999_500, 1))
    await cutter.round()
    await settler.turn()
    world.fixture.clock.wall_ms += 29_000
    assert await settler.turn() is Action.CLOSE
    world.store.claim(world.fixture.key(0), Run(1_699_999_600, 1))
    await cutter.round()

    await settler.turn()
    assert len(world.fixture.book.settlements.newest()) == 1
    world.fixture.clock.wall_ms += 1_000
    await settler.turn()
    assert len(world.fixture.book.settlements.newest()) == 2


async def test_a_book_that_did_not_change_is_not_read_again():
    """Until a cut is booked, or a minute is over: receipts come due by time alone."""
    world = journal_world()
    await world.start()
    steps = Steps()
    cutter, settler = world.processes(steps)

    async def turn() -> set[str]:
        """Return the steps of a turn that comes a second after the last."""
        made = len(steps.made)
        world.fixture.clock.wall_ms += 1000
        await settler.turn()
        return set(steps.made[made:])

    reads = {"book.outbox.open", "book.settlements.seal", "book.settlements.exposure"}
    assert reads <= await turn()
    assert not reads & await turn()
    world.watch()
    await cutter.round()
    assert reads - {"book.settlements.exposure"} <= await turn()
    while world.fixture.book.outbox.oldest() is not None:
        await turn()

    world.fixture.clock.wall_ms += 30_000
    assert reads <= await turn()
    while reads & await turn():
        pass
    world.fixture.clock.wall_ms += 60_000
    assert reads <= await turn()


async def test_nothing_is_cut_from_a_redis_that_was_not_recovered():
    """A restarted one may have lost its tail."""
    world = journal_world()
    await world.start()
    world.watch()
    world.store = world.store.restarted()
    cutter, _ = world.processes(Steps())

    with pytest.raises(StoreUnavailableError, match="recovered"):
        await cutter.round()

    assert world.fixture.book.cuts.booked_numbers() == {}


async def test_the_book_works_off_the_loop(tmp_path):
    """With its own thread and a real file, as control runs it."""
    world = journal_world()
    world.fixture = make_book(f"sqlite:///{tmp_path}/book.sqlite3", viewers=3, deposit=DEPOSIT)
    async_book = AsyncBook(world.fixture.book)
    chain = Journal(async_book, OPERATOR, world.fixture.clock, 0)
    await recover(world.store, async_book, world.fixture.clock.wall_ms, POLICY)
    ticks = world.watch()
    cutter = Cutter(world.store, async_book, world.fixture.clock, 10)
    settler = Settler(
        async_book,
        chain,
        settings=ChainSettings(),
        now_ms=world.fixture.clock,
        operator=OPERATOR,
        forget=cutter.forget_final,
    )

    done = await cutter.round()
    await settler.turn()
    assert await settler.turn() is Action.CLOSE

    assert (done.lines, done.ticks) == (3, ticks)
    world.chain = chain
    await world.assert_settled(ticks)
    await async_book.close()
    with Book.open(f"sqlite:///{tmp_path}/book.sqlite3", Asset()) as again:
        assert again.cuts.spent(world.fixture.accounts[0]) == 10 * PRICE
        assert shard_of(world.fixture.accounts[0]) in again.cuts.booked_numbers()
