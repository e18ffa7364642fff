"""A show with real codecs: every rendition that comes out decodes, whole and in time."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace
from fractions import Fraction
from uuid import UUID

import av
import pytest

from mediaserver.clock import SystemClock
from mediaserver.h264 import split_annex_b
from mediaserver.ingest.encoder import Encoder
from mediaserver.ipc.messages import (
    InitMade,
    Message,
    PartMade,
    RenditionsSet,
    SegmentEnded,
    ShowOpened,
    SlotOpened,
)
from mediaserver.live.broadcast import Broadcast
from mediaserver.media import AccessUnit, Track
from mediaserver.settings.records import Settings
from mediaserver.transcode.settings import Rung, TranscodeSettings


def h264(frames, gop):
    """Return access units in Annex B, as OBS sends them: parameter sets with each IDR."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 320, 180, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 30), Fraction(30)
    encoder.options = {
        "preset": "ultrafast",
        "profile": "main",
        "tune": "zerolatency",
        "x264-params": f"keyint={gop}:min-keyint={gop}:scenecut=0:repeat-headers=1",
    }
    packets = []
    for number in range(frames):
        frame = av.VideoFrame(320, 180, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([number % 256]) * plane.buffer_size)
        frame.pts, frame.time_base = number, encoder.time_base
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    return [(bytes(packet), packet.is_keyframe) for packet in packets]


def opus(count):
    """Return Opus packets of 20 ms."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "stereo", "s16"
    encoder.open()
    packets = []
    for number in range(count):
        frame = av.AudioFrame("s16", "stereo", 960)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate, frame.pts = 48_000, number * 960
        packets += encoder.encode(frame)
    return [bytes(packet) for packet in packets]


async def publish(broadcast, pictures, sounds):
    """Send both tracks at their own pace, for as long as there are pictures."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    seen = heard = 0
    while seen < len(pictures):
        at = loop.time() - begin
        while heard < len(sounds) and heard * 0.02 <= at:
            unit = AccessUnit(Track.AUDIO, (sounds[heard],), heard * 960, 48_000, True, at)
            broadcast.access_unit(unit)
            heard += 1
        while seen < len(pictures) and seen / 30 <= at:
            payload, is_idr = pictures[seen]
            unit = AccessUnit(Track.VIDEO, split_annex_b(payload), seen * 3000, 90_000, is_idr, at)
            broadcast.access_unit(unit)
            seen += 1
        await asyncio.sleep(0.005)


def parts_of(messages, rendition):
    return [m.part for m in messages if isinstance(m, PartMade) and m.part.rendition == rendition]


def decoded(messages, rendition):
    """Return {kind: [seconds]} of all that FFmpeg makes of a rendition, init by init."""
    inits = {m.init_hash: m.payload for m in messages if isinstance(m, InitMade)}
    parts = parts_of(messages, rendition)
    times: dict[str, list[float]] = {"video": [], "audio": []}
    for init_hash in dict.fromkeys(part.init_hash for part in parts):
        data = inits[init_hash]
        data += b"".join(part.payload for part in parts if part.init_hash == init_hash)
        with av.open(io.BytesIO(data), format="mp4") as container:
            assert isinstance(container, av.container.InputContainer)
            for frame in container.decode():
                assert frame.pts is not None
                assert frame.time_base is not None
                kind = "video" if isinstance(frame, av.VideoFrame) else "audio"
                times[kind].append(float(frame.pts * frame.time_base))
    return times


@pytest.mark.parametrize("gop", [60, 1000], ids=["passed through", "encoded again"])
async def test_every_rendition_decodes_without_a_hole(tmp_path, gop):
    """Source, rung and sound: all frames are there, each at its time, whatever the GOP."""
    pictures, sounds = h264(165, gop), opus(290)
    defaults = Settings()
    settings = replace(
        defaults,
        server=replace(defaults.server, data_dir=str(tmp_path)),
        transcode=TranscodeSettings(rungs=(Rung("90p", 90, 100),), preset="ultrafast"),
    )
    messages: list[Message] = []
    broadcast = Broadcast(
        stream=UUID(int=1),
        slug="show",
        settings=settings,
        clock=SystemClock(),
        publish=messages.append,
        request_keyframe=lambda: None,
        ingest_facts=lambda: ({}, (), Encoder.OTHER),
        on_over=lambda: None,
    )
    await broadcast.start()
    broadcast.publisher_connected("s1", frozenset(Track), "test")
    await publish(broadcast, pictures, sounds)

    await broadcast.drain(end_show=True)

    opened = next(m for m in messages if isinstance(m, ShowOpened))
    assert opened.show > 0
    announced = [m for m in messages if isinstance(m, RenditionsSet)][-1].renditions
    assert [r.name for r in announced] == ["source", "90p", "audio"]
    assert [r.height for r in announced] == [180, 90, 0]
    assert announced[0].frame_rate_milli == 30_000
    ended = [m for m in messages if isinstance(m, SegmentEnded) and m.rendition == "90p"]
    assert [m.msn for m in ended] == list(range(len(ended)))
    assert len(ended) >= 2
    slots = [m.slot for m in messages if isinstance(m, SlotOpened)]
    for name in ("source", "90p"):
        times = decoded(messages, name)
        assert len(times["video"]) >= 163, name
        steps = [b - a for a, b in zip(times["video"], times["video"][1:], strict=False)]
        assert max(steps) < 0.045, name
        assert [(p.slot.msn, p.slot.part) for p in parts_of(messages, name)] == [
            (s.msn, s.part) for s in slots
        ]
        steps = [b - a for a, b in zip(times["audio"], times["audio"][1:], strict=False)]
        assert max(steps) < 0.0215, name
    begins = [p for p in parts_of(messages, "90p") if p.slot.part == 0]
    assert all(part.is_independent for part in begins)
    inits = {m.init_hash for m in messages if isinstance(m, InitMade) and m.rendition == "source"}
    assert len(inits) == (1 if gop == 60 else 2)
