"""After Redis restarted, lost its tail or was emptied: nothing twice, nothing booked lost."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from metering.book.records import Recovered
from metering.errors import LedgerImbalanceError, StoreUnavailableError
from metering.model import ticks
from metering.model.spending_limits import SpendingLimits
from metering.recovery.reconcile import reconcile
from metering.recovery.recovery import FSYNC_BOUND_MS, recover
from metering.recovery.shard_state import RecoveryPolicy
from metering.settlement.cutter import Cutter
from metering.units import SHARDS, Planck, Run, SessionId, shard_of
from tests.support.book_fixture import PRICE, BookFixture, InlineBook, make_book
from tests.support.memory_store import MemoryStore

POLICY = RecoveryPolicy(
    watched_hours=24, cut_period_s=10, limits=SpendingLimits(session=Planck(7), day=Planck(9))
)
NOW_TICK = 1_700_000_000


async def started(viewers: int = 2) -> tuple[BookFixture, MemoryStore, Cutter]:
    fixture = make_book(viewers=viewers)
    store = MemoryStore()
    await again(fixture, store)
    return fixture, store, Cutter(store, InlineBook(fixture.book), fixture.clock, 10)


async def again(fixture: BookFixture, store: MemoryStore):
    return await recover(store, InlineBook(fixture.book), fixture.clock.wall_ms, POLICY)


def cutter_of(fixture: BookFixture, store: MemoryStore) -> Cutter:
    return Cutter(store, InlineBook(fixture.book), fixture.clock, 10)


async def assert_books(fixture: BookFixture, store: MemoryStore, metered: int) -> None:
    found = await reconcile(InlineBook(fixture.book), store)
    assert found.differences == ()
    assert sum(row.metered for row in found.rows) == metered


def balance_of(store: MemoryStore, fixture: BookFixture, viewer: int = 0):
    account = fixture.accounts[viewer]
    (found,) = [one for one in store.states[shard_of(account)].balances if one.account == account]
    return found


async def test_a_first_start_fills_every_shard():
    """Each viewer's balance, and one epoch over all shards."""
    fixture, store, _ = await started()

    assert await store.epoch() is not None
    assert len(store.states) == SHARDS
    assert (balance_of(store, fixture).deposited_units, balance_of(store, fixture).spent_units) == (
        10**12,
        0,
    )


async def test_a_redis_that_was_recovered_is_left_alone():
    """Control restarts without stopping anybody."""
    fixture, store, _ = await started()
    store.claim(fixture.key(), Run(NOW_TICK - 50, 10))
    epoch = await store.epoch()

    found = await again(fixture, store)

    assert not found.is_new
    assert (found.epoch, await store.epoch()) == (epoch, epoch)


@pytest.mark.parametrize("is_empty", [False, True])
async def test_what_the_book_has_is_never_billed_again(is_empty):
    """Restarted with its content or empty: watched, cumulative and balance come from the book."""
    fixture, store, cutter = await started()
    key = fixture.key()
    store.claim(key, Run(NOW_TICK - 50, 10))
    await cutter.round()

    after = store.restarted(is_empty=is_empty)
    found = await again(fixture, after)

    assert (found.is_new, found.pending_ticks) == (True, 0)
    assert after.claim(key, Run(NOW_TICK - 50, 12)) == 2
    await cutter_of(fixture, after).round()
    assert fixture.book.cuts.spent(fixture.accounts[0]) == 12 * PRICE
    assert balance_of(after, fixture).spent_units == 10 * PRICE
    await assert_books(fixture, after, 12)


async def test_pending_and_unbooked_ticks_survive_a_restart():
    """Those of a cut that the book never got, too."""
    fixture, store, cutter = await started()
    key = fixture.key()
    store.claim(key, Run(NOW_TICK - 50, 10))
    await cutter.round()
    store.claim(key, Run(NOW_TICK - 40, 5))
    shard = shard_of(key.account)
    await store.cut(shard, 2, 1)  # cut, and control died before it was booked
    store.claim(key, Run(NOW_TICK - 30, 3))

    after = store.restarted()
    found = await again(fixture, after)

    assert found.pending_ticks == 8
    assert balance_of(after, fixture).spent_units == 18 * PRICE
    assert balance_of(after, fixture).day_spent_units == 18 * PRICE
    assert dict(balance_of(after, fixture).stream_spent)[fixture.stream.id.bytes] == 18 * PRICE
    await assert_books(fixture, after, 18)
    await cutter_of(fixture, after).round()
    assert fixture.book.cuts.spent(key.account) == 18 * PRICE
    await assert_books(fixture, after, 18)


async def test_a_redis_that_lost_its_tail_does_not_bill_twice():
    """It forgot that a cut was made, so the same ticks are pending there again."""
    fixture, store, cutter = await started()
    key = fixture.key()
    shard = shard_of(key.account)
    store.claim(key, Run(NOW_TICK - 50, 10))
    before = {name: dict(getattr(store, name)) for name in ("last", "booked", "counted")}
    pending = {key: store.pending[shard][key]}
    await cutter.round()
    for name, value in before.items():
        getattr(store, name).clear()
        getattr(store, name).update(value)
    store.cuts[shard].clear()
    store.pending[shard] = dict(pending)

    with pytest.raises(StoreUnavailableError):
        await cutter.round()  # even if nobody noticed the restart
    after = store.restarted()
    found = await again(fixture, after)

    assert found.pending_ticks == 0
    await cutter_of(fixture, after).round()
    assert fixture.book.cuts.spent(key.account) == 10 * PRICE
    await assert_books(fixture, after, 10)


async def test_a_lying_cumulative_count_is_never_booked():
    """The last guard: a shard that goes on elsewhere than the book stops the round."""
    fixture, store, cutter = await started()
    key = fixture.key()
    store.claim(key, Run(NOW_TICK - 50, 10))
    await cutter.round()
    store.counted[key] -= 5
    store.claim(key, Run(NOW_TICK - 20, 5))

    with pytest.raises(LedgerImbalanceError):
        await cutter.round()

    assert fixture.book.cuts.spent(key.account) == 10 * PRICE


async def test_a_tick_under_two_price_versions_is_taken_once():
    """Whatever Redis holds, a second is billed once to one account."""
    fixture, store, _ = await started()
    fixture.book.streams.add_price("talks", Planck(3), NOW_TICK)
    one, two = fixture.key(version=1), fixture.key(version=2)
    shard = shard_of(one.account)
    store.pending[shard] = {one: (Run(NOW_TICK - 5, 10),), two: (Run(NOW_TICK, 10),)}

    after = store.restarted()
    found = await again(fixture, after)

    assert found.pending_ticks == 15
    assert ticks.intersection(after.pending[shard][one], after.pending[shard].get(two, ())) == ()


@pytest.mark.parametrize("crash_at", [0, 1, 100, 255, 256])
async def test_a_crash_while_recovering_loses_nothing(crash_at):
    """Half the shards rebuilt, or all but the note of it: recovering again is the same."""
    fixture, store, _ = await started(viewers=6)
    for viewer in range(6):
        store.claim(fixture.key(viewer), Run(NOW_TICK - 50, 10))
    after = store.restarted()
    rebuild = after.rebuild
    done: list[int] = []

    async def crashing(shard, state, epoch):
        if len(done) == crash_at:
            raise StoreUnavailableError("gone")
        done.append(shard)
        await rebuild(shard, state, epoch)

    after.rebuild = crashing  # type: ignore[method-assign]  # the crash that is tried
    if crash_at < SHARDS:
        with pytest.raises(StoreUnavailableError):
            await again(fixture, after)
        assert fixture.book.recoveries.newest() != Recovered(
            "", after.run_id, fixture.clock.wall_ms
        )
        assert await after.epoch() is None
    with pytest.raises(StoreUnavailableError):
        await cutter_of(fixture, after).round()
    after.rebuild = rebuild  # type: ignore[method-assign]  # and its end

    await again(fixture, after)
    await cutter_of(fixture, after).round()

    await assert_books(fixture, after, 60)
    assert all(fixture.book.cuts.spent(account) == 10 * PRICE for account in fixture.accounts)


async def test_live_sessions_are_reopened_and_ended_ones_are_not():
    """Players go on without a new token."""
    fixture, store, _ = await started()
    account, stream = fixture.accounts[0], fixture.stream.id
    later = fixture.clock.wall_ms + 1000
    for number, expires_ms in ((1, later), (2, later), (3, fixture.clock.wall_ms - 1)):
        fixture.book.sessions.add(SessionId(number), account, stream, 4, 1, expires_ms)
    fixture.book.sessions.end(SessionId(2), "stopped", 5)

    after = store.restarted(is_empty=True)
    await again(fixture, after)

    (grant,) = after.states[shard_of(account)].sessions
    assert (grant.session, grant.stream, grant.join) == (1, stream.bytes, 4)
    assert (grant.limit_units, grant.expires_ms) == (7, later)


async def test_what_must_be_offered_again_reaches_back_before_the_last_cut():
    """By the fsync bound and one cut period; everything, when there was no cut."""
    fixture, store, cutter = await started()
    assert (await again(fixture, store)).replay_from_ms == 0
    store.claim(fixture.key(), Run(NOW_TICK - 50, 10))
    await cutter.round()
    cut_ms = fixture.clock.wall_ms
    fixture.clock.wall_ms += 3_600_000

    found = await again(fixture, store.restarted(is_empty=True))

    assert found.replay_from_ms == cut_ms - FSYNC_BOUND_MS - 10_000


async def test_old_seconds_are_left_out_of_what_redis_must_remember():
    """Older than the watched hours they are refused anyway; the balance still counts them."""
    fixture, store, cutter = await started()
    store.claim(fixture.key(), Run(NOW_TICK - 40 * 3600, 10), Run(NOW_TICK - 50, 10))
    await cutter.round()
    fixture.book.settlements.seal(1, 10)
    await settle_all(fixture)

    after = store.restarted(is_empty=True)
    await again(fixture, after)

    (watched,) = after.states[shard_of(fixture.accounts[0])].watched
    assert watched.runs == (Run(NOW_TICK - 50, 10),)
    assert balance_of(after, fixture).spent_units == 20 * PRICE


@pytest.mark.parametrize(
    ("what", "statement"),
    [
        ("booked count", "UPDATE entries SET booked = booked + 1"),
        (
            "billed again",
            (
                "INSERT INTO cut_lines SELECT cut, account, stream, 9, version, cumulative, runs, "
                "receipt FROM cut_lines"
            ),
        ),
        ("planck in the ledger", "UPDATE postings SET planck = '5' WHERE role = 'viewer'"),
        ("sum of its postings", "UPDATE postings SET planck = '5' WHERE role = 'viewer'"),
        ("metered ticks", "DELETE FROM cut_lines"),
        ("settled in the journal", "UPDATE entries SET settled = 3"),
    ],
)
async def test_reconcile_names_each_difference(what, statement):
    """A changed count, a second twice, money that moved, ticks that vanished."""
    fixture, store, cutter = await started()
    store.claim(fixture.key(), Run(NOW_TICK - 50, 10))
    store.claim(fixture.key(1), Run(NOW_TICK - 50, 10))
    await cutter.round()
    assert (await reconcile(InlineBook(fixture.book), store)).is_balanced

    with fixture.book.streams._writing() as connection:
        connection.exec_driver_sql(statement)

    found = await reconcile(InlineBook(fixture.book), store)
    assert any(what in str(one) for one in found.differences)
    assert not found.is_balanced


async def settle_all(fixture: BookFixture) -> None:
    from metering.ports import BatchOutcome
    from tests.support.book_fixture import OPERATOR

    batch = fixture.book.outbox.oldest()
    assert batch is not None
    fixture.book.outbox.add_attempt(batch.seq, b"signed", 1)
    fixture.book.settlements.finalize(BatchOutcome(batch.seq, batch.hash, (), 1), 2)
    fixture.book.receipts.make(OPERATOR, 3)
    fixture.book.cuts.mark_forgotten(fixture.book.cuts.to_forget())
    assert fixture.book.cuts.compact() > 0


async def test_o23_a_first_start_warns_of_nothing():
    """An empty, healthy server recovers nothing; a Redis that lost its data still is a warning."""
    fixture, store = make_book(), MemoryStore()
    book = InlineBook(fixture.book)
    with capture_logs() as first:
        await recover(store, book, fixture.clock.wall_ms, RecoveryPolicy(24, 10))
    with capture_logs() as second:
        after = store.restarted(is_empty=True)
        await recover(after, book, fixture.clock.wall_ms, RecoveryPolicy(24, 10))

    assert [line["log_level"] for line in first] == ["info"]
    assert ("metering.store.recovered", "warning") in [
        (line["event"], line["log_level"]) for line in second
    ]
