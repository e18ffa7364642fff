"""A spare worker publishes to itself before its first publisher comes."""

import asyncio
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from mediaserver.clock import SystemClock
from mediaserver.ingest import dtls, peer, sdp, sdp_answer
from mediaserver.ingest.sdp_answer import LocalTransport
from mediaserver.ingest.whip import OFFER_TYPE
from mediaserver.processes import worker_warmup
from mediaserver.processes.bootstrap import Start
from mediaserver.processes.worker import STREAM_HEADER, Worker
from tests.support.control_server import settings

OFFER = Path(__file__).parents[1] / "golden" / "offer-obs.sdp"
KEY_SHA256 = "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"
ASSIGNMENT = f'{{"stream": "{1:032x}", "slug": "cam", "key_sha256": "{KEY_SHA256}"}}'


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that has no certificate yet."""
    monkeypatch.setattr(dtls, "_certificate", None)
    yield
    dtls.forget_certificate()


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[LocalTransport]:
    """What each answer said of our side of the transport."""
    said: list[LocalTransport] = []
    build = sdp_answer.build_answer

    def note(offer, local):
        said.append(local)
        return build(offer, local)

    monkeypatch.setattr(peer, "build_answer", note)
    return said


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def kept(folder: Path) -> list[Path]:
    return list(folder.rglob("*"))


async def test_a_spare_publishes_to_itself_and_leaves_nothing_behind(
    fresh, answered, tmp_path
) -> None:
    """One whole session, connected at both ends; no socket, task, file or key of it stays."""
    tree = settings()
    tree = replace(tree, server=replace(tree.server, data_dir=str(tmp_path)))
    await worker_warmup.warm_up(tree, SystemClock())
    before, files = asyncio.all_tasks(), open_files()

    assert await worker_warmup.warm_up(tree, SystemClock())

    assert len(answered) == 2
    assert asyncio.all_tasks() == before
    assert open_files() == files
    assert dtls._certificate is None
    assert not kept(tmp_path)


@pytest.mark.parametrize(
    ("target", "fault"),
    [
        ("mediaserver.ingest.sdp.parse_sections", ValueError("no such answer")),
        ("mediaserver.ingest.dtls.sha256_of", RuntimeError("out of keys")),
        ("aiohttp.web.AppRunner", OSError("no file is left")),
    ],
)
async def test_a_spare_that_cannot_is_still_a_worker(
    fresh, monkeypatch, capfd, target, fault
) -> None:
    """The log says why; the worker must not hang or die of it."""
    before = asyncio.all_tasks()

    def fail(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(target, fail)

    assert not await worker_warmup.warm_up(settings(), SystemClock())

    assert asyncio.all_tasks() == before
    printed = capfd.readouterr()
    assert "whip.rehearsal.failed" in printed.out + printed.err
    assert str(fault) in printed.out + printed.err


async def test_a_codec_that_cannot_is_told_as_well(fresh, monkeypatch, capfd) -> None:
    """Its first sound will fail by the rules for sound, not the start of a worker."""

    def fail(_audio_kbps: int) -> None:
        raise RuntimeError("no encoder")

    monkeypatch.setattr("mediaserver.transcode.audio.warm_up", fail)

    assert not worker_warmup.settle(settings(), SystemClock())

    printed = capfd.readouterr()
    assert "no encoder" in printed.out + printed.err


async def test_a_publisher_meets_no_secret_of_the_warm_up(fresh, answered, tmp_path) -> None:
    """The worker has warmed up when control hears of it; who comes then is answered anew.

    ICE credentials and the certificate of the warm-up's session are none of the publisher's.
    """
    start, stop = Start(settings(), None, tmp_path, Namespace()), asyncio.Event()
    start.run_dir.mkdir()
    heard = asyncio.Event()

    async def note(_: web.Request) -> web.Response:
        heard.set()
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/internal/workers", note)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(start.run_dir / "control.sock")).start()
    running = asyncio.create_task(Worker(start, "1", None).run(stop))
    try:
        async with asyncio.timeout(20):
            await heard.wait()
            assert len(answered) == 1
            connector = aiohttp.UnixConnector(str(start.run_dir / "worker-1.sock"))
            async with aiohttp.ClientSession(connector=connector) as client:
                answer = await client.post(
                    "http://worker/cam/whip",
                    data=OFFER.read_bytes(),
                    headers={
                        "Authorization": "Bearer key",
                        "Content-Type": OFFER_TYPE,
                        STREAM_HEADER: ASSIGNMENT,
                    },
                )
                text = await answer.text()
    finally:
        stop.set()
        await running
        await runner.cleanup()

    assert answer.status == 201, text
    section = sdp.parse_sections(text)[1][0]
    ours = {section.get("ice-ufrag"), section.get("ice-pwd"), section.get("fingerprint")}
    rehearsed = answered[0]
    assert not ours & {rehearsed.ufrag, rehearsed.pwd, f"sha-256 {rehearsed.fingerprint}"}


def test_forks_of_one_parent_have_certificates_of_their_own() -> None:
    """The fork server warms up too, hands down none of its keys, and logs no session."""
    program = (
        "import os, sys\n"
        "from mediaserver import log\n"
        "from mediaserver.clock import SystemClock\n"
        "from mediaserver.ingest import dtls\n"
        "from mediaserver.processes import fork_server\n"
        "from mediaserver.settings.records import Settings\n"
        "log.configure('json', 'debug', 'fork-server')\n"
        "fork_server.prepare(['mediaserver.processes.worker'], Settings())\n"
        "assert not fork_server.unsafe(), fork_server.unsafe()\n"
        "for _ in range(2):\n"
        "    if os.fork() == 0:\n"
        "        now_ms = SystemClock().now_ms()\n"
        "        print(dtls.sha256_of(dtls.certificate(now_ms)), flush=True)\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert len(set(done.stdout.split())) == 2
    assert not done.stderr


def test_code_that_all_workers_share_is_in_the_memory_of_a_spare() -> None:
    """So the first stream is no dearer than the second: the encoder's pages are mapped."""
    program = (
        "import re\n"
        "from pathlib import Path\n"
        "from mediaserver.clock import SystemClock\n"
        "from mediaserver.processes import library_pages, worker_warmup\n"
        "from mediaserver.settings.records import Settings\n"
        "def resident():\n"
        "    text = Path('/proc/self/smaps').read_text()\n"
        "    code = r' r-xp .*/libav(?:codec|util).*\\n(?:.*\\n)*?Rss: +(\\d+)'\n"
        "    found = re.findall(code, text)\n"
        "    return sum(map(int, found))\n"
        "library_pages.release()\n"
        "before = resident()\n"
        "assert worker_warmup.settle(Settings(), SystemClock())\n"
        "print(resident() - before)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert int(done.stdout) > 1024
