"""Ticks go from store to chain exactly once, wherever it crashes on the way."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metering.book.async_book import AsyncBook
from metering.book.book import Book
from metering.errors import StoreUnavailableError
from metering.model import receipt
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
from metering.units import Asset, Run, shard_of
from tests.support.book_fixture import OPERATOR, PRICE, BookFixture, InlineBook, make_book
from tests.support.crash_proxy import CrashError, CrashProxy, Steps
from tests.support.memory_chain import MemoryChain
from tests.support.memory_store import MemoryStore

POLICY = RecoveryPolicy(watched_hours=24, cut_period_s=10)
SETTINGS = ChainSettings(batch_period_s=30, batch_entries_max=2)


class World:
    """What outlives a crash: book, store, chain. `processes` is what does not."""

    def __init__(self, chain: Any = None, viewers: int = 3) -> None:
        self.fixture: BookFixture = make_book(viewers=viewers)
        self.store = MemoryStore()
        self.chain = chain or Journal(
            InlineBook(self.fixture.book), OPERATOR, self.fixture.clock, 1000
        )

    def processes(self, steps: Steps) -> tuple[Cutter, Settler]:
        book: Any = CrashProxy(self.fixture.book, "book", steps)
        store: Any = CrashProxy(self.store, "store", steps)
        chain: Any = CrashProxy(self.chain, "chain", steps)
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
            if isinstance(self.chain, MemoryChain):
                self.chain.make_blocks()
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
        found = await reconcile(
            InlineBook(self.fixture.book), self.store, has_journal=isinstance(self.chain, Journal)
        )
        assert found.differences == ()
        assert sum(row.settled for row in found.rows) == ticks
        assert sum(row.metered for row in found.rows) == ticks
        ledger = self.fixture.book.ledger.balances()
        assert sum(ledger.values()) == 0
        spent = sum(10**12 - ledger[Holder(Role.VIEWER, one)] for one in self.fixture.accounts)
        assert spent == ticks * PRICE
        assert all(not cuts for cuts in self.store.cuts.values())
        self.fixture.book.receipts.make(OPERATOR, self.fixture.clock.wall_ms)
        for account in self.fixture.accounts:
            chain = self.fixture.book.receipts.of(account, self.fixture.stream.id)
            data = receipt.file_bytes(Asset(), OPERATOR.account, chain)
            proven = receipt.verify(data, OPERATOR.account)
            assert proven.amount == self.fixture.book.cuts.spent(account)


async def steps_of_one_life() -> list[str]:
    world = World()
    await world.start()
    world.watch()
    steps = Steps()
    await world.live(steps)
    return steps.made


async def test_ticks_settle_on_the_journal():
    """Store, cut, book, batch, journal, book, forgotten."""
    world = World()
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
        world = World()
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
    """Whatever the chain says and whenever we crash, what it paid is what was watched."""
    chain = MemoryChain()
    world = World(chain)
    await world.start()
    cutter, settler = world.processes(Steps())
    ticks = world.watch()
    for number, event in enumerate(events):
        if event == "turn":
            await settler.turn(is_due=True)
        elif event == "block":
            chain.make_blocks()
        elif event in ("away", "back"):
            chain.is_away = event == "away"
        elif event == "expire":
            chain.expire_pool()
        elif event == "crash":
            cutter, settler = world.processes(Steps())
        elif event == "watch":
            key = world.fixture.key(number % 3)
            ticks += world.store.claim(key, Run(1_699_000_000 + number, 3))
        else:
            await cutter.round()
        assert sum(chain.paid.values()) <= ticks
        found = await reconcile(InlineBook(world.fixture.book), world.store, has_journal=False)
        assert found.differences == ()

    chain.is_away = False
    for _ in range(4):
        await world.live(Steps(), rounds=40)

    assert sum(chain.paid.values()) == ticks
    assert chain.paid == chain.settled_ticks
    await world.assert_settled(ticks)
    world.fixture.book.close()


async def test_an_expired_batch_is_signed_again_under_the_same_number():
    """The entries and their hash stay; only the signed bytes are new."""
    chain = MemoryChain()
    world = World(chain)
    await world.start()
    ticks = world.watch()
    cutter, settler = world.processes(Steps())
    await cutter.round()
    await settler.turn(is_due=True)
    chain.expire_pool()

    await settler.turn(is_due=True)

    attempts = world.fixture.book.outbox.attempts(1)
    assert [one.number for one in attempts] == [1, 2]
    assert attempts[0].signed != attempts[1].signed
    await world.live(Steps(), rounds=20)
    await world.assert_settled(ticks)


async def test_a_rejected_batch_waits_for_a_person_and_loses_nothing():
    """Its reason is kept; when it took effect all the same, it is settled."""
    chain = MemoryChain()
    chain.rejects = "operator is not registered"
    world = World(chain)
    await world.start()
    ticks = world.watch()
    cutter, settler = world.processes(Steps())
    await cutter.round()

    assert await settler.turn(is_due=True) is Action.STOP

    assert world.fixture.book.settlements.get(1).state is BatchState.REJECTED
    assert world.fixture.book.outbox.attempts(1)[0].reason == chain.rejects
    assert await settler.turn(is_due=True) is Action.STOP
    chain.rejects = ""
    world.fixture.book.outbox.retry(1)
    await world.live(Steps(), rounds=20)
    await world.assert_settled(ticks)


async def test_a_conflict_that_is_over_is_tried_again_and_settled():
    """A wrong chain had other content under its number; the right one has none."""
    world = World(MemoryChain())
    await world.start()
    ticks = world.watch()
    cutter, _ = world.processes(Steps())
    await cutter.round()
    world.fixture.book.settlements.seal(world.fixture.clock.at_ms, 100)
    world.fixture.book.outbox.set_state(1, BatchState.CONFLICT, 0)
    _, settler = world.processes(Steps())
    assert await settler.turn(is_due=False) is Action.STOP

    before = world.fixture.book.outbox.retry(1)

    assert before.state is BatchState.CONFLICT
    await world.live(Steps(), rounds=20)
    await world.assert_settled(ticks)
    assert world.fixture.book.settlements.get(1).state is BatchState.FINALIZED


async def test_refused_entries_show_in_the_books_and_heal():
    """Refused by the chain once, carried again by the viewer's next seconds."""
    chain = MemoryChain()
    world = World(chain)
    await world.start()
    ticks = world.watch()
    chain.refuse = {world.fixture.key(0)}
    await world.live(Steps(), rounds=20)
    found = await reconcile(InlineBook(world.fixture.book), world.store, has_journal=False)
    assert found.is_balanced
    assert sum(row.refused for row in found.rows) == 10

    chain.refuse = set()
    ticks += world.store.claim(world.fixture.key(0), Run(1_699_999_500, 1))
    await world.live(Steps(), rounds=20)

    await world.assert_settled(ticks)


async def test_a_batch_is_sealed_when_its_period_is_over():
    """Not before, however much is booked."""
    world = World()
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


async def test_nothing_is_cut_from_a_redis_that_was_not_recovered():
    """A restarted one may have lost its tail."""
    world = World()
    await world.start()
    world.watch()
    world.store = world.store.restarted()
    cutter, _ = world.processes(Steps())

    with pytest.raises(StoreUnavailableError, match="recovered"):
        await cutter.round()

    assert world.fixture.book.cuts.booked_numbers() == {}


async def test_the_book_works_off_the_loop(tmp_path):
    """With its own thread and a real file, as control runs it."""
    world = World()
    world.fixture = make_book(f"sqlite:///{tmp_path}/book.sqlite3", viewers=3)
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
