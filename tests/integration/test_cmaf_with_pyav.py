"""FFmpeg (through PyAV) opens what we write and decodes all of it at the right times."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import pytest

from mediaserver.hls.packager import Packager
from mediaserver.hls.segmenter import PartBegan, PartEnded, Segmenter
from mediaserver.hls.settings import HlsSettings
from mediaserver.hls.sound_track import SoundTrack
from mediaserver.media import AudioFormat, Part, Sample, Track, VideoFormat
from tests.support import cmaf_reader

ORIGIN = 1_700_000_000_500


def nal_units(data):
    """Split Annex B."""
    return [
        unit.rstrip(b"\0") for unit in data.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1") if unit
    ]


@pytest.fixture(scope="module")
def encoded_video():
    """Five seconds of H.264 High at 25 fps, an IDR each 2 s: (format, samples)."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 160, 90, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 1000), Fraction(25)
    encoder.options = {
        "preset": "ultrafast",
        "profile": "high",
        "tune": "zerolatency",
        "g": "50",
        "x264-params": "keyint=50:scenecut=0:8x8dct=1",
    }
    packets = []
    for number in range(125):
        frame = av.VideoFrame(160, 90, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([number]) * plane.buffer_size)
        frame.pts = number * 40
        frame.time_base = encoder.time_base
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    samples, sps, pps = [], b"", b""
    for packet in packets:
        assert packet.pts is not None
        body = []
        for unit in nal_units(bytes(packet)):
            kind = unit[0] & 31
            sps, pps = (unit if kind == 7 else sps), (unit if kind == 8 else pps)
            if kind not in {7, 8, 9}:
                body.append(unit)
        samples.append(Sample(Track.VIDEO, tuple(body), ORIGIN + packet.pts, packet.is_keyframe))
    return VideoFormat(sps, pps, 160, 90, "avc1." + sps[1:4].hex()), samples


@pytest.fixture(scope="module")
def encoded_audio():
    """Five and a half seconds of AAC: (format, samples)."""
    encoder = av.CodecContext.create("aac", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "stereo", "fltp"
    encoder.open()
    packets = []
    for number in range(260):
        frame = av.AudioFrame("fltp", "stereo", 1024)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate, frame.pts = 48_000, number * 1024
        packets += encoder.encode(frame)
    samples = [
        Sample(Track.AUDIO, (bytes(packet),), ORIGIN * 48 + number * 1024, is_idr=True)
        for number, packet in enumerate(packets)
    ]
    return AudioFormat(bytes(encoder.extradata or b""), 2), samples


def package(video, audio):
    """Return (packager, parts) of a whole show."""
    packager = Packager("source", ORIGIN, video and video[0], audio and audio[0])
    segmenter = Segmenter(HlsSettings(), 0)
    parts: list[Part] = []
    for sample in audio[1] if audio else ():
        parts += packager.add(sample)
    driver = video[1] if video else audio[1]
    for sample in driver:
        start_ms = sample.time if video else sample.time // 48
        for event in segmenter.frame(start_ms, sample.is_idr):
            if isinstance(event, PartBegan):
                parts += packager.begin(event.slot)
            if isinstance(event, PartEnded):
                parts += packager.end(event.slot, event.end_ms)
        if video:
            parts += packager.add(sample)
    for event in segmenter.finish(segmenter.frame_end_ms):
        if isinstance(event, PartEnded):
            parts += packager.end(event.slot, event.end_ms)
    return packager, parts + list(packager.finish())


def decoded(packager, parts):
    """Return {kind: [presentation time in s]} of all frames that FFmpeg gives."""
    times: dict[str, list[Fraction]] = {}
    data = packager.init[1] + b"".join(part.payload for part in parts)
    with av.open(io.BytesIO(data), format="mp4") as container:
        for frame in container.decode():
            assert frame.pts is not None
            assert frame.time_base is not None
            kind = "video" if isinstance(frame, av.VideoFrame) else "audio"
            times.setdefault(kind, []).append(frame.pts * frame.time_base)
    return times


@pytest.mark.parametrize("kinds", ["muxed", "video", "audio"])
def test_ffmpeg_decodes_every_frame_at_its_time(kinds, encoded_video, encoded_audio):
    """Nothing is lost or moved, whether tracks share a file or not."""
    video = encoded_video if kinds != "audio" else None
    audio = encoded_audio if kinds != "video" else None

    packager, parts = package(video, audio)
    times = decoded(packager, parts)

    if video:
        assert times["video"] == [Fraction(n * 40, 1000) for n in range(125)]
    if audio:
        count = len(times["audio"])
        assert count >= 234
        assert times["audio"] == [Fraction(n * 1024, 48_000) for n in range(count)]


def test_ffmpeg_decodes_from_any_independent_part(encoded_video, encoded_audio):
    """A player that joins at an INDEPENDENT part decodes from there on."""
    packager, parts = package(encoded_video, encoded_audio)
    at = [n for n, part in enumerate(parts) if part.is_independent][1]

    times = decoded(packager, parts[at:])

    assert times["video"][0] == Fraction(parts[at].slot.start_ms - ORIGIN, 1000)


def test_durations_are_what_the_playlist_says(encoded_video, encoded_audio):
    """The sum of a part's video samples is its EXT-X-PART duration, to the tick."""
    _, parts = package(encoded_video, encoded_audio)

    for part in parts:
        video = next(run for run in cmaf_reader.read_chunk(part.payload).runs if run.track == 1)
        units = sum(sample.duration for sample in video.samples)
        assert units * 1_000_000 == part.duration_us * 90_000
    assert sum(part.duration_us for part in parts) == 125 * 40_000


@pytest.mark.parametrize("channels", [1, 2])
def test_r2_what_fills_a_hole_is_heard_as_silence(channels):
    """A decoder takes our frame of silence, of either kind, and gives zeros for it."""
    track = SoundTrack(AudioFormat(b"\x11\x90" if channels == 2 else b"\x11\x88", channels))
    frames = track.take(ORIGIN, ORIGIN + 1000, is_given_up=True)
    decoder = av.CodecContext.create("aac", "r")
    decoder.extradata = b"\x11\x90" if channels == 2 else b"\x11\x88"

    heard = [
        made
        for sample in frames
        for made in decoder.decode(av.Packet(sample.payload[0]))  # type: ignore[attr-defined]
    ]

    assert len(heard) >= len(frames) - 1
    assert {len(made.layout.channels) for made in heard} == {channels}
    assert not any(bytes(plane).strip(b"\0") for made in heard for plane in made.planes)
