"""A stream that is not public while it plays: who waits, what an edge asks, and what it fills."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from mediaserver.hls.known_policy import KnownPolicy
from mediaserver.http.edge_key import EDGE_HEADER
from mediaserver.ipc.messages import Policy, TakenDown
from metering.units import Asset
from tests.support.builders import INIT, STREAM
from tests.support.serve_harness import EDGE_KEY, KEYS, ServeHarness, serving

SHOW = "/cam/5/source"
FREE_OF_TICKS = ("/cam/index.m3u8", f"{SHOW}/media.m3u8", f"{SHOW}/init-{INIT}.mp4")
PUBLIC = Policy((), KEYS, Asset(), "", "", "", is_top_up_open=False, replay_from_ms=0)
INVITED = replace(PUBLIC, invited=(STREAM,))


@pytest.fixture
async def harness() -> AsyncIterator[ServeHarness]:
    async with serving() as harness:
        yield harness


@pytest.mark.parametrize("is_priced", [False, True])
async def test_who_is_removed_while_they_wait_gets_nothing_and_pays_nothing(
    harness: ServeHarness, is_priced
) -> None:
    """The part that they wait for is made right after: neither it nor its playlist is theirs."""
    harness.gate.is_priced_now = is_priced
    harness.handler.set_policy(KnownPolicy(INVITED))
    below = f"/w/{harness.token()}"
    paths = (harness.part(20, 2), f"{SHOW}/media.m3u8?_HLS_msn=20&_HLS_part=2")
    asked = [asyncio.create_task(harness.get(below + path)) for path in paths]
    await harness.waiting(2)

    harness.handler.set_policy(KnownPolicy(replace(INVITED, ended_sessions=(9,))))
    slot = harness.show.slot(2)
    harness.tell(*(harness.show.part(each.name, slot) for each in harness.show.renditions))

    assert [(await answer).status for answer in asked] == [403, 403]
    assert harness.gate.claimed == []


@pytest.mark.parametrize("is_priced", [False, True])
async def test_a_stream_that_stops_being_public_is_gone_for_who_had_no_token(
    harness: ServeHarness, is_priced
) -> None:
    waits = f"{SHOW}/media.m3u8?_HLS_msn=20&_HLS_part=2"
    asked = asyncio.create_task(harness.get(waits))
    await harness.waiting()
    harness.gate.is_priced_now = is_priced
    harness.handler.set_policy(KnownPolicy(INVITED))
    slot = harness.show.slot(2)
    harness.tell(*(harness.show.part(each.name, slot) for each in harness.show.renditions))

    assert (await asked).status == 404
    for path in (*FREE_OF_TICKS, harness.part(19, 3)):
        assert (await harness.get(path)).status == 404
        assert (await harness.get(f"/w/{harness.token()}{path}")).status == 200


async def test_an_edge_asks_of_everything_and_fills_by_its_key(harness: ServeHarness) -> None:
    """Who has no token is told 404, as of no stream at all; the edge's own fill is not."""
    harness.handler.set_policy(KnownPolicy(INVITED))
    key = {EDGE_HEADER.replace("-", "_"): EDGE_KEY.decode()}

    async def question(path: str) -> int:
        asked = await harness.get("/_edge/authorise", X_Original_URI=path, **key)
        return asked.status

    for path in (*FREE_OF_TICKS, harness.part(19, 3)):
        assert await question(path) == 404
        assert await question(f"/w/{harness.token()}{path}") == 204
        assert (await harness.get(path, **key)).status == 200
    harness.handler.set_policy(KnownPolicy(replace(INVITED, ended_sessions=(9,))))
    for path in (*FREE_OF_TICKS, harness.part(19, 3)):
        assert await question(f"/w/{harness.token()}{path}") == 403


@pytest.mark.parametrize("policy", [PUBLIC, replace(PUBLIC, unlisted=(STREAM,)), INVITED])
@pytest.mark.parametrize("status", [410, 451])
async def test_of_a_stream_that_is_taken_down_nobody_gets_a_byte(
    harness: ServeHarness, policy: Policy, status: int
) -> None:
    """Nor does who waits; it says why, but not to who may not know of it; then it is back."""
    harness.handler.set_policy(KnownPolicy(policy))
    below = f"/w/{harness.token()}"
    paths = (harness.part(20, 2), f"{SHOW}/media.m3u8?_HLS_msn=20&_HLS_part=2")
    asked = [asyncio.create_task(harness.get(below + path)) for path in paths]
    await harness.waiting(2)

    down = (TakenDown(STREAM, status, "It was taken down: stolen"),)
    harness.handler.set_policy(KnownPolicy(replace(policy, taken_down=down)))
    slot = harness.show.slot(2)
    harness.tell(*(harness.show.part(each.name, slot) for each in harness.show.renditions))

    assert [(await answer).status for answer in asked] == [status, status]
    assert harness.gate.claimed == []
    key = {EDGE_HEADER.replace("-", "_"): EDGE_KEY.decode()}
    for path in (*FREE_OF_TICKS, harness.part(19, 3)):
        answer = await harness.get(below + path)
        assert answer.status == status
        assert "stolen" in (await answer.json())["detail"]
        assert answer.headers["Cache-Control"] == "no-store"
        bare = await harness.get(path)
        assert bare.status == (404 if policy is INVITED else status)
        edge = await harness.get("/_edge/authorise", X_Original_URI=below + path, **key)
        assert edge.status == status
    harness.handler.set_policy(KnownPolicy(policy))
    assert (await harness.get(below + FREE_OF_TICKS[0])).status == 200
