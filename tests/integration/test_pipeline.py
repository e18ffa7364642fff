"""The pipeline with real codecs: what viewers get of what the publisher sent."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from itertools import pairwise

import pytest

from mediaserver.h264 import parse_sps
from mediaserver.media import AccessUnit, AudioFormat, Sample, Track, VideoFormat
from mediaserver.transcode.pipeline import Pipeline
from mediaserver.transcode.settings import Rung, TranscodeSettings
from tests.support.media_source import difference, h264, onset, opus, pictures, shown, sound

T0 = 1_800_000_000_000
SMALL = Rung("120p", 120, 200)


class Heard:
    """An outlet that remembers."""

    def __init__(self) -> None:
        self.log: list[tuple[str, Sample | VideoFormat]] = []
        self.audio: list[Sample] = []
        self.audio_formats: list[AudioFormat] = []
        self.lost: Counter[str] = Counter()

    def sample(self, rendition: str, sample: Sample) -> None:
        if rendition == "audio":
            self.audio.append(sample)
        else:
            self.log.append((rendition, sample))

    def video_format(self, rendition: str, video_format: VideoFormat) -> None:
        self.log.append((rendition, video_format))

    def audio_format(self, audio_format: AudioFormat) -> None:
        self.audio_formats.append(audio_format)

    def dropped(self, rendition: str, frames: int) -> None:
        self.lost[rendition] += frames

    def of(self, name: str) -> list[Sample]:
        return [item for n, item in self.log if n == name and isinstance(item, Sample)]

    def formats(self, name: str) -> list[VideoFormat]:
        return [item for n, item in self.log if n == name and isinstance(item, VideoFormat)]


Make = Callable[..., Pipeline]


@pytest.fixture
async def heard() -> Heard:
    return Heard()


@pytest.fixture
async def make(heard: Heard) -> AsyncIterator[Make]:
    made = []

    def build(*rungs: Rung, audio: bool = False, video: bool = True, queue: int = 500) -> Pipeline:
        settings = TranscodeSettings(rungs=rungs, queue_frames_max=queue, preset="ultrafast")
        pipeline = Pipeline(settings, asyncio.get_running_loop(), heard)
        pipeline.start(video, audio)
        made.append(pipeline)
        return pipeline

    yield build
    for pipeline in made:
        pipeline.close()


def ms(number: int) -> int:
    return T0 + round(number * 1000 / 30)


def push(pipeline: Pipeline, units: tuple[AccessUnit, ...], first: int = 0) -> None:
    for number, unit in enumerate(units, first):
        pipeline.push_video(unit, ms(number), unit.is_idr)


async def test_the_source_is_passed_through_untouched(heard: Heard, make: Make) -> None:
    """The viewer sees exactly what the publisher encoded, at once."""
    units = h264(60)
    pipeline = make()

    push(pipeline, units)

    samples, (video_format,) = heard.of("source"), heard.formats("source")
    assert [s.time for s in samples] == [ms(n) for n in range(60)]
    assert [n for n, s in enumerate(samples) if s.is_idr] == [0, 30]
    assert (video_format.width, video_format.height) == (320, 240)
    assert isinstance(heard.log[0][1], VideoFormat)
    for frame, picture in zip(shown(samples, video_format), pictures(60, 320, 240), strict=True):
        assert difference(frame, picture) < 8
    assert pipeline.renditions() == ("source", "audio")


async def test_rungs_have_the_sources_times_and_idr_only_where_asked(
    heard: Heard, make: Make
) -> None:
    """A player may switch at any segment, and finds the same instants in every rendition."""
    pipeline = make(SMALL, Rung("96p", 96, 150))

    for number, unit in enumerate(h264(90)):
        pipeline.push_video(unit, ms(number), force_idr=number in (0, 45))

    assert await pipeline.drain(20)
    assert pipeline.renditions() == ("source", "120p", "96p", "audio")
    for name, size in (("120p", (160, 120)), ("96p", (128, 96))):
        samples, (video_format,) = heard.of(name), heard.formats(name)
        assert [s.time for s in samples] == [ms(n) for n in range(90)]
        assert [n for n, s in enumerate(samples) if s.is_idr] == [0, 45]
        assert (video_format.width, video_format.height) == size
        assert len(shown(samples, video_format)) == 90
    assert not heard.lost


async def test_f12_every_rendition_has_the_sources_shape(heard: Heard, make: Make) -> None:
    """A switch between renditions of a source with pixels of 4:3 squeezes no face."""
    pipeline, units = make(SMALL), h264(60, aspect=(4, 3))
    push(pipeline, units[:30])
    pipeline.reencode_source(is_on=True)
    push(pipeline, units[30:], first=30)

    assert await pipeline.drain(20)
    for name, shape in (("source", (320, 240, (4, 3))), ("120p", (214, 120, (1, 1)))):
        for made in heard.formats(name):
            assert (made.width, made.height, parse_sps(made.sps).sample_aspect) == shape
    assert (len(heard.formats("source")), len(heard.formats("120p"))) == (2, 1)


async def test_media_before_the_first_idr_is_ignored(heard: Heard, make: Make) -> None:
    """A session that begins in the middle of a GOP shows nothing broken."""
    pipeline = make(SMALL)

    push(pipeline, h264(60)[10:], first=10)

    assert await pipeline.drain(20)
    for name in ("source", "120p"):
        assert [s.time for s in heard.of(name)] == [ms(n) for n in range(30, 60)]


@pytest.mark.parametrize("rungs", [(), (SMALL,)])
async def test_a_gop_that_does_not_fit_is_encoded_from_its_middle(
    heard: Heard, make: Make, rungs: tuple[Rung, ...]
) -> None:
    """OBS without a keyframe interval still gives segments, and no frame is lost or repeated."""
    pipeline = make(*rungs)
    units = h264(120, gop=60)

    for number, unit in enumerate(units):
        if number == 40:
            pipeline.reencode_source(is_on=True)
        if number == 50:
            pipeline.reencode_source(is_on=False)
        pipeline.push_video(unit, ms(number), force_idr=number in (0, 40, 60))

    assert await pipeline.drain(20)
    assert [s.time for s in heard.of("source")] == [ms(n) for n in range(120)]
    assert [n for n, s in enumerate(heard.of("source")) if s.is_idr] == [0, 40, 60]
    assert len(heard.formats("source")) == 3
    log = [item for name, item in heard.log if name == "source"]
    at = [n for n, item in enumerate(log) if isinstance(item, VideoFormat)]
    assert [item.time for item in (log[n + 1] for n in at) if isinstance(item, Sample)] == [
        ms(n) for n in (0, 40, 60)
    ]
    encoded = shown(heard.of("source")[40:60], heard.formats("source")[1])
    for frame, picture in zip(encoded, pictures(120, 320, 240)[40:60], strict=True):
        assert difference(frame, picture) < 8
    assert not heard.lost


@pytest.mark.parametrize("rungs", [(), (SMALL,)])
async def test_b_frames_are_shown_in_order_with_growing_times(
    heard: Heard, make: Make, rungs: tuple[Rung, ...]
) -> None:
    """A publisher with B-frames is not watched in decoding order."""
    pipeline = make(*rungs)

    push(pipeline, h264(60, gop=30, bf=2))

    assert pipeline.has_b_frames
    pipeline.reencode_source(is_on=True)
    push(pipeline, h264(60, gop=30, bf=2), first=60)
    assert await pipeline.drain(20)
    for name in pipeline.renditions()[:-1]:
        samples = heard.of(name)
        frames = shown(samples, heard.formats(name)[0])
        assert [s.time for s in samples] == [ms(n) for n in range(len(samples))]
        assert len(samples) >= 110
        for frame, picture in zip(frames[:60], pictures(60, 320, 240), strict=True):
            assert difference(frame, picture) < 10


async def test_too_slow_a_machine_drops_to_the_next_keyframe(heard: Heard, make: Make) -> None:
    """The source never suffers from a slow rung; what the rung lost is counted."""
    pipeline = make(SMALL, queue=10)
    units = h264(60)

    push(pipeline, units)  # all at once: the threads had no chance
    assert await pipeline.drain(20)
    push(pipeline, units, first=60)

    assert await pipeline.drain(20)
    rung = heard.of("120p")
    assert len(heard.of("source")) == 120
    assert 0 < heard.lost["120p"] < 120
    assert len(rung) + heard.lost["120p"] == 120
    gaps = [b.time for a, b in pairwise(rung) if b.time - a.time > 40]
    assert set(gaps) <= {ms(n) for n in (30, 60, 90)}
    assert all(s.is_idr for s in rung if s.time in gaps)
    assert set(heard.lost) == {"120p"}


async def test_a_broken_unit_never_ends_the_stream(heard: Heard, make: Make) -> None:
    """A damaged packet costs some frames of a rung, not the show."""
    pipeline = make(SMALL)
    units = list(h264(90))
    for bad in (10, 30, 45):
        units[bad] = AccessUnit(
            Track.VIDEO,
            (units[bad].payload[0][:2] + b"\xff" * 400,),
            0,
            90_000,
            units[bad].is_idr,
            0.0,
        )
    units[50] = AccessUnit(Track.VIDEO, (), 0, 90_000, False, 0.0)
    units[51] = AccessUnit(Track.VIDEO, (b"\x67\xff", b"\x65"), 0, 90_000, True, 0.0)

    push(pipeline, tuple(units))

    assert await pipeline.drain(20)
    assert [s.time for s in heard.of("120p")][-30:] == [ms(n) for n in range(60, 90)]
    assert [s.time for s in heard.of("source")][-30:] == [ms(n) for n in range(60, 90)]


async def test_a_change_of_size_is_a_new_format_and_keeps_the_rungs(
    heard: Heard, make: Make
) -> None:
    """A browser that grows its picture does not disturb those who watch the small one."""
    pipeline = make(SMALL, Rung("300p", 300, 500))

    push(pipeline, h264(30))
    push(pipeline, h264(30, 640, 480), first=30)
    push(pipeline, h264(30), first=60)

    assert await pipeline.drain(20)
    assert [(f.width, f.height) for f in heard.formats("source")] == [
        (320, 240),
        (640, 480),
        (320, 240),
    ]
    assert [(f.width, f.height) for f in heard.formats("120p")] == [(160, 120)]
    assert [(f.width, f.height) for f in heard.formats("300p")] == [(400, 300), (320, 240)]
    assert [s.time for s in heard.of("120p")] == [ms(n) for n in range(90)]
    assert [s.time for s in heard.of("300p")] == [ms(n) for n in range(30, 90)]
    assert pipeline.renditions() == ("source", "300p", "120p", "audio")


async def test_after_a_discontinuity_everything_is_fresh(heard: Heard, make: Make) -> None:
    """Nothing from before a break appears after it, and sound does not run back."""
    pipeline = make(SMALL)
    push(pipeline, h264(60))
    pipeline.restart()
    await asyncio.sleep(0)
    before = len(heard.of("120p"))

    push(pipeline, h264(60), first=61)

    assert await pipeline.drain(20)
    rung = heard.of("120p")[before:]
    assert [s.time for s in rung] == [ms(n) for n in range(61, 121)]
    assert rung[0].is_idr
    assert all(b.time >= a.time + 1024 for a, b in pairwise(heard.audio))


def check_row(audio: list[Sample], first: int, until: int) -> None:
    """AAC without a hole from `first` up to `until`."""
    assert audio[0].time == first
    assert {b.time - a.time for a, b in pairwise(audio)} == {1024}
    assert audio[-1].time + 1024 >= until


async def test_a_publisher_without_sound_gets_silence(heard: Heard, make: Make) -> None:
    """Every rendition has sound, so players need not guess."""
    pipeline = make(audio=False)

    push(pipeline, h264(60))

    assert await pipeline.drain(20)
    check_row(heard.audio, T0 * 48, ms(59) * 48)
    (audio_format,) = heard.audio_formats
    assert audio_format.config[:2] == b"\x11\x90"
    assert onset(heard.audio, audio_format.config) < 0


async def test_sound_is_in_sync_with_the_picture(heard: Heard, make: Make) -> None:
    """A clap that is seen at one instant is heard at it, to within Opus' own look-ahead."""
    pipeline = make(audio=True)
    push(pipeline, h264(60))

    for number, packet in enumerate(opus(1.5, burst_at=0.8)):
        pipeline.push_audio(sound(packet), T0 * 48 + number * 960)

    assert await pipeline.drain(20)
    late = onset(heard.audio, heard.audio_formats[0].config) / 48 - (T0 + 800)
    assert 0 <= late <= 8
    assert {b.time - a.time for a, b in pairwise(heard.audio)} == {1024}


async def test_sound_before_the_first_picture_is_cut_at_it(heard: Heard, make: Make) -> None:
    """The first segment has sound from its first instant, though sound came sooner."""
    pipeline = make(audio=True)
    for number, packet in enumerate(opus(1.5, burst_at=0.8)):
        if number == 30:
            push(pipeline, h264(1), first=12)  # at 400 ms
        pipeline.push_audio(sound(packet), T0 * 48 + number * 960)

    assert await pipeline.drain(20)
    check_row(heard.audio, ms(12) * 48, (T0 + 1400) * 48)
    late = onset(heard.audio, heard.audio_formats[0].config) / 48 - (T0 + 800)
    assert 0 <= late <= 8


async def test_a_hole_in_the_sound_is_silence_and_does_not_shift_it(
    heard: Heard, make: Make
) -> None:
    """After a mute of two seconds the next word is where it belongs."""
    pipeline = make(audio=True)
    push(pipeline, h264(1))
    for number, packet in enumerate(opus(1.0, burst_at=0.5)):
        at = number * 960 + (96_000 if number >= 20 else 0)
        pipeline.push_audio(sound(packet), T0 * 48 + at)

    assert await pipeline.drain(20)
    check_row(heard.audio, T0 * 48, (T0 + 2900) * 48)
    late = onset(heard.audio, heard.audio_formats[0].config) / 48 - (T0 + 2500)
    assert 0 <= late <= 8


async def test_filled_silence_is_followed_by_sound_in_place(heard: Heard, make: Make) -> None:
    """A segment need not wait for sound that is late, and what comes after is not delayed."""
    pipeline = make(audio=True)
    push(pipeline, h264(1))
    packets = list(opus(1.5, burst_at=1.0))
    pipeline.fill_audio((T0 + 500) * 48)
    assert await pipeline.drain(20)
    assert heard.audio[-1].time + 1024 >= (T0 + 500) * 48

    for number, packet in enumerate(packets):
        pipeline.push_audio(sound(packet), T0 * 48 + number * 960)

    assert await pipeline.drain(20)
    check_row(heard.audio, T0 * 48, (T0 + 1400) * 48)
    late = onset(heard.audio, heard.audio_formats[0].config) / 48 - (T0 + 1000)
    assert 0 <= late <= 8


@pytest.mark.parametrize("ppm", [-2000, 2000, 10_000])
async def test_slewed_sound_stays_in_step(heard: Heard, make: Make, ppm: int) -> None:
    """Sound whose times are slewed follows them without a hole."""
    pipeline = make(audio=True)
    push(pipeline, h264(1))
    for number, packet in enumerate(opus(6.0, burst_at=5.5)):
        pipeline.push_audio(sound(packet), T0 * 48 + round(number * 960 * (1 + ppm / 1e6)))

    assert await pipeline.drain(20)
    check_row(heard.audio, T0 * 48, (T0 + 5800) * 48)
    late = onset(heard.audio, heard.audio_formats[0].config) / 48 - (T0 + 5500 * (1 + ppm / 1e6))
    assert abs(late) <= (20 if abs(ppm) > 2000 else 8)


async def test_broken_sound_is_silence(heard: Heard, make: Make) -> None:
    """Packets that are no Opus cost their own time only."""
    pipeline = make(audio=True, video=False)
    for number, packet in enumerate(opus(1.0, burst_at=0.6)):
        payload = {5: b"\xff\xff\xff", 6: b"", 7: b"\x03"}.get(number, packet)
        pipeline.push_audio(sound(payload), T0 * 48 + number * 960)

    assert await pipeline.drain(20)
    check_row(heard.audio, T0 * 48, (T0 + 900) * 48)
    assert onset(heard.audio, heard.audio_formats[0].config) >= (T0 + 600) * 48
    assert heard.lost["audio"] >= 1
    assert pipeline.renditions() == ("audio",)


async def test_nothing_is_said_after_close(heard: Heard, make: Make) -> None:
    """A closed pipeline is silent, whatever its threads had under way."""
    pipeline = make(SMALL)
    push(pipeline, h264(60))

    pipeline.close()
    await asyncio.sleep(0.05)

    assert heard.of("120p") == []
    assert len(heard.of("source")) == 60
