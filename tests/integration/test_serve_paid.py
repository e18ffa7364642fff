"""Paid media, and what an edge asks the origin."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from uuid import UUID

import pytest
from msgspec.structs import replace as replaced

from mediaserver.hls.serve import EDGE_HEADER, METHOD_HEADER
from metering.units import (
    Fetch,
    Medium,
    Run,
    SessionId,
    Verdict,
)
from tests.support.builders import INIT, OPENED, START_MS, STREAM, Show
from tests.support.serve_harness import ACCOUNT, EDGE_KEY, ServeHarness, bytes_of, serving


@pytest.fixture
async def harness() -> AsyncIterator[ServeHarness]:
    async with serving() as harness:
        yield harness


async def test_paid_media_is_claimed_once_and_then_sent(harness: ServeHarness) -> None:
    """The claim says who, which seconds and how much media."""
    harness.gate.is_priced_now = True
    answer = await harness.get(f"/w/{harness.token()}{harness.part(19, 3)}")

    assert (answer.status, await answer.read()) == (200, bytes_of(19, 3))
    run = Run(START_MS // 1000 + 39, 1)
    assert harness.gate.claimed == [Fetch(ACCOUNT, SessionId(9), STREAM, run, 500, Medium.VIDEO)]


async def test_a_range_claims_the_whole_object_and_audio_its_own_bucket(
    harness: ServeHarness,
) -> None:
    """An object is granted whole."""
    harness.gate.is_priced_now = True
    path = f"/cam/5/audio/19-{START_MS // 1000 + 38}x2.m4s"
    answer = await harness.get(f"/w/{harness.token()}{path}", Range="bytes=0-0")

    assert answer.status == 206
    (fetch,) = harness.gate.claimed
    assert (fetch.run.count, fetch.duration_ms, fetch.medium) == (2, 2000, Medium.AUDIO)


@pytest.mark.parametrize(
    ("token", "status", "reason"),
    [
        (lambda _: "", 401, "token"),
        (lambda _: "nonsense", 403, "malformed"),
        (lambda harness: harness.token(expires_s=START_MS // 1000), 403, "expired"),
        (lambda harness: harness.token(stream=UUID(int=8)), 403, "stream"),
    ],
)
async def test_paid_media_needs_the_right_token(
    harness: ServeHarness, token: Callable[[ServeHarness], str], status: int, reason: str
) -> None:
    """A reason, but no claim, no byte of media, nothing cached; HEAD is no way around."""
    harness.gate.is_priced_now = True
    prefix = f"/w/{token(harness)}" if token(harness) else ""
    answer = await harness.get(prefix + harness.part(19, 3))
    head = await harness.get(prefix + harness.part(19, 3), "HEAD")

    problem = json.loads(await answer.read())
    assert (answer.status, problem["reason"]) == (status, reason)
    assert head.status == status
    assert answer.headers["Cache-Control"] == "no-store"
    assert not harness.gate.claimed


@pytest.mark.parametrize(
    ("verdict", "status"),
    [
        (Verdict.PURSE, 402),
        (Verdict.LIMIT, 402),
        (Verdict.SESSION, 403),
        (Verdict.PACE, 429),
        (Verdict.STORE, 503),
    ],
)
async def test_a_refused_claim_is_explained_and_nothing_is_sent(
    harness: ServeHarness, verdict: Verdict, status: int
) -> None:
    """The page can show what to do, and where to top up."""
    harness.gate.is_priced_now = True
    harness.gate.verdict = verdict
    answer = await harness.get(f"/w/{harness.token()}{harness.part(19, 3)}")

    problem = json.loads(await answer.read())
    assert answer.status == problem["status"] == status
    assert answer.headers["Cache-Control"] == "no-store"
    assert problem["reason"] == verdict.value
    assert problem["seconds_left"] == 0
    assert problem["top_up_url"] == "https://pay/0x" + ACCOUNT.hex()
    assert set(problem) >= {"type", "title", "detail"}


async def test_everything_but_the_media_itself_is_free(harness: ServeHarness) -> None:
    """HEAD, 304, 416, playlists, init and what is not there claim nothing."""
    harness.gate.is_priced_now = True
    prefix, path = f"/w/{harness.token()}", harness.part(19, 3)
    etag = (await harness.get(prefix + path, "HEAD")).headers["ETag"]

    statuses = [
        (await harness.get(prefix + path, If_None_Match=etag)).status,
        (await harness.get(prefix + path, Range="bytes=99999-")).status,
        (await harness.get(prefix + "/cam/index.m3u8")).status,
        (await harness.get("/cam/5/source/media.m3u8")).status,
        (await harness.get(f"{prefix}/cam/5/source/init-{INIT}.mp4")).status,
        (await harness.get(prefix + harness.part(20, 3))).status,
    ]

    assert statuses == [304, 416, 200, 200, 200, 404]
    assert not harness.gate.claimed


async def test_free_media_needs_no_gate_with_a_token_or_without(harness: ServeHarness) -> None:
    """A token on a free stream does no harm."""
    assert (await harness.get(harness.part(19, 3))).status == 200
    assert (await harness.get(f"/w/{harness.token()}{harness.part(19, 3)}")).status == 200
    assert (await harness.get(f"/w/whatever{harness.part(19, 3)}")).status == 200
    assert not harness.gate.claimed


async def test_who_leaves_while_waiting_pays_nothing(harness: ServeHarness) -> None:
    """A cancelled preload costs nothing."""
    harness.gate.is_priced_now = True
    _, writer = await asyncio.open_connection("127.0.0.1", harness.port)
    path = f"/w/{harness.token()}{harness.part(20, 2)}"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await harness.waiting()
    writer.transport.abort()
    stays = asyncio.ensure_future(harness.get(path))
    await harness.waiting(2)
    harness.tell(harness.show.part("source", harness.show.slot(2)))

    assert (await stays).status == 200
    async with asyncio.timeout(5):
        while sum(harness.handler.answers.values()) < 2:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0)
    assert len(harness.gate.claimed) == 1


async def test_a_token_that_ends_while_waiting_is_refused(harness: ServeHarness) -> None:
    """The token counts on waking too."""
    harness.gate.is_priced_now = True
    asked = asyncio.ensure_future(harness.get(f"/w/{harness.token()}{harness.part(20, 2)}"))
    await harness.waiting()
    harness.clock.wall_ms += 120_000
    harness.tell(harness.show.part("source", harness.show.slot(2)))

    assert (await asked).status == 403
    assert not harness.gate.claimed


async def test_a_stream_without_a_known_price_is_not_served(harness: ServeHarness) -> None:
    """A worker heard before control must not give media away."""
    feed = harness.store.feed("worker-2")
    show = Show(opened=replaced(OPENED, slug="new"))
    for message in [*show.open(), *show.begin(1)]:
        feed.apply(message)

    assert (await harness.get("/new/index.m3u8")).status == 503


async def test_an_edge_fills_without_a_claim_and_a_liar_does_not(harness: ServeHarness) -> None:
    """The edge claims by its own question; the key is not to be guessed."""
    harness.gate.is_priced_now = True
    key = {EDGE_HEADER: EDGE_KEY.decode()}
    fill = await harness.client.get(harness.base + harness.part(19, 3), headers=key)
    liar = await harness.client.get(
        harness.base + harness.part(19, 3), headers={EDGE_HEADER: "guess"}
    )

    assert (fill.status, await fill.read()) == (200, bytes_of(19, 3))
    assert liar.status == 401
    assert not harness.gate.claimed


async def authorize(harness: ServeHarness, path: str, **more: str) -> int:
    headers = {EDGE_HEADER: EDGE_KEY.decode(), "X-Original-URI": path, **more}
    return (await harness.client.get(f"{harness.base}/_edge/authorise", headers=headers)).status


async def test_an_edge_asks_and_the_viewer_pays(harness: ServeHarness) -> None:
    """204 and one claim for media; free for the rest; the viewer's own status otherwise."""
    harness.gate.is_priced_now = True
    paid = f"/w/{harness.token()}{harness.part(19, 3)}"

    assert await authorize(harness, paid + "?x=1") == 204
    assert len(harness.gate.claimed) == 1
    assert await authorize(harness, paid, **{METHOD_HEADER: "HEAD"}) == 204
    assert await authorize(harness, "/cam/index.m3u8") == 204
    assert await authorize(harness, "/cam/5/source/media.m3u8") == 204
    assert len(harness.gate.claimed) == 1
    assert await authorize(harness, harness.part(19, 3)) == 401
    assert await authorize(harness, f"/w/x{harness.part(19, 3)}") == 403
    assert await authorize(harness, f"/w/{harness.token()}{harness.part(20, 3)}") == 404
    assert await authorize(harness, "/cam/whip") == 404
    assert await authorize(harness, "/../etc/passwd") == 404
    assert await authorize(harness, paid, **{EDGE_HEADER: "guess"}) == 403
    for verdict in (Verdict.PURSE, Verdict.PACE, Verdict.STORE):
        harness.gate.verdict = verdict
        assert await authorize(harness, paid) == verdict.status


@pytest.mark.parametrize(
    "headers",
    [
        {"If-None-Match": '"x"'},
        {"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"If-Match": "*"},
        {"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"Range": "bytes=99999-"},
        {"Range": "bytes=9-5"},
        {"Range": "bytes=0-1", "If-Range": '"other"'},
        {METHOD_HEADER: "POST"},
    ],
    ids=str,
)
async def test_an_edge_passes_on_what_may_be_free(
    harness: ServeHarness, headers: dict[str, str]
) -> None:
    """A claim or bytes by mistake, if cache and origin read a condition differently: so neither."""
    harness.gate.is_priced_now = True
    path = f"/w/{harness.token()}{harness.part(19, 3)}"

    assert await authorize(harness, path, **headers) == 421
    assert not harness.gate.claimed
    assert await authorize(harness, path, Range="bytes=0-1") == 204
    assert len(harness.gate.claimed) == 1


async def test_an_edge_waits_for_the_open_slot_before_it_claims(harness: ServeHarness) -> None:
    """A hinted part at an edge is claimed when it exists, not before."""
    harness.gate.is_priced_now = True
    asked = asyncio.ensure_future(authorize(harness, f"/w/{harness.token()}{harness.part(20, 2)}"))
    await harness.waiting()
    assert not harness.gate.claimed
    harness.tell(harness.show.part("source", harness.show.slot(2)))

    assert await asked == 204
    assert len(harness.gate.claimed) == 1


async def test_a_free_stream_needs_no_token_at_an_edge(harness: ServeHarness) -> None:
    """Anonymous viewers of free streams are served from the edge."""
    assert await authorize(harness, harness.part(19, 3)) == 204
    assert not harness.gate.claimed
