"""The encoder with real codecs: bit rate and shape of what it makes of any source."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import pytest

from mediaserver.h264 import parse_sps
from mediaserver.media import VideoFormat
from mediaserver.transcode.ladder import Step
from mediaserver.transcode.video import Decoder, Encoded, Encoder, Picture

T0 = 1_800_000_000_000
KBPS = 600
SIZE = (480, 272)


def noisy(count: int, rate: float) -> list[Any]:
    """Return frames that take any bit rate: a moving test picture under noise."""
    graph = av.filter.Graph()
    source = graph.add("testsrc2", f"size={SIZE[0]}x{SIZE[1]}:rate={rate}")
    noise = graph.add("noise", "alls=40:allf=t")
    form = graph.add("format", "pix_fmts=yuv420p")
    sink = graph.add("buffersink")
    for first, second in ((source, noise), (noise, form), (form, sink)):
        first.link_to(second)
    graph.configure()
    return [sink.pull() for _ in range(count)]


def encode(rate: float, said_milli: int, seconds: int) -> list[Encoded]:
    encoder = Encoder(Step("x", *SIZE, KBPS), "superfast", said_milli)
    made: list[Encoded] = []
    gop = max(1, round(2 * rate))
    for number, frame in enumerate(noisy(round(rate * seconds), rate)):
        time_ms = T0 + round(number * 1000 / rate)
        frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
        picture = Picture(frame, time_ms)
        picture.ask_idr(number % gop == 0)
        made += encoder.encode(picture)
    return made


@pytest.mark.parametrize(
    ("rate", "said_milli"),
    [(60, 0), (10, 0), (30, 60_000), (30, 500_000), (30, 1_000), (60, 60_000), (5, 25_000)],
)
def test_f04_bit_rate_is_met_whatever_the_source_says_of_its_rate(rate, said_milli) -> None:
    """The rate is measured, and no new init comes of it."""
    seconds = 8
    made = encode(rate, said_milli, seconds)

    assert len(made) == round(rate * seconds)
    kbps = sum(len(nal) for one in made for nal in one.sample.payload) * 8 / 1000 / seconds
    assert 0.7 * KBPS < kbps < 1.3 * KBPS
    formats = {one.format for one in made if one.format is not None}
    assert len(formats) == 1


@pytest.mark.parametrize("aspect", [(1, 1), (4, 3), (16, 15)])
def test_f12_shape_of_pixels_survives_encoding(aspect) -> None:
    """The source encoded in its own size is shown in its own shape."""
    frame = noisy(1, 30)[0]
    frame.pts, frame.time_base = T0, Fraction(1, 1000)
    encoder = Encoder(Step("source", SIZE[0], SIZE[1], KBPS, aspect), "superfast", 0)
    (made,) = encoder.encode(Picture(frame, T0))

    assert isinstance(made.format, VideoFormat)
    assert parse_sps(made.format.sps).sample_aspect == aspect


@pytest.mark.parametrize("size", [(320, 240), (160, 120)], ids=["same size", "smaller"])
@pytest.mark.parametrize(("form", "white"), [("yuvj420p", 255), ("yuv420p", 235)])
def test_f12_range_of_colors_survives_encoding(form, white, size) -> None:
    """Full range stays full range and says so: black and white are not crushed."""
    graph = av.filter.Graph()
    source = graph.add("color", "color=white:size=320x240:rate=30")
    pixels, sink = graph.add("format", f"pix_fmts={form}"), graph.add("buffersink")
    source.link_to(pixels)
    pixels.link_to(sink)
    graph.configure()
    frame: Any = sink.pull()
    frame.pts, frame.time_base = T0, Fraction(1, 1000)
    step = Step("x", size[0], size[1], KBPS)
    (made,) = Encoder(step, "superfast", 0).encode(Picture(frame, T0))
    assert made.format is not None
    (shown,) = Decoder().decode((made.format.sps, made.format.pps, *made.sample.payload), T0)

    assert abs(bytes(shown.frame.planes[0])[0] - white) <= 1
    assert shown.frame.format.name == form


@pytest.mark.parametrize(
    ("source", "said", "shown"),
    [
        ((640, 360), (9, 16, 9), (9, 16, 9)),
        ((640, 360), (5, 1, 6), (5, 1, 6)),
        ((640, 360), (2, 2, 2), (2, 2, 2)),
        ((1280, 720), (2, 2, 2), (1, 1, 1)),
        ((720, 1280), (2, 6, 2), (1, 6, 1)),
    ],
)
def test_f12_colors_are_the_same_in_every_rendition(source, said, shown) -> None:
    """What the source says is kept; where an HD source says nothing, the smaller picture says HD.

    Players guess by the height: 709 for the source, 601 for its 360p.
    """
    width, height = source
    frame: Any = av.VideoFrame(width, height, "yuv420p")
    for plane, value in zip(frame.planes, (90, 54, 200), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    frame.color_primaries, frame.color_trc, frame.colorspace = said
    frame.pts, frame.time_base = T0, Fraction(1, 1000)
    step = Step("x", width // 4, height // 4, KBPS)
    (made,) = Encoder(step, "superfast", 0).encode(Picture(frame, T0))
    assert made.format is not None
    (picture,) = Decoder().decode((made.format.sps, made.format.pps, *made.sample.payload), T0)

    colors = picture.frame
    assert (colors.color_primaries, colors.color_trc, colors.colorspace) == shown
    for plane, value in zip(colors.planes, (90, 54, 200), strict=True):
        assert abs(bytes(plane)[0] - value) <= 1
