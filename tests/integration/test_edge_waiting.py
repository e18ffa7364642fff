"""Waiting, spelling and failure at an nginx edge."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import aiohttp
import pytest

from tests.support.edge_harness import PRICE, EdgeHarness, edge_harness
from tests.support.servers import nginx

HALF_SECOND_S = 0.45
"""What nginx's lock costs a request that waits for it, less what a busy machine may take."""


@pytest.fixture
async def harness(redis_server) -> AsyncIterator[EdgeHarness]:
    nginx.program()
    async with edge_harness(redis_server) as made:
        yield made


def lists_hinted(harness: EdgeHarness, body: bytes) -> bool:
    """True when a playlist has the part that was hinted, and not only its hint."""
    name = harness.hinted().rpartition("/")[2]
    return any("#EXT-X-PART:" in line and name in line for line in body.decode().splitlines())


@pytest.mark.parametrize("slug", ["cam", "open"])
async def test_a_hinted_part_reaches_all_who_wait_at_once_by_one_fill(
    harness: EdgeHarness, slug: str
) -> None:
    """A crowd at the live edge: one fill, no half second of a lock, each billed."""
    viewers = [await harness.viewer(number) for number in range(1, 11)]
    prefixes = [f"/w/{one.token}" if slug == "cam" else "" for one in viewers]

    async def fetch(prefix: str) -> float:
        status, body, _ = await harness.get(prefix + harness.hinted(slug))
        assert (status, body) == (200, f"source/{harness.show.msn}.2;".encode() * 50)
        return time.monotonic()

    asked = [asyncio.create_task(fetch(prefix)) for prefix in prefixes]
    await harness.until(lambda: harness.origin.waiters == len(viewers))
    made_s = time.monotonic()
    harness.make(slug)
    arrived = [at_s - made_s for at_s in await asyncio.gather(*asked)]

    assert max(arrived) < HALF_SECOND_S, arrived
    assert (harness.origin.fills + harness.origin.plain)[harness.hinted(slug)] == 1
    tick = (harness.show.now_ms + 1000) // 1000
    for one in viewers:
        assert await one.billed() == ({tick} if slug == "cam" else set())


async def until_half_second() -> None:
    """Wait until one has begun: so long the edge keeps the answer to a blocking question."""
    await asyncio.sleep(0.52 - time.time() % 0.5)  # nginx's clock is some milliseconds late


async def test_a_blocking_reload_is_answered_when_the_part_is_there(harness: EdgeHarness) -> None:
    """All who wait are answered at once; who comes later has it from the cache."""
    query = f"/cam/5/source/media.m3u8?_HLS_msn={harness.show.msn}&_HLS_part=2"
    ann = await harness.viewer(1)

    async def reload(one: int) -> tuple[float, bytes]:
        status, body, _ = await ann.get(f"{query}&CMCD={one}")
        assert status == 200
        return time.monotonic(), body

    asked = [asyncio.create_task(reload(one)) for one in range(5)]
    await harness.until(lambda: harness.origin.waiters == 5)
    made_s = time.monotonic()
    harness.make()
    answers = await asyncio.gather(*asked)

    assert max(at_s for at_s, _ in answers) - made_s < HALF_SECOND_S
    assert {body for _, body in answers} == {answers[0][1]}
    assert lists_hinted(harness, answers[0][1])
    await until_half_second()
    later = [await harness.get(f"{query}&CMCD={one}") for one in (6, 7)]
    assert [answer[:2] for answer in later] == [(200, answers[0][1])] * 2
    assert later[1][2]["X-Cache"] == "HIT"


async def test_r10_a_question_asked_again_is_answered_afresh(harness: EdgeHarness) -> None:
    """video.js asks for the last part of a segment twice: the first answer is no news by then."""
    question = f"/cam/5/source/media.m3u8?_HLS_msn={harness.show.msn}&_HLS_part=1"
    await until_half_second()
    first, again = await harness.get(question), await harness.get(question)
    harness.make()
    await until_half_second()
    late = await harness.get(question)

    assert again[2]["X-Cache"] == "HIT"
    assert [lists_hinted(harness, body) for _, body, _ in (first, again, late)] == [0, 0, 1]


async def test_who_leaves_while_waiting_claims_nothing(harness: EdgeHarness) -> None:
    """The edge tells the origin that its client is gone."""
    ann, bob = await harness.viewer(1), await harness.viewer(2)
    gone = asyncio.create_task(ann.get(harness.hinted()))
    stays = asyncio.create_task(bob.get(harness.hinted()))
    await harness.until(lambda: harness.origin.waiters == 2)

    gone.cancel()
    with suppress(asyncio.CancelledError):
        await gone
    await asyncio.sleep(0.1)  # until nginx has seen it, a process of its own that tells nobody
    harness.make()

    assert (await stays)[0] == 200
    assert await bob.billed() != set()
    assert await ann.billed() == set()


@pytest.mark.parametrize("prefix", ["", "/w/x"])
async def test_no_query_puts_a_wrong_list_under_a_right_name(
    harness: EdgeHarness, prefix: str
) -> None:
    """Directives in other spellings are not one thing to nginx and another to the origin."""
    path = f"{prefix}/cam/5/source/media.m3u8"
    plain = (await harness.get(path))[1]
    for query in ("%5FHLS_skip=YES", "_HLS_skip=", "_hls_skip=YES", "a=_HLS_skip=YES"):
        await harness.get(f"{path}?{query}")
    hinted = f"_HLS_msn={harness.show.msn}&_HLS_part=2"
    early = asyncio.create_task(harness.get(f"{path}?{hinted.lower()}"))
    await harness.until(lambda: harness.origin.waiters == 1 or early.done())
    right = asyncio.create_task(harness.get(f"{path}?_HLS_part=2&_HLS_msn={harness.show.msn}"))
    await harness.until(lambda: harness.origin.waiters == 2 or right.done())
    harness.make()

    assert lists_hinted(harness, (await right)[1])
    await early
    # Of those before, none may be what the plain address or the delta now gives.
    assert not lists_hinted(harness, plain)
    assert b"EXT-X-SKIP" not in (await harness.get(path))[1]
    assert b"EXT-X-SKIP" in (await harness.get(f"{path}?_HLS_skip=YES"))[1]


async def test_a_playlist_has_two_forms_whatever_browsers_write(harness: EdgeHarness) -> None:
    """One fill packed and one plain, not one per kind of browser."""
    path = "/cam/5/source/media.m3u8"
    packed = ("gzip", "gzip, deflate, br, zstd", "br;q=1.0, gzip;q=0.8, *;q=0.1")
    plain = ("identity", "br", "gzip;q=0, br", "gzip; q=0.0")

    coded = [(await harness.get(path, Accept_Encoding=value))[2] for value in packed]
    bare = [(await harness.get(path, Accept_Encoding=value))[2] for value in plain]

    assert {one.get("Content-Encoding") for one in coded} == {"gzip"}
    assert {one.get("Content-Encoding") for one in bare} == {None}
    assert harness.origin.plain.total() - harness.origin.plain["/readyz"] <= 4  # 1 s of life each


@pytest.mark.parametrize(
    "query",
    ["_HLS_msn=x", "_HLS_msn=01", "_HLS_msn=5&_HLS_part=-1", "_HLS_part=1e9", "_HLS_skip=maybe"],
)
async def test_a_l4_directives_that_mean_nothing_are_refused_at_the_edge(
    harness: EdgeHarness, query: str
) -> None:
    """They are told so, and are neither asked of the origin nor kept."""
    before = harness.origin.plain.total()
    status, body, headers = await harness.get(f"/cam/5/source/media.m3u8?{query}")

    assert (status, json.loads(body)["reason"]) == (400, "directive")
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert harness.origin.plain.total() == before


async def test_a_l4_other_queries_make_no_second_copy(harness: EdgeHarness) -> None:
    """CMCD differs at each request of each player: one copy serves them all."""
    ann = await harness.viewer(2)
    paths = ("/cam/5/source/media.m3u8", f"/w/{ann.token}{harness.segment(1)}")

    seen = [
        (await harness.get(f"{path}?CMCD=br%3D{number}&x={number}"))[2]["X-Cache"]
        for path in paths
        for number in range(3)
    ]

    assert seen == ["MISS", "HIT", "HIT"] * 2


async def test_a_l4_what_the_origin_ignores_is_not_kept(harness: EdgeHarness) -> None:
    """An old segment's number is answered with the list as it is, and by no copy for each."""
    seen = []
    for part in (200, 201, 200):
        path = f"/cam/5/source/media.m3u8?_HLS_msn={harness.show.msn - 1}&_HLS_part={part}"
        status, _, headers = await harness.get(path)
        seen.append((status, headers["X-Cache"], headers["Cache-Control"]))

    assert seen == [(200, "MISS", "no-store")] * 3


async def test_o19_o27_the_edge_closes_what_is_the_operators(harness: EdgeHarness) -> None:
    """Keys, metrics, readiness and the edges' questions stay at home; the public key does not.

    Nor does anybody learn the edge's version.
    """
    closed = [
        await harness.get(path, Authorization="Bearer a-key")
        for path in ("/api/v1/streams", "/metrics", "/readyz", "/_edge/authorise", "/x/../metrics")
    ]

    assert [(status, headers["Server"]) for status, _, headers in closed] == [(404, "nginx")] * 5
    assert harness.origin.plain["/api/v1/streams"] == 0
    assert (await harness.get("/api/v1/operator"))[0] == 503  # no control here: it was asked
    assert (await harness.get("/api/v1/streams"))[0] == 401  # without a key: people may sign in


async def test_an_address_has_one_spelling_at_the_edge_too(harness: EdgeHarness) -> None:
    """Escapes, dots and doubled slashes are the origin's 404, though nginx could read them."""
    ann = await harness.viewer(1)
    right = harness.segment(1, slug="open")
    assert (await harness.get(right))[0] == 200
    assert (await ann.get(harness.segment(1)))[0] == 200
    for path in (
        right.replace("/5/", "/%35/"),
        right.replace("/5/", "//5/"),
        right.replace("/5/", "/./5/"),
        right.replace("/5/", "/x/../5/"),
        right + "%0a",
        right + "#x",
        f"/w/{ann.token}{harness.segment(2)}".replace("/5/", "/%35/"),
        f"/w/{ann.token}/{harness.segment(2)}",
        f"/w/{ann.token}{harness.segment(2)}%0a",
        f"/w/{ann.token}/cam/5/source/../360p/{harness.segment(1).rpartition('/')[2]}",
    ):
        assert await harness.status_of(path) == 404, path
    assert await ann.billed() == harness.ticks(1)


async def test_an_origin_that_is_away_is_a_problem_in_plain_words(harness: EdgeHarness) -> None:
    """503 that a page of any site can read, for media and the rest; no paid byte from the cache."""
    ann = await harness.viewer(1)
    await ann.get(harness.segment(1))
    text = (harness.folder / "edge" / "nginx.conf").read_text()
    lonely_port, dead_port = nginx.free_port(), nginx.free_port()
    folder = harness.folder / "lonely"
    folder.mkdir()
    text = text.replace(str(harness.folder / "edge"), str(folder))
    text = text.replace(harness.url.rpartition(":")[2] + ";", f"{lonely_port};")
    text = text.replace(
        f"server 127.0.0.1:{harness.settings.server.port}", f"server 127.0.0.1:{dead_port}"
    )
    (folder / "nginx.conf").write_text(text)
    shutil.copytree(harness.folder / "edge" / "cache", folder / "cache", dirs_exist_ok=True)

    with nginx.running(folder / "nginx.conf", lonely_port):
        harness.url = f"http://127.0.0.1:{lonely_port}"
        for path in (
            f"/w/{ann.token}{harness.segment(1)}",
            harness.segment(1),
            "/cam/index.m3u8",
            "/cam/whip",
        ):
            status, body, headers = await harness.get(path)
            assert (status, json.loads(body)["reason"]) == (503, "origin"), path
            assert headers["Access-Control-Allow-Origin"] == "*"
            assert headers["Retry-After"] == "1"
        # O19: a person reads words, and the page opens by itself.
        status, page, headers = await harness.get("/cam/", Accept="text/html,*/*")
        assert (status, headers["Content-Type"]) == (503, "text/html; charset=utf-8")
        assert b"pay nothing" in page
        assert b'http-equiv="refresh"' in page
    assert ann.token not in (folder / "said").read_text()


async def test_an_edge_that_cannot_write_tells_no_secret(harness: EdgeHarness) -> None:
    """Of a full disk nginx would log the whole address, token included: it must not."""
    ann = await harness.viewer(1)
    shutil.rmtree(harness.folder / "edge" / "cache")
    (harness.folder / "edge" / "cache").write_text("no directory")

    with suppress(aiohttp.ServerDisconnectedError):
        await ann.get(harness.segment(1))

    assert ann.token not in harness.access_log()


async def test_pages_and_the_live_meter_pass_through(harness: EdgeHarness) -> None:
    """The meter's WebSocket says what was spent; the operator's metrics stay at home."""
    ann = await harness.viewer(1)
    await ann.get(harness.segment(1))

    async with harness.client.ws_connect(f"{harness.url}/w/{ann.token}/cam/meter") as meter:
        first = await meter.receive_json(timeout=5)

    assert (first["type"], first["spent"]) == ("meter", str(2 * PRICE))
    assert (await harness.get("/metrics"))[0] == 404
    assert (await harness.get("/cam/whip", "OPTIONS"))[0] in (200, 204)
