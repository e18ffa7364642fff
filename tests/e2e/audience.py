"""Viewers, creators and the bill, for end-to-end tests."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from harness import Server, get, seen, until
from playwright.sync_api import TimeoutError as PageTimeoutError


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
    made = server.json("streams", "create", slug, "--title", slug.title(), "--price", price)
    return made["stream_key"]


def open_viewer(server: Server, name: str, planck: str) -> str:
    """Create a viewer with credit and return the account."""
    account = server.json("viewers", "create", name)["account"]
    if planck != "0":
        server.json("viewers", "credit", name, planck, "--key", f"first-{name}")
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
    return page.evaluate(
        """() => { const {stream_, ...shown} = window.vilokanam;
        return JSON.parse(JSON.stringify(shown)); }"""
    )


def watch(page: Any, url: str, seconds: float) -> list[dict[str, Any]]:
    """Open the page and sample its player each 200 ms for `seconds` after the first frame."""
    page.goto(url, wait_until="commit")
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
    """Wait until nothing is pending or in flight, and return the reconciliation."""

    def question() -> dict[str, Any] | None:
        done = server.run("reconcile", "--json", check=False)
        report = json.loads(done.stdout)
        totals = {name.removesuffix("_ticks"): int(n) for name, n in report["totals"].items()}
        books = {f"{name}_ticks": n for name, n in totals.items()}
        is_still = books["pending_ticks"] == 0 and books["in_flight_ticks"] == 0
        differences = report["differences"]
        return {**books, "differences": differences, "exit": done.returncode} if is_still else None

    return until(question, "all settled", 30)


def difference(server: Server, proxy: str, ticket: Ticket) -> tuple[set[int], set[int]]:
    """Return ticks seen but not billed, and billed but not seen."""
    delivered = set(seen(proxy)["ticks"].get(ticket.token, []))
    billed = billed_ticks(server, ticket)
    return delivered - billed, billed - delivered
