"""The real HTTP process beside nginx with the same bytes: requests per second and CPU of each.

One HTTP process as the server starts it, with a real Redis of its own; this program speaks to it as
control and as two workers, then asks for playlists, parts and segments of a free stream and of a
priced one (every part claimed by a viewer of its own, at most one claim a second and viewer).
nginx serves the same bytes as files. CPU is the process's own (user and system), so a busy machine
moves it less than requests per second. Best of the rounds, which are interleaved.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast
from uuid import UUID

import uvloop
from _common import ROOT, cpu_s, table, write

from mediaserver.clock import SystemClock
from mediaserver.hls import addresses
from mediaserver.hls.live_store import LiveStore
from mediaserver.ipc.client import LinkClients
from mediaserver.ipc.messages import (
    Hello,
    InitMade,
    Message,
    PartMade,
    Policy,
    RenditionsSet,
    SegmentEnded,
    ShowOpened,
    SlotOpened,
)
from mediaserver.media import Part, Rendition, Slot
from mediaserver.playback_token import Grant, mint
from metering.store.client import Store
from metering.store.embedded import EmbeddedRedis
from metering.store.records import BalanceState, SessionGrant, ShardState
from metering.units import (
    SHARDS,
    AccountId,
    Asset,
    Planck,
    PriceVersion,
    SessionId,
    StreamPolicy,
    Units,
    shard_of,
)
from tests.support.servers.vilokanam import free_port

KEYS: Final = ((1, b"k" * 32),)
FREE: Final = StreamPolicy(UUID(int=7), "free", "Free", ())
PAID: Final = StreamPolicy(UUID(int=8), "paid", "Paid", (PriceVersion(1, 0, Planck(5)),))
EPOCH: Final = "bench"
SEGMENTS: Final = 30
PARTS: Final = 4
PART_MS: Final = 500
PART_BYTES: Final = 75_000
VIEWERS: Final = 2000
"""Of each kind: at some thousand requests a second each is asked for about two parts a second."""
KINDS: Final = ("playlist", "part", "segment")
WARM_UP_S: Final = 0.2


@dataclass
class Media:
    """A minute of a live stream, and its paths below ``/<slug>/``."""

    messages: list[Message]
    paths: dict[str, list[str]]
    bytes: dict[str, bytes]


def media(slug: str, stream: UUID, start_ms: int, payload: bytes) -> Media:
    """Return 2 s segments of 0.5 s parts, as the defaults are, at 1.2 Mbit/s."""
    rendition = Rendition("source", ("avc1.64001f",), 4_000_000, 1_200_000, 1280, 720, 30_000)
    window_ms = SEGMENTS * PARTS * PART_MS
    messages: list[Message] = [
        ShowOpened(stream, slug, 5, PART_MS, 3, window_ms, audio_only=False),
        RenditionsSet((rendition,)),
        InitMade("source", "0" * 16, b"init"),
    ]
    parts, segments = [], []
    now_ms = start_ms
    for msn in range(SEGMENTS):
        for part in range(PARTS):
            slot = Slot(msn, part, now_ms, now_ms + PART_MS)
            now_ms += PART_MS
            made = Part("source", slot, now_ms, PART_MS * 1000, part == 0, "0" * 16, payload)
            messages += [SlotOpened(slot, is_discontinuity=False), PartMade(made)]
            parts.append(f"/{slug}/5/source/{addresses.part_name(slot)}")
        messages.append(SegmentEnded("source", msn, now_ms, PARTS * PART_MS * 1000))
        first = (now_ms - PARTS * PART_MS) // 1000
        segments.append(f"/{slug}/5/source/{addresses.segment_name(msn, first, 2)}")
    live_store = LiveStore(SystemClock(), 60, 1000)
    feed = live_store.feed("bench")
    for message in messages:
        feed.apply(message)
    playlist = f"/{slug}/5/source/media.m3u8"
    text = cast("tuple[str, str]", live_store.boot_playlist(slug))[1].encode()
    contents = dict.fromkeys(parts, payload)
    contents |= dict.fromkeys(segments, payload * PARTS)
    return Media(
        messages,
        {"playlist": [playlist], "part": parts, "segment": segments},
        {**contents, playlist: text},
    )


def accounts(kind: str) -> list[AccountId]:
    """Return the viewers who ask for one kind of object."""
    first = 1 + KINDS.index(kind) * VIEWERS
    return [AccountId(number.to_bytes(32, "big")) for number in range(first, first + VIEWERS)]


def paid_requests(kind: str, paths: list[str]) -> Iterator[bytes]:
    """Yield requests of all viewers in turn, each going on to its next object."""
    expires_s = int(time.time()) + 3600
    prefixes = [
        f"/w/{mint(Grant(who, PAID.stream, SessionId(1), expires_s), KEYS)}"
        for who in accounts(kind)
    ]
    while True:
        for path in paths:
            for prefix in prefixes:
                yield request(prefix + path)


def free_requests(paths: list[str]) -> Iterator[bytes]:
    """Yield requests for all objects in turn."""
    requests = [request(path) for path in paths]
    while True:
        yield from requests


def request(path: str) -> bytes:
    """Return a GET."""
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\nAccept-Encoding: identity\r\n\r\n".encode()


async def fill(store: Store) -> None:
    """Give every viewer a balance and a session."""
    by_shard: dict[int, list[AccountId]] = {shard: [] for shard in range(SHARDS)}
    for kind in KINDS:
        for who in accounts(kind):
            by_shard[shard_of(who)].append(who)
    stream = PAID.stream.bytes
    for shard, some in by_shard.items():
        state = ShardState(
            balances=tuple(BalanceState(who, Units(10**12), Units(0)) for who in some),
            sessions=tuple(
                SessionGrant(who, stream, SessionId(1), 1, Units(0), 1 << 45) for who in some
            ),
        )
        await store.rebuild(shard, state, EPOCH)


@dataclass
class Target:
    """One server's port, the processes whose CPU counts, and what it is asked."""

    port: int
    pids: tuple[int, ...]
    asked: dict[str, Iterator[bytes]]
    best: dict[str, dict[str, float]] = field(default_factory=dict)


@contextlib.asynccontextmanager
async def our_server(root: Path, streams: dict[str, Media]) -> AsyncIterator[dict[str, Target]]:
    """Yield the HTTP process, free and metered."""
    run = root / "run"
    run.mkdir()
    port = free_port()
    config = root / "config.toml"
    config.write_text(f'[server]\nport = {port}\ndata_dir = "{root}"\n[log]\nlevel = "error"\n')
    words = [sys.executable, "-m", "mediaserver.processes.http", "--config", str(config)]
    async with contextlib.AsyncExitStack() as stack:
        redis = await stack.enter_async_context(
            EmbeddedRedis(root / "redis", run / "redis.sock", "everysec")
        )
        store = await Store.connect(redis.url, "everysec")
        await fill(store)
        policy = Policy((FREE, PAID), KEYS, Asset(), EPOCH, store.run_id, "", False, 0)
        await store.close()
        process = subprocess.Popen([*words, "--index", "0"], cwd=ROOT)  # noqa: ASYNC220 - at once
        stack.callback(process.wait, 10)
        stack.callback(process.terminate)
        await until_open(port)
        for name, told in (("free", streams["free"]), ("paid", streams["paid"])):
            hello = Hello("worker", name, os.getpid())
            await stack.enter_async_context(link(run, hello, told.messages))
        control = await stack.enter_async_context(
            link(run, Hello("control", "control", os.getpid()), [policy])
        )
        await asyncio.sleep(0.5)
        repeat = asyncio.create_task(tell(control, policy))
        stack.callback(repeat.cancel)
        paid, free = streams["paid"].paths, streams["free"].paths
        yield {
            "free": Target(port, (process.pid,), {k: free_requests(free[k]) for k in KINDS}),
            "metered": Target(
                port, (process.pid, redis.pid), {k: paid_requests(k, paid[k]) for k in KINDS}
            ),
        }


def link(run: Path, hello: Hello, messages: list[Message]) -> LinkClients:
    """Return a peer that tells `messages` to the HTTP process."""
    return LinkClients(run, hello, lambda: messages, 1 << 30)


async def tell(control: LinkClients, policy: Policy) -> None:
    """Be heard every 5 s, as control is."""
    while True:
        await asyncio.sleep(5)
        control.send(policy)


@contextlib.asynccontextmanager
async def nginx(root: Path, held: Media) -> AsyncIterator[Target]:
    """Yield one nginx process with the same bytes as files."""
    for path, content in held.bytes.items():
        file = root / "www" / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    port = free_port()
    temps = "\n".join(
        f"{kind}_temp_path {root}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (root / "nginx.conf").write_text(
        f"""daemon off; master_process off; pid {root}/pid; error_log {root}/error.log;
        events {{ worker_connections 256; }}
        http {{ {temps} access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
        open_file_cache max=1000;
        types {{ video/mp4 m4s; application/vnd.apple.mpegurl m3u8; }}
        server {{ listen 127.0.0.1:{port}; root {root}/www;
        add_header Cache-Control "public, max-age=30"; etag on; }} }}"""
    )
    words = ["nginx", "-c", f"{root}/nginx.conf", "-p", str(root)]
    process = subprocess.Popen(words)  # noqa: ASYNC220 - at once
    try:
        await until_open(port)
        yield Target(port, (process.pid,), {k: free_requests(held.paths[k]) for k in KINDS})
    finally:
        process.terminate()
        process.wait(10)


async def until_open(port: int) -> None:
    """Wait until something listens."""
    for _ in range(200):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.05)
    sys.exit(f"nothing listens on {port}")


class Client(asyncio.Protocol):
    """Asks for the next object as soon as the last answer is whole."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self.done = 0
        self._requests = requests
        self._left = 0
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        """Count bytes; ask again when the answer is whole."""
        if self._left:
            self._left -= len(data)
        else:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._head[:end].lower()
            if b" 200 " not in head[:20]:
                print(self._head.decode(), file=sys.stderr)
                os._exit(1)
            at = head.index(b"content-length: ") + 16
            self._left = int(head[at:].partition(b"\r")[0]) - (len(self._head) - end - 4)
            self._head = b""
        if self._left == 0:
            self.done += 1
            self._transport.write(next(self._requests))


async def load(target: Target, kind: str, connections: int, seconds: float) -> dict[str, float]:
    """Return what one stretch of load cost."""
    loop = asyncio.get_running_loop()
    asked = target.asked[kind]
    pairs = [
        await loop.create_connection(lambda: Client(asked), "127.0.0.1", target.port)
        for _ in range(connections)
    ]

    def now() -> list[float]:
        done = float(sum(client.done for _, client in pairs))
        return [done, time.perf_counter(), *map(cpu_s, target.pids)]

    await asyncio.sleep(WARM_UP_S)
    before = now()
    await asyncio.sleep(seconds)
    count, took_s, *used_s = (b - a for a, b in zip(before, now(), strict=True))
    for transport, _ in pairs:
        transport.abort()
    costs = dict(zip(("cpu_us", "redis_us"), (1e6 * s / count for s in used_s), strict=False))
    return {"per_s": count / took_s, **costs}


def keep_best(best: dict[str, float], seen: dict[str, float]) -> None:
    """Take over what is better."""
    for key, value in seen.items():
        pick = max if key == "per_s" else min
        best[key] = pick(best.get(key, value), value)


async def measure(connections: int, seconds: float, rounds: int) -> dict[str, Any]:
    """Return the best of the rounds, by kind and server."""
    payload = os.urandom(PART_BYTES)
    start_ms = (int(time.time()) - SEGMENTS * 2) // 2 * 2000
    streams = {p.slug: media(p.slug, p.stream, start_ms, payload) for p in (FREE, PAID)}
    async with contextlib.AsyncExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vk-bench-")))
        (root / "nginx").mkdir()
        targets = {
            "nginx": await stack.enter_async_context(nginx(root / "nginx", streams["free"])),
            **await stack.enter_async_context(our_server(root, streams)),
        }
        for kind in [*KINDS] * rounds:
            for target in targets.values():
                seen = await load(target, kind, connections, seconds)
                keep_best(target.best.setdefault(kind, {}), seen)
    result: dict[str, Any] = {}
    for kind in KINDS:
        path = streams["free"].paths[kind][0]
        base = targets["nginx"].best[kind]["cpu_us"]
        result[kind] = {"size_bytes": len(streams["free"].bytes[path])}
        for name, target in targets.items():
            best = target.best[kind]
            ratio = round((best["cpu_us"] + best.get("redis_us", 0)) / base, 2)
            facts = {key: round(value, 1) for key, value in best.items()}
            result[kind][name] = {**facts, "cpu_to_nginx": ratio}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.6)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=32)
    options = parser.parse_args()
    result = uvloop.run(measure(options.connections, options.seconds, options.rounds))
    print("CPU of serving one object; the ratio is to nginx, and counts Redis for metered ones")
    table(
        ("object", "bytes", "server", "requests/s", "CPU us", "Redis us", "to nginx"),
        [
            (
                kind,
                row["size_bytes"],
                name,
                round(row[name]["per_s"]),
                row[name]["cpu_us"],
                row[name].get("redis_us", ""),
                row[name]["cpu_to_nginx"],
            )
            for kind, row in result.items()
            for name in ("nginx", "free", "metered")
        ],
    )
    write("serving", result)


if __name__ == "__main__":
    main()
