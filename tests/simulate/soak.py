"""A minute of restless use, and what it leaves behind: RSS, files and log lines per process.

    python -m tests.simulate.soak --seconds 60

One server, one publisher that comes and goes, players that reconnect, mint, leave in the middle of
an answer and ask for what is not there. Prints a table before and after; judge it by eye, or run it
twice as long and see whether the growth doubles.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import tempfile
import time
from pathlib import Path

import aiohttp

from tests.support.servers.vilokanam import Publisher, Server, running, until

PLAYERS = 12
PROCESSES = (
    "processes.server",
    "processes.fork_server",
    "processes.control",
    "processes.http",
    "processes.worker",
)


def standing(server: Server) -> dict[str, tuple[int, int]]:
    """Return (RSS in kB, open files) of each process by name and pid."""
    sizes = {}
    for what in (*PROCESSES, "redis-server"):
        for pid in server.children(what):
            try:
                status = Path(f"/proc/{pid}/status").read_text()
                rss = re.search(r"VmRSS:\s+(\d+)", status)
                files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
            except OSError:
                continue
            sizes[f"{what.rpartition('.')[2]} {pid}"] = (int(rss[1]) if rss else 0, files)
    return sizes


async def play(server: Server, http: aiohttp.ClientSession, name: str, end_s: float) -> int:
    """Be a player without manners until `end_s`; return how many answers came."""
    chance, answers = random.Random(name), 0
    while time.monotonic() < end_s:
        made = await asyncio.to_thread(
            server.api, "POST", "tokens", {"viewer": name, "stream": "cam"}
        )
        base = server.url + made["path"]
        try:
            async with http.ws_connect(base + "meter") as meter:
                for _ in range(chance.randrange(2, 12)):
                    answers += await _some_of(http, base, chance)
                    if chance.random() < 0.2:
                        break
                await meter.close()
        except (aiohttp.ClientError, OSError, TimeoutError):
            await asyncio.sleep(0.1)
    return answers


async def _some_of(http: aiohttp.ClientSession, base: str, chance: random.Random) -> int:
    async with http.get(base + "index.m3u8") as answer:
        text = await answer.text()
    lists = [line for line in text.splitlines() if line and line[0] != "#"]
    if not lists:
        return 1
    chosen = chance.choice(lists)
    async with http.get(base + chosen) as answer:
        text = await answer.text()
    uris = re.findall(r'URI="([^"]+\.m4s)"', text) + re.findall(r"^(\S+\.m4s)$", text, re.MULTILINE)
    if not uris:
        return 2
    folder = base + chosen.rpartition("/")[0] + "/"
    wanted = folder + chance.choice([uris[-1], chance.choice(uris), "9999999-1x1.m4s"])
    headers = {"Range": f"bytes={chance.randrange(5000)}-"} if chance.random() < 0.3 else {}
    async with http.get(wanted, headers=headers) as answer:
        if chance.random() < 0.5:
            await answer.read()
        else:
            answer.close()  # it leaves in the middle
    return 3


async def restless(server: Server, key: str, seconds: int) -> int:
    """Publish in fits and starts, and play all the while."""
    end_s = time.monotonic() + seconds
    for number in range(PLAYERS):
        server.api("POST", "viewers", {"name": f"v{number}"})
        server.api(
            "POST",
            f"viewers/v{number}/credits",
            {"planck": "60000000000"},
            Idempotency_Key=f"k{number}",
        )
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as http:
        players = [
            asyncio.create_task(play(server, http, f"v{number}", end_s))
            for number in range(PLAYERS)
        ]
        while time.monotonic() < end_s:
            publisher = Publisher(server, "cam", key)
            await asyncio.sleep(min(8, max(1, end_s - time.monotonic())))
            await asyncio.to_thread(publisher.stop, hard=random.random() < 0.5)
        return sum(await asyncio.gather(*players))


def main() -> None:
    """Run it and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory(prefix="vk-soak-") as folder:
        server = Server(Path(folder), http_processes=2, config="[auth]\nmax_sessions = 8\n")
        with running(server):
            key = server.api("POST", "streams", {"slug": "cam"})["stream_key"]
            publisher = Publisher(server, "cam", key)
            health = "live", "waiting"
            until(lambda: server.api("GET", "streams/cam")["health"]["state"] in health, "live")
            before = standing(server)
            publisher.stop()
            answers = asyncio.run(restless(server, key, seconds))
            time.sleep(3)  # what closes, closes
            after = standing(server)
            books = server.api("GET", "reconcile")
            log = server.log.read_text().splitlines()
        print(f"{answers} answers in {seconds} s; books balance: {books['is_balanced']}")
        print(f"{'process':32}{'RSS kB':>10}{'then':>10}{'files':>8}{'then':>8}")
        for name in {**before, **after}:
            (rss, files), (rss_then, files_then) = before.get(name, (0, 0)), after.get(name, (0, 0))
            print(f"{name:32}{rss:>10}{rss_then:>10}{files:>8}{files_then:>8}")
        loud = [line for line in log if '"level": "info"' not in line]
        print(f"{len(log)} log lines, {len(loud)} of them warning or worse:")
        for line in loud[:20]:
            print("  " + line[:200])


if __name__ == "__main__":
    main()
