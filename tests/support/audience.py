"""Viewers, creators and the bill, for end-to-end tests."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import av
from playwright.sync_api import TimeoutError as PageTimeoutError

from tests.support.servers.vilokanam import Server, get, seen, until


@dataclass
class Ticket:
    """A minted viewer token and where it plays."""

    token: str
    session: str
    account: str
    slug: str

    @property
    def path(self) -> str:
        return f"/w/{self.token}/{self.slug}/"


def open_stream(server: Server, slug: str, price: str = "1000000") -> str:
    """Create a stream and return its key."""
    made = server.json("streams", "create", slug, "--title", slug.title(), "--planck", price)
    return str(made["stream_key"])


def open_viewer(server: Server, name: str, planck: str) -> str:
    """Create a viewer with credit and return the account."""
    account = str(server.json("viewers", "create", name)["account"])
    if planck != "0":
        server.json("viewers", "credit", name, "--planck", planck, "--key", f"first-{name}")
    return account


def mint(server: Server, viewer: str, slug: str) -> Ticket:
    """Mint a token."""
    made = server.json("token", "mint", viewer, slug)
    return Ticket(made["token"], made["session"], made["account"], slug)


def wait_live(server: Server, ticket: Ticket | None, slug: str) -> None:
    """Wait until the stream's playlist is there."""
    path = f"{ticket.path if ticket else f'/{slug}/'}index.m3u8"
    until(lambda: b"STREAM-INF" in get(server.url + path)[1], f"{slug} live")


def report(page: Any) -> dict[str, Any]:
    """Return what the watch page says of itself."""
    shown: dict[str, Any] = page.evaluate(
        """() => { const {stream_, ...shown} = window.vilokanam;
        return JSON.parse(JSON.stringify(shown)); }"""
    )
    return shown


def begin(page: Any) -> None:
    """Agree to the price, where the page asks: it fetches nothing before."""
    state = "document.documentElement?.dataset.state"
    page.wait_for_function(f"() => {state} && {state} !== 'loading'", timeout=30000)
    if page.get_attribute("html", "data-state") == "asking":
        page.click("#notice-button")


def watch(page: Any, url: str, seconds: float) -> list[dict[str, Any]]:
    """Open the page and sample its player each 200 ms for `seconds` after the first frame."""
    page.goto(url, wait_until="commit")
    begin(page)
    try:
        page.wait_for_function(
            "() => document.querySelector('video')?.currentTime > 0", timeout=20000
        )
    except PageTimeoutError as error:
        raise AssertionError(f"no picture: {report(page)}") from error
    samples = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        samples.append(
            page.evaluate(
                """() => { const v = document.querySelector('video');
                return {at: performance.now() / 1000, time: v.currentTime, paused: v.paused,
                width: v.videoWidth, height: v.videoHeight}; }"""
            )
        )
        page.wait_for_timeout(200)
    return samples


@contextlib.contextmanager
def crowd(proxy: str, tickets: Sequence[Ticket], seconds: float) -> Iterator[None]:
    """Let FFmpeg's own HLS player play for each ticket: whole segments, no low latency.

    Leaves when all have played `seconds` of media.
    """
    with ThreadPoolExecutor(len(tickets)) as pool:
        players: list[Future[None]] = [
            pool.submit(_play, _picture(proxy + ticket.path), seconds) for ticket in tickets
        ]
        yield
        for player in players:
            player.result(timeout=seconds + 30)


def _picture(prefix: str) -> str:
    """Return a picture's address: given the multivariant playlist, FFmpeg plays all variants."""
    lines = iter(get(prefix + "index.m3u8")[1].decode().splitlines())
    url = next(prefix + next(lines) for line in lines if "RESOLUTION=" in line)
    until(lambda: get(url)[1].count(b"#EXTINF") >= 3, "whole segments to play")
    return url


def _play(url: str, seconds: float) -> None:
    with av.open(url, timeout=20) as media:
        first_s = None
        for packet in media.demux(video=0):
            if packet.pts is None:
                raise AssertionError("the stream ended")
            at_s = float(packet.pts * packet.time_base)
            first_s = at_s if first_s is None else first_s
            if at_s - first_s >= seconds:
                return


def longest_stall(samples: list[dict[str, Any]]) -> float:
    """Return the longest time in seconds in which the picture did not move."""
    longest, since = 0.0, samples[0]
    for sample in samples:
        if sample["time"] > since["time"]:
            since = sample
        longest = max(longest, sample["at"] - since["at"])
    return longest


def billed_ticks(server: Server, ticket: Ticket) -> set[int]:
    """Return the ticks in the viewer's receipts, as the viewer gets them."""
    status, body = get(server.url + ticket.path + "receipts")
    assert status == 200, body
    ticks: set[int] = set()
    for receipt in json.loads(body)["receipts"]:
        for line in receipt["lines"]:
            for run in line["runs"].split(","):
                first, count = map(int, run.split("+"))
                ticks.update(range(first, first + count))
    return ticks


def settled(server: Server) -> dict[str, Any]:
    """Wait until nothing is pending or in flight, and return the reconciliation.

    Not one without Redis, which knows of nothing that is pending: after a restore it is rebuilt.
    """

    def question() -> dict[str, Any] | None:
        done = server.run("reconcile", "--json", check=False)
        report = json.loads(done.stdout)
        totals = {name.removesuffix("_ticks"): int(n) for name, n in report["totals"].items()}
        books = {f"{name}_ticks": n for name, n in totals.items()}
        is_still = books["pending_ticks"] == 0 and books["in_flight_ticks"] == 0
        is_still = is_still and report["is_store_read"]
        differences = report["differences"]
        if not is_still:
            return None
        more = {"differences": differences, "restores": report["restores"]}
        return {**books, **more, "exit": done.returncode}

    totals: dict[str, Any] = until(question, "all settled", 90)
    return totals


def difference(server: Server, proxy: str, ticket: Ticket) -> tuple[set[int], set[int]]:
    """Return ticks seen but not billed, and billed but not seen."""
    delivered = set(seen(proxy)["ticks"].get(ticket.token, []))
    billed = billed_ticks(server, ticket)
    return delivered - billed, billed - delivered
