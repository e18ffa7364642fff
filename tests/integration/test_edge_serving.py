"""A real nginx, configured by us, before a real HTTP process on a real Redis.

What is billed is read from Redis; what was filled is counted where the origin hears it.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from cdn.nginx import EDGE_HEADER
from metering.units import (
    SessionId,
    account_text,
    session_text,
)
from tests.support.builders import INIT, STREAM
from tests.support.edge_harness import FREE_STREAM, KEY, PRICE, EdgeHarness, edge_harness
from tests.support.servers import nginx


@pytest.fixture
async def harness(redis_server) -> AsyncIterator[EdgeHarness]:
    nginx.program()
    async with edge_harness(redis_server) as made:
        yield made


def body_of(harness: EdgeHarness, back: int, rendition: str = "source") -> bytes:
    msn = harness.show.msn - back
    return b"".join(f"{rendition}/{msn}.{part};".encode() * 50 for part in range(4))


async def test_two_viewers_are_one_fill_and_two_bills(harness: EdgeHarness) -> None:
    """Bytes are fetched once; each pays for exactly the seconds that came."""
    ann, bob = await harness.viewer(1), await harness.viewer(2)
    backs = (4, 3, 2, 1)

    got = [(await one.get(harness.segment(back))) for back in backs for one in (ann, bob)]

    assert [status for status, _, _ in got] == [200] * 8
    assert [body for _, body, _ in got] == [body_of(harness, back) for back in backs for _ in "ab"]
    assert [headers["X-Cache"] for _, _, headers in got] == ["MISS", "HIT"] * 4
    assert harness.origin.fills == Counter({harness.segment(back): 1 for back in backs})
    assert harness.origin.plain.total() == harness.origin.plain["/readyz"]
    wanted = set().union(*(harness.ticks(back) for back in backs))
    assert await ann.billed() == await bob.billed() == wanted
    lines = nginx.read_log(harness.folder / "edge" / "access.log")
    assert {line.session for line in lines} == {
        session_text(SessionId(1)),
        session_text(SessionId(2)),
    }
    assert [(line.path, line.status, line.cache) for line in lines[:2]] == [
        (harness.segment(4), 200, "MISS"),
        (harness.segment(4), 200, "HIT"),
    ]


async def test_what_is_free_at_the_origin_is_free_at_the_edge(harness: EdgeHarness) -> None:
    """HEAD, 304, 416, playlists and inits: Redis hears of nothing."""
    ann, bob = await harness.viewer(1), await harness.viewer(2)
    path = harness.segment(1)
    _, _, headers = await bob.get(path)
    etag = headers["ETag"]

    assert (await ann.get(path, "HEAD"))[:2] == (200, b"")
    assert (await ann.get(harness.segment(2), "HEAD"))[:2] == (200, b"")
    assert (await ann.get(path, If_None_Match=etag))[:2] == (304, b"")
    assert (await ann.get(path, If_None_Match="*"))[:2] == (304, b"")
    assert (await ann.get(path, Range="bytes=999999-"))[0] == 416
    assert (await ann.get(path, "POST"))[0] == 405
    assert (await ann.get(path, "OPTIONS"))[0] == 204
    for free in ("/cam/index.m3u8", "/cam/5/source/media.m3u8", f"/cam/5/source/init-{INIT}.mp4"):
        assert (await ann.get(free))[0] == 200
        assert (await harness.get(free))[2]["X-Cache"] == "HIT"
    assert await ann.billed() == set()


async def test_a_browsers_cookie_reaches_the_api_and_no_media(harness: EdgeHarness) -> None:
    """Who is signed in is nothing to a cache, and nothing that a token opens asks it."""
    ann = await harness.viewer(1)
    cookie = "vilokanam=secret"
    free = ("/cam/index.m3u8", "/cam/5/source/media.m3u8", f"/cam/5/source/init-{INIT}.mp4")
    for path in (harness.segment(1), harness.hinted(), *free, "/cam/sessions"):
        await ann.get(path, Cookie=cookie)
    for path in (harness.segment(1), harness.hinted(), *free):
        await harness.get(path, Cookie=cookie)
    await harness.get("/api/v1/me", Cookie=cookie)

    seen = harness.origin.cookies
    assert seen.pop("/api/v1/me") == cookie
    assert len(seen) >= len(free) + 1
    assert set(seen.values()) == {None}


@pytest.mark.parametrize(
    "headers",
    [
        {"If_None_Match": "*", "If_Modified_Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"If_None_Match": '"x", *'},
        {"If_None_Match": '"x"'},
        {"If_Modified_Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
        {"If_Unmodified_Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"If_Match": '"x"'},
        {"If_None_Match": "*", "Range": "bytes=0-3"},
        {"Range": "bytes=0-3"},
        {"Range": "bytes=-3"},
        {"Range": "bytes=0-3", "If_Range": '"other"'},
        {"Range": "bytes=9-5"},
        {"Range": "bytes=0-1,3-4"},
        {"Range": "bytes=99999-"},
        {"Range": "lines=1-2"},
    ],
    ids=str,
)
async def test_no_header_buys_bytes_without_a_claim(
    harness: EdgeHarness, headers: dict[str, str]
) -> None:
    """Where nginx and the origin read a condition differently, nobody gains: bytes are billed."""
    ann, bob = await harness.viewer(1), await harness.viewer(2)
    await bob.get(harness.segment(1))

    status, body, _ = await ann.get(harness.segment(1), **headers)

    is_media = status in (200, 206) and bool(body)
    assert await ann.billed() == (harness.ticks(1) if is_media else set())
    assert status in (200, 206, 304, 416)


async def test_a_range_is_cut_from_the_cached_object_and_claims_the_whole(
    harness: EdgeHarness,
) -> None:
    """Native players ask `bytes=0-`: the edge answers 206 without asking for the bytes again."""
    ann, bob = await harness.viewer(1), await harness.viewer(2)
    whole = body_of(harness, 1)

    first = await ann.get(harness.segment(1), Range="bytes=0-")
    second = await bob.get(harness.segment(1), Range="bytes=5-9")

    assert first[:2] == (206, whole)
    assert second[:2] == (206, whole[5:10])
    assert second[2]["Content-Range"] == f"bytes 5-9/{len(whole)}"
    assert harness.origin.fills == Counter({harness.segment(1): 1})
    assert await ann.billed() == await bob.billed() == harness.ticks(1)


async def test_without_a_good_token_there_is_not_one_byte(harness: EdgeHarness) -> None:
    """Neither before nor after a payer filled the cache; the answer says why."""
    path = harness.segment(1)
    late = await harness.viewer(3, expires_s=int(time.time()) - 1)
    other = await harness.viewer(4, stream=FREE_STREAM)

    for is_filled in (False, True):
        if is_filled:
            assert (await (await harness.viewer(1)).get(path))[0] == 200
        for token, wanted, reason in (
            ("", 401, "token"),
            ("x", 403, "malformed"),
            (late.token, 403, "expired"),
            (other.token, 403, "stream"),
        ):
            for method in ("GET", "HEAD"):
                status, body, headers = await harness.get(
                    f"/w/{token}{path}" if token else path, method, Range="bytes=0-"
                )
                assert status == wanted
                assert headers["Content-Type"] == "application/problem+json"
                assert headers["Cache-Control"] == "no-store"
                if method == "GET":
                    assert json.loads(body)["reason"] == reason
    assert harness.origin.fills == Counter({path: 1})


async def test_a_client_that_says_it_is_an_edge_gets_nothing_by_it(harness: EdgeHarness) -> None:
    """Even with the very key: the edge takes it away."""
    ann = await harness.viewer(1)
    await ann.get(harness.segment(1))
    liar = {EDGE_HEADER: KEY}

    for path in (
        harness.segment(1),
        harness.segment(2),
        f"/w/x{harness.segment(1)}",
        f"//{harness.segment(2)}",
    ):
        assert (await harness.get(path, **liar))[0] in (401, 403, 404)
    paid = f"/w/{ann.token}{harness.segment(2)}"
    for path in ("/_edge/authorise", "/_vilokanam/authorise", "/_edge//authorise"):
        status, _, _ = await harness.get(path, X_Original_URI=paid, X_Original_Method="GET", **liar)
        assert status == 404
    # What the edge asks is its own: the client's idea of method and address is not passed on.
    claimed = await ann.get(harness.segment(3), X_Original_Method="HEAD", X_Original_URI="/")
    assert claimed[0] == 200
    assert await ann.billed() == harness.ticks(1) | harness.ticks(3)


async def test_who_runs_dry_is_told_so_through_the_edge(harness: EdgeHarness) -> None:
    """402 with what is left and where to pay, though the bytes lie ready."""
    ann, poor = await harness.viewer(1), await harness.viewer(2, deposit=2 * PRICE)
    for back in (2, 1):
        await ann.get(harness.segment(back))

    assert (await poor.get(harness.segment(2)))[0] == 200
    status, body, headers = await poor.get(harness.segment(1))

    problem = json.loads(body)
    assert (status, problem["status"], problem["reason"]) == (402, 402, "purse")
    assert problem["seconds_left"] == 0
    assert problem["top_up_url"] == f"https://pay/{account_text(poor.who)}"
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert await poor.billed() == harness.ticks(2)
    line = nginx.read_log(harness.folder / "edge" / "access.log")[-1]
    assert (line.session, line.status) == (session_text(SessionId(2)), 402)


async def test_an_ended_session_is_refused_at_the_edge(harness: EdgeHarness) -> None:
    """403: another player took over."""
    ann = await harness.viewer(1)
    await harness.store.end_session(ann.who, SessionId(1), "replaced")

    status, body, _ = await ann.get(harness.segment(1))

    assert (status, json.loads(body)["reason"]) == (403, "session")


async def test_who_fetches_faster_than_one_player_is_slowed_at_the_edge(
    harness: EdgeHarness,
) -> None:
    """429: two people behind one token."""
    ann = await harness.viewer(1)
    statuses = []
    for rendition in ("source", "360p", "source", "360p"):
        for back in range(1, 15):
            status, body, headers = await ann.get(harness.segment(back, rendition))
            statuses.append(status)
    assert set(statuses) == {200, 429}
    assert json.loads(body)["reason"] == "pace"
    assert headers["Retry-After"] == "1"


async def test_money_that_cannot_be_counted_stops_the_edge(harness: EdgeHarness) -> None:
    """503 while Redis is not recovered: nothing is given away meanwhile."""
    ann, bob = await harness.viewer(1), await harness.viewer(2)
    await bob.get(harness.segment(1))
    harness.origin.tell(harness.store, epoch="another")

    status, body, headers = await ann.get(harness.segment(1))

    assert (status, json.loads(body)["reason"]) == (503, "store")
    assert headers["Retry-After"] == "1"


@pytest.mark.parametrize("slug", ["cam", "open"])
async def test_a_stream_by_invitation_is_for_those_with_a_token_alone(
    harness: EdgeHarness, slug
) -> None:
    """Free or priced; what the edge kept while it was public is nobody's without one either."""
    stream = FREE_STREAM if slug == "open" else STREAM
    ann = await harness.viewer(1, stream=stream)
    init = f"/{slug}/5/source/init-{INIT}.mp4"
    media = harness.segment(1, slug=slug)
    for path in (init, media) if slug == "open" else (init,):
        assert [(await harness.get(path))[0] for _ in "ab"] == [200, 200]

    harness.origin.tell(harness.store, invited=(stream,))
    lists = (f"/{slug}/index.m3u8", f"/{slug}/5/source/media.m3u8")
    for path in (init, media, *lists):
        assert (await harness.get(path))[0] == 404, path
        assert (await ann.get(path))[0] == 200, path
    assert (await harness.get("/nix/index.m3u8"))[0] == 404

    harness.origin.tell(harness.store, invited=(stream,), ended=(ann.session,))
    for path in (init, media, *lists):
        assert (await ann.get(path))[0] == 403, path
