"""Paid media, and what an edge asks the origin."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from uuid import UUID

import pytest
from msgspec.structs import replace as replaced

from mediaserver.hls.live_store import ENDED_KEEP_S
from mediaserver.hls.serve import METHOD_HEADER
from mediaserver.http.edge_key import EDGE_HEADER
from mediaserver.ipc.messages import PartMade, SegmentEnded, ShowEnded, SlotOpened
from mediaserver.media import Slot
from metering.units import (
    Fetch,
    Medium,
    Run,
    SessionId,
    Verdict,
)
from tests.support.builders import INIT, OPENED, START_MS, STREAM, Show
from tests.support.players import Player, Wire
from tests.support.serve_harness import ACCOUNT, EDGE_KEY, ServeHarness, bytes_of, serving

LATER_S = START_MS // 1000 + 1_000_000


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
    assert harness.gate.claimed == [
        Fetch(ACCOUNT, SessionId(9), STREAM, run, 500, Medium.VIDEO, OPENED.show)
    ]


async def test_a_m3_a_range_claims_the_whole_object_and_sound_alone_the_same_bucket(
    harness: ServeHarness,
) -> None:
    """An object is granted whole; who takes the sound beside the picture has no second bucket."""
    harness.gate.is_priced_now = True
    path = f"/cam/5/audio/19-{START_MS // 1000 + 38}x2.m4s"
    answer = await harness.get(f"/w/{harness.token()}{path}", Range="bytes=0-0")

    assert answer.status == 206
    (fetch,) = harness.gate.claimed
    assert (fetch.run.count, fetch.duration_ms, fetch.medium) == (2, 2000, Medium.VIDEO)


async def test_r1_a_part_that_ended_early_is_claimed_for_what_it_carries(
    harness: ServeHarness,
) -> None:
    """A publisher lost just before a second began: that second is in the address, not in the bill.

    Its address was hinted by its plan; a header says to edges and counters what is true.
    """
    harness.gate.is_priced_now = True
    begin_ms, tick = harness.show.now_ms + 1900, harness.show.now_ms // 1000 + 1
    slot = Slot(21, 0, begin_ms, begin_ms + 500)
    harness.tell(
        SegmentEnded("source", 20, begin_ms - 400, 1_500_000),
        SlotOpened(slot, is_discontinuity=False),
        harness.show.part("source", slot, end_ms=begin_ms + 80),
        SegmentEnded("source", 21, begin_ms + 80, 80_000),
    )
    prefix = f"/w/{harness.token()}/cam/5/source/"
    part = await harness.get(f"{prefix}21.0-{tick}x2.m4s")
    again = await harness.get(f"{prefix}21.0-{tick}x2.m4s", If_None_Match=part.headers["ETag"])
    segment = await harness.get(f"{prefix}21-{tick}x1.m4s", Range="bytes=0-9")
    planned = await harness.get(f"{prefix}21-{tick}x2.m4s")

    assert (part.status, again.status, segment.status, planned.status) == (200, 304, 206, 404)
    assert {a.headers["X-Vilokanam-Ticks"] for a in (part, again, segment)} == {f"{tick}x1"}
    assert [fetch.run for fetch in harness.gate.claimed] == [Run(tick, 1)] * 2


async def test_r1_who_counts_a_part_that_ended_early_counts_what_was_claimed(
    harness: ServeHarness,
) -> None:
    """As a server that stops ends it: its planned second is nobody's loss.

    `make chaos` took that second for one that was delivered and fell out of the books.
    """
    harness.gate.is_priced_now = True
    begin_ms, tick = harness.show.now_ms + 1900, harness.show.now_ms // 1000 + 1
    slot = Slot(21, 0, begin_ms, begin_ms + 500)
    harness.tell(
        SegmentEnded("source", 20, begin_ms - 400, 1_500_000),
        SlotOpened(slot, is_discontinuity=False),
        harness.show.part("source", slot, end_ms=begin_ms + 80),
    )
    page = f"/w/{harness.token()}/cam/"
    path = f"{page}5/source/21.0-{tick}x2.m4s"
    player = Player(harness.port, page, has_hints=True)

    with Wire(harness.port) as wire:
        await asyncio.to_thread(player.fetch_new, wire, [path])

    assert [fetch.run for fetch in harness.gate.claimed] == [Run(tick, 1)]
    assert player.delivered == {tick}
    assert not player.in_doubt


async def test_r2_a_part_whose_picture_was_not_made_is_nobodys_to_pay_for(
    harness: ServeHarness,
) -> None:
    """It was hinted, so it can be had; its segment is a gap, and is not."""
    harness.gate.is_priced_now = True
    begin_ms, tick = harness.show.now_ms + 1500, harness.show.now_ms // 1000 + 1
    slot = Slot(21, 0, begin_ms, begin_ms + 500)
    made = harness.show.part("source", slot)
    harness.tell(
        SegmentEnded("source", 20, begin_ms, 1_500_000),
        SlotOpened(slot, is_discontinuity=False),
        PartMade(replace(made.part, is_gap=True)),
        SegmentEnded("source", 21, begin_ms + 500, 500_000),
    )
    prefix = f"/w/{harness.token()}/cam/5/source/"
    part = await harness.get(f"{prefix}21.0-{tick}x1.m4s")
    segment = await harness.get(f"{prefix}21-{tick}x1.m4s")

    assert (part.status, part.headers["X-Vilokanam-Ticks"]) == (200, f"{tick}x0")
    assert segment.status == 404
    assert not harness.gate.claimed


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
    ("token", "status", "reason", "detail"),
    [
        (lambda _: "", 404, "not_found", "The stream is not live now"),
        (lambda harness: harness.token(expires_s=LATER_S), 404, "not_found", "is not live now"),
        (lambda _: "nonsense", 403, "malformed", "damaged"),
        (lambda harness: harness.token(expires_s=START_MS // 1000), 403, "expired", "no longer"),
        (lambda harness: harness.token(UUID(int=8), LATER_S), 403, "stream", "another stream"),
    ],
)
async def test_v4_a_stream_that_is_not_live_says_so_and_a_bad_link_what_it_is(
    harness: ServeHarness,
    token: Callable[[ServeHarness], str],
    status: int,
    reason: str,
    detail: str,
) -> None:
    """A player was told "There is nothing at this address", whatever the link."""
    harness.gate.is_priced_now = True
    prefix = f"/w/{given}" if (given := token(harness)) else ""
    live = await harness.get(f"{prefix}/cam/index.m3u8")
    harness.tell(ShowEnded())
    harness.clock.seconds += ENDED_KEEP_S + 1
    harness.store.expire()
    answer = await harness.get(f"{prefix}/cam/index.m3u8")
    unknown = await harness.get(f"{prefix}/camm/index.m3u8")
    harness.gate.is_priced_now = False
    free = await harness.get(f"{prefix}/cam/index.m3u8")

    problem = json.loads(await answer.read())
    assert (live.status, answer.status, problem["reason"]) == (200, status, reason)
    assert detail in problem["detail"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert (unknown.status, "There is no stream 'camm'" in await unknown.text()) == (404, True)
    assert (free.status, "not live now" in await free.text()) == (404, True)


@pytest.mark.parametrize(
    ("verdict", "status"),
    [
        (Verdict.PURSE, 402),
        (Verdict.LIMIT, 402),
        (Verdict.SESSION, 403),
        (Verdict.PACE, 429),
        (Verdict.FUTURE, 503),
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
