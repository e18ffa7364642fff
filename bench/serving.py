"""Serving from memory beside nginx: requests per second, CPU per request, and their ratio.

One server process of ours with a gate that grants at once, and one nginx worker with the same bytes
as files, in the same run; the load generator is this process. CPU is the server's own (user and
system), so a busy machine moves the figures less than wall time. `python bench/serving.py
[--seconds 0.6] [--rounds 3] [--connections 16]` prints JSON: the best of the rounds, which are
interleaved.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import cast
from uuid import UUID

import uvloop
from aiohttp import web

from mediaserver.access.tokens import Grant, mint
from mediaserver.clock import SystemClock
from mediaserver.hls import addresses
from mediaserver.hls.hub import Hub
from mediaserver.hls.serve import MediaHandler
from mediaserver.hls.show import Show
from mediaserver.link import (
    InitMade,
    PartMade,
    Policy,
    RenditionsSet,
    SegmentEnded,
    ShowOpened,
    SlotOpened,
)
from mediaserver.media import Part, Rendition, Slot
from metering.units import (
    AccountId,
    Admission,
    Asset,
    Fetch,
    Planck,
    PriceVersion,
    Run,
    SessionId,
    StreamPolicy,
    Verdict,
)

STREAM = UUID(int=7)
KEYS = ((1, b"k" * 32),)
START_MS = 1_790_000_000_000
SEGMENTS = 20
PART_BYTES = 75_000
PARTS = 10
MODES = ("server", "application", "aiohttp")
"""Our handler on a bare server, behind an application; and aiohttp's own response, unmetered."""
TICKS_HZ = os.sysconf("SC_CLK_TCK")


class NullGate:
    """Grants everything at once: what is measured is everything but money."""

    def __init__(self) -> None:
        self._policy = StreamPolicy(STREAM, "cam", "Cam", (PriceVersion(1, 0, Planck(5)),))
        self._granted = Admission(Verdict.GRANTED)

    def policy(self, slug: str) -> StreamPolicy | None:
        """Return the one stream's."""
        return self._policy if slug == "cam" else None

    def is_priced(self, policy: StreamPolicy, run: Run) -> bool:
        """Every tick has its price."""
        return bool(policy.prices) and run.count > 0

    def admit_now(self, fetch: Fetch) -> Admission:  # noqa: ARG002 - a port
        """Grant."""
        return self._granted

    async def admit(self, fetch: Fetch) -> Admission:
        """Grant."""
        return self.admit_now(fetch)


def live_hub() -> tuple[Hub, dict[str, str]]:
    """A show with 0.5 s parts of 75 kB and 5 s segments of 750 kB, as the spike had."""
    hub = Hub(SystemClock(), 60, 1000)
    feed = hub.feed("bench")
    rendition = Rendition("source", ("avc1.64001f",), 4_000_000, 3_000_000, 1280, 720, 30_000)
    feed.apply(ShowOpened(STREAM, "cam", 5, 500, 5, 30_000, audio_only=False))
    feed.apply(RenditionsSet((rendition,)))
    feed.apply(InitMade("source", "0" * 16, b"init"))
    paths = {}
    payload = os.urandom(PART_BYTES)
    now_ms = START_MS
    for msn in range(SEGMENTS):
        for part in range(PARTS):
            slot = Slot(msn, part, now_ms, now_ms + 500)
            feed.apply(SlotOpened(slot, is_discontinuity=False))
            made = Part("source", slot, now_ms + 500, 500_000, part == 0, "0" * 16, payload)
            feed.apply(PartMade(made))
            paths["part"] = f"/cam/5/source/{addresses.part_name(slot)}"
            now_ms += 500
        feed.apply(SegmentEnded("source", msn, now_ms, PARTS * 500_000))
        name = addresses.segment_name(msn, now_ms // 1000 - 5, 5)
        paths["segment"] = f"/cam/5/source/{name}"
    paths["playlist"] = "/cam/5/source/media.m3u8"
    return hub, paths


def serve_ours(mode: str, ready_fd: int) -> None:
    """The child: our handler, bare or behind an aiohttp application."""

    async def run() -> None:
        hub, _ = live_hub()
        handler = MediaHandler(hub, NullGate(), SystemClock())
        policy = Policy((), KEYS, Asset(), "", "", "", is_top_up_open=False, replay_from_ms=0)
        handler.set_policy(policy)

        async def root(request: web.BaseRequest) -> web.StreamResponse:
            path = request.raw_path.partition("?")[0]
            return await handler.handle(request, addresses.parse(path))

        show = cast("Show", hub.current("cam"))
        boot = cast("tuple[str, str]", hub.boot_playlist("cam"))[1].encode()

        async def plain(request: web.BaseRequest) -> web.StreamResponse:
            place = addresses.parse(request.raw_path).place
            if isinstance(place, addresses.Segment | addresses.PartAddress):
                return web.Response(body=b"".join(show.media[place].chunks))
            return web.Response(body=boot)

        runner: web.BaseRunner
        if mode != "server":
            app = web.Application()
            app.router.add_route("*", "/{tail:.*}", plain if mode == "aiohttp" else root)
            runner = web.AppRunner(app, access_log=None)
        else:
            runner = web.ServerRunner(web.Server(root, access_log=None))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        os.write(ready_fd, f"{runner.addresses[0][1]}\n".encode())
        await asyncio.sleep(600)

    uvloop.run(run())


def start_ours(mode: str) -> tuple[subprocess.Popen[bytes], int]:
    read_fd, write_fd = os.pipe()
    command = [sys.executable, __file__, "--child", mode, "--ready-fd", str(write_fd)]
    process = subprocess.Popen(command, pass_fds=(write_fd,))
    os.close(write_fd)
    with os.fdopen(read_fd) as pipe:
        return process, int(pipe.readline())


def start_nginx(root: Path, files: dict[str, bytes]) -> tuple[subprocess.Popen[bytes], int]:
    for path, content in files.items():
        target = root / "www" / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    temps = "\n".join(
        f"{kind}_temp_path {root}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (root / "nginx.conf").write_text(
        f"""daemon off; master_process off; pid {root}/pid; error_log {root}/error.log;
        events {{ worker_connections 256; }}
        http {{ {temps} access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
        types {{ video/mp4 m4s; application/vnd.apple.mpegurl m3u8; }}
        server {{ listen 127.0.0.1:{port}; root {root}/www;
        add_header Cache-Control "public, max-age=30"; etag on; }} }}"""
    )
    process = subprocess.Popen(["nginx", "-c", f"{root}/nginx.conf", "-p", str(root)])
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    return process, port


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_HZ


class Client(asyncio.Protocol):
    """Asks again as soon as the last answer is whole."""

    def __init__(self, request: bytes) -> None:
        self.done = 0
        self._request = request
        self._left = 0
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Count bytes; ask again when the answer is whole."""
        while data:
            if self._left:
                self._left -= len(data)
                data = b""
            else:
                self._head += data
                end = self._head.find(b"\r\n\r\n")
                if end < 0:
                    return
                head = self._head[:end].lower()
                if b" 200 " not in head[:20]:
                    sys.exit(head.decode())
                at = head.index(b"content-length: ") + 16
                length = int(head[at:].partition(b"\r")[0])
                self._left = length - (len(self._head) - end - 4)
                self._head = data = b""
            if self._left == 0:
                self.done += 1
                self._transport.write(self._request)


async def load(
    port: int, path: str, connections: int, seconds: float, pid: int
) -> dict[str, float]:
    request = f"GET {path} HTTP/1.1\r\nHost: bench\r\nAccept-Encoding: identity\r\n\r\n".encode()
    loop = asyncio.get_running_loop()
    pairs = [
        await loop.create_connection(lambda: Client(request), "127.0.0.1", port)
        for _ in range(connections)
    ]
    clients = [client for _, client in pairs]
    await asyncio.sleep(0.2)
    done, cpu, start = sum(c.done for c in clients), cpu_s(pid), time.perf_counter()
    await asyncio.sleep(seconds)
    count = sum(c.done for c in clients) - done
    used_s, took_s = cpu_s(pid) - cpu, time.perf_counter() - start
    for transport, _ in pairs:
        transport.abort()
    return {"requests_per_s": round(count / took_s), "cpu_us": round(used_s / count * 1e6, 1)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=0.6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--child", default="")
    parser.add_argument("--ready-fd", type=int, default=-1)
    options = parser.parse_args()
    if options.child:
        serve_ours(options.child, options.ready_fd)
        return
    hub, paths = live_hub()
    show = cast("Show", hub.current("cam"))
    files = {}
    for path in paths.values():
        place = addresses.parse(path).place
        if isinstance(place, addresses.Segment | addresses.PartAddress):
            files[path] = b"".join(show.media[place].chunks)
    boot = cast("tuple[str, str]", hub.boot_playlist("cam"))
    files[paths["playlist"]] = boot[1].encode()
    grant = Grant(AccountId(b"a" * 32), STREAM, SessionId(1), int(time.time()) + 3600)
    prefix = f"/w/{mint(grant, KEYS)}"
    root = Path(tempfile.mkdtemp(prefix="vilokanam-bench-"))
    processes = []
    result: dict[str, dict[str, object]] = {}
    try:
        servers = {"nginx": ("", start_nginx(root, files))}
        servers |= {m: (prefix, start_ours(m)) for m in MODES}
        processes = [process for _, (process, _) in servers.values()]
        for kind in ("playlist", "part", "segment"):
            row: dict[str, object] = {"size_bytes": len(files[paths[kind]])}
            for name in servers:
                row[name] = {"requests_per_s": 0, "cpu_us": float("inf")}
            for name, (before, (process, port)) in [*servers.items()] * options.rounds:
                path, pid = before + paths[kind], process.pid
                seen = uvloop.run(load(port, path, options.connections, options.seconds, pid))
                best = cast("dict[str, float]", row[name])
                best["requests_per_s"] = max(best["requests_per_s"], seen["requests_per_s"])
                best["cpu_us"] = min(best["cpu_us"], seen["cpu_us"])
            base = row["nginx"]["cpu_us"]  # type: ignore[index]
            for name in MODES:
                cpu_us = row[name]["cpu_us"]  # type: ignore[index]
                row[f"{name}_to_nginx"] = round(cpu_us / base, 2)
            result[kind] = row
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
            process.wait(10)
        shutil.rmtree(root)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
