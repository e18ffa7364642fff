"""`vilokanam demo`: what it prints plays, in a browser and in any other player; Ctrl-C ends all."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest

from tests.support.audience import longest_stall, watch
from tests.support.servers.vilokanam import ROOT, chromium, free_port, get, until

pytestmark = pytest.mark.timeout(150)

NAMES = ["watch", "hls", "whip", "stream key", "admin token"]
PLAY_S = 10


def processes_of(data_dir: Path) -> list[str]:
    """Return the command lines that hold the demo's data directory."""
    programs = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(data_dir) in words:
            programs.append(words)
    return programs


def pictures_of(url: str, count: int) -> int:
    """Return how many pictures PyAV decodes from an HLS address, `count` at most."""
    with av.open(url, timeout=15) as source:
        return sum(1 for _, _ in zip(range(count), source.decode(video=0), strict=False))


def test_the_demo_plays_in_chromium_and_in_ffmpeg_and_ends_on_ctrl_c(tmp_path):
    """Five lines; 10 s of picture without a stall; FFmpeg opens the hls line; gone within 5 s."""
    data_dir, port = tmp_path / "demo", free_port()
    log = (tmp_path / "demo.log").open("ab")
    began_s = time.monotonic()
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "mediaserver.cli.main", "demo"),
            *("--data-dir", str(data_dir), "--port", str(port)),
        ],
        stdout=subprocess.PIPE,
        stderr=log,
        cwd=ROOT,
        text=True,
    ) as demo:
        try:
            assert demo.stdout is not None
            lines = [demo.stdout.readline().rstrip("\n") for _ in NAMES]
            started_s = time.monotonic() - began_s
            printed = dict(line.split(": ", 1) for line in lines if ": " in line)
            assert list(printed) == NAMES, (lines, (tmp_path / "demo.log").read_text())
            with chromium() as browser:
                page = browser.new_page()
                samples = watch(page, printed["watch"], PLAY_S)
                first_frame_ms = page.evaluate("() => window.vilokanam.firstFrameMs")
                page.close()
            pictures = pictures_of(printed["hls"], 45)

            began_s = time.monotonic()
            demo.send_signal(signal.SIGINT)
            code = demo.wait(timeout=20)
            ended_s = time.monotonic() - began_s
            until(lambda: not processes_of(data_dir), "everything ended", 5 - min(4.9, ended_s))
        finally:
            if demo.poll() is None:
                demo.terminate()
            log.close()
    print(
        f"demo: five lines after {started_s:.1f} s, first frame {first_frame_ms} ms, longest stall "
        f"{longest_stall(samples):.2f} s, {pictures} pictures by PyAV, ended in {ended_s:.1f} s"
    )
    assert code == 0
    assert ended_s <= 5
    assert pictures == 45
    assert samples[-1]["time"] - samples[0]["time"] > PLAY_S * 0.9
    assert longest_stall(samples) <= 1.5
    assert get(f"http://127.0.0.1:{port}/healthz")[0] == 0
    text = (tmp_path / "demo.log").read_text()
    assert "Traceback" not in text, text
