"""WHIP publishers on other WebRTC stacks: the programs in tests/publishers, run and listened to."""

import contextlib
import signal
import subprocess
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av

from tests.support.servers.vilokanam import ROOT, Server, until

PROGRAMS: Final = ROOT / "tests" / "publishers"
STACKS: Final = {
    "libdatachannel": ["node", str(PROGRAMS / "libdatachannel.mjs")],
    "pion": [str(PROGRAMS / "pion" / "whip")],
    # The bindings are the distribution's, for its own Python.
    "gstreamer": ["/usr/bin/python3", str(PROGRAMS / "gstreamer.py")],
}
"""Command of each, without its arguments: address, key, file of access units."""


def write_units(path: Path, seconds: int = 4) -> None:
    """Write access units of 320x180 at 30 fps, a keyframe each second, each behind its length."""
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = 320, 180, "yuv420p"
    codec.time_base, codec.framerate = Fraction(1, 30), Fraction(30)
    codec.bit_rate = 400_000
    codec.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "profile": "baseline",
        "g": "30",
        "x264-params": "repeat-headers=1",
    }
    graph = av.filter.Graph()
    source = graph.add("testsrc", "size=320x180:rate=30")
    sink = graph.add("buffersink")
    convert = graph.add("format", "pix_fmts=yuv420p")
    source.link_to(convert)
    convert.link_to(sink)
    graph.configure()
    with path.open("wb") as file:
        for number in range(30 * seconds):
            frame: Any = sink.pull()
            frame.pts, frame.time_base = number, Fraction(1, 30)
            frame.pict_type = av.video.frame.PictureType.NONE
            for packet in codec.encode(frame):
                unit = bytes(packet)
                file.write(len(unit).to_bytes(4, "big") + unit)


class Stack:
    """One publisher's program. Its lines are ``<Unix ms> <word>``."""

    def __init__(self, name: str, url: str, key: str, units: Path, log: Path) -> None:
        self.lines: list[tuple[float, str]] = []
        self._log = log.open("ab")
        self.process = subprocess.Popen(
            [*STACKS[name], url, key, str(units)],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            time_ms, _, word = line.strip().partition(" ")
            self.lines.append((int(time_ms) / 1000, word))

    def since(self, word: str, after_s: float = 0.0) -> float | None:
        """Return when it said `word` for the first time after `after_s`, Unix time."""
        return next((at for at, line in list(self.lines) if line == word and at > after_s), None)

    def until(self, word: str, after_s: float = 0.0, timeout_s: float = 20) -> float:
        """Wait until it says `word`; return when it did, Unix time."""
        with contextlib.suppress(AssertionError):
            until(lambda: self.since(word, after_s) or self.is_over(), word, timeout_s)
        at = self.since(word, after_s)
        assert at is not None, f"no {word!r} in {self.lines}"
        return at

    def is_over(self) -> bool:
        """Return whether the program has ended and all that it said was read."""
        return self.process.poll() is not None and not self._reader.is_alive()

    def stop(self) -> None:
        """End the session as its user would: with DELETE."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()


@contextlib.contextmanager
def publishing(name: str, server: Server, slug: str, key: str, units: Path) -> Iterator[Stack]:
    """Run one publisher of the stack `name`."""
    stack = Stack(name, f"{server.url}/{slug}/whip", key, units, server.directory / "stack.log")
    try:
        yield stack
    finally:
        stack.stop()
