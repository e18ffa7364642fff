"""The fast path over real sockets: what a player, an edge and a cheat get."""

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID

import pytest
from msgspec.structs import replace as replaced

from mediaserver.ipc.messages import Health, SegmentEnded, ShowEnded, SlotOpened
from tests.support.builders import INIT, OPENED, START_MS, STREAM, Show
from tests.support.serve_harness import ServeHarness, bytes_of, serving


@pytest.fixture
async def harness() -> AsyncIterator[ServeHarness]:
    async with serving() as harness:
        yield harness


async def test_a_player_finds_its_way_from_the_multivariant_to_the_bytes(
    harness: ServeHarness,
) -> None:
    """Every URI that a playlist names is there, and a segment is the sum of its parts."""
    multivariant = await (await harness.get("/cam/index.m3u8")).text()
    assert "5/source/media.m3u8" in multivariant
    media = await (await harness.get("/cam/5/source/media.m3u8")).text()

    uris = [line for line in media.splitlines() if line.endswith(".m4s")]
    for uri in uris:
        answer = await harness.get(f"/cam/5/source/{uri}")
        msn = int(uri.partition("-")[0])
        assert answer.status == 200
        assert await answer.read() == b"".join(bytes_of(msn, part) for part in range(4))
    init = await harness.get(f"/cam/5/source/init-{INIT}.mp4")
    assert (init.status, await init.read()) == (200, b"init")
    assert init.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert len(uris) == 15


async def test_media_carries_all_that_caches_and_players_need(harness: ServeHarness) -> None:
    """Long life, a strong tag, an exact length, open to every origin, no cookie."""
    answer = await harness.get(harness.part(19, 3))
    body = await answer.read()

    assert body == bytes_of(19, 3)
    assert answer.headers["Cache-Control"] == "public, max-age=30, immutable"
    assert answer.headers["Content-Length"] == str(len(body))
    assert answer.headers["ETag"].startswith('"')
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Type"] == "video/mp4"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Date" in answer.headers
    assert "Set-Cookie" not in answer.headers
    audio = await harness.get(harness.part(19, 3, "audio"))
    assert audio.headers["Content-Type"] == "audio/mp4"


async def test_head_is_get_without_the_body_on_the_same_connection(harness: ServeHarness) -> None:
    """Caches may ask before they fetch; connections are kept and closed as asked."""
    reader, writer = await asyncio.open_connection("127.0.0.1", harness.port)
    path = harness.part(19, 3)

    async def say(line: str, *headers: str) -> dict[str, str]:
        writer.write("\r\n".join([line, "Host: x", *headers, "", ""]).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in head[1:-2])
        return {"status": head[0].split(" ")[1], **fields}

    head = await say(f"HEAD {path} HTTP/1.1")
    get = await say(f"GET {path} HTTP/1.1")
    body = await reader.readexactly(int(get["content-length"]))
    last = await say(f"GET {path} HTTP/1.1", "Connection: close")
    rest = await reader.read()
    writer.close()

    assert head == get
    assert body == rest == bytes_of(19, 3)
    assert "connection" not in get
    assert last["connection"] == "close"


async def test_an_old_client_is_told_how_long_the_connection_lives(harness: ServeHarness) -> None:
    """HTTP/1.0 closes unless both say otherwise."""
    for asked, is_named in (("Connection: keep-alive\r\n", True), ("", False)):
        reader, writer = await asyncio.open_connection("127.0.0.1", harness.port)
        writer.write(f"GET {harness.part(19, 3)} HTTP/1.0\r\n{asked}\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()

        assert (b"Connection: keep-alive" in head) is is_named


@pytest.mark.parametrize(
    ("value", "status", "wanted"),
    [
        ("bytes=0-", 206, slice(0, None)),
        ("bytes=5-9", 206, slice(5, 10)),
        ("bytes=5-99999", 206, slice(5, None)),
        ("bytes=-7", 206, slice(-7, None)),
        ("bytes=500-600", 206, slice(500, 601)),
        ("bytes=0-1,5-6", 200, slice(None)),
        ("bytes=9-5", 200, slice(None)),
        ("bytes=-", 200, slice(None)),
        ("lines=1-2", 200, slice(None)),
        ("bytes=99999-", 416, None),
        ("bytes=-0", 416, None),
    ],
)
async def test_a_range_of_a_segment_is_cut_across_its_parts(
    harness: ServeHarness, value: str, status: int, wanted: slice | None
) -> None:
    """A native player asks `bytes=0-` and fetches once; nonsense gets the whole (RFC 9110, 14)."""
    whole = b"".join(bytes_of(19, part) for part in range(4))
    path = f"/cam/5/source/19-{START_MS // 1000 + 38}x2.m4s"

    answer = await harness.get(path, Range=value)
    body = await answer.read()

    assert answer.status == status
    if wanted is None:
        assert answer.headers["Content-Range"] == f"bytes */{len(whole)}"
        assert answer.headers["Cache-Control"] == "no-store"
    else:
        assert body == whole[wanted]
        assert answer.headers["Content-Length"] == str(len(body))
    if status == 206:
        first, end, _ = wanted.indices(len(whole))
        assert answer.headers["Content-Range"] == f"bytes {first}-{end - 1}/{len(whole)}"


async def test_a_range_of_other_bytes_gets_the_whole(harness: ServeHarness) -> None:
    """If-Range of another tag: the client must not glue two versions."""
    path = harness.part(19, 3)
    etag = (await harness.get(path)).headers["ETag"]

    assert (await harness.get(path, Range="bytes=1-2", If_Range='"other"')).status == 200
    assert (await harness.get(path, Range="bytes=1-2", If_Range=etag)).status == 206


@pytest.mark.parametrize("path", ["part", "/cam/5/source/media.m3u8", "/cam/index.m3u8"])
async def test_what_a_cache_has_is_confirmed_not_sent_again(
    harness: ServeHarness, path: str
) -> None:
    """304 for the tag it holds, 200 for another."""
    path = harness.part(19, 3) if path == "part" else path
    etag = (await harness.get(path)).headers["ETag"]

    same = await harness.get(path, If_None_Match=f'"x", {etag}')
    other = await harness.get(path, If_None_Match='"x"')

    assert (same.status, await same.read(), same.headers["ETag"]) == (304, b"", etag)
    assert same.headers["Cache-Control"].startswith("public")
    assert other.status == 200


async def test_a_playlist_is_packed_for_those_who_take_it_so(harness: ServeHarness) -> None:
    """Same text, a tag of its own, and caches keep the two apart."""
    path = "/cam/5/source/media.m3u8"
    plain = await harness.get(path)
    packed = await harness.get(path, Accept_Encoding="gzip, identity;q=1, *;q=0")
    refused = await harness.get(path, Accept_Encoding="gzip;q=0, br")

    assert gzip.decompress(await packed.read()) == await plain.read()
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["ETag"] != plain.headers["ETag"]
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    assert "Content-Encoding" not in plain.headers
    assert "Content-Encoding" not in refused.headers
    assert plain.headers["Content-Type"] == "application/vnd.apple.mpegurl"


async def test_a_hinted_part_is_sent_when_it_is_made(harness: ServeHarness) -> None:
    """The request waits, and the bytes leave at once."""
    asked = asyncio.ensure_future(harness.get(harness.part(20, 2)))
    await harness.waiting()
    harness.tell(harness.show.part("source", harness.show.slot(2)))
    answer = await asked

    assert (answer.status, await answer.read()) == (200, bytes_of(20, 2))


async def test_a_hinted_part_that_never_comes_is_said_to_be_missing(harness: ServeHarness) -> None:
    """Nobody hangs on a slot that the publisher did not reach."""
    asked = asyncio.ensure_future(harness.get(harness.part(20, 2)))
    await harness.waiting()
    harness.tell(SegmentEnded("source", 20, START_MS + 41_000, 1_000_000))
    answer = await asked

    assert answer.status == 404
    assert answer.headers["Cache-Control"] == "no-store"


async def test_what_is_not_there_is_not_remembered_unless_it_is_gone(harness: ServeHarness) -> None:
    """Unknown, another tick range and another show: 404 at once."""
    harness.tell(*harness.show.open())
    first = START_MS // 1000
    for path in (
        harness.part(20, 3),
        f"/cam/5/source/20.2-{first + 41}x2.m4s",
        f"/cam/5/source/19-{first + 38}x3.m4s",
        f"/cam/5/bogus/20.2-{first + 41}x1.m4s",
        f"/cam/6/source/20.2-{first + 41}x1.m4s",
        f"/cam/5/source/init-{'0' * 16}.mp4",
        "/cam/5/bogus/media.m3u8",
        "/other/index.m3u8",
    ):
        answer = await harness.get(path)
        assert (answer.status, answer.headers["Cache-Control"]) == (404, "no-store"), path
    gone = await harness.get(f"/cam/4/source/1-{first}x2.m4s")
    assert (gone.status, gone.headers["Cache-Control"]) == (404, "public, max-age=3")


async def test_a_blocking_reload_is_answered_when_the_part_is_there(harness: ServeHarness) -> None:
    """One request per part instead of polling, and caches may keep the answer."""
    query = "/cam/5/source/media.m3u8?_HLS_msn=20&_HLS_part=2"
    asked = asyncio.ensure_future(harness.get(query))
    await harness.waiting()
    harness.tell(harness.show.part("source", harness.show.slot(2)))
    answer = await asked

    assert '"20.2-' in await answer.text()
    assert answer.headers["Cache-Control"] == "public, max-age=0, s-maxage=1"
    plain = await harness.get("/cam/5/source/media.m3u8")
    assert plain.headers["Cache-Control"] == "public, max-age=1"


async def test_a_standing_stream_says_so_instead_of_an_old_list(harness: ServeHarness) -> None:
    """rfc8216bis: 503 after three target durations, never an unchanged list."""
    harness.clock.leap_s = 100.0
    for path in ("/cam/5/source/media.m3u8?_HLS_msn=21", harness.part(20, 2)):
        answer = await harness.get(path)

        assert answer.status == 503
        assert answer.headers["Retry-After"] == "1"
        assert answer.headers["Cache-Control"] == "no-store"


async def test_an_impossible_reload_is_a_problem_in_plain_words(harness: ServeHarness) -> None:
    """400, never cached: what is impossible now is possible soon."""
    answer = await harness.get("/cam/5/source/media.m3u8?_HLS_msn=99")

    problem = json.loads(await answer.read())
    assert answer.status == problem["status"] == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "99" in problem["detail"]


async def test_more_waiters_than_allowed_are_sent_away(harness: ServeHarness) -> None:
    """A flood costs an answer each, not memory."""
    asked = [asyncio.ensure_future(harness.get(harness.part(20, 2))) for _ in range(3)]
    await harness.waiting(3)
    refused = await harness.get(harness.part(20, 2))
    harness.tell(harness.show.part("source", harness.show.slot(2)))

    assert refused.status == 503
    assert [answer.status for answer in await asyncio.gather(*asked)] == [200] * 3
    assert harness.store.dropped["waiters"] == 1


async def test_an_ended_show_is_a_list_with_an_end(harness: ServeHarness) -> None:
    """Players play it out, and ask no more."""
    harness.tell(ShowEnded())
    answer = await harness.get("/cam/5/source/media.m3u8")
    asked = await harness.get("/cam/5/source/media.m3u8?_HLS_msn=999")

    assert (await answer.text()).endswith("#EXT-X-ENDLIST\n")
    assert answer.headers["Cache-Control"] == "public, max-age=86400"
    assert await asked.text() == await answer.text()
    assert asked.headers["Cache-Control"] == "no-store"


async def test_the_multivariant_waits_for_a_show_that_begins(harness: ServeHarness) -> None:
    """Who opens the page too early gets the stream, not an error."""
    show = Show(opened=replaced(OPENED, show=6))
    harness.tell(*show.open())
    asked = asyncio.ensure_future(harness.get("/cam/index.m3u8"))
    await harness.waiting()
    harness.tell(*show.begin(1))
    answer = await asked

    assert "6/source/media.m3u8" in await answer.text()


async def test_scripts_of_any_site_may_ask(harness: ServeHarness) -> None:
    """A preflight is answered for a day; other methods are refused in words."""
    preflight = await harness.get("/cam/index.m3u8", "OPTIONS")
    post = await harness.get("/cam/index.m3u8", "POST")

    assert preflight.status == 204
    assert preflight.headers["Access-Control-Max-Age"] == "86400"
    assert post.status == 405
    assert post.headers["Allow"] == "GET, HEAD, OPTIONS"
    assert post.headers["Access-Control-Allow-Origin"] == "*"


async def test_a_disabled_stream_is_not_there(harness: ServeHarness) -> None:
    """The operator's switch works at the next fetch."""
    harness.gate.is_enabled = False

    assert (await harness.get("/cam/index.m3u8")).status == 404
    assert (await harness.get(harness.part(19, 3))).status == 404


async def test_a_slow_reader_is_cut_off(harness: ServeHarness) -> None:
    """One that does not read holds one object for a bounded time."""
    slot = harness.show.slot(2)
    part = harness.show.part("source", slot)
    harness.tell(replaced(part, part=replace(part.part, payload=bytes(24 << 20))))
    reader, writer = await asyncio.open_connection("127.0.0.1", harness.port, limit=1 << 16)
    writer.write(f"GET {harness.part(20, 2)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    await asyncio.sleep(0.4)

    total = 0
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            total += len(data)
    writer.close()
    assert total < 24 << 20


async def test_a_lagging_rung_is_waited_for_by_itself(harness: ServeHarness) -> None:
    """A part of another rendition wakes nobody wrongly and answers nobody wrongly."""
    asked = asyncio.ensure_future(harness.get(harness.part(20, 2, "360p")))
    await harness.waiting()
    harness.tell(harness.show.part("source", harness.show.slot(2)))
    harness.tell(SlotOpened(harness.show.slot(3), is_discontinuity=False))
    harness.tell(harness.show.part("360p", harness.show.slot(2)))
    answer = await asked

    assert await answer.read() == bytes_of(20, 2, "360p")


async def test_r5_a_show_that_may_go_on_after_a_restart_is_waited_for(
    harness: ServeHarness,
) -> None:
    """A 404 would end the show for most players: the question is held until its worker is here.

    Neither another stream that is back answers it, nor a window of which only the first is told.
    """
    harness.store.resumption.expect(STREAM, 6, wait_s=60)
    harness.store.resumption.expect(UUID(int=99), 1, wait_s=60)
    paths = ("/cam/index.m3u8", "/cam/6/source/media.m3u8", "/cam/6/source/media.m3u8?_HLS_msn=2")
    asked = [asyncio.ensure_future(harness.get(path)) for path in paths]
    await harness.waiting(3)
    harness.store.resumption.filled(UUID(int=99))
    await harness.get("/none/index.m3u8")  # answered behind them, were they answered
    assert not any(answer.done() for answer in asked)

    show, feed = Show(opened=replaced(OPENED, show=6)), harness.store.feed("worker-2")
    for message in [*show.open(), *show.segments(1)]:
        feed.apply(message)
    await harness.get("/none/index.m3u8")
    assert not any(answer.done() for answer in asked)
    for message in [*show.segments(2), *show.begin(1)]:
        feed.apply(message)
    feed.apply(Health("live", {}, ()))

    answers = await asyncio.gather(*asked)
    assert [answer.status for answer in answers] == [200] * 3
    assert "6/source/media.m3u8" in await answers[0].text()
    assert "3.0-" in await answers[1].text()


async def test_r5_who_asks_too_early_after_a_restart_is_asked_to_try_again(
    harness: ServeHarness,
) -> None:
    """503 with Retry-After while the show may go on; then it is over, and 404."""
    harness.store.resumption.expect(STREAM, 6, wait_s=60)
    paths = ("/cam/index.m3u8", "/cam/6/source/media.m3u8", "/cam/6/source/1-1700000002x2.m4s")
    harness.clock.leap_s = 100.0
    for path in paths:
        answer = await harness.get(path)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1"), path
        assert answer.headers["Cache-Control"] == "no-store"

    harness.clock.leap_s = 0.0
    harness.clock.seconds += 61
    harness.store.expire()

    assert [(await harness.get(path)).status for path in paths[1:]] == [404, 404]


async def test_r5_a_show_without_a_segment_yet_has_no_missing_media(harness: ServeHarness) -> None:
    """Between the publisher's return and its first keyframe nothing is said to be gone."""
    feed = harness.store.feed("worker-2")
    feed.apply(replaced(OPENED, show=6))

    answer = await harness.get("/cam/6/source/1-1700000002x2.m4s")

    assert answer.status == 503
