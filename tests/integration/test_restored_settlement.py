"""A settler that lost its submitter lease, an idle chain, a book that is older than the chain."""

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
from metering.settlement.journal import Journal
from metering.units import Asset, EntryKey
from tests.support.book_fixture import OPERATOR, PRICE, InlineBook, make_book
from tests.support.chain_scenario import DEPOSIT
from tests.support.settler_fixture import SettlerFixture, make_settler_fixture


class SubmitterLease:
    """A submitter's lease that can be lost."""

    def __init__(self) -> None:
        self.token = 1
        self.is_lost = False

    async def hold(self) -> int:
        if self.is_lost:
            raise SubmitterLostError("another settler holds it")
        return self.token


async def test_a_settler_that_lost_its_lease_signs_and_writes_nothing():
    """Though it had a batch in hand; the next one carries it on."""
    settling = make_settler_fixture()
    settling.watch(0, 10)
    sleeper, lease = settling.settler(), SubmitterLease()
    sleeper._lease = lease
    await sleeper.turn(is_due=True)
    settling.chain.expire_pool()
    settling.book.outbox.fence(2)
    signed = len(settling.book.outbox.attempts(1))

    with pytest.raises(SubmitterLostError, match="token is 2, ours is 1"):
        await sleeper.turn(is_due=True)
    lease.is_lost = True
    with pytest.raises(SubmitterLostError):
        await sleeper.turn(is_due=True)

    assert len(settling.book.outbox.attempts(1)) == signed
    other = settling.settler()
    other._lease = SubmitterLease()
    other._lease.token = 2
    await settling.settle(other)
    assert sum(settling.chain.paid().values()) == 10
    assert await settling.differences() == ()


def backup(settling: SettlerFixture, path: Path) -> Callable[[], None]:
    """Copy the book's file; return what puts it back."""
    kept = path.with_suffix(".kept")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM INTO ?", (str(kept),))

    def restore() -> None:
        settling.book.close()
        shutil.copy(kept, path)
        for extra in ("-wal", "-shm"):
            Path(f"{path}{extra}").unlink(missing_ok=True)
        settling.fixture.book = Book.open(f"sqlite:///{path}", Asset())

    return restore


async def test_an_idle_chain_is_looked_at_so_that_its_head_can_be_watched():
    """An alarm on a head that does not move must not need a viewer."""
    settling = make_settler_fixture()
    settler = settling.settler()
    settling.watch(0, 10)
    await settling.settle(settler)
    finalized = settler.progress.finalized
    settling.chain.make_block()

    await settler.turn()
    settling.fixture.clock.wall_ms += 10_000
    await settler.turn()

    assert settler.progress.finalized == settling.chain.world.forks.finalized > finalized
    assert settler.progress.in_flight == 0


@pytest.mark.parametrize("in_backup", ["all final", "one in flight", "one sealed", "one unsealed"])
async def test_a_restored_book_takes_over_what_the_chain_has_and_bills_nothing_twice(
    tmp_path, in_backup
):
    """The chain went on to 150 of Ann's ticks, this book has fewer: what comes, comes on top."""
    path = tmp_path / "book.sqlite3"
    settling = make_settler_fixture(viewers=2, url=f"sqlite:///{path}")
    settler = settling.settler()
    settling.watch(0, 100)
    await settling.settle(settler)
    if in_backup != "all final":
        settling.watch(0, 20)
    if in_backup == "one sealed":
        settling.book.settlements.seal(1, 2)
    if in_backup == "one in flight":
        await settler.turn(is_due=True)
    booked = settling.counts[settling.fixture.accounts[0]]
    restore = backup(settling, path)
    await settling.settle(settler)
    for _ in range(3):
        settling.watch(0, (150 - booked) // 3)
        settling.watch(1, 5)
        await settling.settle(settler)
    watched = dict(settling.counts)
    paid = settling.chain.paid()

    restore()
    settler = settling.settler()
    settling.watch(0, 7)
    with structlog.testing.capture_logs() as logs:
        await settling.settle(settler)
    settling.watch(0, 3)
    await settling.settle(settler)

    ann, bea = settling.fixture.accounts
    key = EntryKey(settling.fixture.stream.id, ann, 1, 1)
    behind = [log for log in logs if log["event"] == "settlement.book.behind"]
    assert len(behind) == 1
    assert behind[0]["lost_ticks"] == settling.book.adoption.lost_ticks()
    assert settling.chain.paid()[key] >= paid[key]
    # At most the seconds since the restore that were booked before it was found out are forgiven.
    total = settling.chain.paid()[key]
    assert watched[ann] + 10 - 7 <= total <= watched[ann] + 10
    assert settling.book.outbox.oldest() is None
    assert await settling.differences() == ()
    entry = next(item for item in settling.book.cuts.entries() if item.key == key)
    assert entry.settled == entry.booked == booked + 10
    assert entry.settled + entry.ahead == total
    # The balance is what the chain has left, or somebody could spend what is gone.
    assert settling.book.ledger.balances()[Holder(Role.VIEWER, ann)] == DEPOSIT - total * PRICE
    assert settling.book.cuts.spent(ann) == total * PRICE
    assert bea in watched


async def test_the_journal_has_no_entries_to_take_over():
    """There, other content under a number is a person's to explain."""
    settling, other = make_settler_fixture(), make_settler_fixture()
    journal = Journal(InlineBook(make_book().book), OPERATOR, settling.fixture.clock, 0)
    for fixture in (settling, other):
        fixture.watch(0, 10)
    other.watch(1, 5)
    for _ in range(2):
        await other.settler(journal).turn(is_due=True)

    act = await settling.settler(journal).turn(is_due=True)

    assert act is Action.STOP
    assert other.book.settlements.get(1).state is BatchState.FINALIZED
    assert settling.book.settlements.get(1).state is BatchState.CONFLICT


async def test_the_limits_of_a_chain_that_is_away_are_the_last_it_said():
    """Sealing goes on with them."""
    settling = make_settler_fixture(entries_max=100)
    settling.chain.node.constants = {"MaxEntries": 4}
    settler = settling.settler()
    await settler.turn(is_due=True)
    settling.chain.node.is_away = True
    for viewer in range(6):
        settling.watch(viewer, 1)

    assert await settler.turn(is_due=True) is Action.WAIT

    assert [batch.entry_count for batch in reversed(settling.book.settlements.newest())] == [4, 2]
    assert settler._sealer.limits == ChainLimits(4, 4)
