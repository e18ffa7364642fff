"""Encoded media of known content for tests of the pipeline."""

import array
import math
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Any

import av
from av.video.frame import PictureType

from mediaserver.h264 import join_annex_b, split_annex_b
from mediaserver.media import AccessUnit, Sample, Track, VideoFormat


@cache
def pictures(count: int, width: int, height: int, rate: int = 30) -> tuple[Any, ...]:
    """Return `count` different frames in display order."""
    graph = av.filter.Graph()
    source = graph.add("testsrc2", f"size={width}x{height}:rate={rate}")
    form = graph.add("format", "pix_fmts=yuv420p")
    sink = graph.add("buffersink")
    source.link_to(form)
    form.link_to(sink)
    graph.configure()
    return tuple(sink.pull() for _ in range(count))


@cache
def h264(  # noqa: PLR0917 - what is encoded, all named where it matters
    count: int,
    width: int = 320,
    height: int = 240,
    gop: int = 30,
    bf: int = 0,
    aspect: tuple[int, int] = (1, 1),
) -> tuple[AccessUnit, ...]:
    """Return access units in decoding order; RTP times are display times.

    Args:
        aspect: Width and height of a pixel.
    """
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 30), 30
    encoder.sample_aspect_ratio = Fraction(*aspect)
    encoder.bit_rate, encoder.thread_count = 800_000, 1
    encoder.options = {
        "preset": "veryfast" if bf else "ultrafast",
        "g": str(gop),
        "bf": str(bf),
        "sc_threshold": "0",
        "x264-params": "repeat-headers=1",
        **({} if bf else {"tune": "zerolatency"}),
    }
    units: list[AccessUnit] = []
    for number, frame in enumerate([*pictures(count, width, height), None]):
        if frame is not None:
            frame.pts, frame.time_base, frame.pict_type = number, Fraction(1, 30), PictureType.NONE
        units += [
            AccessUnit(
                Track.VIDEO,
                split_annex_b(bytes(packet)),
                packet.pts * 3000,
                90_000,
                packet.is_keyframe,
                0.0,
            )
            for packet in encoder.encode(frame)
        ]
    return tuple(units)


def opus(seconds: float, burst_at: float = -1.0, frame_ms: int = 20) -> Iterator[bytes]:
    """Yield Opus packets of silence with a 50 ms burst of 1 kHz at `burst_at`.

    The encoder's look-ahead is taken off, so that a packet's first sample is its place.
    """
    encoder: Any = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "stereo", "flt"
    encoder.bit_rate, encoder.time_base = 128_000, Fraction(1, 48_000)
    encoder.options = {"frame_duration": str(frame_ms), "application": "lowdelay"}
    size = 48 * frame_ms
    first = burst_at * 48_000
    for number in range(int(seconds * 1000) // frame_ms):
        sound = array.array("f")
        for at in range(number * size, (number + 1) * size):
            is_on = first <= at < first + 2400
            value = math.sin(2 * math.pi * 1000 * (at - first) / 48_000) if is_on else 0.0
            sound.extend((value, value))
        frame = av.AudioFrame(format="flt", layout="stereo", samples=size)
        frame.planes[0].update(sound.tobytes())
        frame.sample_rate, frame.pts, frame.time_base = 48_000, number * size, Fraction(1, 48_000)
        yield from (bytes(packet) for packet in encoder.encode(frame))


def sound(payload: bytes) -> AccessUnit:
    """Return an Opus access unit."""
    return AccessUnit(Track.AUDIO, (payload,), 0, 48_000, True, 0.0)


def shown(samples: list[Sample], video_format: VideoFormat) -> list[Any]:
    """Return the frames that a player shows of samples of one format."""
    decoder: Any = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    frames: list[Any] = []
    for sample in samples:
        sets = (video_format.sps, video_format.pps) if sample.is_idr else ()
        packet = av.Packet(join_annex_b(sets + sample.payload))
        packet.pts, packet.time_base = sample.time, Fraction(1, 1000)
        frames += decoder.decode(packet)
    return [*frames, *decoder.decode(None)]


def difference(first: Any, second: Any) -> float:
    """Return the mean absolute difference of luma over a coarse raster of two frames."""
    left, right = (
        bytes(frame.reformat(width=64, height=48, format="gray8").planes[0])
        for frame in (first, second)
    )
    return sum(abs(a - b) for a, b in zip(left, right, strict=True)) / len(left)


def onset(samples: list[Sample], config: bytes) -> float:
    """Return where the sound becomes loud, in 1/48000 s since the epoch, as a player hears it."""
    decoder: Any = av.CodecContext.create("aac", "r")
    decoder.extradata = config
    for sample in samples:
        packet = av.Packet(sample.payload[0])
        packet.pts, packet.time_base = sample.time, Fraction(1, 48_000)
        for frame in decoder.decode(packet):
            values = array.array("f", bytes(frame.planes[0])[: frame.samples * 4])
            for index, value in enumerate(values):
                if abs(value) > 0.3:
                    return sample.time + index
    return -1.0
