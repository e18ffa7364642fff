"""The fast path over real sockets: what a player, an edge and a cheat get."""

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from uuid import UUID

import aiohttp
import pytest
from aiohttp import web
from msgspec.structs import replace as replaced

from mediaserver.errors import AddressError
from mediaserver.hls.addresses import parse, part_name
from mediaserver.hls.live_store import Feed, LiveStore
from mediaserver.hls.serve import EDGE_HEADER, METHOD_HEADER, MediaHandler
from mediaserver.ipc.messages import Policy, SegmentEnded, ShowEnded, SlotOpened
from mediaserver.playback_token import Grant, mint
from metering.units import (
    AccountId,
    Admission,
    Asset,
    Fetch,
    Medium,
    Planck,
    PriceVersion,
    Run,
    SessionId,
    StreamPolicy,
    Verdict,
)
from tests.support.builders import INIT, OPENED, START_MS, STREAM, Show
from tests.support.clock import FakeClock

KEYS = ((1, b"k" * 32),)
ACCOUNT = AccountId(b"a" * 32)
EDGE_KEY = b"edge-secret"


@dataclass
class FakeGate:
    """Grants until set otherwise, and remembers what was claimed."""

    is_priced_now: bool = False
    verdict: Verdict = Verdict.GRANTED
    is_enabled: bool = True
    claimed: list[Fetch] = field(default_factory=list)

    def policy(self, slug: str) -> StreamPolicy | None:
        prices = (PriceVersion(1, 0, Planck(5)),) if self.is_priced_now else ()
        return (
            StreamPolicy(STREAM, "cam", "Cam", prices, self.is_enabled) if slug == "cam" else None
        )

    def is_priced(self, policy: StreamPolicy, run: Run) -> bool:
        return bool(policy.prices) and run.count > 0

    def admit_now(self, fetch: Fetch) -> Admission | None:  # noqa: ARG002 - a port
        return None

    async def admit(self, fetch: Fetch) -> Admission:
        self.claimed.append(fetch)
        return Admission(self.verdict, seconds_left=0)


@dataclass
class ServeHarness:
    """A server with one live stream."""

    base: str
    port: int
    store: LiveStore
    feed: Feed
    handler: MediaHandler
    gate: FakeGate
    clock: FakeClock
    show: Show
    client: aiohttp.ClientSession

    def tell(self, *messages: object) -> None:
        for message in messages:
            self.feed.apply(message)  # type: ignore[arg-type]

    def get(self, path: str, method: str = "GET", **headers: str) -> Awaitable[web.Response]:
        names = {"Accept-Encoding": "identity"}
        names |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.request(method, self.base + path, headers=names)  # type: ignore[return-value]

    async def waiting(self, count: int = 1) -> None:
        """Until so many requests wait in the store."""
        async with asyncio.timeout(5):
            while self.store.waiters < count:  # noqa: ASYNC110 - the store has no event for it
                await asyncio.sleep(0)

    def token(self, stream: UUID = STREAM, expires_s: int = START_MS // 1000 + 60) -> str:
        return mint(Grant(ACCOUNT, stream, SessionId(9), expires_s), KEYS)

    def part(self, msn: int, part: int, rendition: str = "source") -> str:
        start_ms = START_MS + msn * 2000
        slot = replace(self.show.slot(part), msn=msn, start_ms=start_ms + part * 500)
        slot = replace(slot, planned_end_ms=slot.start_ms + 500)
        return f"/cam/5/{rendition}/{part_name(slot)}"


def bytes_of(msn: int, part: int, rendition: str = "source") -> bytes:
    return f"{rendition}/{msn}.{part};".encode() * 50


@pytest.fixture
async def harness() -> AsyncIterator[ServeHarness]:
    clock, gate, show = FakeClock(), FakeGate(), Show()
    store = LiveStore(clock, reconnect_wait_s=60, waiters_max=3)
    handler = MediaHandler(store, gate, clock, EDGE_KEY, send_timeout_s=0.2)
    handler.set_policy(
        Policy((), KEYS, Asset(), "", "", "https://pay/{account}", is_top_up_open=False,
               replay_from_ms=0)
    )  # fmt: skip

    async def root(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/_edge/authorise":
            return await handler.authorize(request, request.headers["X-Original-URI"])
        try:
            return await handler.handle(request, parse(request.raw_path.partition("?")[0]))
        except AddressError:
            return web.Response(status=404)

    runner = web.ServerRunner(web.Server(root, access_log=None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    feed = store.feed("worker-1")
    async with aiohttp.ClientSession(auto_decompress=False) as client:
        harness = ServeHarness(
            f"http://127.0.0.1:{port}", port, store, feed, handler, gate, clock, show, client
        )
        harness.tell(*show.open(), *show.segments(20), *show.begin(2))
        yield harness
    await runner.cleanup()


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
    assert answer.headers["Cache-Control"] == "public, max-age=18"
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
    answer = await harness.get("/cam/5/source/media.m3u8?_HLS_msn=999")

    assert (await answer.text()).endswith("#EXT-X-ENDLIST\n")
    assert answer.headers["Cache-Control"] == "public, max-age=86400"


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


# --- money -------------------------------------------------------------------------------------


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


# --- edges -------------------------------------------------------------------------------------


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


async def test_a_lagging_rung_is_waited_for_by_itself(harness: ServeHarness) -> None:
    """A part of another rendition wakes nobody wrongly and answers nobody wrongly."""
    asked = asyncio.ensure_future(harness.get(harness.part(20, 2, "360p")))
    await harness.waiting()
    harness.tell(harness.show.part("source", harness.show.slot(2)))
    harness.tell(SlotOpened(harness.show.slot(3), is_discontinuity=False))
    harness.tell(harness.show.part("360p", harness.show.slot(2)))
    answer = await asked

    assert await answer.read() == bytes_of(20, 2, "360p")
