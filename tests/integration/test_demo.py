"""`vilokanam demo`: a whole server in one command, as a script sees it."""

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path
from urllib.parse import urljoin

import aiohttp
import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["watch", "hls", "whip", "stream key", "admin token"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def processes_of(data_dir):
    """Return the processes that were started with a data directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if any(str(data_dir).encode() in word for word in words):
            found.append(words)
    return found


async def demo(data_dir, *argv):
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mediaserver.cli.main", "demo", "--data-dir", str(data_dir)),
        *argv,
        cwd=ROOT,
        env={**os.environ, "VILOKANAM_TRANSCODE__RUNGS": "[]"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


def media_uris(playlist):
    return [line for line in playlist.splitlines() if line and not line.startswith("#")]


@pytest.mark.timeout(150)
async def test_demo_goes_live_bills_what_is_watched_and_ends_within_five_seconds(tmp_path) -> None:
    """One command: five lines, a live picture that is paid by the second, and a clean end."""
    data_dir = tmp_path / "demo"
    process = await demo(data_dir, "--port", str(free_port()))
    try:
        async with asyncio.timeout(90):
            lines = [(await process.stdout.readline()).decode().rstrip("\n") for _ in NAMES]
        printed = dict(line.split(": ", 1) for line in lines)
        assert list(printed) == NAMES

        async with aiohttp.ClientSession() as http:

            async def text(url):
                async with http.get(url) as answer:
                    assert answer.status == 200, await answer.text()
                    return await answer.text()

            assert "window.__boot" in await text(printed["watch"])
            media = urljoin(printed["hls"], media_uris(await text(printed["hls"]))[0])
            async with asyncio.timeout(20):
                while True:
                    if segments := media_uris(await text(media)):
                        break
                    await asyncio.sleep(0.2)
            async with http.get(urljoin(media, segments[0])) as answer:
                assert answer.status == 200
                assert len(await answer.read()) > 10_000
            count = int(segments[0].rpartition("x")[2].removesuffix(".m4s"))
            anonymous = "/".join([*printed["watch"].split("/")[:3], *media.split("/")[5:]])
            async with http.get(urljoin(anonymous, segments[0])) as answer:
                assert answer.status == 401

            api = printed["watch"].partition("/w/")[0] + "/api/v1/"
            bearer = {"Authorization": f"Bearer {printed['admin token']}"}
            async with asyncio.timeout(20):
                while True:
                    async with http.get(api + "reconcile", headers=bearer) as answer:
                        report = json.loads(await answer.text())
                    assert report["is_balanced"], report["differences"]
                    if report["totals"]["settled"] == str(count):
                        break
                    await asyncio.sleep(0.2)
            async with http.get(api + "streams/demo", headers=bearer) as answer:
                assert (await answer.json())["health"]["state"] == "live"

        began = asyncio.get_running_loop().time()
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 10) == 0
        assert asyncio.get_running_loop().time() - began < 5
        assert processes_of(data_dir) == []
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def test_demo_says_what_to_do_when_the_port_is_busy(tmp_path) -> None:
    """Another program on the port is named, with the way out."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = await demo(tmp_path / "demo", "--port", str(port))
        out, err = await asyncio.wait_for(process.communicate(), 60)

    assert (process.returncode, out) == (2, b"")
    assert f"server.port: {port} on 127.0.0.1 is in use" in err.decode()
    assert "--port" in err.decode()
