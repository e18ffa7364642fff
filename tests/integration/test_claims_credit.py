"""A balance for exactly k ticks buys exactly k ticks, however many ask at once."""

from __future__ import annotations

import asyncio
import signal

import pytest

from metering.errors import StoreUnavailableError
from metering.store.claim_client import RawClaims
from metering.units import SessionId, Units, Verdict, shard_of
from tests.support.metering_kit import (
    EPOCH,
    NOW,
    account,
    claim,
    clock_now,
    fetch,
    make_gate,
    make_ready,
    open_sessions,
    opened,
    policy,
    tell,
)
from tests.support.servers.redis import RealRedis

WHO = account(1)


async def test_a_balance_for_k_ticks_grants_exactly_k_among_4000_claims(redis_server):
    """Two processes, 4,000 objects at once: not one second above what was paid."""
    paid_ticks = 1234
    clock = clock_now()
    async with (
        opened(redis_server.url, window_ms=60_000) as (store, one),
        RawClaims(redis_server.url) as other,
    ):
        other.set_expected(EPOCH, store.run_id)
        await other.wait_ready()
        await open_sessions(store, WHO, 1, 2, deposit=10 * paid_ticks)
        gates = [make_gate(claims, clock) for claims in (one, other)]
        for gate in gates:
            tell(gate, clock, store)

        # 2,000 distinct seconds, each asked of both processes: a millisecond of media each.
        admissions = await asyncio.gather(
            *(
                gates[n % 2].admit(fetch(WHO, 1 + n % 2, NOW - 2000 + n // 2, duration_ms=1))
                for n in range(4000)
            )
        )

        granted = {
            NOW - 2000 + n // 2
            for n, admission in enumerate(admissions)
            if admission.verdict is Verdict.GRANTED
        }
        assert len(granted) == paid_ticks
        assert {a.verdict for a in admissions} == {Verdict.GRANTED, Verdict.PURSE}
        assert (await store.totals()).metered_ticks == paid_ticks
        [line] = await store.unbooked(shard_of(WHO))
        assert {t for run in line.runs for t in range(run.first, run.end)} == granted
        assert one.flushes_total < one.claims_total / 4


async def test_a_viewer_with_an_empty_balance_is_told_402_and_goes_on_after_a_top_up(redis_server):
    """402 with the balance, then the same object after paying, at once."""
    clock = clock_now()
    async with opened(redis_server.url) as (store, claims):
        await open_sessions(store, WHO, 1, deposit=15)
        gate = make_gate(claims, clock)
        tell(gate, clock, store)

        first = await gate.admit(fetch(WHO, 1, NOW))
        dry = await gate.admit(fetch(WHO, 1, NOW + 1))
        await store.set_deposits(WHO, Units(40))
        again = await gate.admit(fetch(WHO, 1, NOW + 1))

        assert (first.verdict, first.balance_units, first.seconds_left) == (Verdict.GRANTED, 5, 0)
        assert (dry.verdict, dry.verdict.status, dry.balance_units) == (Verdict.PURSE, 402, 5)
        assert (again.verdict, again.seconds_left) == (Verdict.GRANTED, 2)


async def test_an_object_across_a_price_change_is_split_at_the_tick(redis_server):
    """Each second costs what was in force at that second; free seconds cost nothing."""
    clock = clock_now()
    async with opened(redis_server.url) as (store, claims):
        await open_sessions(store, WHO, 1, deposit=1000)
        gate = make_gate(claims, clock)
        tell(gate, clock, store, policy((0, 10), (NOW + 2, 0), (NOW + 3, 25)))

        admission = await gate.admit(fetch(WHO, 1, NOW, 4))

        assert admission.balance_units == 1000 - 10 - 10 - 25
        assert admission.seconds_left == 955 // 25


async def test_free_media_needs_no_store_and_no_control():
    """A free stream plays on while Redis and control are away."""
    clock = clock_now()
    async with RawClaims("unix:///nowhere.sock") as claims:
        gate = make_gate(claims, clock)
        free = policy((0, 0), (NOW + 100, 10))
        gate.set_policy([free], _asset(), "e", "r", 0, clock.monotonic())
        clock.move(10_000)

        assert gate.admit_now(fetch(WHO, 1, NOW)).verdict is Verdict.GRANTED
        assert (await gate.admit(fetch(WHO, 1, NOW + 100))).verdict is Verdict.STORE
        assert not gate.is_priced(free, fetch(WHO, 1, NOW).run)
        assert gate.is_priced(free, fetch(WHO, 1, NOW + 98, 4).run)


async def test_a_h1_no_object_is_served_before_the_server_has_come_to_it(redis_server):
    """A part may begin 3 s early and is 4 s long at most: what is later is a fault, and waits."""
    clock = clock_now()
    async with opened(redis_server.url) as (store, claims):
        await open_sessions(store, WHO, 1)
        gate = make_gate(claims, clock)
        tell(gate, clock, store)
        now = clock.now_ms() // 1000

        early = await gate.admit(fetch(WHO, 1, now + 6, 3))
        future = await gate.admit(fetch(WHO, 1, now + 6, 4))

        assert (early.verdict, future.verdict) == (Verdict.GRANTED, Verdict.FUTURE)
        assert (await store.totals()).metered_ticks == 3


async def test_priced_media_stops_30_s_after_control_was_heard(redis_server):
    """A process that may not know today's price serves 503."""
    clock = clock_now()
    async with opened(redis_server.url) as (store, claims):
        await open_sessions(store, WHO, 1)
        gate = make_gate(claims, clock)
        tell(gate, clock, store)
        await gate.admit(fetch(WHO, 1, NOW))
        clock.move(29.9)
        before = await gate.admit(fetch(WHO, 1, NOW))
        clock.move(0.1)
        after = await gate.admit(fetch(WHO, 1, NOW))
        was_ready = gate.is_ready
        tell(gate, clock, store)

        assert (before.verdict, after.verdict) == (Verdict.GRANTED, Verdict.STORE)
        assert after.verdict.status == 503
        assert not was_ready
        assert gate.is_ready


async def test_a_full_queue_refuses_instead_of_growing(redis_server):
    """More claims than may wait are turned away at once and counted."""
    async with opened(redis_server.url, waiting_max=10) as (store, claims):
        await open_sessions(store, WHO, 1)
        results = await asyncio.gather(
            *(claims.claim(claim(WHO, 1, NOW + n)) for n in range(15)), return_exceptions=True
        )

        refused = [result for result in results if isinstance(result, StoreUnavailableError)]
        assert len(refused) == claims.refused_total == 5


async def test_evidence_of_what_memory_committed_is_replayed_once_per_epoch(redis_server):
    """After Redis was emptied, what this process had committed is billed again, once."""
    clock = clock_now()
    async with opened(redis_server.url) as (store, claims):
        await open_sessions(store, WHO, 1, deposit=1000)
        gate = make_gate(claims, clock)
        tell(gate, clock, store)
        for second in range(5):
            await gate.admit(fetch(WHO, 1, NOW + second))
            clock.move(1)
        redis_server.call("FLUSHALL")
        assert (await gate.admit(fetch(WHO, 1, NOW + 9))).verdict is Verdict.STORE
        await make_ready(store, "epoch-2")
        await open_sessions(store, WHO, 1, deposit=1000)

        # What was committed in the last three seconds: the others are in the book.
        tell(gate, clock, store, epoch="epoch-2", replay_from_ms=clock.wall_ms - 3000)
        was_ready = gate.is_ready
        while not gate.is_ready:  # noqa: ASYNC110 - one turn of the loop at a time
            await asyncio.sleep(0)
        tell(gate, clock, store, epoch="epoch-2", replay_from_ms=0)

        assert not was_ready
        totals = await store.totals()
        # The chunk of a few seconds in which they lie is offered whole: offering more is harmless.
        assert 3 <= totals.metered_ticks <= 5
        assert (await gate.admit(fetch(WHO, 1, NOW, 5))).balance_units == 1000 - 50
        await gate.close()


@pytest.mark.parametrize("kind", ["killed", "stopped"])
async def test_a_redis_that_goes_away_is_503_within_the_timeout(redis_programs, redis_folder, kind):
    """No claim hangs: it fails in time, and the next one after recovery works."""
    server = RealRedis(next(iter(redis_programs.values())), redis_folder)
    server.start()
    try:
        async with opened(server.url, timeout_ms=200) as (store, claims):
            await open_sessions(store, WHO, 1)
            if kind == "killed":
                server.stop()
            else:
                server.process.send_signal(signal.SIGSTOP)
            with pytest.raises(StoreUnavailableError):
                await claims.claim(claim(WHO, 1, NOW))
            if kind == "killed":
                server.start()
                await store.refresh()
                claims.set_expected(EPOCH, store.run_id)
            else:
                server.process.send_signal(signal.SIGCONT)
            await claims.wait_ready()
            assert (await claims.claim(claim(WHO, 1, NOW + 1))).verdict is Verdict.GRANTED
    finally:
        server.stop()


async def test_a_redis_that_takes_no_writes_is_said_plainly(redis_server):
    """Its memory or disk is full: nobody is served for nothing, and an operator reads why."""
    async with opened(redis_server.url) as (store, claims):
        await open_sessions(store, WHO, 1)
        redis_server.call("CONFIG", "SET", "maxmemory", "1")
        try:
            with pytest.raises(StoreUnavailableError, match="maxmemory"):
                await claims.claim(claim(WHO, 1, NOW))
            refusal = claims.refusal
        finally:
            redis_server.call("CONFIG", "SET", "maxmemory", "0")
        answer = await claims.claim(claim(WHO, 1, NOW))

        assert "maxmemory" in refusal
        assert (answer.verdict, answer.new_ticks) == (Verdict.GRANTED, 1)
        assert not claims.refusal


async def test_a_redis_that_hangs_is_not_asked_on_and_on(redis_programs, redis_folder):
    """Meters alone notice it too: else each look would stay in the connection's buffer."""
    server = RealRedis(next(iter(redis_programs.values())), redis_folder)
    server.start()
    try:
        async with opened(server.url, timeout_ms=100) as (_, claims):
            server.process.send_signal(signal.SIGSTOP)
            with pytest.raises(StoreUnavailableError):
                await claims.meters([(WHO, bytes(16), SessionId(1))])

            assert not claims.is_ready
            server.process.send_signal(signal.SIGCONT)
            await claims.wait_ready()
    finally:
        server.stop()


def _asset():
    from metering.units import Asset

    return Asset()
