"""A settler that lost its lease, an idle chain, and a book that is older than the chain."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from metering.book.book import Book
from metering.errors import SubmitterLostError
from metering.model.batch_state import Action, BatchState
from metering.model.ledger import Holder, Role
from metering.ports import ChainLimits
from metering.units import Asset, EntryKey
from tests.support.book_fixture import (
    PRICE,
)
from tests.support.settler_room import Room, make_room


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
