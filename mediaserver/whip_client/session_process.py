"""One WHIP session of the publisher, in a process of its own.

Driven by `client`, which says what to send in one line of JSON on standard input, and stops it
by closing that. It reports in lines of JSON on standard output; how it ended is in the exit code.
A process, as PyAV holds the GIL while FFmpeg connects and closes, and as FFmpeg waits indefinitely
for close_notify from a server that is gone.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mediaserver.whip_client.test_pattern import SAMPLE_RATE, SOUND_SAMPLES, TestPicture, Tone

BEHIND_MAX_S: Final = 0.5
"""Frames older than this are skipped: a live picture is not made up for."""
RATE_FIRST_S: Final = 2.0
"""Until the first report of the rate."""
RATE_S: Final = 10.0
"""Between two reports: often enough to see it live, and an hour is still readable."""
_CONNECT_MS: Final = 5000
_STUCK_S: Final = 3.0
"""A packet is sent in microseconds. FFmpeg that meets the server's close_notify may wait for an
answer to it indefinitely (seen once in a dozen restarts), with the GIL held: only the kernel can
end that."""
_COVER: Final = av.stream.Disposition.attached_pic
"""A picture of the album is a video stream of one frame."""
_CLOCK_RATE: Final = 90_000
_AUDIO_BASE: Final = Fraction(1, SAMPLE_RATE)
_VIDEO_BASE: Final = Fraction(1, _CLOCK_RATE)


class ExitCode(IntEnum):
    """How a session ended: the exit code."""

    STUCK = -signal.SIGALRM
    DONE = 0
    LOST = 10
    UNREACHED = 11


def main() -> None:
    """Run one session and end the process."""
    job: dict[str, Any] = json.loads(sys.stdin.readline())
    stop = threading.Event()
    threading.Thread(target=_watch_stdin, args=(stop,), daemon=True).start()
    with _certificate() as (cert, key_file):
        options = {
            "cert_file": str(cert),
            "key_file": str(key_file),
            "handshake_timeout": str(_CONNECT_MS),
        }
        end = _run(job, options, stop)
    # Not a return: closing what remains of a lost session may never return.
    os._exit(end)


def _run(job: dict[str, Any], options: dict[str, str], stop: threading.Event) -> ExitCode:
    output = _Output(av.open(job["url"], "w", format="whip", options=options))
    try:
        session = _FileSource(output, job) if "path" in job else _TestSource(output, job)
    except (av.FFmpegError, NoMediaError) as error:
        _report("no_media", text=f"{job.get('path')} {_words(error)}")
        return ExitCode.UNREACHED
    is_live = False
    try:
        output.container.start_encoding()
        is_live = True
        _report("live")
        session.play(stop)
        output.container.close()
    except NoMediaError as error:
        _report("no_media", text=f"{job.get('path')} {error}")
        return ExitCode.UNREACHED
    except av.FFmpegError as error:
        _report("failed", text=_words(error))
        return ExitCode.LOST if is_live else ExitCode.UNREACHED
    return ExitCode.DONE


def _report(event: str, **facts: object) -> None:
    sys.stdout.write(json.dumps({"event": event, **facts}) + "\n")
    sys.stdout.flush()


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _watch_stdin(stop: threading.Event) -> None:
    sys.stdin.read()
    stop.set()


class NoMediaError(Exception):
    """A file has nothing that can be published; says what it has."""


class _Output:
    """FFmpeg's muxer, and the rate at which it sends.

    Attributes:
        container: PyAV's.
    """

    def __init__(self, container: Any) -> None:
        self.container = container
        self._began = self._since = time.monotonic()
        self._report_s = RATE_FIRST_S
        self._pictures = self._size_bytes = 0

    def mux(self, packet: Any) -> None:
        """Send a packet; report the rate now and then."""
        self._size_bytes += packet.size
        self._pictures += packet.stream.type == "video"
        _mux(self.container, packet)
        now = time.monotonic()
        span = now - self._since
        if span >= self._report_s:
            _report(
                "rate",
                since_s=now - self._began,
                fps=self._pictures / span,
                kbps=self._size_bytes / 125 / span,
            )
            self._since, self._report_s = now, RATE_S
            self._pictures = self._size_bytes = 0


@dataclass(frozen=True, slots=True)
class _Coding:
    """How a picture is encoded."""

    width: int
    height: int
    fps: Fraction
    kbps: int
    gop_s: int


class _TestSource:
    """The test picture and its tone."""

    def __init__(self, output: Any, job: dict[str, Any]) -> None:
        coding = _Coding(
            job["width"], job["height"], Fraction(job["fps"]), job["video_kbps"], job["gop_s"]
        )
        self._output = output
        self._fps = coding.fps
        self._seconds: float | None = job["seconds"]
        self._picture, self._tone = TestPicture(coding.width, coding.height), Tone()
        self._video, self._audio = (
            _add_video(output.container, coding),
            _add_audio(output.container),
        )

    def play(self, stop: threading.Event) -> None:
        """Send picture and tone in real time."""
        start, start_position = time.monotonic(), time.time_ns() * SAMPLE_RATE // 10**9
        ends_at = None if self._seconds is None else start + self._seconds
        number = sounds = 0
        while not stop.is_set() and (ends_at is None or time.monotonic() < ends_at):
            ahead = start + float(number / self._fps) - time.monotonic()
            if ahead > 0:
                stop.wait(ahead)
            elif -ahead > BEHIND_MAX_S:
                number += int(-ahead * self._fps)
            frame = self._picture.draw(time.time_ns() // 10**6)
            frame.pts, frame.time_base = int(number * _CLOCK_RATE / self._fps), _VIDEO_BASE
            self._send(self._video, frame)
            while sounds * SOUND_SAMPLES * self._fps <= number * SAMPLE_RATE:
                sound = self._tone.frame(start_position + sounds * SOUND_SAMPLES)
                sound.pts, sound.time_base = sounds * SOUND_SAMPLES, _AUDIO_BASE
                self._send(self._audio, sound)
                sounds += 1
            number += 1

    def _send(self, stream: Any, frame: Any) -> None:
        for packet in stream.encode(frame):
            self._output.mux(packet)


class _FileSource:
    """A file in real time."""

    def __init__(self, output: Any, job: dict[str, Any]) -> None:
        try:
            self._source = av.open(job["path"])
        except av.FFmpegError as error:
            raise NoMediaError(f"is no media that FFmpeg knows ({_words(error)})") from error
        self._is_looped = bool(job["is_looped"])
        streams = self._source.streams
        pictures = [one for one in streams.video if not one.disposition & _COVER]
        chosen = (*pictures[:1], *streams.audio[:1])
        if not chosen:
            kinds = ", ".join(sorted({stream.type for stream in streams})) or "nothing"
            raise NoMediaError(f"holds neither picture nor sound ({kinds})")
        self._tracks = {stream.index: _Track(output, stream) for stream in chosen}

    def play(self, stop: threading.Event) -> None:
        """Send it once, or over and over."""
        start, offset = time.monotonic(), Fraction(0)
        while True:
            end = self._play_once(stop, start, offset)
            if end <= 0 and not stop.is_set():
                raise NoMediaError("has tracks, but no packet that can be sent")
            if not self._is_looped or end <= offset or stop.is_set():
                return
            offset = end
            self._source.seek(0)

    def _play_once(self, stop: threading.Event, start: float, offset: Fraction) -> Fraction:
        """Return where it ended, in seconds since `start`."""
        first: Fraction | None = None
        newest = offset
        for packet in self._source.demux([track.source for track in self._tracks.values()]):
            if packet.dts is None or packet.pts is None:
                continue
            at = packet.dts * packet.time_base
            first = at if first is None else first
            due = at - first + offset
            ahead = start + float(due) - time.monotonic()
            if ahead > 0:
                stop.wait(ahead)
            if stop.is_set():
                break
            length = (packet.duration or 0) * packet.time_base or Fraction(1, 30)
            newest = max(newest, due + length)
            self._tracks[packet.stream.index].send(packet, offset - first)
        return newest


class _Track:
    """One track of a file on its way out: as it is, or encoded."""

    def __init__(self, output: Any, source: Any) -> None:
        self.source = source
        self._output = output
        context = source.codec_context
        self._is_video = source.type == "video"
        # What the muxer takes and browsers show: stereo Opus at 48 kHz, H.264 in decoding order and
        # 4:2:0.
        self._is_copied = (
            context.name in ("libopus", "opus")
            and (context.layout.nb_channels, context.sample_rate) == (2, SAMPLE_RATE)
        ) or (
            context.name == "h264"
            and not context.has_b_frames
            and context.pix_fmt in {"yuv420p", "yuvj420p"}
        )
        self._resampler: Any = None
        if self._is_copied:
            self._stream = output.container.add_stream_from_template(source)
        elif self._is_video:
            rate = source.average_rate or Fraction(30)
            kbps = 4000 if context.height > 720 else 2500
            self._stream = _add_video(
                output.container,
                _Coding(context.width & ~1, context.height & ~1, rate, kbps, gop_s=2),
            )
        else:
            self._stream = _add_audio(output.container)
            self._resampler = av.AudioResampler("flt", "stereo", SAMPLE_RATE, SOUND_SAMPLES)
        self._samples = 0

    def send(self, packet: Any, offset: Fraction) -> None:
        """Send one packet of the source, `offset` seconds later than it says."""
        if self._is_copied:
            shift = round(offset / packet.time_base)
            packet.pts += shift
            packet.dts += shift
            packet.stream = self._stream
            self._output.mux(packet)
            return
        for frame in packet.decode():
            if self._is_video:
                width, height = self._stream.codec_context.width, self._stream.codec_context.height
                picture = frame.reformat(width=width, height=height, format="yuv420p")
                seconds = Fraction(frame.pts) * frame.time_base + offset
                picture.pts, picture.time_base = round(seconds * _CLOCK_RATE), _VIDEO_BASE
                picture.pict_type = av.video.frame.PictureType.NONE
                self._encode(picture)
            else:
                for sound in self._resampler.resample(frame):
                    sound.pts, sound.time_base = self._samples, _AUDIO_BASE
                    self._samples += sound.samples
                    self._encode(sound)

    def _encode(self, frame: Any) -> None:
        for made in self._stream.encode(frame):
            self._output.mux(made)


def _mux(output: Any, packet: Any) -> None:
    """Send a packet; when that never ends, SIGALRM ends the process."""
    signal.setitimer(signal.ITIMER_REAL, _STUCK_S)
    try:
        output.mux(packet)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _add_video(output: Any, coding: _Coding) -> Any:
    kbps = coding.kbps
    stream = output.add_stream("libx264", rate=coding.fps)
    stream.width, stream.height, stream.pix_fmt = coding.width, coding.height, "yuv420p"
    stream.bit_rate, stream.time_base = kbps * 1000, _VIDEO_BASE
    stream.codec_context.thread_count = 1
    gop = max(1, round(coding.gop_s * coding.fps))
    stream.codec_context.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "profile": "baseline",
        "g": str(gop),
        "keyint_min": str(gop),
        "sc_threshold": "0",
        "bf": "0",
        "maxrate": f"{kbps}k",
        "bufsize": f"{kbps}k",
        "x264-params": "repeat-headers=1",
    }
    return stream


def _add_audio(output: Any) -> Any:
    stream = output.add_stream("libopus", rate=SAMPLE_RATE)
    stream.layout, stream.bit_rate = "stereo", 96_000
    stream.codec_context.format = "flt"
    return stream


@contextlib.contextmanager
def _certificate() -> Iterator[tuple[Path, Path]]:
    """Yield the files of a new P-256 certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vilokanam publisher")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    with tempfile.TemporaryDirectory(prefix="vilokanam-publish-") as folder:
        cert, key_file = Path(folder, "cert.pem"), Path(folder, "key.pem")
        cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file.touch(mode=0o600)
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        yield cert, key_file


if __name__ == "__main__":
    main()
