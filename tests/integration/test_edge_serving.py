"""A real nginx, configured by us, before a real HTTP process on a real Redis.

What is billed is read from Redis; what was filled is counted where the origin hears it.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import aiohttp
import pytest
from aiohttp import web
from msgspec.structs import replace

from cdn.nginx import EDGE_HEADER
from mediaserver.cli.edge import write_standalone
from mediaserver.hls.addresses import part_name, segment_name
from mediaserver.hls.live_store import Feed
from mediaserver.ipc.messages import Policy
from mediaserver.playback_token import Grant, mint
from mediaserver.processes.bootstrap import Start
from mediaserver.processes.http import HttpProcess
from mediaserver.settings.load import load
from mediaserver.settings.records import Settings
from metering.store.client import Store
from metering.units import (
    AccountId,
    Asset,
    Planck,
    PriceVersion,
    SessionId,
    StreamPolicy,
    account_text,
    session_text,
    shard_of,
)
from tests.support.builders import INIT, STREAM, Show
from tests.support.metering_kit import EPOCH, account, opened, seat
from tests.support.servers import nginx

KEY = "edge-key-of-this-test"
KEYS = ((1, b"k" * 32),)
PRICE = 10
FREE_STREAM = UUID(int=8)
FILL_WAIT_MS = 150
HALF_SECOND_S = 0.45
"""What nginx's lock costs whoever is made to wait by it, less what a busy machine may take."""


class Origin(HttpProcess):
    """The HTTP process itself, and what it was asked."""

    def __init__(self, start: Start) -> None:
        super().__init__(start, 0)
        self.fills: Counter[str] = Counter()
        self.plain: Counter[str] = Counter()
        self.questions = 0

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/_edge/authorise":
            self.questions += 1
        elif EDGE_HEADER in request.headers:
            self.fills[request.raw_path] += 1
        else:
            self.plain[request.raw_path] += 1
        return await super()._dispatch(request)

    @property
    def waiters(self) -> int:
        return self._live_store.waiters

    def feed(self, name: str) -> Feed:
        return self._live_store.feed(name)

    def tell(self, store: Store, epoch: str = EPOCH) -> None:
        price = (PriceVersion(1, 0, Planck(PRICE)),)
        streams = (
            StreamPolicy(STREAM, "cam", "Cam", price),
            StreamPolicy(FREE_STREAM, "open", "Open", ()),
        )
        self._on_policy(
            Policy(streams, KEYS, Asset(), epoch, store.run_id, "https://pay/{account}",
                   is_top_up_open=False, replay_from_ms=0)
        )  # fmt: skip


@dataclass
class Viewer:
    """Who pays, in which player."""

    harness: EdgeHarness
    who: AccountId
    session: int
    token: str

    async def get(
        self, path: str, method: str = "GET", **headers: str
    ) -> tuple[int, bytes, aiohttp.typedefs.LooseHeaders]:
        return await self.harness.get(f"/w/{self.token}{path}", method, **headers)

    async def billed(self) -> set[int]:
        """Return the ticks that this viewer's claims have committed."""
        lines = await self.harness.store.unbooked(shard_of(self.who))
        return {
            tick
            for line in lines
            if line.key.account == self.who
            for run in line.runs
            for tick in range(run.first, run.end)
        }


@dataclass
class EdgeHarness:
    """An edge, its origin, a live stream that costs and one that is free."""

    folder: Path
    url: str
    origin: Origin
    store: Store
    client: aiohttp.ClientSession
    settings: Settings
    show: Show
    free: Show
    feeds: dict[str, Feed] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)

    async def get(self, path: str, method: str = "GET", **headers: str):
        names = {"Accept-Encoding": "identity"}
        names |= {name.replace("_", "-"): value for name, value in headers.items()}
        url = aiohttp.client.URL(self.url + path, encoded=True)
        async with self.client.request(method, url, headers=names) as answer:
            return answer.status, await answer.read(), answer.headers

    async def status_of(self, target: str) -> int:
        """Ask for a target exactly as it is written, fragment and all."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", int(self.url.rpartition(":")[2])
        )
        writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        line = await reader.readline()
        writer.close()
        return int(line.split()[1])

    async def viewer(self, number: int, deposit: int = 10**9, **changes) -> Viewer:
        who = account(number)
        await seat(self.store, who, number, deposit=deposit)
        expires_s = changes.pop("expires_s", int(time.time()) + 600)
        stream = changes.pop("stream", STREAM)
        token = mint(Grant(who, stream, SessionId(number), expires_s), KEYS)
        self.tokens.append(token)
        return Viewer(self, who, number, token)

    def segment(self, back: int, rendition: str = "source", slug: str = "cam") -> str:
        """Return the path of a segment: 1 is the newest that is whole."""
        first = (self.show.now_ms - back * 2000) // 1000
        name = segment_name(self.show.msn - back, first, 2)
        return f"/{slug}/5/{rendition}/{name}"

    def ticks(self, back: int) -> set[int]:
        first = (self.show.now_ms - back * 2000) // 1000
        return {first, first + 1}

    def hinted(self, slug: str = "cam") -> str:
        return f"/{slug}/5/source/{part_name(self.show.slot(2))}"

    def make(self, slug: str = "cam") -> None:
        """Make the hinted part."""
        show = self.show if slug == "cam" else self.free
        self.feeds[slug].apply(show.part("source", show.slot(2)))

    async def until(self, question) -> None:
        async with asyncio.timeout(5):
            while not question():  # noqa: ASYNC110 - nginx tells nobody
                await asyncio.sleep(0.005)  # the other side is a process of its own

    def said(self) -> str:
        """Return everything that the edge has written but the bytes it keeps."""
        return "".join(
            (self.folder / "edge" / name).read_text(errors="replace")
            for name in ("said", "access.log")
        )


def body_of(harness: EdgeHarness, back: int, rendition: str = "source") -> bytes:
    msn = harness.show.msn - back
    return b"".join(f"{rendition}/{msn}.{part};".encode() * 50 for part in range(4))


def lists_hinted(harness: EdgeHarness, body: bytes) -> bool:
    """True when a playlist has the part that was hinted, and not only its hint."""
    name = harness.hinted().rpartition("/")[2]
    return any("#EXT-X-PART:" in line and name in line for line in body.decode().splitlines())


@asynccontextmanager
async def edge_harness(redis_server) -> AsyncIterator[EdgeHarness]:
    folder = Path(tempfile.mkdtemp(prefix="vk-edge-"))
    port, edge_port = nginx.free_port(), nginx.free_port()
    (folder / "run").mkdir()
    (folder / "edge.key").write_text(KEY + "\n")
    settings = load(
        None,
        {
            "VILOKANAM_SERVER__PORT": str(port),
            "VILOKANAM_SERVER__DATA_DIR": str(folder),
            "VILOKANAM_SERVER__DRAIN_TIMEOUT_S": "1",
            "VILOKANAM_METERING__REDIS_URL": redis_server.url,
            "VILOKANAM_EDGE__ORIGIN_URL": f"http://127.0.0.1:{port}",
            "VILOKANAM_EDGE__LISTEN": f"127.0.0.1:{edge_port}",
            "VILOKANAM_EDGE__FILL_WAIT_MS": str(FILL_WAIT_MS),
        },
    )
    config = write_standalone(settings, folder, folder / "edge")
    origin = Origin(Start(settings, None, folder, None))  # type: ignore[arg-type]
    stop = asyncio.Event()
    serving = asyncio.create_task(origin.run(stop))
    begin_ms = (int(time.time()) - 45) * 1000
    show = Show(now_ms=begin_ms)
    free = Show(now_ms=begin_ms, opened=replace(show.opened, slug="open", stream=FREE_STREAM))
    try:
        async with (
            opened(redis_server.url) as (store, _),
            aiohttp.ClientSession(
                auto_decompress=False, connector=aiohttp.TCPConnector(limit=0)
            ) as client,
        ):
            with nginx.running(config, edge_port):
                url = f"http://127.0.0.1:{edge_port}"
                harness = EdgeHarness(folder, url, origin, store, client, settings, show, free)
                origin.tell(store)
                for one in (show, free):
                    slug = one.opened.slug
                    harness.feeds[slug] = origin.feed(f"worker-{slug}")
                    for message in (*one.open(), *one.segments(20), *one.begin(2)):
                        harness.feeds[slug].apply(message)
                async with asyncio.timeout(10):
                    while (await harness.get("/readyz"))[0] != 200:  # noqa: ASYNC110 - as players do
                        await asyncio.sleep(0.02)
                yield harness
                said = harness.said()
                assert not [token for token in harness.tokens if token in said]
                assert KEY not in said
    finally:
        stop.set()
        await serving
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def harness(redis_server) -> AsyncIterator[EdgeHarness]:
    nginx.program()
    async with edge_harness(redis_server) as made:
        yield made


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
    status, body, headers = await harness.get(query + "&CMCD=6")
    assert (status, body, headers["X-Cache"]) == (200, answers[0][1], "HIT")


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
    assert ann.token not in (folder / "said").read_text()


async def test_an_edge_that_cannot_write_tells_no_secret(harness: EdgeHarness) -> None:
    """Of a full disk nginx would log the whole address, token included: it must not."""
    ann = await harness.viewer(1)
    shutil.rmtree(harness.folder / "edge" / "cache")
    (harness.folder / "edge" / "cache").write_text("no directory")

    with suppress(aiohttp.ServerDisconnectedError):
        await ann.get(harness.segment(1))

    assert ann.token not in harness.said()


async def test_pages_and_the_live_meter_pass_through(harness: EdgeHarness) -> None:
    """The meter's WebSocket says what was spent; the operator's metrics stay at home."""
    ann = await harness.viewer(1)
    await ann.get(harness.segment(1))

    async with harness.client.ws_connect(f"{harness.url}/w/{ann.token}/cam/meter") as meter:
        first = await meter.receive_json(timeout=5)

    assert (first["type"], first["spent"]) == ("meter", str(2 * PRICE))
    assert (await harness.get("/metrics"))[0] == 404
    assert (await harness.get("/cam/whip", "OPTIONS"))[0] in (200, 204)
