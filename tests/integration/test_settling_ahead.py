"""Several in flight, too large, exposed, and a chain that is ahead of a restored book."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from metering.book.book import Book
from metering.errors import SubmitterLostError
from metering.model.batch_state import Action, BatchState
from metering.model.ledger import Holder, Role
from metering.ports import ChainLimits
from metering.recovery.reconcile import reconcile
from metering.settings import ChainSettings
from metering.settlement.settler import Settler
from metering.units import AccountId, Asset, Cut, CutLine, EntryKey, Run, shard_of
from tests.support.book_fixture import (
    OPERATOR,
    PRICE,
    BookFixture,
    InlineBook,
    know_joins,
    make_book,
)
from tests.support.memory_chain import MemoryChain

FIRST = 1_699_999_000


@dataclass
class Room:
    """A book that is fed by hand, a chain, and how to settle."""

    fixture: BookFixture
    chain: MemoryChain
    counts: dict[AccountId, int] = field(default_factory=dict)
    entries_max: int = 2

    @property
    def book(self) -> Book:
        return self.fixture.book

    def watch(self, viewer: int, ticks: int) -> None:
        """Book what a viewer watched, each tick a new one."""
        who = self.fixture.accounts[viewer]
        before = self.counts.get(who, 0)
        self.counts[who] = before + ticks
        booked = {one.key: one.booked for one in self.book.cuts.entries()}
        key = EntryKey(self.fixture.stream.id, who, 1, 1)
        line = CutLine(key, (Run(FIRST + before, ticks),), booked.get(key, 0) + ticks)
        shard = shard_of(who)
        number = self.book.cuts.booked_numbers().get(shard, 0) + 1
        self.book.cuts.book([Cut(shard, number, (line,))], self.fixture.clock.wall_ms)

    def settler(self, **changes) -> Settler:
        async def forget() -> int:
            self.book.cuts.mark_forgotten(self.book.cuts.to_forget())
            return 0

        options = {"batch_period_s": 30, "batch_entries_max": self.entries_max} | changes
        return Settler(
            InlineBook(self.book),
            self.chain,
            settings=ChainSettings(**options),
            now_ms=self.fixture.clock,
            operator=OPERATOR,
            forget=forget,
        )

    async def settle(self, settler: Settler, turns: int = 12) -> None:
        for _ in range(turns):
            await settler.turn(is_due=True)
            self.chain.make_blocks()

    async def differences(self) -> tuple:
        """Return what is wrong within the book; that the chain has other counts fails at once."""
        found = await reconcile(InlineBook(self.book), None, has_journal=False)
        moved = {one.key: one.settled + one.ahead for one in self.book.cuts.entries()}
        assert moved == self.chain.settled_ticks
        return found.differences


def make_room(viewers: int = 6, url: str = "sqlite://", **options) -> Room:
    chain = MemoryChain(in_flight_max=4)
    chain.keeps_entries = True
    fixture = make_book(url, viewers=viewers)
    know_joins(fixture)
    return Room(fixture, chain, **options)


async def test_several_batches_are_in_flight_and_settle_in_order():
    """Four are signed before the first is final; the rest wait for room."""
    room = make_room(entries_max=1)
    settler = room.settler()
    for viewer in range(6):
        room.watch(viewer, 10)

    await settler.turn(is_due=True)

    assert [one.state for one in reversed(room.book.settlements.newest())] == (
        [BatchState.SENT] * 4 + [BatchState.SEALED] * 2
    )
    assert settler.progress.signed == 4
    room.chain.make_blocks()
    assert await settler.turn(is_due=True) is Action.CLOSE
    assert [one.seq for one in room.book.outbox.open(9)] == [5, 6]
    await room.settle(settler)
    assert room.book.outbox.oldest() is None
    assert sum(room.chain.paid.values()) == 60
    assert await room.differences() == ()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["turn", "turn", "block", "away", "back", "drop", "expire", "crash", "watch"]
        ),
        max_size=40,
    )
)
async def test_no_order_of_answers_pays_twice_with_several_in_flight(events):
    """Whatever is dropped, dies or is asked again, what is paid is what was watched."""
    room = make_room(viewers=3, entries_max=1)
    settler = room.settler()
    for viewer in range(3):
        room.watch(viewer, 10)
    for number, event in enumerate(events):
        match event:
            case "turn":
                await settler.turn(is_due=True)
            case "block":
                room.chain.make_blocks()
            case "away" | "back":
                room.chain.is_away = event == "away"
            case "drop":
                del room.chain.pool[:1]
            case "expire":
                room.chain.expire_pool()
            case "crash":
                settler = room.settler()
            case _:
                room.watch(number % 3, 3)
        assert all(room.chain.paid[key] <= room.counts[key.account] for key in room.chain.paid)

    room.chain.is_away = False
    await room.settle(settler, turns=60)

    assert {key.account: paid for key, paid in room.chain.paid.items()} == room.counts
    assert await room.differences() == ()
    room.book.close()


async def test_what_no_block_takes_is_sealed_in_smaller_batches():
    """Under the same and the following numbers; each entry once."""
    room = make_room(entries_max=6)
    settler = room.settler()
    for viewer in range(6):
        room.watch(viewer, 10)
    room.book.settlements.seal(1, 6)
    room.chain.entries_max = 4

    await room.settle(settler)

    assert [one.entry_count for one in reversed(room.book.settlements.newest())] == [4, 2]
    assert sum(room.chain.paid.values()) == 60
    assert await room.differences() == ()


async def test_a_batch_is_not_split_while_those_behind_it_may_live():
    """Their numbers would get other content: they die first."""
    room = make_room(entries_max=2)
    settler = room.settler()
    for viewer in range(4):
        room.watch(viewer, 10)
    await settler.turn(is_due=True)
    (first, _) = room.chain.pool
    room.chain.pool.remove(first)
    room.chain.dead.add(first)
    room.chain.entries_max = 1

    await settler.turn(is_due=True)

    assert [one.entry_count for one in room.book.outbox.open(9)] == [2, 2]
    room.chain.expire_pool()
    await room.settle(settler, turns=20)
    assert [one.entry_count for one in reversed(room.book.settlements.newest())] == [1, 1, 1, 1]
    assert sum(room.chain.paid.values()) == 40
    assert await room.differences() == ()


async def test_the_chains_own_bound_holds_for_new_batches():
    """Whatever the configuration says."""
    room = make_room(entries_max=100)
    room.chain.entries_max = 4
    for viewer in range(6):
        room.watch(viewer, 10)

    await room.settler().turn(is_due=True)

    assert [one.entry_count for one in reversed(room.book.settlements.newest())] == [4, 2]


async def test_a_chain_that_went_back_is_not_settled_on():
    """Another chain, or one begun anew: batch 2 would leave a gap there, and 1 is paid already."""
    room = make_room()
    settler = room.settler()
    room.watch(0, 10)
    await room.settle(settler)
    room.chain = MemoryChain(in_flight_max=4)
    room.watch(0, 10)
    settler = room.settler()

    with structlog.testing.capture_logs() as logs:
        assert await settler.turn(is_due=True) is Action.WAIT

    assert room.chain.signed == 0
    assert any(
        one["event"] == "settlement.chain.unfit" and "went back" in one["error"] for one in logs
    )


async def test_exposure_rises_while_nothing_is_final_and_its_alarm_is_told_once():
    """Viewers go on by policy; the operator knows what it costs."""
    room = make_room()
    settler = room.settler(exposure_alarm_planck=str(15 * PRICE))
    with structlog.testing.capture_logs() as logs:
        for _ in range(5):
            room.watch(0, 10)
            room.fixture.clock.wall_ms += 10_000
            await settler.turn(is_due=True)

        assert settler.progress.exposure_planck == 50 * PRICE
        assert settler.progress.lag_ms == 40_000
        assert room.book.settlements.exposure() == (50, 50 * PRICE)
        assert room.chain.paid == {}
        await room.settle(settler, turns=30)
        room.fixture.clock.wall_ms += 10_000
        await settler.turn(is_due=True)

    assert settler.progress.exposure_planck == 0
    told = [one["event"] for one in logs if one["event"].startswith("settlement.exposure")]
    assert told == ["settlement.exposure.high", "settlement.exposure.normal"]
    assert sum(room.chain.paid.values()) == 50


class SubmitterLease:
    """A lease that can be lost."""

    def __init__(self) -> None:
        self.token = 1
        self.is_lost = False

    async def hold(self) -> int:
        if self.is_lost:
            raise SubmitterLostError("another settler holds it")
        return self.token


async def test_a_settler_that_lost_its_lease_signs_and_writes_nothing():
    """Though it had a batch in hand; the next one carries it on."""
    room = make_room()
    room.watch(0, 10)
    sleeper, lease = room.settler(), SubmitterLease()
    sleeper._lease = lease
    await sleeper.turn(is_due=True)
    room.chain.expire_pool()
    room.book.outbox.fence(2)
    signed = room.chain.signed

    with pytest.raises(SubmitterLostError, match="token is 2, ours is 1"):
        await sleeper.turn(is_due=True)
    lease.is_lost = True
    with pytest.raises(SubmitterLostError):
        await sleeper.turn(is_due=True)

    assert room.chain.signed == signed
    other = room.settler()
    other._lease = SubmitterLease()
    other._lease.token = 2
    await room.settle(other)
    assert sum(room.chain.paid.values()) == 10
    assert await room.differences() == ()


# A restored book


def backup(room: Room, path: Path) -> Callable[[], None]:
    """Copy the book's file; return what puts it back."""
    kept = path.with_suffix(".kept")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM INTO ?", (str(kept),))

    def restore() -> None:
        room.book.close()
        shutil.copy(kept, path)
        for extra in ("-wal", "-shm"):
            Path(f"{path}{extra}").unlink(missing_ok=True)
        room.fixture.book = Book.open(f"sqlite:///{path}", Asset())

    return restore


async def test_an_idle_chain_is_looked_at_so_that_its_head_can_be_watched():
    """An alarm on a head that stands still must not need a viewer."""
    room = make_room()
    settler = room.settler()
    room.watch(0, 10)
    await room.settle(settler)
    finalized = settler.progress.finalized
    room.chain.blocks.append((2, b"\xff" * 16))
    room.chain.finalized = 2

    await settler.turn()
    room.fixture.clock.wall_ms += 10_000
    await settler.turn()

    assert finalized == 1
    assert settler.progress.finalized == 2
    assert settler.progress.in_flight == 0


@pytest.mark.parametrize("in_backup", ["all final", "one in flight", "one sealed", "one unsealed"])
async def test_a_restored_book_takes_over_what_the_chain_has_and_bills_nothing_twice(
    tmp_path, in_backup
):
    """The chain went on to 150 of Ann's ticks, this book has fewer: what comes, comes on top."""
    path = tmp_path / "book.sqlite3"
    room = make_room(viewers=2, url=f"sqlite:///{path}")
    settler = room.settler()
    room.watch(0, 100)
    await room.settle(settler)
    if in_backup != "all final":
        room.watch(0, 20)
    if in_backup == "one sealed":
        room.book.settlements.seal(1, 2)
    if in_backup == "one in flight":
        await settler.turn(is_due=True)
    booked = room.counts[room.fixture.accounts[0]]
    restore = backup(room, path)
    await room.settle(settler)
    for _ in range(3):
        room.watch(0, (150 - booked) // 3)
        room.watch(1, 5)
        await room.settle(settler)
    watched = dict(room.counts)
    paid = dict(room.chain.paid)

    restore()
    settler = room.settler()
    room.watch(0, 7)
    with structlog.testing.capture_logs() as logs:
        await room.settle(settler)
    room.watch(0, 3)
    await room.settle(settler)

    ann, bea = room.fixture.accounts
    key = EntryKey(room.fixture.stream.id, ann, 1, 1)
    behind = [one for one in logs if one["event"] == "settlement.book.behind"]
    assert len(behind) == 1
    assert behind[0]["lost_ticks"] == room.book.adoption.lost_ticks()
    assert room.chain.paid[key] >= paid[key]
    # At most the seconds since the restore that were booked before it was found out are forgiven.
    total = sum(room.chain.paid[one] for one in room.chain.paid if one.account == ann)
    assert watched[ann] + 10 - 7 <= total <= watched[ann] + 10
    assert room.book.outbox.oldest() is None
    assert await room.differences() == ()
    entry = next(one for one in room.book.cuts.entries() if one.key == key)
    assert entry.settled == entry.booked == booked + 10
    assert entry.settled + entry.ahead == total
    # The purse is what the chain has left, or somebody could spend what is gone.
    assert room.book.ledger.balances()[Holder(Role.VIEWER, ann)] == 10**12 - total * PRICE
    assert room.book.cuts.spent(ann) == total * PRICE
    assert bea in watched


async def test_the_journal_has_no_entries_to_take_over():
    """There, other content under a number is a person's to explain."""
    room = make_room()
    room.chain.keeps_entries = False
    settler = room.settler()
    room.watch(0, 10)
    await settler.turn(is_due=True)
    other = make_room()
    other.chain = room.chain
    room.chain.pool.clear()
    other.watch(1, 5)
    await other.settle(other.settler())

    assert await settler.turn(is_due=True) is Action.STOP

    assert room.book.settlements.get(1).state is BatchState.CONFLICT


async def test_the_limits_of_a_chain_that_is_away_are_the_last_it_said():
    """Sealing goes on with them."""
    room = make_room(entries_max=100)
    room.chain.entries_max = 4
    settler = room.settler()
    await settler.turn(is_due=True)
    room.chain.is_away = True
    for viewer in range(6):
        room.watch(viewer, 1)

    assert await settler.turn(is_due=True) is Action.WAIT

    assert [one.entry_count for one in reversed(room.book.settlements.newest())] == [4, 2]
    assert settler._sealer.limits == ChainLimits(4, 4)
