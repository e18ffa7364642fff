"""CPU of one live stream, all processes of the server together, beside the ffmpeg program.

The same 720p30 H.264 + Opus clip is published over WHIP (as it is, by a process that is not
counted) and read by ffmpeg at its own rate (-re), which makes HLS in fMP4 of it: video copied, or
copied and encoded to 360p by libx264 superfast as our rung is, sound as AAC. ffmpeg's is the lesser
task: no parts, no RTP, no DTLS. Ours and ffmpeg's run at the same time, so they share the noise.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from _common import clip, command, cpu_s, product, publishing, table, tree, write

from tests.support.audience import open_stream, wait_live

RUNGS: Final = {
    "passthrough": "[transcode]\nrungs = []\n",
    "one 360p rung": '[[transcode.rungs]]\nname = "360p"\nheight = 360\nvideo_kbps = 700\n',
}
COPIED: Final = "-map 0:v -c:v:0 copy"
RUNG: Final = """-map 0:v -filter:v:1 scale=-2:360:flags=bilinear -c:v:1 libx264
    -preset:v:1 superfast -tune:v:1 zerolatency -threads:v:1 1 -b:v:1 700k -maxrate:v:1 700k
    -bufsize:v:1 700k -g:v:1 60 -bf:v:1 0"""
SOUND: Final = "-map 0:a -c:a aac -b:a 128k"
HLS: Final = """-f hls -hls_segment_type fmp4 -hls_time 2 -hls_list_size 15
    -hls_flags delete_segments+independent_segments"""
WARM_UP_S: Final = 4


@contextlib.contextmanager
def ffmpeg(source: Path, folder: Path, case: str) -> Iterator[int]:
    """Yield the pid of an ffmpeg that does the same."""
    folder.mkdir()
    streams = "v:0,agroup:a,name:source a:0,agroup:a,name:audio"
    words = ["ffmpeg", "-nostdin", "-v", "error", "-stream_loop", "-1", "-re", "-i", str(source)]
    words += COPIED.split()
    if case != "passthrough":
        words += RUNG.split()
        streams = "v:0,agroup:a,name:source v:1,agroup:a,name:360p a:0,agroup:a,name:audio"
    words += [*SOUND.split(), *HLS.split(), "-var_stream_map", streams]
    words += ["-master_pl_name", "index.m3u8", f"{folder}/%v.m3u8"]
    process = subprocess.Popen(words)
    try:
        yield process.pid
        if process.poll() is not None:
            raise SystemExit("ffmpeg ended early")
    finally:
        process.kill()
        process.wait()


def name_of(pid: int) -> str:
    """Return which of the server's processes it is."""
    words = command(pid)
    for name in ("worker", "http", "control", "settler"):
        if f"processes.{name}" in words:
            return name
    return "redis" if "redis" in words else "server"


def compare(case: str, folder: Path, source: Path, seconds: float) -> dict[str, Any]:
    """Return CPU ms per second of stream: ours by process, and ffmpeg's."""
    with product(RUNGS[case]) as server, contextlib.ExitStack() as stack:
        key = open_stream(server, "cam", "0")
        stack.enter_context(publishing(server, "cam", key, source))
        pid = stack.enter_context(ffmpeg(source, folder / case.replace(" ", "-"), case))
        wait_live(server, None, "cam")
        time.sleep(WARM_UP_S)
        assert server.process is not None
        ours = tree(server.process.pid)
        before, began = [cpu_s(one) for one in (*ours, pid)], time.monotonic()
        time.sleep(seconds)
        took_s = time.monotonic() - began
        used = [
            1000 * (cpu_s(one) - at) / took_s for one, at in zip((*ours, pid), before, strict=True)
        ]
        by_name: dict[str, float] = {}
        for one, used_ms in zip(ours, used, strict=False):
            by_name[name_of(one)] = by_name.get(name_of(one), 0) + used_ms
    total_ms = sum(by_name.values())
    return {
        "ours_ms_per_s": round(total_ms, 1),
        "ffmpeg_ms_per_s": round(used[-1], 1),
        "ratio": round(total_ms / used[-1], 2),
        "worker_ratio": round(by_name["worker"] / used[-1], 2),
        "by_process_ms_per_s": {name: round(used_ms, 1) for name, used_ms in by_name.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=12)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vk-bench-") as name:
        folder = Path(name)
        source = clip(folder)
        result = {case: compare(case, folder, source, options.seconds) for case in RUNGS}
    print("CPU ms per second of stream (1000 is a core)")
    processes = ("worker", "http", "control", "redis", "server")
    table(
        ("", *processes, "all", "ffmpeg", "ratio"),
        [
            (
                case,
                *(facts["by_process_ms_per_s"].get(one, 0.0) for one in processes),
                facts["ours_ms_per_s"],
                facts["ffmpeg_ms_per_s"],
                facts["ratio"],
            )
            for case, facts in result.items()
        ],
    )
    write("stream_cpu", result)


if __name__ == "__main__":
    main()
