"""Who leaves frees a place at once, and takes it again with the same token while it is free."""

import os
import random
from dataclasses import replace

import pytest

from metering.store import keys
from metering.units import SessionId, Units, Verdict
from tests.integration.test_session_end import Link, begin
from tests.support.control_server import Server, settings
from tests.support.metering_kit import NOW, account, claim, grant, opened

WHO = account(1)
SEED = int(os.environ["VILOKANAM_SEED"])
SLOTS = 2


@pytest.fixture
async def server(tmp_path):
    tree = settings()
    auth = replace(tree.auth, max_sessions=SLOTS)
    async with Server(tmp_path, replace(tree, auth=auth)) as running:
        yield running


async def leave(server: Server, link: Link, status: int = 200):
    return await server.ask("DELETE", f"/w/{link.minted['token']}/cam/session", None, status)


async def states(server: Server) -> dict[str, str]:
    listed = (await server.api("GET", "viewers/ann/sessions"))["sessions"]
    return {item["session"]: item["state"] for item in listed}


async def test_of_two_tabs_the_closed_one_makes_room_and_the_other_plays_on(server) -> None:
    """Though the closed one played last: else who plays would be ended for the new one."""
    playing, closed = await begin(server, 2)
    now = server.now_s()
    assert await playing.watch(now - 30, 1) is Verdict.GRANTED
    assert await closed.watch(now - 29, 1) is Verdict.GRANTED

    assert await leave(server, closed) == {"left": True}
    assert await leave(server, closed) == {"left": True}
    assert set((await states(server)).values()) == {"live"}
    third = Link(server, playing.stream, playing.viewer, await server.mint())

    assert await third.watch(now - 28, 1) is Verdict.GRANTED
    assert await playing.watch(now - 27, 1) is Verdict.GRANTED
    assert await closed.watch(now - 26, 1) is Verdict.SESSION
    assert (await states(server))[closed.minted["session"]] == "replaced"
    # A click takes a place in any case: of the two that play, from who was idle longer.
    await closed.renew()
    assert await closed.watch(now - 26, 1) is Verdict.GRANTED


@pytest.mark.parametrize("way", ["media", "token"])
async def test_a_reload_takes_the_place_again_under_the_same_id(server, way) -> None:
    """With the token that it had, or another one of the same session."""
    other, reloaded = await begin(server, 2)
    now, session = server.now_s(), reloaded.minted["session"]
    await leave(server, reloaded)

    if way == "token":
        await reloaded.renew()
    assert await reloaded.watch(now - 30, 1) is Verdict.GRANTED
    assert reloaded.minted["session"] == session
    third = Link(server, other.stream, other.viewer, await server.mint())

    # It is back: who makes room is the other, who never asked for anything.
    assert await third.watch(now - 29, 1) is Verdict.GRANTED
    assert await reloaded.watch(now - 28, 1) is Verdict.GRANTED
    assert await other.watch(now - 27, 1) is Verdict.SESSION


@pytest.mark.parametrize(("ahead_s", "is_back"), [(60, True), (3, False), (-30, False)])
async def test_a_player_at_an_edge_is_back_by_what_the_edge_delivers(
    redis_server, ahead_s, is_back
) -> None:
    """By media made after it left; a log that comes late, of before, is no return."""
    async with opened(redis_server.url) as (store, claims):
        await store.set_deposits(WHO, Units(10**9))
        for number in (1, 9):
            await store.open_session(grant(WHO, number), SLOTS)
        await store.leave_session(WHO, SessionId(9))
        (now_s, _) = await store._redis.time()

        await claims.offer([claim(WHO, 9, now_s + ahead_s)])
        ended = await store.open_session(grant(WHO, 3), SLOTS)

    # Who left makes room first; of two that play, who came first.
    assert ended == SessionId(1 if is_back else 9)


async def test_an_ended_player_cannot_leave_its_way_back(server) -> None:
    [link] = await begin(server)
    await server.api("DELETE", "viewers/ann/sessions")

    await leave(server, link, 403)
    assert await link.watch(server.now_s() - 9, 1) is Verdict.SESSION


async def test_leaving_gives_no_player_more_and_no_fresh_bucket(redis_server) -> None:
    """Random tabs: never more sessions than places, and together never more media than they had."""
    rng = random.Random(SEED)
    async with opened(redis_server.url) as (store, claims):
        await store.set_deposits(WHO, Units(10**9))

        async def live(made: int) -> list[int]:
            return [
                number
                for number in range(1, made + 1)
                if await store.session_state(WHO, SessionId(number)) == "live"
            ]

        made, taken_ms = 0, 0
        for step in range(300):
            number = rng.randint(1, max(made, 1))
            act = rng.choice(["open", "leave", "claim", "renew"]) if made else "open"
            before = await live(made)
            if act == "open":
                made += 1
                await store.open_session(grant(WHO, made), SLOTS)
            elif act == "renew":
                await store.open_session(grant(WHO, number), SLOTS)
                assert await live(made) == before
            elif act == "leave":
                left = await store.leave_session(WHO, SessionId(number))
                assert (left, await live(made)) == (number in before, before)
            else:
                answer = await claims.claim(claim(WHO, number, NOW - 3000 + step, video_ms=5000))
                assert (answer.verdict is Verdict.SESSION) == (number not in before)
                if answer.verdict is Verdict.GRANTED:
                    taken_ms += 5000
                    flag = await store._redis.hget(keys.session(WHO, SessionId(number)), "f")
                    assert flag is None
            assert len(await live(made)) <= SLOTS
        # Two buckets of 90 s, and what they refill in the seconds that this takes.
        assert taken_ms <= SLOTS * (90_000 + 2.2 * 30_000)
