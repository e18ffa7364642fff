"""What is covered is claimed and billed to nobody, on each Redis that we support."""

from __future__ import annotations

from dataclasses import replace

from metering.store import keys
from metering.store.records import CoveredState
from metering.units import FREE_LIST, Cause, Cover, Run, SessionId, Units, Verdict, shard_of
from tests.support.metering_kit import (
    NOW,
    STREAM,
    account,
    claim,
    grant,
    open_sessions,
    opened,
)

WHO = account(1)


async def test_an_empty_balance_watches_the_preview_and_no_more(redis_any):
    """Each show's first seconds are free once, over retries, tabs and qualities."""
    async with opened(redis_any.url) as (store, claims):
        await open_sessions(store, WHO, 1, 2, deposit=0)
        cover = Cover(show=NOW - 100, preview_ticks=3)

        two = await claims.claim(claim(WHO, 1, NOW - 100, 2, cover=cover))
        again = await claims.claim(claim(WHO, 2, NOW - 100, 2, cover=cover))
        beyond = await claims.claim(claim(WHO, 2, NOW - 98, 2, cover=cover))
        third = await claims.claim(claim(WHO, 1, NOW - 98, cover=cover))
        fourth = await claims.claim(claim(WHO, 1, NOW - 97, cover=cover))
        later = await claims.claim(claim(WHO, 1, NOW, 2, cover=Cover(NOW, 3)))

        assert (two.covered_ticks, two.new_ticks, two.cost_units) == (2, 0, 0)
        assert (again.verdict, again.covered_ticks) == (Verdict.GRANTED, 0)
        assert (beyond.verdict, beyond.covered_ticks) == (Verdict.PURSE, 0)
        assert (third.verdict, third.covered_ticks) == (Verdict.GRANTED, 1)
        assert fourth.verdict is Verdict.PURSE
        assert later.covered_ticks == 2
        totals = await store.totals()
        assert (totals.metered_ticks, totals.pending_ticks, totals.covered_ticks) == (0, 0, 5)


async def test_of_an_object_that_outlasts_the_preview_the_first_seconds_are_free(redis_any):
    """The rest is paid at the price of each second; limits see what is paid alone."""
    async with opened(redis_any.url) as (store, claims):
        await store.set_deposits(WHO, Units(100))
        await store.open_session(grant(WHO, 1, limit_units=Units(40)), 2)
        one = claim(WHO, 1, NOW - 5, 4, cover=Cover(NOW - 5, 3))
        two = claim(WHO, 1, NOW - 1, 2, units=15, version=2)

        answer = await claims.claim(replace(one, runs=(*one.runs, *two.runs)))

        assert (answer.verdict, answer.covered_ticks) == (Verdict.GRANTED, 3)
        assert (answer.new_ticks, answer.cost_units, answer.balance_units) == (3, 40, 60)
        (shard,) = await store.unbilled()
        assert shard.covered == (CoveredState(WHO, STREAM.bytes, NOW - 5, (Run(NOW - 5, 3),)),)
        lines = await store.unbooked(shard_of(WHO))
        assert [line.runs for line in lines] == [(Run(NOW - 2, 1),), (Run(NOW - 1, 2),)]


async def test_evidence_is_covered_as_a_claim_is(redis_any):
    """What was delivered before Redis lost its tail uses the preview up, and no more of it."""
    async with opened(redis_any.url) as (store, claims):
        await open_sessions(store, WHO, 1, deposit=10)
        cover = Cover(NOW - 100, 3)

        for _ in range(2):
            await claims.offer([claim(WHO, 1, NOW - 100, 2, cover=cover)])
            await claims.offer([claim(WHO, 1, NOW - 98, 3, cover=cover)])
        unknown = await claims.claim(claim(account(9), 1, NOW, cover=cover))

        totals = await store.totals()
        assert (totals.covered_ticks, totals.metered_ticks, totals.unpaid_ticks) == (3, 1, 1)
        assert unknown.verdict is Verdict.SESSION


async def test_a_show_that_was_forgotten_is_covered_no_more(redis_any):
    """Nothing grows without end, and nobody watches a preview twice for it."""
    async with opened(redis_any.url) as (store, claims):
        await open_sessions(store, WHO, 1, deposit=0)
        shows = [NOW - 1000 + 10 * number for number in range(keys.SHOWS_KEPT + 1)]
        for show in shows:
            answer = await claims.claim(claim(WHO, 1, show, cover=Cover(show, 1)))
            assert answer.covered_ticks == 1

        oldest = await claims.claim(claim(WHO, 1, shows[0] + 1, cover=Cover(shows[0], 2)))
        newest = await claims.claim(claim(WHO, 1, shows[-1] + 1, cover=Cover(shows[-1], 2)))

        assert (oldest.verdict, newest.verdict) == (Verdict.PURSE, Verdict.GRANTED)
        (reading,) = await claims.meters(
            [(WHO, STREAM.bytes, SessionId(1))], {STREAM.bytes: shows[-1]}
        )
        assert reading.covered_ticks == 2


async def test_a_second_that_would_pass_the_cap_of_a_show_is_covered(redis_any):
    """It costs never more than that, at whatever price; limits see what is billed alone."""
    async with opened(redis_any.url) as (store, claims):
        await store.set_deposits(WHO, Units(100))
        await store.open_session(grant(WHO, 1, limit_units=Units(40)), 2)
        show = NOW - 100
        cover = Cover(show, 1, Units(38))
        one = claim(WHO, 1, show, 4, cover=cover)
        two = claim(WHO, 1, show + 4, 3, units=4, version=2)

        both = await claims.claim(replace(one, runs=(*one.runs, *two.runs)))
        later = await claims.claim(claim(WHO, 1, show + 7, 5, cover=cover))
        other = await claims.claim(claim(WHO, 1, NOW, 1, cover=Cover(NOW, 0, Units(9))))

        assert (both.new_ticks, both.cost_units, both.covered_ticks) == (5, 38, 2)
        assert (later.new_ticks, later.balance_units, later.covered_ticks) == (0, 62, 5)
        assert (other.new_ticks, other.covered_ticks) == (0, 1)
        (shard,) = await store.unbilled()
        assert set(shard.covered) == {
            CoveredState(WHO, STREAM.bytes, show, (Run(show, 1),)),
            CoveredState(WHO, STREAM.bytes, show, (Run(show + 6, 6),), Cause.CAP),
            CoveredState(WHO, STREAM.bytes, NOW, (Run(NOW, 1),), Cause.CAP),
        }
        assert shard.shows == ((STREAM.bytes, show),)
        (reading,) = await claims.meters([(WHO, STREAM.bytes, SessionId(1))], {STREAM.bytes: show})
        assert (reading.covered_ticks, reading.left_units) == (1, 0)
        await store.forget_unbilled(shard)
        assert await store.unbilled() == []


async def test_a_refused_claim_takes_nothing_from_the_cap(redis_any):
    """An object that the balance cannot pay whole leaves the show as it was."""
    async with opened(redis_any.url) as (store, claims):
        await open_sessions(store, WHO, 1, deposit=15)
        cover = Cover(NOW - 9, 0, Units(25))

        refused = await claims.claim(claim(WHO, 1, NOW - 9, 3, cover=cover))
        await store.set_deposits(WHO, Units(100))
        granted = await claims.claim(claim(WHO, 1, NOW - 9, 3, cover=cover))

        assert (refused.verdict, refused.covered_ticks) == (Verdict.PURSE, 0)
        assert (granted.new_ticks, granted.covered_ticks) == (2, 1)


async def test_evidence_above_the_cap_is_covered_and_what_cannot_be_paid_is_not(redis_any):
    """Unpaid seconds take nothing from the cap: what is paid later is paid up to it.

    Wherever the store's words of watched seconds end within the message.
    """
    async with opened(redis_any.url) as (store, claims):
        before = (0, 0, 0)
        for number in range(1, 61):
            who, show = account(number), NOW - 200 + number
            await open_sessions(store, who, 1, 2, deposit=10)
            cover = Cover(show, 0, Units(20))

            for _ in range(2):
                await claims.offer([claim(who, 1, show, 4, cover=cover)])
            totals = await store.totals()
            await store.set_deposits(who, Units(100))
            then = await claims.claim(claim(who, 2, show + 4, 3, cover=cover))

            found = (totals.metered_ticks, totals.unpaid_ticks, totals.covered_ticks)
            added = tuple(now - was for now, was in zip(found, before, strict=True))
            assert added == (1, 1, 2), number
            assert (then.new_ticks, then.covered_ticks) == (1, 2)
            before = (found[0] + 1, found[1], found[2] + 2)


async def test_a_cap_beyond_a_double_is_exact(redis_any):
    """Lua counts in doubles, and Redis in whole numbers."""
    cap = Units(2**62 - 1)
    async with opened(redis_any.url) as (store, claims):
        await open_sessions(store, WHO, 1)

        await claims.claim(claim(WHO, 1, NOW, 1, cover=Cover(NOW, 0, cap)))

        (reading,) = await claims.meters([(WHO, STREAM.bytes, SessionId(1))], {STREAM.bytes: NOW})
        assert reading.left_units == cap - 10


async def test_a_viewer_on_the_free_list_watches_without_a_balance(redis_any):
    """What they have for nothing is marked and counted, and takes nothing from preview or cap."""
    async with opened(redis_any.url) as (store, claims):
        await open_sessions(store, WHO, 1, deposit=0)
        cover = Cover(NOW - 9, 1, Units(5))
        free = claim(WHO, 1, NOW - 9, 3, units=0, version=FREE_LIST, cover=cover)
        then = claim(WHO, 1, NOW - 6, 1, cover=cover)

        both = await claims.claim(replace(free, runs=(*free.runs, *then.runs)))
        again = await claims.claim(free)
        later = claim(WHO, 1, NOW - 5, 2, units=0, version=FREE_LIST, cover=cover)
        await claims.offer([later, replace(later, session=SessionId(9))])
        unknown = await claims.claim(replace(free, account=account(9)))

        assert (both.verdict, both.covered_ticks, both.new_ticks) == (Verdict.GRANTED, 4, 0)
        assert (again.covered_ticks, unknown.verdict) == (0, Verdict.SESSION)
        (shard,) = await store.unbilled()
        assert set(shard.covered) == {
            CoveredState(
                *(WHO, STREAM.bytes, NOW - 9), (Run(NOW - 9, 3), Run(NOW - 5, 2)), Cause.FREE_LIST
            ),
            CoveredState(WHO, STREAM.bytes, NOW - 9, (Run(NOW - 6, 1),)),
        }
        totals = await store.totals()
        assert (totals.metered_ticks, totals.covered_ticks, totals.unpaid_ticks) == (0, 6, 0)
