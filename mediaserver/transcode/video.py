"""Decode H.264 and encode it again, smaller: PyAV behind plain values.

Nothing here starts a thread or waits; the workers call it. Every encoded picture keeps the whole
millisecond of the access unit that it came from.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final

import av
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter

from mediaserver.h264 import NalUnits, join_annex_b, parse_sps, split_annex_b
from mediaserver.media import Sample, Track, VideoFormat
from mediaserver.transcode.ladder import Step
from mediaserver.transcode.samples import SampleMaker

CODEC_ERRORS: Final = (av.FFmpegError, ValueError, MemoryError)
"""What PyAV raises for media that it cannot read or write."""
_MS: Final = Fraction(1, 1000)
_REORDER_MAX: Final = 16
"""H.264, A.3.1: a decoder holds at most 16 frames."""
_ENCODER: Final = "libx264"
_RATES_MILLI: Final = range(5_000, 120_001)
"""What a publisher may say of its frame rate until it has been measured."""
_USUAL_RATE_MILLI: Final = 30_000
_MEASURED_FIRST: Final = 6
"""Pictures that the rate is first measured by: 170 ms at 30 per second."""
_MEASURED_MAX: Final = 121
"""Pictures that it is measured by afterwards: the newest 2 s at 60 per second."""
_RATE_OFF: Final = 0.15
"""Encoding begins anew when the rate is off by more, as the bit rate is then off as much."""
_BIG_PICTURE: Final = 1280 * 720
"""Above this one core does not encode 60 frames per second: two sliced threads."""
_COLORS: Final = ("color_primaries", "color_trc", "colorspace")
_UNSAID, _BT709 = 2, 1
"""Their code points for "not said" and for HD (H.273, 8)."""
_HD_LINES: Final = 720
"""Browsers take colors that are not said for BT.709 from this height on, below for BT.601."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One decoded frame, its time in it. Encoders share it, so they only read."""

    frame: Any
    time_ms: int

    def ask_idr(self, is_idr: bool) -> None:
        """Set whether every encoder makes an IDR of it."""
        self.frame.pict_type = PictureType.I if is_idr else PictureType.NONE


class Decoder:
    """Access units in decoding order -> pictures in display order with growing times."""

    def __init__(self) -> None:
        self._context: Any = av.CodecContext.create("h264", "r")
        # One thread: frame threads would hold back a frame each.
        self._context.thread_count = 1
        self._times: list[int] = []
        self._newest = -1

    def decode(self, nals: NalUnits, time_ms: int) -> Iterator[Picture]:
        """Yield what this access unit completes.

        Pictures of a publisher with B-frames get the times of the access units sorted, so the
        first picture shown has the first time, whatever the decoding order.

        Raises:
            One of CODEC_ERRORS: The decoder is still usable.
        """
        heapq.heappush(self._times, time_ms)
        packet = av.Packet(join_annex_b(nals))
        packet.pts = packet.dts = time_ms
        packet.time_base = _MS
        yield from self._pictures(self._context.decode(packet))

    def flush(self) -> Iterator[Picture]:
        """Yield what is held back; the next access unit must be an IDR."""
        yield from self._pictures(self._context.decode(None))
        self._context.flush_buffers()
        self._times.clear()

    def _pictures(self, frames: list[Any]) -> Iterator[Picture]:
        for frame in frames:
            if not self._context.has_b_frames and frame.pts is not None:
                # Units that gave no picture must not shift the times of those which did.
                while self._times and self._times[0] < frame.pts:
                    heapq.heappop(self._times)
            while len(self._times) > _REORDER_MAX + 1:
                heapq.heappop(self._times)
            if not self._times:
                continue
            time_ms = heapq.heappop(self._times)
            if time_ms <= self._newest:
                continue
            self._newest = time_ms
            frame.pts, frame.time_base = time_ms, _MS
            yield Picture(frame, time_ms)


@dataclass(frozen=True, slots=True)
class Encoded:
    """One encoded picture; `format` is set on every IDR."""

    sample: Sample
    format: VideoFormat | None


class Encoder:
    """Pictures of any size -> H.264 of one size, IDR where the picture asks (and first).

    x264 shares its bits out by the frame rate that it was opened with, so that is measured: what a
    publisher says of its rate is a hint, good for the first pictures.
    """

    def __init__(self, step: Step, preset: str, frame_rate_milli: int) -> None:
        self.step = step
        self._preset = preset
        is_likely = frame_rate_milli in _RATES_MILLI
        self._rate = Fraction(frame_rate_milli if is_likely else _USUAL_RATE_MILLI, 1000)
        self._times: deque[int] = deque(maxlen=_MEASURED_MAX)
        self._pictures = 0
        self._context: Any = None
        self._reformatter = VideoReformatter()
        self._maker = SampleMaker()
        self._format: VideoFormat | None = None

    def encode(self, picture: Picture) -> Iterator[Encoded]:
        """Yield the encoded picture: at once, as nothing is looked ahead.

        Raises:
            One of CODEC_ERRORS: Make another encoder.
        """
        source = picture.frame
        frame = self._reformatter.reformat(
            source,
            width=self.step.width,
            height=self.step.height,
            format="yuv420p",
            interpolation="FAST_BILINEAR",
            threads=1,
        )
        if frame is not source:
            frame.pts, frame.time_base = source.pts, source.time_base
            frame.pict_type = source.pict_type
        if self._is_rate_off(picture.time_ms, frame.pict_type == PictureType.I):
            # Nothing is held back (zerolatency), so nothing is lost with the old one.
            self._context = None
        if self._context is None:
            self._context = self._open(source)
        for packet in self._context.encode(frame):
            yield self._encoded(bytes(packet), int(packet.pts))

    def _is_rate_off(self, time_ms: int, is_idr: bool) -> bool:
        """Return whether the rate that was measured is another; it is adopted then.

        Looked at once early, as the first hint may be far off, and at each IDR.
        """
        self._times.append(time_ms)
        self._pictures += 1
        is_early = self._pictures == _MEASURED_FIRST
        if not is_early and not (is_idr and self._pictures > _MEASURED_FIRST):
            return False
        measured = Fraction((len(self._times) - 1) * 1000, self._times[-1] - self._times[0])
        if abs(measured - self._rate) <= _RATE_OFF * self._rate:
            return False
        self._rate = measured.limit_denominator(1001)
        return True

    def _encoded(self, payload: bytes, time_ms: int) -> Encoded:
        nals, is_idr, is_changed = self._maker.make(split_annex_b(payload))
        if is_changed and not _is_same_but_for_rate(self._format, self._maker.format):
            self._format = self._maker.format
        sample = Sample(Track.VIDEO, nals, time_ms, is_idr)
        return Encoded(sample, self._format if is_idr else None)

    def _open(self, source: Any) -> Any:
        """Return an encoder: hardware ones will be chosen here."""
        context: Any = av.CodecContext.create(_ENCODER, "w")
        context.width, context.height = self.step.width, self.step.height
        context.pix_fmt = "yuv420p"
        context.time_base = _MS
        context.framerate = self._rate
        context.bit_rate = self.step.video_kbps * 1000
        context.thread_count = 1 if self.step.width * self.step.height <= _BIG_PICTURE else 2
        context.sample_aspect_ratio = Fraction(*self.step.sample_aspect)
        context.color_range = source.color_range
        for name in _COLORS:
            code = getattr(source, name)
            # A smaller picture would be taken for another coding than the source is.
            is_hd = code == _UNSAID and source.height >= _HD_LINES
            setattr(context, name, _BT709 if is_hd else code)
        context.options = {
            "preset": self._preset,
            "tune": "zerolatency",
            "profile": "high",
            "bf": "0",
            "forced-idr": "1",
            "maxrate": f"{self.step.video_kbps}k",
            "bufsize": f"{self.step.video_kbps}k",
            # IDR frames only where the segmenter wants them.
            "x264-params": "keyint=infinite:scenecut=0",
        }
        if self._maker.format is not None:
            # Opened anew for another rate, which would give another level.
            context.options |= {"level": str(self._maker.format.sps[3])}
        return context


def _is_same_but_for_rate(before: VideoFormat | None, after: VideoFormat | None) -> bool:
    """Return whether players that have the one need not get the other: only timing differs."""
    if before is None or after is None or before.pps != after.pps:
        return False
    facts = replace(parse_sps(after.sps), frame_rate_milli=0)
    return facts == replace(parse_sps(before.sps), frame_rate_milli=0)
