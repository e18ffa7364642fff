"""Many viewers, half of them through an edge: is their number right at every second?

    python -m tests.simulate.audience [--viewers 500] [--seconds 90] [--part-ms 1000]

Every fifth viewer has two tabs, every third player is a plain one that fetches whole segments. They
come and go; each process is killed with -9 meanwhile. Each second the live count must lie between
who surely plays (2 s and longer, and has media) and who may still be counted (2 s after its media).
At the end the minutes must be the ticks that the book has, read out of its file by a few
lines of our own. Exit 1 where something is not.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.audience import open_stream, settled
from tests.support.servers import nginx
from tests.support.servers.vilokanam import Server, SmallPublisher, get, running, until

VARIANT = re.compile(r"^(\d+/[^/]+/)media\.m3u8$", re.MULTILINE)
MEDIA = re.compile(r'(?:URI="([^"]+\.m4s)"|^([^#\s]+\.m4s)$)', re.MULTILINE)
HINT = re.compile(r'PRELOAD-HINT:TYPE=PART,URI="(\d+)\.(\d+)-')
SEGMENT_S, PART_MS = 2.0, 500
LATE_S = 2.0
"""What is promised."""
SLACK_S = 0.5
"""Of this program and a busy machine, between a fetch and the moment at which it is noted."""
AFTER_FAULT_S = 4.0
FAULTS = ("processes.http", "processes.control", "redis.sock", "processes.worker")


@dataclass
class Tab:
    """A player of a viewer, and when it got media."""

    account: str
    url: str
    is_plain: bool
    part_s: float = PART_MS / 1000
    first_s: float = 0.0
    until_s: float = 0.0
    is_leaving: bool = False
    is_asking: bool = False
    done: set[str] = field(default_factory=set)

    async def play(self, http: aiohttp.ClientSession) -> None:
        """Play until told to leave; begin anew when the server goes away."""
        while not self.is_leaving:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError, LookupError):
                await self._play_once(http)
            await asyncio.sleep(0.2)

    async def _play_once(self, http: aiohttp.ClientSession) -> None:
        base = self.url + VARIANT.findall(await _text(http, self.url + "index.m3u8"))[0]
        query = ""
        while not self.is_leaving:
            listed = await _text(http, f"{base}media.m3u8{query}")
            uris = [a or b for a, b in MEDIA.findall(listed.partition("#EXT-X-PRELOAD-HINT")[0])]
            for uri in [uri for uri in uris if ("." in uri.split("-")[0]) != self.is_plain][-4:]:
                if uri not in self.done and not self.is_leaving:
                    await self._fetch(http, base + uri, uri)
            if self.is_plain:
                await asyncio.sleep(SEGMENT_S / 2)
            else:
                msn, part = HINT.findall(listed)[0]
                query = f"?_HLS_msn={msn}&_HLS_part={part}"

    async def _fetch(self, http: aiohttp.ClientSession, url: str, uri: str) -> None:
        self.is_asking = True
        try:
            async with http.get(url) as answer:
                await answer.read()
                if answer.status != 200:
                    raise LookupError(answer.status)
        finally:
            self.is_asking = False
        self.done.add(uri)
        now_s = time.monotonic()
        self.first_s = self.first_s if self.until_s + LATE_S > now_s else now_s
        self.until_s = now_s + (SEGMENT_S if self.is_plain else self.part_s)


@dataclass
class Report:
    """What was found.

    Attributes:
        samples: Live counts that were compared.
        wrong: Those that were out of bounds: second, least, count, most.
        ticks: What the book's file has.
        differences: Where the minutes are other than that.
    """

    samples: int = 0
    wrong: list[tuple[float, int, int, int]] = field(default_factory=list)
    ticks: int = 0
    differences: list[str] = field(default_factory=list)
    books: int = 1

    @property
    def is_right(self) -> bool:
        """Return whether all was as it must be."""
        return not self.wrong and not self.differences and not self.books and self.ticks > 0


async def _text(http: aiohttp.ClientSession, url: str) -> str:
    async with http.get(url) as answer:
        if answer.status != 200:
            raise LookupError(answer.status)
        return await answer.text()


def kill(server: Server, what: str) -> None:
    """Kill -9 of the first process whose command line holds `what`."""
    os.kill(server.children(what)[0], signal.SIGKILL)


def open_tabs(
    server: Server, bases: Sequence[str], viewers: int, part_ms: int = PART_MS
) -> list[Tab]:
    """Return the players of so many viewers with money."""
    tabs = []
    for number in range(viewers):
        name = f"viewer-{number}"
        account = server.api("POST", "viewers", {"name": name})["account"]
        credit = {"planck": str(10**12)}
        server.api("POST", f"viewers/{name}/credits", credit, Idempotency_Key=f"k-{number}")
        for tab in range(2 if number % 5 == 0 else 1):
            path = server.api("POST", "tokens", {"viewer": name, "stream": "cam"})["path"]
            is_plain = (number + tab) % 3 == 0
            url = bases[number % len(bases)] + path
            tabs.append(Tab(account, url, is_plain, part_ms / 1000))
    return tabs


async def watch(
    server: Server, tabs: Sequence[Tab], seconds: float, faults: Sequence[str]
) -> Report:
    """Let them come, play through the faults, and go; compare each second."""
    report = Report()
    report_until_s = time.monotonic() + seconds
    timeout = aiohttp.ClientTimeout(total=10)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as http:
        tasks: list[asyncio.Task[None]] = []
        come_s, leave_s = seconds / 5, seconds / 5
        began_s, faulted_s = time.monotonic(), float("-inf")
        left = list(faults)
        fault_each_s = (seconds - come_s - leave_s) / (len(faults) + 1)
        while (now_s := time.monotonic()) < report_until_s:
            passed_s = now_s - began_s
            # They come one after another, and from the end on every other one goes.
            while len(tasks) < min(len(tabs), int(len(tabs) * passed_s / come_s) + 1):
                tasks.append(asyncio.create_task(tabs[len(tasks)].play(http)))
            going = int(len(tabs) / 2 * max(0.0, passed_s - (seconds - leave_s)) / leave_s)
            for tab in tabs[: 2 * going : 2]:
                tab.is_leaving = True
            next_s = come_s + fault_each_s * (len(faults) - len(left) + 1)
            if left and passed_s >= next_s:
                kill(server, left.pop(0))
                faulted_s = time.monotonic()
            if time.monotonic() - faulted_s > AFTER_FAULT_S:
                await _compare(server, http, tabs, report)
            await asyncio.sleep(max(0.0, 1 - (time.monotonic() - now_s)))
        for tab in tabs:
            tab.is_leaving = True
        await asyncio.gather(*tasks)
    return report


async def _compare(
    server: Server, http: aiohttp.ClientSession, tabs: Sequence[Tab], report: Report
) -> None:
    """Ask who watches, and compare it with who does."""
    token = (server.data_dir / "admin.token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    asked_s = time.monotonic()
    async with http.get(f"{server.url}/api/v1/streams/cam/audience", headers=headers) as answer:
        if answer.status != 200:
            return
        count = (await answer.json())["viewers"]
    answered_s = time.monotonic()
    surely = {
        tab.account
        for tab in tabs
        if tab.first_s and tab.first_s + LATE_S < asked_s and tab.until_s > answered_s
    }
    # The server counts a fetch before its answer is here.
    maybe = {
        tab.account for tab in tabs if tab.is_asking or tab.until_s + LATE_S + SLACK_S > asked_s
    }
    report.samples += 1
    if not len(surely) <= count <= len(maybe):
        report.wrong.append((asked_s, len(surely), count, len(maybe)))


def compare_minutes(server: Server, report: Report) -> None:
    """Compare minutes and usage with the ticks in the book's file."""
    at: Counter[int] = Counter()
    of_viewers: Counter[tuple[str, int]] = Counter()
    with contextlib.closing(sqlite3.connect(server.data_dir / "book.sqlite3")) as book:
        for table in ("history", "cut_lines"):
            for account, runs in book.execute(f"SELECT account, runs FROM {table}"):  # noqa: S608 -- ours
                for run in runs.split(","):
                    first, count = map(int, run.split("+"))
                    at.update(range(first, first + count))
                    for tick in range(first, first + count):
                        of_viewers["0x" + account.hex(), tick // 60 * 60] += 1
    report.ticks = sum(at.values())
    minutes: Counter[int] = Counter()
    begin: int | None = 0
    while begin is not None:
        page = server.api("GET", f"streams/cam/audience/minutes?from={begin}")
        for minute in page["minutes"]:
            minutes.update(
                {minute["minute"] + place: n for place, n in enumerate(minute["seconds"]) if n}
            )
            if minute["peak"] != max(minute["seconds"]):
                report.differences.append(f"peak of {minute['minute']}")
            watching = sum(1 for _, of in of_viewers if of == minute["minute"])
            if minute["viewers"] != watching:
                report.differences.append(
                    f"viewers of {minute['minute']}: {minute['viewers']}, the book has {watching}"
                )
        begin = page["next_from"]
    if minutes != at:
        report.differences.append(
            f"seconds: {minutes - at} more, {at - minutes} fewer than the book"
        )
    usage: Counter[tuple[str, int]] = Counter()
    after, is_end = 0, False
    while not is_end:
        rows: dict[str, Any] = server.api("GET", f"usage?after={after}")
        for line in rows["usage"]:
            usage[line["viewer"], line["minute"]] += line["seconds"]
        after, is_end = rows["next_after"], rows["is_end"]
    if usage != of_viewers:
        report.differences.append(
            f"usage: {usage - of_viewers} more, {of_viewers - usage} fewer than the book"
        )


def simulate(
    directory: Path,
    viewers: int,
    seconds: float,
    faults: Sequence[str],
    *,
    has_edge: bool,
    part_ms: int = PART_MS,
) -> Report:
    """Run a server, an edge if wanted, a publisher and viewers; return what was found.

    Args:
        part_ms: A player asks twice for each part: longer ones are fewer requests, so that 500
            players, the server and its edge have room on two cores.
    """
    port = nginx.free_port()
    config = f"[hls]\npart_target_ms = {part_ms}\n"
    config += f'[edge]\nlisten = "127.0.0.1:{port}"\nfill_wait_ms = 400\n'
    server = Server(directory, http_processes=2, config=config)
    with server.config.open("a") as file:
        file.write(f'origin_url = "{server.url}"\n')
    folder = directory / "edge"
    with running(server), contextlib.ExitStack() as stack:
        publisher = SmallPublisher(server, "cam", open_stream(server, "cam"))
        stack.callback(publisher.stop)
        bases = [server.url]
        if has_edge:
            server.run("edge", "config", "nginx", "--standalone", str(folder))
            stack.enter_context(nginx.running(folder / "nginx.conf", port))
            bases.append(f"http://127.0.0.1:{port}")
        tabs = open_tabs(server, bases, viewers, part_ms)
        until(lambda: b"STREAM-INF" in get(tabs[0].url + "index.m3u8")[1], "cam live")
        report = asyncio.run(watch(server, tabs, seconds, faults))
        report.books = settled(server)["exit"]
        compare_minutes(server, report)
    return report


def main(words: Sequence[str]) -> int:
    """Run it at its full size and print what was found."""
    parser = argparse.ArgumentParser(prog="audience")
    parser.add_argument("--viewers", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=90)
    parser.add_argument("--part-ms", type=int, default=1000)
    arguments = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="audience-") as directory:
        report = simulate(
            Path(directory),
            arguments.viewers,
            arguments.seconds,
            FAULTS,
            has_edge=True,
            part_ms=arguments.part_ms,
        )
    print(f"{arguments.viewers} viewers, {report.samples} counts, {len(report.wrong)} wrong")
    for at_s, least, count, most in report.wrong:
        print(f"  at {at_s:.1f} s: {count}, and {least} to {most} played")
    print(f"{report.ticks} seconds in the book, {len(report.differences)} differences")
    for difference in report.differences:
        print(f"  {difference}")
    return int(not report.is_right)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
