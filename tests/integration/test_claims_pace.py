"""One payment, one player: pace, sessions and what they take over, on the real script."""

from __future__ import annotations

import random
import time
from contextlib import AsyncExitStack

import pytest

from metering.model import rate_limit
from metering.store import keys
from metering.store.claim_client import RawClaims
from metering.units import Medium, SessionId, Units, Verdict
from tests.support.metering_kit import (
    EPOCH,
    NOW,
    STREAM,
    account,
    claim,
    clock_now,
    fetch,
    grant,
    make_gate,
    open_sessions,
    opened,
    tell,
)

WHO = account(1)
CAP = rate_limit.cap_fifths(60_000)


async def age(store, session: int, passed_ms: int) -> None:
    """Let time pass for one session's buckets: Redis itself keeps the clock."""
    key = keys.session(WHO, SessionId(session))
    video, audio, at_ms, *rest = keys.SLOT.unpack(await store._redis.hget(key, "b"))
    await store._redis.hset(key, "b", keys.SLOT.pack(video, audio, at_ms - passed_ms, *rest))


async def buckets(store, session: int) -> tuple[int, int, int]:
    raw = await store._redis.hget(keys.session(WHO, SessionId(session)), "b")
    return keys.SLOT.unpack(raw)[:3]


async def test_the_script_keeps_the_buckets_as_pace_does(redis_server):
    """Every delivery draws from its bucket; every answer is model.rate_limit's."""
    rng = random.Random(5)
    async with opened(redis_server.url) as (store, claims):
        await open_sessions(store, WHO, 1)
        verdicts = set()
        for _ in range(400):
            video, audio, since = await buckets(store, 1)
            await age(store, 1, passed := rng.choice((0, 100, 2000, 30_000)))
            taken = [rng.choice((0, 500, 4000, 20_000)) for _ in range(2)]

            answer = await claims.claim(claim(WHO, 1, NOW, 0, video_ms=taken[0], audio_ms=taken[1]))

            verdicts.add(answer.verdict)
            left_video, left_audio, now = await buckets(store, 1)
            if answer.verdict is Verdict.GRANTED:
                at = rate_limit.Bucket(video, since - passed)
                assert rate_limit.draw(at, taken[0], now, CAP) == rate_limit.Bucket(left_video, now)
                at = rate_limit.Bucket(audio, since - passed)
                assert rate_limit.draw(at, taken[1], now, CAP) == rate_limit.Bucket(left_audio, now)
            else:
                drawn = [
                    rate_limit.draw(rate_limit.Bucket(level, since - passed), media, since, CAP)
                    for level, media in ((video, taken[0]), (audio, taken[1]))
                ]
                assert None in drawn
        assert verdicts == {Verdict.GRANTED, Verdict.PACE}


@pytest.mark.parametrize("speed_milli", [1000, 2000])
async def test_an_honest_player_is_never_refused(redis_server, speed_milli):
    """Parts and then their segment, or double speed, for twenty minutes; a start and a seek."""
    async with opened(redis_server.url) as (store, claims):
        await open_sessions(store, WHO, 1)
        # The window at once, as a player fills its buffer, and again after a seek.
        asked = [(60_000, 0), (28_000, 0)]
        per_step = 4000 if speed_milli == 1000 else 2 * 2000
        asked += [(per_step, 2000)] * 600
        for media_ms, passed_ms in asked:
            await age(store, 1, passed_ms)
            answer = await claims.claim(claim(WHO, 1, NOW, 0, video_ms=media_ms, audio_ms=media_ms))
            assert answer.verdict is Verdict.GRANTED


async def test_a_laptop_that_slept_ten_minutes_is_not_refused(redis_server):
    """It wakes, loads the window anew and plays on."""
    async with opened(redis_server.url) as (store, claims):
        await open_sessions(store, WHO, 1)
        verdicts = []
        for passed_ms, media_ms in ((0, 60_000), (2000, 4000), (600_000, 60_000), (0, 30_000)):
            await age(store, 1, passed_ms)
            answer = await claims.claim(claim(WHO, 1, NOW, 0, video_ms=media_ms))
            verdicts.append(answer.verdict)

        assert verdicts == [Verdict.GRANTED] * 4


async def test_a_third_player_behind_one_token_is_refused_429(redis_server):
    """Three players that share a session's token take 3 s a second: soon they are refused."""
    clock = clock_now()
    async with opened(redis_server.url) as (store, claims):
        await open_sessions(store, WHO, 1)
        gate = make_gate(claims, clock)
        verdicts = []
        for second in range(200):
            tell(gate, clock, store)
            await age(store, 1, 1000)
            three = [await gate.admit(fetch(WHO, 1, NOW - 300 + second)) for _ in range(3)]
            verdicts += [admission.verdict for admission in three]
            clock.move(1)

        assert Verdict.PACE in verdicts
        assert Verdict.PACE.status == 429
        # 90 s in the bucket and 2.2 s each second, 2 s and an object unsent: no more than that.
        assert verdicts.count(Verdict.GRANTED) <= 90 + 2.2 * 200 + 3
        assert verdicts.count(Verdict.GRANTED) >= 2.2 * 200


async def test_a_third_session_ends_the_one_whose_last_claim_is_oldest(redis_server):
    """A third tab goes on; the tab that was idle is told that it was replaced."""
    async with opened(redis_server.url) as (store, claims):
        await open_sessions(store, WHO, 1, 2)
        await age(store, 1, 5000)
        await age(store, 2, 9000)
        await claims.claim(claim(WHO, 2, NOW))

        first = await store.open_session(grant(WHO, 3), 2)
        again = await store.open_session(grant(WHO, 3), 2)

        assert (first, again) == (1, 1)
        verdicts = [(await claims.claim(claim(WHO, n, NOW))).verdict for n in (1, 2, 3)]
        assert verdicts == [Verdict.SESSION, Verdict.GRANTED, Verdict.GRANTED]
        [reading] = await claims.meters([(WHO, STREAM.bytes, SessionId(1))])
        assert reading.state == "replaced"
        assert await store.open_session(grant(WHO, 1), 2) is None
        assert (await claims.claim(claim(WHO, 1, NOW))).verdict is Verdict.SESSION


@pytest.mark.parametrize("how", ["replaced", "ended", "expired"])
async def test_a_new_session_takes_over_the_buckets_as_they_are(redis_server, how):
    """Minting session after session gives no more media than one session has."""
    async with opened(redis_server.url) as (store, claims):
        await open_sessions(store, WHO, 1)
        granted = 0
        for session in range(2, 12):
            answer = await claims.claim(claim(WHO, session - 1, NOW, 0, video_ms=85_000))
            granted += answer.verdict is Verdict.GRANTED
            if how == "ended":
                await store.end_session(WHO, SessionId(session - 1), "left")
            if how == "expired":
                await store._redis.hset(keys.session(WHO, SessionId(session - 1)), "x", 1)
            await store.open_session(grant(WHO, session), 1)

        assert granted == 1


async def test_video_and_audio_have_a_bucket_each(redis_server):
    """Separate audio beside video takes nothing from it."""
    async with opened(redis_server.url) as (store, claims):
        await open_sessions(store, WHO, 1)
        await claims.claim(claim(WHO, 1, NOW, 0, video_ms=89_000))

        audio = await claims.claim(claim(WHO, 1, NOW, 0, audio_ms=89_000))
        video = await claims.claim(claim(WHO, 1, NOW, 0, video_ms=5_000))

        assert (audio.verdict, video.verdict) == (Verdict.GRANTED, Verdict.PACE)


async def test_what_memory_served_is_sent_with_the_next_claim(redis_server):
    """Parts of one second need one claim, and the store hears of all that was delivered."""
    clock = clock_now()
    async with opened(redis_server.url) as (store, claims):
        await open_sessions(store, WHO, 1)
        gate = make_gate(claims, clock)
        tell(gate, clock, store)
        await gate.admit(fetch(WHO, 1, NOW, duration_ms=500))
        served = [
            gate.admit_now(fetch(WHO, 1, NOW, duration_ms=500)),
            gate.admit_now(fetch(WHO, 1, NOW, duration_ms=400, medium=Medium.AUDIO)),
        ]
        clock.move(1)
        refused_by_memory = gate.admit_now(fetch(WHO, 1, NOW, duration_ms=500))
        await gate.admit(fetch(WHO, 1, NOW + 1, duration_ms=500))

        assert [one.verdict for one in served] == [Verdict.GRANTED] * 2
        assert refused_by_memory is None
        assert claims.claims_total == 2
        video, audio, _ = await buckets(store, 1)
        assert CAP - audio == 400 * rate_limit.FIFTHS_PER_MS
        assert CAP - 1500 * 5 <= video <= CAP - 1000 * 5


@pytest.mark.parametrize("processes", [1, 4])
async def test_a_m2_ended_sessions_take_no_delivery_with_them(redis_server, processes):
    """A link that mints every three seconds gets no more than one that does not.

    The bound: the bucket and its refill, and what each HTTP process may hold unsent of an account
    and stream, which is two seconds and the object under way.
    """
    seconds, object_ms = 60, 500
    clock = clock_now()
    async with opened(redis_server.url) as (store, claims), AsyncExitStack() as stack:
        gates = [make_gate(claims, clock)]
        while len(gates) < processes:
            more = await stack.enter_async_context(RawClaims(redis_server.url))
            more.set_expected(EPOCH, store.run_id)
            await more.wait_ready()
            gates.append(make_gate(more, clock))
        await open_sessions(store, WHO, 1)
        session, delivered_ms = 1, 0
        began_s = time.monotonic()
        for second in range(seconds):
            if second % 3 == 2:
                session += 1
                await store.open_session(grant(WHO, session), 1)
            for gate in gates:
                tell(gate, clock, store)
                while True:
                    wanted = fetch(WHO, session, NOW, duration_ms=object_ms)
                    if (await gate.admit(wanted)).verdict is not Verdict.GRANTED:
                        break
                    delivered_ms += object_ms
            await age(store, session, 1000)
            clock.move(1)
        real_ms = 1000 * (time.monotonic() - began_s)

    bucket_ms = 90_000 + 2.2 * (1000 * seconds + real_ms)
    assert delivered_ms <= bucket_ms + processes * (2000 + object_ms)
    assert delivered_ms >= 90_000 + 2.2 * 1000 * (seconds - 3)


@pytest.mark.parametrize("way", ["minted", "followed"])
async def test_a_m1_who_comes_next_has_spent_what_the_session_before_had(redis_server, way):
    """One limit: for a new link of the same account, and for an old one that comes back later."""
    async with opened(redis_server.url) as (store, claims):
        await open_sessions(store, WHO, 9, deposit=10_000)
        for session in (1, 2):
            await store.open_session(grant(WHO, session, limit_units=Units(50)), 1)
            if session == 1:
                assert (await claims.claim(claim(WHO, 1, NOW, 5))).verdict is Verdict.GRANTED
        newest = 2
        if way == "followed":
            # Nobody is live, and all buckets are full again: nothing but the link says who it was.
            await store.end_session(WHO, SessionId(2), "left")
            for session in (1, 2, 9):
                await age(store, session, 3_600_000)
            newest = 3
            again = grant(WHO, 3, limit_units=Units(50))
            await store.open_session(again, 1, SessionId(1))

        answer = await claims.claim(claim(WHO, newest, NOW + 5, 1))

        assert answer.verdict is Verdict.LIMIT
