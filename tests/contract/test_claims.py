"""The contract of `metering.ports.Claims`, on each Redis that we support."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest

from metering.errors import InvalidValueError, StoreUnavailableError
from metering.store import clock_check, keys
from metering.units import SessionId, Units, Verdict
from tests.support.metering_kit import (
    EPOCH,
    NOW,
    STREAM,
    account,
    claim,
    grant,
    open_sessions,
    opened,
)

WHO = account(1)


async def test_claims_repeated_in_any_order_cost_nothing(redis_any):
    """A player that retries, and switches rendition, pays each second once."""
    claims_of = [claim(WHO, 1, NOW + first, count) for first, count in ((0, 2), (1, 3), (3, 1))]
    async with opened(redis_any.url) as (store, claims):
        await open_sessions(store, WHO, 1, deposit=100)
        for order in itertools.permutations(claims_of):
            for one in order:
                await claims.claim(one)

        answer = await claims.claim(claim(WHO, 1, NOW, 4))
        assert (answer.verdict, answer.new_ticks, answer.cost_units) == (Verdict.GRANTED, 0, 0)
        assert answer.balance_units == 60


async def test_a_refused_claim_changes_nothing(redis_any):
    """An object that the balance cannot pay whole is refused whole."""
    async with opened(redis_any.url) as (store, claims):
        await open_sessions(store, WHO, 1, deposit=25)

        refused = await claims.claim(claim(WHO, 1, NOW, 3, video_ms=3000))
        granted = await claims.claim(claim(WHO, 1, NOW, 2))

        assert (refused.verdict, refused.balance_units) == (Verdict.PURSE, 25)
        assert (granted.verdict, granted.new_ticks, granted.balance_units) == (
            Verdict.GRANTED,
            2,
            5,
        )
        totals = await store.totals()
        assert (totals.metered_ticks, totals.pending_ticks) == (2, 2)


async def test_ticks_over_an_hour_and_of_two_prices_are_each_counted_once(redis_any):
    """An object across a full hour and a price change is charged tick by tick."""
    hour = NOW - NOW % 3600
    async with opened(redis_any.url) as (store, claims):
        await open_sessions(store, WHO, 1, deposit=10_000)
        one = claim(WHO, 1, hour - 40, 40, units=3)
        two = claim(WHO, 1, hour, 30, units=5, version=2)
        both = type(one)(one.account, one.stream, one.session, (*one.runs, *two.runs), 0, 0)

        answer = await claims.claim(both)
        again = await claims.claim(claim(WHO, 1, hour - 50, 90, units=7))

        assert (answer.new_ticks, answer.cost_units) == (70, 40 * 3 + 30 * 5)
        assert (again.new_ticks, again.cost_units) == (20, 20 * 7)


@pytest.mark.parametrize("limited", ["session", "stream", "day"])
async def test_a_limit_stops_at_the_last_unit_below_it(redis_any, limited):
    """A viewer who set a limit never pays more than it, whatever the balance holds."""
    async with opened(redis_any.url) as (store, claims):
        await store.set_deposits(WHO, Units(2**60))
        limit = Units(45)
        await store.open_session(
            grant(WHO, 1, limit_units=limit if limited == "session" else Units(0)), 2
        )
        await store.set_limits(
            WHO,
            limit if limited == "stream" else Units(0),
            limit if limited == "day" else Units(0),
        )

        first = await claims.claim(claim(WHO, 1, NOW, 4))
        over = await claims.claim(claim(WHO, 1, NOW + 10))
        fits = await claims.claim(claim(WHO, 1, NOW + 10, units=5))

        assert first.verdict is Verdict.GRANTED
        assert over.verdict is Verdict.LIMIT
        assert fits.verdict is Verdict.GRANTED
        assert fits.balance_units == 2**60 - 45


async def test_a_day_limit_begins_anew_each_day(redis_any):
    """What was spent yesterday is not counted today, and is not kept."""
    async with opened(redis_any.url) as (store, claims):
        await open_sessions(store, WHO, 1)
        await store.set_limits(WHO, Units(0), Units(45))
        today = int(time.time()) // 86400
        await store._redis.hset(keys.balance(WHO), mapping={"n": today - 1, f"u{today - 1}": 45})

        granted = await claims.claim(claim(WHO, 1, NOW, 4))
        over = await claims.claim(claim(WHO, 1, NOW + 4))

        assert (granted.verdict, over.verdict) == (Verdict.GRANTED, Verdict.LIMIT)
        assert not await store._redis.hexists(keys.balance(WHO), f"u{today - 1}")


async def test_a_session_that_is_unknown_ended_expired_or_of_another_stream_is_refused(redis_any):
    """A token whose session is over pays for nothing and gets nothing."""
    async with opened(redis_any.url) as (store, claims):
        await open_sessions(store, WHO, 1)
        await store.open_session(grant(WHO, 2, expires_ms=NOW * 1000 - 1), 9)
        await store.open_session(grant(WHO, 3), 9)
        await store.end_session(WHO, SessionId(3), "logout")
        asked = [
            claim(WHO, 1, NOW, stream=bytes(16)),
            *(claim(WHO, session, NOW) for session in (2, 3, 4)),
        ]

        answers = [await claims.claim(one) for one in asked]

        assert {answer.verdict for answer in answers} == {Verdict.SESSION}
        readings = await claims.meters(
            [(WHO, STREAM.bytes, SessionId(session)) for session in (1, 3, 4)]
        )
        assert [reading.state for reading in readings] == ["live", "logout", "gone"]


async def test_a_tick_older_than_the_watched_hours_is_refused(redis_any):
    """What may have been forgotten is never billed again."""
    async with opened(redis_any.url, watched_hours=1) as (store, claims):
        await open_sessions(store, WHO, 1)
        now = int(time.time())  # NOW is when the tests were imported, which may be minutes ago

        old = await claims.claim(claim(WHO, 1, now - 3605, 2))
        young = await claims.claim(claim(WHO, 1, now - 3500, 2))

        assert (old.verdict, young.verdict) == (Verdict.TOO_OLD, Verdict.GRANTED)


async def test_a_h1_a_second_that_is_a_minute_away_is_refused(redis_any):
    """Whatever a publisher, or a clock that is wrong, made of it: nobody pays ahead."""
    async with opened(redis_any.url) as (store, claims):
        await open_sessions(store, WHO, 1, deposit=1000)
        now = int(time.time())

        near = await claims.claim(claim(WHO, 1, now + 40, 2))
        far = await claims.claim(claim(WHO, 1, now + 40, 60))

        assert (near.verdict, far.verdict) == (Verdict.GRANTED, Verdict.FUTURE)
        assert (far.new_ticks, far.balance_units) == (0, near.balance_units)
        assert Verdict.FUTURE.status == 503
        assert clock_check.apart_fault(await claims.redis_ms(), now * 1000) == ""


async def test_a_h1_clocks_that_are_apart_are_a_fault(redis_any):
    """The operator reads by how much, and what to do."""
    async with opened(redis_any.url) as (_, claims):
        redis_ms = await claims.redis_ms()

        fault = clock_check.apart_fault(redis_ms - 3000, redis_ms)

    assert clock_check.apart_fault(int(time.time() * 1000), redis_ms) == ""
    assert "3.0 s behind Redis'" in fault
    assert "NTP" in fault


async def test_amounts_beyond_doubles_stay_exact(redis_any):
    """A balance of 2**62 units loses exactly what was spent."""
    async with opened(redis_any.url) as (store, claims):
        await open_sessions(store, WHO, 1, deposit=2**62)

        answer = await claims.claim(claim(WHO, 1, NOW, 1, units=2**43 - 1))

        assert answer.balance_units == 2**62 - (2**43 - 1)


async def test_evidence_late_twice_and_out_of_order_is_billed_once(redis_any):
    """A log replayed costs nothing more."""
    async with opened(redis_any.url) as (store, claims):
        await open_sessions(store, WHO, 1, deposit=1000)
        await claims.claim(claim(WHO, 1, NOW, 3))
        for _ in range(2):
            await claims.offer([claim(WHO, 1, NOW + 4, 2), claim(WHO, 1, NOW + 1, 4)])

        answer = await claims.claim(claim(WHO, 1, NOW, 6))
        assert (answer.new_ticks, answer.balance_units) == (0, 1000 - 60)
        assert (await store.totals()).metered_ticks == 6


async def test_evidence_that_the_balance_cannot_pay_is_unpaid_and_never_collected(redis_any):
    """The viewer owes nothing for what an edge served on an empty balance, but is stopped."""
    async with opened(redis_any.url) as (store, claims):
        await open_sessions(store, WHO, 1, 2, deposit=25)
        await claims.offer([claim(WHO, 1, NOW, 4)])
        await store.set_deposits(WHO, Units(1000))
        await claims.offer([claim(WHO, 1, NOW, 4)])

        totals = await store.totals()
        assert (totals.metered_ticks, totals.unpaid_ticks) == (2, 2)
        assert (await claims.claim(claim(WHO, 1, NOW))).verdict is Verdict.SESSION
        assert (await claims.claim(claim(WHO, 2, NOW, 4))).new_ticks == 0
        assert (await claims.claim(claim(WHO, 2, NOW))).balance_units == 980


async def test_another_epoch_or_run_id_gets_no_claims(redis_any):
    """A Redis that control has not recovered is not asked: 503, not a wrong bill."""
    async with opened(redis_any.url) as (store, claims):
        await open_sessions(store, WHO, 1)
        for epoch, run_id in (("epoch-2", store.run_id), (EPOCH, "another"), ("", store.run_id)):
            claims.set_expected(epoch, run_id)
            with pytest.raises(StoreUnavailableError):
                await claims.claim(claim(WHO, 1, NOW))
            assert not claims.is_ready

        claims.set_expected(EPOCH, store.run_id)
        assert (await claims.claim(claim(WHO, 1, NOW))).new_ticks == 1


async def test_scripts_that_redis_forgot_are_loaded_again(redis_any):
    """SCRIPT FLUSH on a running server goes unnoticed."""
    async with opened(redis_any.url) as (store, claims):
        await open_sessions(store, WHO, 1)
        redis_any.call("SCRIPT", "FLUSH")

        answers = await asyncio.gather(
            *(claims.claim(claim(account(1), 1, NOW + n)) for n in range(4))
        )
        await claims.offer([claim(WHO, 1, NOW + 9)])

        assert sum(answer.new_ticks for answer in answers) == 4
        assert (await store.totals()).metered_ticks == 5


@pytest.mark.parametrize(
    "changes",
    [{"count": 1025}, {"units": 2**43}, {"units": 0}, {"video_ms": -1}, {"video_ms": 2**32}],
)
async def test_what_cannot_be_counted_exactly_is_not_sent(redis_any, changes):
    """A bug that asks for too much is an error here, not a wrong sum there."""
    async with opened(redis_any.url) as (_, claims):
        with pytest.raises(InvalidValueError):
            await claims.claim(claim(WHO, 1, NOW, **changes))
