"""A WHIP publisher: FFmpeg's own `whip` muxer, driven through PyAV.

Used by `vilokanam publish` and by the demo. Both functions block until they are stopped, and come
back by themselves when the server goes away. Give them a process of their own: PyAV holds the GIL
while FFmpeg connects, so a server in the same process could never answer. FFmpeg makes a
certificate on a curve that OpenSSL refuses, so it is given one on P-256.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mediaserver import log
from mediaserver.errors import AccessDeniedError
from mediaserver.transcode.testpicture import SAMPLE_RATE, SOUND_SAMPLES, TestPicture, Tone

BACKOFF_MIN_S: Final = 0.5
BACKOFF_MAX_S: Final = 8.0
STEADY_S: Final = 10.0
"""A session that lasted this long was a good one: the next wait is short again."""
BEHIND_MAX_S: Final = 0.5
"""Frames older than this are skipped: a live picture is not made up for."""
_CONNECT_MS: Final = 5000
_CLOCK_RATE: Final = 90_000
_AUDIO_BASE: Final = Fraction(1, SAMPLE_RATE)
_VIDEO_BASE: Final = Fraction(1, _CLOCK_RATE)
_REFUSALS: Final[dict[type[av.FFmpegError], int]] = {
    av.error.HTTPUnauthorizedError: 401,
    av.error.HTTPForbiddenError: 403,
    av.error.HTTPNotFoundError: 404,
}

_log = log.get("publisher")


def publish_test_picture(  # noqa: PLR0917 - the command line's options, all named there
    url: str,
    key: str,
    stop: threading.Event,
    width: int = 1280,
    height: int = 720,
    fps: int = 30,
    video_kbps: int = 2500,
    gop_s: int = 2,
    seconds: float | None = None,
) -> None:
    """Publish a test picture with a clock and a tone until `stop` is set.

    Args:
        url: WHIP endpoint.
        key: Stream key.
        stop: Ends it, within a frame.
        width: Pixels, even.
        height: Pixels, even.
        fps: Frames per second.
        video_kbps: Highest bit rate; the picture needs much less.
        gop_s: Seconds between keyframes.
        seconds: End by itself after this long; None: never.

    Raises:
        AccessDeniedError: The server refused the key or does not know the stream, at the first try.
    """
    ends_at = None if seconds is None else time.monotonic() + seconds
    picture, tone = TestPicture(width, height), Tone()
    coding = _Coding(width, height, Fraction(fps), video_kbps, gop_s)

    def session(output: Any) -> None:
        video, audio = _add_video(output, coding), _add_audio(output)
        output.start_encoding()
        show = _TestShow(output, video, audio, picture, tone, coding.fps)
        show.play(stop, ends_at)

    _publish(url, key, stop, session, ends_at)


def publish_file(
    path: Path, url: str, key: str, stop: threading.Event, is_looped: bool = True
) -> None:
    """Publish a file in real time until it ends or `stop` is set.

    H.264 without B-frames and Opus are sent as they are, anything else is encoded.

    Raises:
        AccessDeniedError: The server refused the key or does not know the stream, at the first try.
        OSError: The file cannot be opened.
    """
    av.open(str(path)).close()

    def session(output: Any) -> None:
        with av.open(str(path)) as source:
            lanes = [
                _Lane(output, stream)
                for stream in (*source.streams.video[:1], *source.streams.audio[:1])
            ]
            output.start_encoding()
            _play_file(source, lanes, stop, is_looped)

    _publish(url, key, stop, session, None)


def _publish(
    url: str,
    key: str,
    stop: threading.Event,
    session: Callable[[Any], None],
    ends_at: float | None,
) -> None:
    """Run sessions until one ends by itself, waiting longer after each that failed."""
    wait_s = BACKOFF_MIN_S
    has_been_live = False
    with _certificate() as (cert, key_file):
        options = {
            "authorization": key,
            "cert_file": str(cert),
            "key_file": str(key_file),
            "handshake_timeout": str(_CONNECT_MS),
        }
        while not stop.is_set():
            began = time.monotonic()
            try:
                with contextlib.closing(av.open(url, "w", format="whip", options=options)) as out:
                    session(out)
            except av.FFmpegError as error:
                status = _REFUSALS.get(type(error))
                if status and not has_been_live:
                    raise AccessDeniedError(status, "stream key or address refused") from error
                lasted = time.monotonic() - began
                _log.warning("publisher.session.lost", error=str(error), lasted_s=round(lasted, 1))
                if lasted > STEADY_S:
                    has_been_live, wait_s = True, BACKOFF_MIN_S
                if ends_at is not None and time.monotonic() + wait_s > ends_at:
                    return
                stop.wait(wait_s)
                wait_s = min(BACKOFF_MAX_S, 2 * wait_s)
            else:
                return


@dataclass(frozen=True, slots=True)
class _Coding:
    """How a picture is encoded."""

    width: int
    height: int
    fps: Fraction
    kbps: int
    gop_s: int


@dataclass(frozen=True, slots=True)
class _TestShow:
    """One session of the test picture."""

    output: Any
    video: Any
    audio: Any
    picture: TestPicture
    tone: Tone
    fps: Fraction

    def play(self, stop: threading.Event, ends_at: float | None) -> None:
        """Send picture and tone in real time."""
        start, start_position = time.monotonic(), time.time_ns() * SAMPLE_RATE // 10**9
        number = sounds = 0
        while not stop.is_set() and (ends_at is None or time.monotonic() < ends_at):
            ahead = start + float(number / self.fps) - time.monotonic()
            if ahead > 0:
                stop.wait(ahead)
            elif -ahead > BEHIND_MAX_S:
                number += int(-ahead * self.fps)
            frame = self.picture.draw(time.time_ns() // 10**6)
            frame.pts, frame.time_base = int(number * _CLOCK_RATE / self.fps), _VIDEO_BASE
            self._send(self.video, frame)
            while sounds * SOUND_SAMPLES * self.fps <= number * SAMPLE_RATE:
                sound = self.tone.frame(start_position + sounds * SOUND_SAMPLES)
                sound.pts, sound.time_base = sounds * SOUND_SAMPLES, _AUDIO_BASE
                self._send(self.audio, sound)
                sounds += 1
            number += 1

    def _send(self, stream: Any, frame: Any) -> None:
        for packet in stream.encode(frame):
            self.output.mux(packet)


class _Lane:
    """One track of a file on its way out: as it is, or encoded."""

    def __init__(self, output: Any, source: Any) -> None:
        self.source = source
        self._output = output
        context = source.codec_context
        self._is_video = source.type == "video"
        self._is_copied = context.name in ("libopus", "opus") or (
            context.name == "h264" and not context.has_b_frames
        )
        self._resampler: Any = None
        if self._is_copied:
            self._stream = output.add_stream_from_template(source)
        elif self._is_video:
            rate = source.average_rate or Fraction(30)
            kbps = 4000 if context.height > 720 else 2500
            self._stream = _add_video(
                output, _Coding(context.width & ~1, context.height & ~1, rate, kbps, gop_s=2)
            )
        else:
            self._stream = _add_audio(output)
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
                self._mux(picture)
            else:
                for sound in self._resampler.resample(frame):
                    sound.pts, sound.time_base = self._samples, _AUDIO_BASE
                    self._samples += sound.samples
                    self._mux(sound)

    def _mux(self, frame: Any) -> None:
        for made in self._stream.encode(frame):
            self._output.mux(made)


def _play_file(source: Any, lanes: list[_Lane], stop: threading.Event, is_looped: bool) -> None:
    by_index = {lane.source.index: lane for lane in lanes}
    start, offset, newest = time.monotonic(), Fraction(0), Fraction(0)
    while True:
        first: Fraction | None = None
        for packet in source.demux([lane.source for lane in lanes]):
            if packet.dts is None or packet.pts is None:
                continue
            at = packet.dts * packet.time_base
            first = at if first is None else first
            due = at - first + offset
            ahead = start + float(due) - time.monotonic()
            if ahead > 0:
                stop.wait(ahead)
            if stop.is_set():
                return
            lane = by_index[packet.stream.index]
            length = (packet.duration or 0) * packet.time_base or Fraction(1, 30)
            newest = max(newest, due + length)
            lane.send(packet, offset - first)
        if not is_looped or first is None:
            return
        offset = newest
        source.seek(0)


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
