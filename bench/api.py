"""The API before a book of 100,000 viewers and 10,000 streams: p95 of each route, reads and writes.

One process asks: reads and writes over all routes in turn, each at its own moment whether the one
before was answered or not. Beside it, in the same run: a bare aiohttp handler with an answer as
long as one stream's (no book, no key, no log), and the latency of a claim with and without that.
Sign-in, exports and `reconcile` are apart: they hash, or read all there is, by design.

Run: python bench/api.py [--viewers 100000] [--streams 9900] [--reads 500] [--writes 50]
Ratios are worth more than times where something else runs on the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
from _books import PRICE, Filled, fill
from _common import table, write

from mediaserver.people import permissions
from mediaserver.people.permissions import OpenTo
from metering.ports import Claim
from metering.store.claim_client import RawClaims
from metering.store.client import Store
from metering.units import (
    PricedRun,
    Run,
    SessionId,
    Units,
    Verdict,
    parse_account,
)
from tests.support.route_names import NAMES
from tests.support.servers.vilokanam import Server, free_port

GOAL_MS = 50
APART = (
    *("reconcile", "sign-in", "sign-up", "statements", "bank-file", "receipts"),
    *("chain", "escrow", "payouts", "ledger", "usage", "export"),
)
"""What hashes, exports or reads all there is, and what needs a chain."""
PAGED = ("/api/v1/streams", "/api/v1/viewers")
PAGE = 50
"""Of those two, whose pages have 500 lines unless asked."""
BARE = """
import asyncio, json, sys
from aiohttp import web
body = json.dumps({"streams": ["x" * 600]}).encode()
async def answer(_): return web.Response(body=body, content_type="application/json")
app = web.Application(); app.router.add_get("/", answer)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
"""


@dataclass
class Measured:
    """Latencies in ms and statuses by route."""

    ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    statuses: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))


class Asker:
    """Asks routes of one server, as its admin or as somebody who is signed in."""

    def __init__(self, server: Server, filled: Filled, http: aiohttp.ClientSession) -> None:
        self.url, self.filled, self.http = server.url, filled, http
        token = (server.data_dir / "admin.token").read_text().strip()
        self.admin = {"Authorization": f"Bearer {token}"}
        self.rng, self.count = random.Random(2), 0
        self.measured = Measured()

    async def ask(self, name: str, method: str, path: str, body: Any, *, is_own: bool) -> None:
        """Ask once and keep how long it took."""
        self.count += 1
        headers = dict(self.admin)
        if is_own:
            _, _, token = self.filled.people[self.count % len(self.filled.people)]
            headers = {"Cookie": f"vilokanam={token}", "Origin": self.url}
        if method != "GET":
            headers |= {"Content-Type": "application/json", "Idempotency-Key": f"k{self.count}"}
        data = None if method == "GET" else json.dumps(body)
        began_s = time.perf_counter()
        try:
            async with self.http.request(
                method, self.url + path, data=data, headers=headers
            ) as answer:
                await answer.read()
                status = answer.status
        except (aiohttp.ClientError, TimeoutError):
            status = 0
        self.measured.ms[name].append((time.perf_counter() - began_s) * 1000)
        self.measured.statuses[name][status] += 1

    def path(self, path: str) -> str:
        """Return a route's path with something that is there in each place."""
        rng, filled = self.rng, self.filled
        person = rng.choice(filled.people)[0]
        names = {
            **NAMES,
            "slug": rng.choice(filled.slugs),
            "viewer": rng.choice(filled.viewers),
            "person": person,
            "session": rng.choice(filled.sessions),
        }
        for name, value in names.items():
            path = path.replace(f"{{{name}}}", value)
        return path

    def reads(self) -> Iterator[tuple[str, str, str, Any, bool]]:
        """Yield every route that reads, in turn."""
        rows = [row for row in permissions.TABLE if row.method == "GET" and not _is_apart(row.path)]
        while True:
            for row in rows:
                is_own = row.open_to is OpenTo.SIGNED_IN and not row.roles
                path = (
                    f"{self.path(row.path)}?limit={PAGE}"
                    if row.path in PAGED
                    else self.path(row.path)
                )
                yield f"GET {row.path[8:]}", "GET", path, None, is_own

    def writes(self) -> Iterator[tuple[str, str, str, Any, bool]]:
        """Yield routes that write, in turn, each with a body of its own."""
        number = 0
        while True:
            number += 1
            viewer = self.rng.choice(self.filled.viewers)
            planck = str(int(PRICE) + number)
            for method, path, body, is_own in (
                ("POST", "viewers", {"name": f"new-{number}"}, False),
                ("POST", "viewers/{viewer}/credits", {"planck": "1000"}, False),
                ("POST", "tokens", {"viewer": viewer, "stream": self.filled.slugs[number]}, False),
                ("PATCH", "streams/{slug}", {"is_enabled": True}, False),
                ("POST", "streams/{slug}/prices", {"planck_per_s": planck}, False),
                ("PUT", "streams/{slug}/viewer-prices/{viewer}", {"planck_per_s": planck}, False),
                ("POST", "streams/{slug}/guests", {"viewer": viewer}, False),
                ("POST", "streams/{slug}/links", {}, False),
                ("POST", "streams/{slug}/bars", {"viewer": viewer, "reason": "x"}, False),
                ("DELETE", "viewers/{viewer}/sessions", {}, False),
                ("PATCH", "me", {"name": f"Person {number}"}, True),
                ("PUT", "me/limits", {"stream_planck": planck}, True),
                ("PUT", "me/player-settings", {"hidden_stop_s": 60 + number % 60}, True),
                ("POST", "streams/{slug}/join", {}, True),
            ):
                name = f"{method} {path}"
                yield name, method, self.path(f"/api/v1/{path}"), body, is_own


def _is_apart(path: str) -> bool:
    return any(word in path for word in APART)


async def paced(per_s: float, until_s: float, work: Any) -> None:
    """Begin one each 1/`per_s`, whatever became of the others; wait for all."""
    tasks: set[asyncio.Task[None]] = set()
    next_s = time.perf_counter()
    while next_s < until_s:
        await asyncio.sleep(max(0.0, next_s - time.perf_counter()))
        if len(tasks) < 2000:
            task = asyncio.ensure_future(work())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        next_s += 1 / per_s
    await asyncio.gather(*tasks)


async def claims_of(server: Server, minted: Any, seconds: float) -> list[float]:
    """Return how long claims took, ms, one each 20 ms, as an HTTP process makes them."""
    took: list[float] = []
    url = f"unix://{server.data_dir / 'run' / 'redis.sock'}"
    store = await Store.connect(url, "everysec")
    epoch, run_id = await store.epoch(), store.run_id
    await store.close()
    async with RawClaims(url) as claims:
        claims.set_expected(epoch or "", run_id)
        await claims.wait_ready()
        until_s = time.perf_counter() + seconds
        while time.perf_counter() < until_s:
            minted["tick"] += 1
            runs = (PricedRun(Run(minted["tick"], 1), 1, Units(1)),)
            session = SessionId(int(minted["session"], 16))
            stream = UUID(minted["stream_id"]).bytes
            began_s = time.perf_counter()
            claim = Claim(parse_account(minted["account"]), stream, session, runs, 0, 0)
            answer = await claims.claim(claim)
            took.append((time.perf_counter() - began_s) * 1000)
            if answer.verdict is not Verdict.GRANTED:
                raise SystemExit(f"a claim was refused: {answer}")
            await asyncio.sleep(0.02)
    return took


async def bare(per_s: float, seconds: float) -> list[float]:
    """Return how long the bare handler took, ms, asked at the same rate."""
    port, took = free_port(), list[float]()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", BARE, str(port))
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:

            async def ask() -> None:
                began_s = time.perf_counter()
                async with http.get(f"http://127.0.0.1:{port}/") as answer:
                    await answer.read()
                took.append((time.perf_counter() - began_s) * 1000)

            for _ in range(200):
                try:
                    await ask()
                    break
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)
            took.clear()
            await paced(per_s, time.perf_counter() + seconds, ask)
    finally:
        process.terminate()
        await process.wait()
    return took


def p95(values: Sequence[float]) -> float:
    """Return the 95th percentile, 0 of nothing."""
    return sorted(values)[int(len(values) * 0.95)] if values else 0.0


async def run(server: Server, filled: Filled, arguments: argparse.Namespace) -> dict[str, Any]:
    """Ask everything, and return what is printed."""
    slug = filled.slugs[0]
    server.api("PATCH", f"streams/{slug}", {"is_enabled": True})
    minted = server.api("POST", "tokens", {"viewer": filled.viewers[-1], "stream": slug})
    minted["account"] = filled.viewers[-1]
    minted["stream_id"] = server.api("GET", f"streams/{slug}")["id"]
    minted["tick"] = int(time.time()) - 20_000
    quiet = await claims_of(server, minted, 5)
    yardstick = await bare(arguments.reads + arguments.writes, 5)
    timeout = aiohttp.ClientTimeout(total=60)
    connector = aiohttp.TCPConnector(limit=200)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
    ) as http:
        asker = Asker(server, filled, http)

        def asking(turn: Iterator[tuple[str, str, str, Any, bool]]) -> Any:
            async def one() -> None:
                name, method, path, body, is_own = next(turn)
                await asker.ask(name, method, path, body, is_own=is_own)

            return one

        until_s = time.perf_counter() + arguments.seconds
        *_, busy = await asyncio.gather(
            paced(arguments.reads, until_s, asking(asker.reads())),
            paced(arguments.writes, until_s, asking(asker.writes())),
            claims_of(server, minted, arguments.seconds),
        )
    found = asker.measured
    rows = sorted(
        (
            (name, len(ms), sorted(ms)[len(ms) // 2], p95(ms), _text(found.statuses[name]))
            for name, ms in found.ms.items()
        ),
        key=lambda row: -row[3],
    )
    table(("ROUTE", "ASKED", "MEDIAN ms", "P95 ms", "STATUS"), rows)
    everything = [one for ms in found.ms.values() for one in ms]
    over = [row[0] for row in rows if row[3] > GOAL_MS]
    facts = {
        "asked": len(everything),
        "p95_ms": round(p95(everything), 1),
        "over_goal": over,
        "bare_p95_ms": round(p95(yardstick), 1),
        "claim_p95_ms": {"quiet": round(p95(quiet), 2), "busy": round(p95(busy), 2)},
        "errors": sum(of[0] + sum(of[n] for n in of if n >= 500) for of in found.statuses.values()),
        "routes": {row[0]: {"median": round(row[2], 1), "p95": round(row[3], 1)} for row in rows},
    }
    for name in ("asked", "p95_ms", "bare_p95_ms", "claim_p95_ms", "errors"):
        print(f"{name}: {facts[name]}")
    print(f"routes whose p95 is over {GOAL_MS} ms: {len(over)} of {len(rows)}")
    return facts


def _text(statuses: Counter[int]) -> str:
    return " ".join(f"{status}:{count}" for status, count in sorted(statuses.items()))


@contextmanager
def starting(server: Server) -> Iterator[None]:
    """Run it; Redis is rebuilt from the book first, which takes its time."""
    server.launch()
    began_s = time.perf_counter()
    try:
        server.wait_ready(600)
        print(f"ready after {time.perf_counter() - began_s:.0f} s")
        yield
    finally:
        server.stop()


def main() -> None:
    """Fill a book, start the product on it, ask."""
    parser = argparse.ArgumentParser()
    for name, default in (
        *(("viewers", 100_000), ("streams", 9_900), ("people", 300)),
        *(("reads", 500), ("writes", 50), ("seconds", 20)),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vk-bench-") as folder:
        server = Server(Path(folder))
        server.url = f"http://localhost:{server.port}"
        server.environment["VILOKANAM_SERVER__PUBLIC_URL"] = server.url
        server.data_dir.mkdir()
        began_s = time.perf_counter()
        filled = fill(
            server.data_dir / "book.sqlite3",
            *(arguments.viewers, arguments.streams, arguments.people),
        )
        print(f"a book of {arguments.viewers} viewers: {time.perf_counter() - began_s:.0f} s")
        with starting(server):
            try:
                facts = asyncio.run(run(server, filled, arguments))
            except BaseException:
                print(server.tail(), file=sys.stderr)
                raise
    write("api", facts)


if __name__ == "__main__":
    main()
