"""A balance buys exactly what is in it, however many ask at once, of however many processes."""

import asyncio
import itertools
import os
import re
import signal
from collections import Counter

import pytest

from tests.support.audience import open_stream, settled
from tests.support.players import Wire, list_media, ticks_of, volley
from tests.support.servers.vilokanam import Publisher, Server, get, running, until

pytestmark = pytest.mark.timeout(150)

PRICE = 1_000_000
REQUESTS = 4000
SESSIONS = 16
RENDITIONS = ("source", "audio", "360p", "audio")
SEGMENTS = 12


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """Two HTTP processes and a worker that is stopped, so that nothing leaves the window."""
    server = Server(tmp_path_factory.mktemp("credit"), http_processes=2)
    server.environment |= {
        "VILOKANAM_AUTH__MAX_SESSIONS": str(SESSIONS),
        "VILOKANAM_METERING__CLAIM_TIMEOUT_MS": "30000",
    }
    with running(server):
        publisher = Publisher(server, "cam", open_stream(server, "cam", str(PRICE)))
        try:
            with Wire(server.port) as wire:
                until(lambda: b"STREAM-INF" in wire.ask("/cam/index.m3u8").body, "live")
                until(
                    lambda: len(list_media(wire, "/cam/", "360p").segments) >= SEGMENTS,
                    "a window to choose from",
                    60,
                )
            (worker,) = [
                worker["pid"]
                for worker in server.api("GET", "workers")["workers"]
                if worker["stream"] == "cam"
            ]
            os.kill(worker, signal.SIGSTOP)
            yield server
            os.kill(worker, signal.SIGCONT)
        finally:
            publisher.stop(hard=True)
    print(server.tail())


def every_tick(paths) -> set[int]:
    return {tick for path in paths for tick in ticks_of(path)}


def pages(server: Server, name: str, credit_s: int, sessions: int = SESSIONS) -> list[str]:
    """Return the pages of `sessions` players of a viewer who has paid for `credit_s` seconds."""
    server.api("POST", "viewers", {"name": name})
    planck = str(credit_s * PRICE)
    server.api("POST", f"viewers/{name}/credits", {"planck": planck}, Idempotency_Key=f"k-{name}")
    wanted = {"viewer": name, "stream": "cam"}
    return [server.api("POST", "tokens", wanted)["path"] for _ in range(sessions)]


def answered(server: Server) -> Counter[str]:
    """Return how many media objects each HTTP process has answered for."""
    rows = re.findall(
        r'^mediaserver_hls_answers_total\{kind="(?:part|segment)",process="(http-\d)"'
        r',status="\d+"\} (\S+)$',
        get(server.url + "/metrics")[1].decode(),
        re.MULTILINE,
    )
    total: Counter[str] = Counter()
    for process, count in rows:
        total[process] += int(float(count))
    return total


def storm(server: Server, paths: list[str]) -> list[int]:
    """Ask for all at once; show who answered, and see that both processes did their share."""
    before = answered(server)
    statuses = asyncio.run(volley(server.port, paths))
    shares = answered(server) - before
    print(f"{len(paths)} requests: statuses {Counter(statuses)}, answered by {dict(shares)}")
    assert sum(shares.values()) == len(paths)
    assert min(shares["http-0"], shares["http-1"]) >= 1000
    return statuses


def spent(server: Server, name: str) -> int:
    viewers = server.api("GET", "viewers")["viewers"]
    return next(int(viewer["spent"]) for viewer in viewers if viewer["name"] == name)


def test_credit_for_k_seconds_buys_exactly_k_seconds_of_parts(crowded):
    """4,000 requests at once over two processes: k distinct seconds are served, the rest is 402."""
    k = 4  # parts are listed for three target durations: some ten seconds are on offer
    players = pages(crowded, "ann", k)
    with Wire(crowded.port) as wire:
        listings = {name: list_media(wire, "/cam/", name).parts for name in RENDITIONS}
    narrow = {
        name: [path.removeprefix("/cam/") for path in parts if len(ticks_of(path)) == 1]
        for name, parts in listings.items()
    }
    on_offer = every_tick(narrow["audio"])
    assert len(on_offer) >= 2 * k
    each = zip(itertools.cycle(players), itertools.cycle(RENDITIONS), range(REQUESTS), strict=False)
    paths = [
        player + narrow[name][(number // 4 * 7) % len(narrow[name])]
        for player, name, number in each
    ]

    statuses = storm(crowded, paths)

    served = every_tick(p for p, status in zip(paths, statuses, strict=True) if status == 200)
    print(f"credit for {k} s of {len(on_offer)} on offer: {len(served)} distinct seconds served")
    # A session that was granted a second many times over may be told to slow down.
    assert {200, 402} <= set(statuses) <= {200, 402, 429}
    assert len(served) == k
    books = settled(crowded)
    assert spent(crowded, "ann") == k * PRICE
    assert books["exit"] == 0, books["differences"]


def test_credit_is_never_overdrawn_by_whole_segments(crowded):
    """Ten viewers, 4,000 requests: each balance ends with less than an object's seconds."""
    k, viewers, sessions = 7, 10, 8
    players = {
        f"bob-{number}": pages(crowded, f"bob-{number}", k, sessions) for number in range(viewers)
    }
    with Wire(crowded.port) as wire:
        offers = {
            name: [p.removeprefix("/cam/") for p in list_media(wire, "/cam/", name).segments]
            for name in RENDITIONS
        }
    asked = [
        (viewer, page + offers[name][(number * 3) % len(offers[name])])
        for viewer, own in players.items()
        for page in own
        for number, name in zip(
            range(REQUESTS // viewers // sessions), itertools.cycle(RENDITIONS), strict=False
        )
    ]

    statuses = storm(crowded, [path for _, path in asked])

    # A session that was granted a second many times over may be told to slow down.
    assert {200, 402} <= set(statuses) <= {200, 402, 429}
    settled(crowded)
    longest = max(len(ticks_of(path)) for _, path in asked)
    for viewer in players:
        served = every_tick(
            path
            for (who, path), status in zip(asked, statuses, strict=True)
            if who == viewer and status == 200
        )
        assert 0 <= k - len(served) < longest
        assert spent(crowded, viewer) == len(served) * PRICE
