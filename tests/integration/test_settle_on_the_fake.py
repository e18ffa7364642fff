"""Settlement on the fake node, from the book to the chain and back, on its bad days."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from metering.book.book import Book
from metering.chain.node import storage
from metering.errors import MeteringError
from metering.model.batch_state import BatchState
from metering.model.ledger import Holder, Role
from metering.testing.fake_node.faults import RATES
from metering.units import Asset
from tests.support.book_fixture import OPERATOR, PRICE, know_joins
from tests.support.chain_scenario import DEPOSIT, join_call, open_scenario
from tests.support.wallet import account, of_stream

HOUR_BLOCKS = 601
SLOW = {"slow", "disconnect", "disconnect_after", "restart"}
"""What costs real time, as each new connection reads the metadata again, is left to the soak."""
BAD_DAYS = {name: 0.02 if name == "upgrade" else 0.1 for name in RATES if name not in SLOW}


def back_up(path: Path, target: Path) -> None:
    """Copy a book as an operator does."""
    with (
        contextlib.closing(sqlite3.connect(path)) as source,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        source.backup(copy)


async def test_what_was_watched_is_settled_once_and_split_as_in_the_book():
    """Escrow falls and credit rises by exactly the billed amount; the book posts the same."""
    async with open_scenario() as scenario:
        scenario.watch(7, 11, 0)
        await scenario.settle_all()
        scenario.watch(3, 0, 5)
        await scenario.settle_all()

        scenario.world.finalize()
        await scenario.check()
        ledger = scenario.fixture.book.ledger.balances()
        values = scenario.world.forks.head.values
        for role, who in (
            (Role.CREATOR, account("creator").account),
            (Role.PLATFORM, OPERATOR.account),
        ):
            credit = values[storage.credit_key(who)]
            owed = credit.available + credit.pending + credit.maturing
            assert owed == sum(planck for holder, planck in ledger.items() if holder.role is role)


async def test_two_settlers_of_one_key_have_one_effect(tmp_path):
    """The same batches from two processes that know nothing of each other: paid once."""
    async with open_scenario(url=f"sqlite:///{tmp_path}/book.sqlite3") as scenario:
        scenario.watch(7, 11, 13)
        back_up(tmp_path / "book.sqlite3", tmp_path / "other.sqlite3")
        other = Book.open(f"sqlite:///{tmp_path}/other.sqlite3", Asset())
        first, second = scenario.settler(), scenario.settler(other)

        await scenario.settle_all(first, second)
        for _ in range(10):
            await second.turn(is_due=True)
            scenario.world.make_block()

        scenario.world.finalize()
        await scenario.check()
        assert other.outbox.oldest() is None
        assert [one.hash for one in other.settlements.newest()] == [
            one.hash for one in scenario.fixture.book.settlements.newest()
        ]
        other.close()


@pytest.mark.timeout(300)
async def test_a_stall_of_finality_settles_nothing_and_then_everything():
    """For 1,000 blocks nothing is called settled and the exposure grows; then it all settles."""
    async with open_scenario(finality_blocks=0) as scenario:
        settler = scenario.settler()
        scenario.world.stall()
        exposures = []
        for number in range(20):
            scenario.watch(3, 2, 1)
            for _ in range(3):
                await settler.turn(is_due=True)
            for _ in range(50):
                scenario.world.make_block()
            scenario.fixture.clock.wall_ms += 300_000
            exposures.append(settler.progress.exposure_planck)
            assert scenario.settled() == {}, number
        states = {one.state for one in scenario.fixture.book.settlements.newest()}

        scenario.world.stall(0)
        await scenario.settle_all(settler)

        scenario.world.finalize()
        await scenario.check()
        assert BatchState.FINALIZED not in states
        assert exposures == sorted(exposures)
        assert exposures[-1] >= 19 * 6 * PRICE


async def test_the_alarm_of_the_exposure_rises_and_goes(capsys):
    """An operator is warned when more is unsettled than the threshold, and when it is over."""
    async with open_scenario(finality_blocks=0) as scenario:
        settler = scenario.settler(exposure_alarm_planck=str(5 * PRICE))
        scenario.world.stall()
        scenario.watch(9)
        for _ in range(3):
            await settler.turn(is_due=True)
            scenario.fixture.clock.wall_ms += 120_000
        log = capsys.readouterr().out

        scenario.world.stall(0)
        await scenario.settle_all(settler)
        for _ in range(3):
            await settler.turn(is_due=True)
            scenario.fixture.clock.wall_ms += 120_000

        assert "settlement.exposure.high" in log
        assert "settlement.exposure.normal" in capsys.readouterr().out


@pytest.mark.parametrize("how", ["leaves", "joins again", "asks for withdrawal", "closes"])
async def test_a_viewer_who_goes_pays_what_was_watched(how):
    """Unsettled ticks of a viewer who goes are settled all the same: difference 0."""
    async with open_scenario() as scenario:
        scenario.watch(40, 30, 0)
        viewer, stream = account("viewer 0"), scenario.fixture.stream.id
        asked = {"operator": OPERATOR.account, "amount": 50 * 10**12}
        act = {
            "leaves": (viewer, of_stream("leave_stream", stream_id=stream.int)),
            "joins again": (viewer, join_call(stream)),
            "asks for withdrawal": (viewer, of_stream("request_withdraw", **asked)),
            "closes": (account("creator"), of_stream("close_stream", stream_id=stream.int)),
        }[how]
        scenario.do(*act)
        for _ in range(100):
            scenario.world.make_block()

        await scenario.settle_all()

        scenario.world.finalize()
        await scenario.check()


async def test_a_join_that_expired_pays_what_was_watched_before():
    """The end of a join ends new ticks; within the notice its bill is still taken."""
    async with open_scenario() as scenario:
        viewer = account("viewer 0")
        scenario.do(viewer, join_call(scenario.fixture.stream.id, duration=60))
        session = storage.session_key(scenario.fixture.stream.id, viewer.account, 2)
        for _ in range(30):
            scenario.world.make_block()
        scenario.watch(25)
        await scenario.settle_all()

        scenario.world.finalize()
        await scenario.check()
        expired = scenario.world.forks.head.values[session]
        now_s = scenario.world.forks.head.values[storage.now_key()] // 1000
        assert expired.expires_at < now_s


async def test_a_viewer_who_withdrew_all_after_the_notice_is_refused_and_nobody_else():
    """Ticks that come later than every notice are refused: counted, not lost, not paid."""
    async with open_scenario() as scenario:
        scenario.watch(10, 10)
        viewer = account("viewer 0")
        amount = {"operator": OPERATOR.account, "amount": 100 * 10**12}
        scenario.do(viewer, of_stream("request_withdraw", **amount))
        for _ in range(HOUR_BLOCKS):
            scenario.world.make_block()
        scenario.do(viewer, of_stream("withdraw_escrow", operator=OPERATOR.account))
        settler = scenario.settler()
        for _ in range(8):
            await settler.turn(is_due=True)
            scenario.world.make_block()

        refused = {one.key.account: one.refused for one in scenario.fixture.book.cuts.entries()}
        assert refused[viewer.account] == 10
        assert scenario.settled() == {account("viewer 1").account: 10}
        assert scenario.on_chain() == scenario.settled()


async def test_an_old_book_bills_nothing_twice(tmp_path):
    """A book from before the last batches: what the chain has settled stays settled once."""
    path = tmp_path / "book.sqlite3"
    async with open_scenario(url=f"sqlite:///{path}") as scenario:
        scenario.watch(7, 5, 3)
        await scenario.settle_all()
        old_fed = dict(scenario.fed)
        back_up(path, tmp_path / "old.sqlite3")
        scenario.watch(4, 4, 4)
        await scenario.settle_all()
        scenario.world.finalize()
        before = scenario.on_chain()

        scenario.fixture.book.close()
        for end in ("-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)
        path.write_bytes((tmp_path / "old.sqlite3").read_bytes())
        scenario.fixture.book = Book.open(f"sqlite:///{path}", Asset())
        # The same seconds come in again from who still has them, and some more.
        scenario.fed = old_fed
        scenario.watch(4, 4, 4)
        settler = scenario.settler()
        for _ in range(10):
            try:
                await settler.turn(is_due=True)
            except MeteringError as error:
                print(error)
            scenario.world.make_block()
        scenario.world.finalize()

        assert scenario.on_chain() == before
        spent = {
            who: 100 * 10**12
            - scenario.world.forks.head.values[storage.escrow_key(OPERATOR.account, who)].held
            for who in before
        }
        assert spent == {who: ticks * PRICE for who, ticks in before.items()}


async def test_a_restored_book_balances_with_what_it_adopted_and_with_nothing_else(tmp_path):
    """What the chain took for the lost book is shown, leaves the balance, and hides no planck more.

    Viewer 2 began to watch after the backup: the restored book has no entry of theirs.
    """
    path = tmp_path / "book.sqlite3"
    async with open_scenario(url=f"sqlite:///{path}") as scenario:
        scenario.watch(7, 5)
        await scenario.settle_all()
        back_up(path, tmp_path / "old.sqlite3")
        scenario.watch(30, 0, 20)
        await scenario.settle_all()

        scenario.fixture.book.close()
        for end in ("-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)
        path.write_bytes((tmp_path / "old.sqlite3").read_bytes())
        scenario.fixture.book = book = Book.open(f"sqlite:///{path}", Asset())
        scenario.world.finalize()
        behind = await scenario.reconciled()
        know_joins(scenario.fixture)
        ann, ben, zoe = scenario.fixture.accounts
        scenario.fed = {ann: 7, ben: 5}
        scenario.watch(0, 6)
        settler = scenario.settler()
        for _ in range(10):
            await settler.turn(is_due=True)
            scenario.world.make_block()
        scenario.world.finalize()
        once = await scenario.reconciled()
        scenario.watch(3, 2)
        await scenario.settle_all(settler)
        scenario.world.finalize()
        found = await scenario.reconciled()
        held = storage.escrow_key(OPERATOR.account, ann)
        less = await scenario.reconciled({held: lambda one: replace(one, held=one.held - 1)})
        info = storage.stream_key(scenario.fixture.stream.id)
        more = await scenario.reconciled(
            {info: lambda one: replace(one, total_ticks=one.total_ticks + 1)}
        )

        assert not behind.is_balanced
        for report, metered in ((once, 18), (found, 23)):
            assert report.differences == ()
            assert report.is_chain_read
            adopted = {row.account: (row.adopted, row.adopted_planck) for row in report.rows}
            assert adopted == {ann: (30, 30 * PRICE), ben: (0, 0), zoe: (20, 20 * PRICE)}
            assert sum(row.metered for row in report.rows) == metered
        assert scenario.on_chain() == {ann: 40, ben: 13, zoe: 20}
        for who, ticks in scenario.on_chain().items():
            assert book.ledger.balances()[Holder(Role.VIEWER, who)] == DEPOSIT - ticks * PRICE
        assert book.escrow.funds([ann])[1][ann].net == DEPOSIT - 30 * PRICE
        [short] = less.differences
        assert short.what == "planck in escrow on the chain"
        assert short.expected - short.actual == 1
        [over] = more.differences
        assert over.what == "ticks settled on the chain"
        assert over.actual - over.expected == 1


@pytest.mark.parametrize("seed", range(3))
async def test_a_week_of_bad_days_loses_nothing(seed):
    """All faults at once, again and again, with no kill: each second is paid once."""
    async with open_scenario(seed=seed) as scenario:
        chance = random.Random(seed)
        settler = scenario.settler()
        scenario.world.faults.set(BAD_DAYS)
        for _ in range(25):
            scenario.watch(*(chance.randrange(4) for _ in range(3)))
            try:
                await settler.turn(is_due=True)
            except MeteringError as error:
                print(error)
            for _ in range(chance.randrange(4)):
                scenario.world.make_block()
        scenario.world.faults.set({})
        scenario.world.stall(0)

        await scenario.settle_all(settler, turns=200)

        scenario.world.finalize()
        await scenario.check()


@pytest.mark.parametrize("depth", [1, 2, 5, 13, 20])
async def test_a_reorg_before_finality_changes_nothing_in_the_end(depth):
    """In a block, out of it, in again: settled once, and called settled only when it is final."""
    async with open_scenario(finality_blocks=25) as scenario:
        scenario.watch(9, 9, 9)
        settler = scenario.settler()
        for _ in range(3):
            await settler.turn(is_due=True)
            scenario.world.make_block()
        for _ in range(depth):
            scenario.world.make_block()
        scenario.world.faults.set({"lose": 0.5})
        assert scenario.world.reorg(depth) == depth
        scenario.world.faults.set({})
        assert scenario.settled() == {}

        await scenario.settle_all(settler, turns=100)

        scenario.world.finalize()
        await scenario.check()
        left = scenario.fixture.book.ledger.balances()[
            Holder(Role.VIEWER, account("viewer 0").account)
        ]
        assert DEPOSIT - left == 9 * PRICE
