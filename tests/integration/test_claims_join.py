"""What the chain would refuse of a join, the claim script refuses first, with the right verdict."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from uuid import UUID

import pytest

from metering.model.join_caps import Join, JoinLimits, caps_of, ticks_allowed
from metering.store.client import Store
from metering.store.records import BalanceState, JoinState, SessionGrant, ShardState
from metering.units import SHARDS, CutLine, EntryKey, Run, SessionId, Units, Verdict, shard_of
from tests.support.metering_kit import FAR_MS, NOW, account, claim, grant, make_ready, opened

WHO = account(1)
STREAM = UUID(int=7)
LIMITS = JoinLimits(burst_ticks=120, rate_ppm=1_100_000, prices_max=2, notice_s=3600)
STEADY = JoinLimits(burst_ticks=5, rate_ppm=0, prices_max=2, notice_s=3600)


def _join(**changes) -> Join:
    values = {
        "number": 1,
        "max_spend": 10**9,
        "max_price": 10**6,
        "joined_s": NOW - 10,
        "expires_s": FAR_MS // 1000,
    } | changes
    return Join(STREAM, WHO, **values)


async def _open_sessions(
    store: Store, join: Join | None, limits: JoinLimits = STEADY, deposit: int = 10**9
) -> None:
    await store.set_balance(WHO, Units(deposit), Units(0), Units(0))
    if join is not None:
        await store.set_joins([caps_of(join, limits, quantum=1)])
    await store.open_session(_grant(1), 2)
    await store.open_session(_grant(2), 2)


def _grant(session: int, **changes) -> SessionGrant:
    return grant(WHO, session, is_capped=True, **changes)


@pytest.mark.parametrize(
    ("join", "asked", "verdict", "status"),
    [
        (_join(), {"count": 5}, Verdict.GRANTED, 200),
        (_join(), {"count": 6}, Verdict.PACE, 429),
        (_join(max_spend=49), {"count": 5}, Verdict.LIMIT, 402),
        (_join(max_spend=50), {"count": 5}, Verdict.GRANTED, 200),
        (_join(max_spend=0), {"count": 1}, Verdict.LIMIT, 402),
        (_join(max_price=9), {"count": 1}, Verdict.LIMIT, 402),
        (_join(max_price=10), {"count": 1}, Verdict.GRANTED, 200),
        (_join(expires_s=NOW - 1), {"count": 1}, Verdict.SESSION, 403),
        (_join(ended_s=NOW - 1), {"count": 1}, Verdict.SESSION, 403),
        (_join(max_spend=2**128 - 1, max_price=2**128 - 1), {"count": 5}, Verdict.GRANTED, 200),
        (None, {"count": 1}, Verdict.SESSION, 403),
    ],
)
async def test_what_the_chain_would_refuse_is_refused_first(
    redis_server, join, asked, verdict, status
):
    """402 by the caps, 403 when there is no open join, 429 when it is too fast; nothing changes."""
    async with opened(redis_server.url) as (store, claims):
        await _open_sessions(store, join)

        answer = await claims.claim(claim(WHO, 1, NOW - 100, **asked))

        assert (answer.verdict, answer.verdict.status) == (verdict, status)
        is_granted = verdict is Verdict.GRANTED
        billed = asked["count"] if is_granted else 0
        assert answer.balance_units == 10**9 - 10 * billed
        assert (await store.totals()).pending_ticks == billed


async def test_caps_are_of_the_join_not_of_the_session(redis_server):
    """Two players, many claims, cuts in between: together they get what the join may have."""
    async with opened(redis_server.url) as (store, claims):
        await _open_sessions(store, _join())
        verdicts = []
        for number in range(7):
            answer = await claims.claim(claim(WHO, 1 + number % 2, NOW - 100 + number))
            verdicts.append(answer.verdict)
            if answer.new_ticks:
                await store.cut(shard_of(WHO), number + 1, number)
        again = await claims.claim(claim(WHO, 2, NOW - 100, 5))

        assert verdicts == [Verdict.GRANTED] * 5 + [Verdict.PACE] * 2
        assert (again.verdict, again.new_ticks) == (Verdict.GRANTED, 0), "what is paid stays paid"


async def test_a_join_takes_so_many_price_versions_and_no_more(redis_server):
    """The chain has room for some versions in a join; one more needs a new join."""
    async with opened(redis_server.url) as (store, claims):
        await _open_sessions(store, _join())
        answers = [
            await claims.claim(claim(WHO, 1, NOW - 100 + version, version=version))
            for version in (1, 2, 3)
        ]
        old = await claims.claim(claim(WHO, 1, NOW - 90, version=1))

        assert [one.verdict for one in answers] == [
            Verdict.GRANTED,
            Verdict.GRANTED,
            Verdict.SESSION,
        ]
        assert old.verdict is Verdict.GRANTED


async def test_joining_again_opens_what_the_old_join_had_used_up(redis_server):
    """A new join has caps of its own; the old one's are not touched."""
    async with opened(redis_server.url) as (store, claims):
        await _open_sessions(store, _join())
        await claims.claim(claim(WHO, 1, NOW - 100, 5))
        full = await claims.claim(claim(WHO, 1, NOW - 90))
        await store.set_joins([caps_of(_join(number=2), STEADY, quantum=1)])
        await store.open_session(_grant(3, join=2), 3)
        fresh = await claims.claim(claim(WHO, 3, NOW - 90))

        assert (full.verdict, fresh.verdict) == (Verdict.PACE, Verdict.GRANTED)


async def test_a_session_of_a_join_that_ended_gets_nothing_more_at_once(redis_server):
    """A viewer who leaves on the chain is not served on; one who rejoins is."""
    async with opened(redis_server.url) as (store, claims):
        await _open_sessions(store, _join())
        before = await claims.claim(claim(WHO, 1, NOW - 100))
        await store.set_joins([caps_of(_join(ended_s=int(time.time())), STEADY, quantum=1)])
        after = await claims.claim(claim(WHO, 1, NOW - 99))

        assert (before.verdict, after.verdict) == (Verdict.GRANTED, Verdict.SESSION)


async def test_the_rate_is_the_chains_rate(redis_server):
    """Any burst, rate and time: as many ticks as `ticks_allowed` says, and not one more.

    Its end is in the past, so that the moment of the call plays no part; evidence may still come.
    """
    rng, now_s = random.Random(5), int(time.time())
    async with opened(redis_server.url) as (store, claims):
        for number in range(1, 60):
            who = account(number)
            limits = JoinLimits(rng.randrange(50), rng.randrange(3_000_000), 8, 3600)
            start = now_s - 1200 - rng.randrange(500)
            join = Join(STREAM, who, 1, 10**9, 10**9, start, now_s - 1000)
            await store.set_balance(who, Units(10**9), Units(0), Units(0))
            await store.set_joins([caps_of(join, limits, quantum=1)])
            await store.open_session(grant(who, number, is_capped=True), 2)

            await claims.offer([claim(who, number, now_s - 3000, 1000, units=1)])

            [reading] = await claims.meters([(who, STREAM.bytes, SessionId(number))])
            assert reading.session_ticks == min(1000, ticks_allowed(join, limits, now_s))


@pytest.mark.parametrize(
    ("join", "ago_s", "count", "billed"),
    [
        (_join(), 100, 9, 5),
        (_join(max_spend=29), 100, 9, 2),
        (_join(max_spend=0), 100, 9, 0),
        (_join(max_price=9), 100, 9, 0),
        (_join(ended_s=NOW - 98), 100, 4, 2),
        (_join(joined_s=NOW - 3000, ended_s=NOW - 900), 1000, 4, 4),
        (_join(joined_s=NOW - 3000, ended_s=NOW - 1900), 2000, 4, 0),
        (None, 100, 4, 0),
    ],
)
async def test_evidence_beyond_the_caps_is_unpaid(redis_server, join, ago_s, count, billed):
    """Nobody pays off the chain for what the chain would not let them be charged."""
    # A join's evidence comes half an hour after its end at the latest; the tests before took some.
    late_s = int(time.time()) - NOW
    first = NOW - ago_s + late_s
    if join is not None:
        ended_s = None if join.ended_s is None else join.ended_s + late_s
        join = replace(join, joined_s=join.joined_s + late_s, ended_s=ended_s)
    async with opened(redis_server.url) as (store, claims):
        await _open_sessions(store, join)
        evidence = claim(WHO, 1, first, count)

        await claims.offer([evidence])
        await claims.offer([evidence])

        totals = await store.totals()
        assert (totals.metered_ticks, totals.unpaid_ticks) == (billed, count - billed)
        balance = await store.set_balance(WHO, Units(10**9), Units(0), Units(0))
        assert balance == 10**9 - 10 * billed


async def test_a_balance_is_given_whole_and_nothing_is_there_twice(redis_server):
    """From provisional to final, from asked back to gone: the balance moves by what changed."""
    async with opened(redis_server.url) as (store, claims):
        balances = [
            await store.set_balance(WHO, Units(0), Units(500), Units(0)),
            await store.set_balance(WHO, Units(500), Units(0), Units(0)),
            await store.set_balance(WHO, Units(500), Units(0), Units(0)),
            await store.set_balance(WHO, Units(500), Units(70), Units(200)),
            await store.set_deposits(WHO, Units(600)),
            await store.set_balance(WHO, Units(400), Units(0), Units(0)),
            await store.set_balance(WHO, Units(400), Units(0), Units(450)),
        ]
        await store.open_session(grant(WHO, 1), 2)
        frozen = await claims.claim(claim(WHO, 1, NOW))
        left = await store.set_balance(WHO, Units(400), Units(0), Units(400))

        assert balances == [500, 500, 500, 370, 470, 400, -50]
        assert (frozen.verdict, frozen.balance_units) == (Verdict.PURSE, -50)
        assert left == 0


async def test_a_balance_keeps_what_was_spent_whatever_total_is_given(redis_server):
    """Recomputed at each head, beside claims: the sum is deposits + credit - frozen - spent."""
    rng = random.Random(11)
    async with opened(redis_server.url) as (store, claims):
        await _open_sessions(store, _join(), LIMITS, deposit=0)
        spent = 0
        for number in range(200):
            total, credit, frozen = (Units(rng.randrange(5000)) for _ in range(3))
            balance = await store.set_balance(WHO, total, credit, frozen)
            assert balance == total + credit - frozen - spent
            answer = await claims.claim(claim(WHO, 1, NOW - 1000 + number))
            spent += answer.cost_units
            assert answer.verdict in (Verdict.GRANTED, Verdict.PURSE, Verdict.PACE)


async def test_a_rebuilt_shard_knows_what_each_join_has_had(redis_server):
    """After Redis was emptied the caps go on where they were."""
    key = EntryKey(STREAM, WHO, 1, 1)
    async with opened(redis_server.url) as (store, claims):
        redis_server.call("FLUSHALL")
        state = ShardState(
            balances=(
                BalanceState(
                    WHO,
                    Units(1000),
                    Units(30),
                    provisional_units=Units(50),
                    frozen_units=Units(200),
                ),
            ),
            cumulative=((key, 2),),
            pending=(CutLine(key, (Run(NOW - 500, 1),), 3),),
            sessions=(_grant(1),),
            joins=(JoinState(caps_of(_join(), STEADY, quantum=1), 3, Units(30), (1,)),),
        )
        for shard in range(SHARDS):
            is_ours = shard == shard_of(WHO)
            await store.rebuild(shard, state if is_ours else ShardState(), "epoch-2")
        claims.set_expected("epoch-2", store.run_id)
        three = await claims.claim(claim(WHO, 1, NOW - 100, 3))
        two = await claims.claim(claim(WHO, 1, NOW - 100, 2, version=2))
        third = await claims.claim(claim(WHO, 1, NOW - 90, version=3))
        balance = await store.set_balance(WHO, Units(1000), Units(0), Units(0))

        assert three.verdict is Verdict.PACE
        assert (two.verdict, two.balance_units) == (Verdict.GRANTED, 1000 + 50 - 200 - 30 - 20)
        assert third.verdict is Verdict.SESSION, "versions 1 and 2 are all it takes"
        assert balance == 1000 - 50


async def test_without_a_chain_nothing_is_capped(redis_server):
    """The journal knows no joins: a session of it is not asked for one."""
    async with opened(redis_server.url) as (store, claims):
        await make_ready(store)
        await store.set_deposits(WHO, Units(10**6))
        await store.open_session(grant(WHO, 1), 2)

        answer = await claims.claim(claim(WHO, 1, NOW - 1000, 1000))

        assert answer.verdict is Verdict.GRANTED
        assert answer.new_ticks == 1000
