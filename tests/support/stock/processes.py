"""Stock players that are programs, with their defaults, and what each shows, as it says it itself.

Debian has them; `scripts/need` installs them for `make test`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.support.stock.progress import Sample

_NOBODY: Final = 65534
"""VLC does not run as root."""
_FRAMES_OF: Final = "-map 0:v:0 -f framecrc -flush_packets 1 -"
_MPV_SAYS: Final = "--term-status-msg=at ${=time-pos}\n"
_SINKS: Final = (
    "video-sink=fakesink silent=false sync=true",
    "audio-sink=fakesink sync=true",
)
COMMANDS: Final[dict[str, tuple[str, ...]]] = {
    "ffmpeg": ("ffmpeg", "-nostdin", "-v", "warning", "-i", "URL", *_FRAMES_OF.split()),
    "mpv": ("mpv", "--no-config", "--vo=null", "--ao=null", _MPV_SAYS, "URL"),
    "vlc": ("vlc", "-I", "oldrc", "--rc-fake-tty", "--vout", "dummy", "--aout", "dummy", "URL"),
    # With hlsdemux, and with the newer hlsdemux2.
    "playbin": ("gst-launch-1.0", "-v", "playbin", "uri=URL", *_SINKS),
    "playbin3": ("gst-launch-1.0", "-v", "playbin3", "uri=URL", *_SINKS),
    "streamlink": ("streamlink", "--stdout", "hls://URL", "best"),
}  # fmt: skip
_POLL_S: Final = 0.25


def _counted(pattern: str) -> Callable[[str, float], float | None]:
    """Return a reader of lines: each that matches is a frame."""
    return lambda line, place: place + 1 if re.search(pattern, line) else None


def _named(pattern: str) -> Callable[[str, float], float | None]:
    """Return a reader of lines that name the place."""

    def read(line: str, _: float) -> float | None:
        found = re.findall(pattern, line)
        return float(found[-1]) if found else None

    return read


_READERS: Final = {
    "ffmpeg": _counted(r"^0, "),
    "streamlink": _counted(r"^0, "),
    "mpv": _named(r"at ([0-9.]+)"),
    "vlc": _named(r"frames displayed\s*:\s*(\d+)"),
    "playbin": _counted(r"chain .*pts:"),
    "playbin3": _counted(r"chain .*pts:"),
}


class ProcessPlayer:
    """One stock player, from its start to `close`."""

    def __init__(self, name: str, url: str, folder: Path) -> None:
        self.name = name
        self._samples: list[Sample] = []
        self._log = folder / f"{name}.log"
        command = [word.replace("URL", url) for word in COMMANDS[name]]
        for program in {command[0], "ffmpeg"} if name == "streamlink" else {command[0]}:
            if shutil.which(program) is None:
                pytest.skip(f"no {program}")
        is_vlc = name == "vlc"
        user = _NOBODY if is_vlc and os.geteuid() == 0 else None
        with self._log.open("ab") as log:
            self._processes = [
                subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE if is_vlc else subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log if name in ("ffmpeg", "streamlink", "vlc") else subprocess.STDOUT,
                    user=user,
                    env={**os.environ, "HOME": "/tmp"},
                )
            ]
            if name == "streamlink":
                # What it hands on is played by another.
                frames = ("ffmpeg", "-nostdin", "-v", "warning", "-i", "-", *_FRAMES_OF.split())
                source = self._processes[0].stdout
                self._processes.append(
                    subprocess.Popen(frames, stdin=source, stdout=subprocess.PIPE, stderr=log)
                )
        self._threads = [threading.Thread(target=self._read, daemon=True)]
        if is_vlc:
            self._threads.append(threading.Thread(target=self._ask, daemon=True))
        for thread in self._threads:
            thread.start()

    def samples(self) -> list[Sample]:
        """Return how far it came, and when."""
        return list(self._samples)

    def log(self) -> str:
        """Return the end of what it complained of."""
        return self._log.read_text(errors="replace")[-2000:]

    def close(self) -> None:
        """End it."""
        for process in self._processes:
            process.kill()
            process.wait()
        for thread in self._threads:
            thread.join(5)
        for process in self._processes:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()

    def _read(self) -> None:
        read, place = _READERS[self.name], 0.0
        stdout = self._processes[-1].stdout
        assert stdout is not None
        for raw in stdout:
            now = read(raw.decode(errors="replace"), place)
            if now is not None:
                place = now
                self._samples.append(Sample(time.time(), place))

    def _ask(self) -> None:
        process = self._processes[0]
        assert process.stdin is not None
        while process.poll() is None:
            try:
                process.stdin.write(b"stats\n")
                process.stdin.flush()
            except OSError:
                return
            time.sleep(_POLL_S)  # between two questions to another program
