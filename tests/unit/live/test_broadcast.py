"""One stream's show: what its publisher's comings, goings and habits mean for viewers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from uuid import UUID

import pytest

from mediaserver.ipc.messages import (
    Health,
    InitMade,
    PartMade,
    RenditionsSet,
    SegmentEnded,
    ShowEnded,
    ShowOpened,
    SlotOpened,
)
from mediaserver.live.broadcast import Broadcast
from mediaserver.live.show_state import ShowState
from mediaserver.media import AccessUnit, AudioFormat, Sample, Track, VideoFormat
from mediaserver.settings.records import Settings
from tests.support import cmaf_reader
from tests.support.clock import FakeClock

STREAM = UUID(int=7)
BOTH = frozenset(Track)
NOW_MS = 1_800_000_000_400
SPS = bytes.fromhex("6742c01f8c8d40")
OTHER_SPS = bytes.fromhex("6742c01f8c8d41")
AUDIO = AudioFormat(b"\x11\x90", 2)


class FakePipeline:
    """Passes video through at once, makes one AAC frame per 1024 samples of what it is given."""

    def __init__(self, _settings, _loop, outlet):
        self.outlet = outlet
        self.has_b_frames = False
        self.has_video = self.is_encoding = self.is_begun = False
        self.audio_next = None
        self.forced = []
        self.filled = []
        self.restarts = 0
        self.names = ("source", "360p", "audio")
        self.silent_rungs = set()
        self.formats = {}
        self.is_closed = False
        self.is_b_profile = False

    def start(self, has_video, has_audio):  # noqa: ARG002  the pipeline's signature
        self.has_video = has_video

    def renditions(self):
        if not self.has_video:
            return ("audio",) if self.audio_next is not None else ()
        return self.names if self.is_begun else ()

    def push_video(self, unit, time_ms, force_idr):
        if not self.is_begun and not unit.is_idr:
            return
        if not self.is_begun:
            self.is_begun = True
            self.has_b_frames = OTHER_SPS in unit.payload and self.is_b_profile
            self.is_encoding = self.is_encoding or self.has_b_frames
            self.outlet.audio_format(AUDIO)
            self.audio_next = self.audio_next or time_ms * 48
        if force_idr:
            self.forced.append(time_ms)
        sps = SPS if SPS in unit.payload else OTHER_SPS if OTHER_SPS in unit.payload else None
        for name in self.names[:-1]:
            if name in self.silent_rungs:
                continue
            is_encoded = name != "source" or self.is_encoding
            is_idr = force_idr if is_encoded else unit.is_idr
            wanted = VideoFormat(
                b"\x67\x42\x00" + bytes([is_encoded]) + (sps or SPS)[-1:],
                b"\x68",
                320,
                180,
                "avc1.x",
            )
            if is_idr and self.formats.get(name) != wanted:
                self.formats[name] = wanted
                self.outlet.video_format(name, wanted)
            self.outlet.sample(name, Sample(Track.VIDEO, (b"v" * 396,), time_ms, is_idr))

    def push_audio(self, unit, time):  # noqa: ARG002  the pipeline's signature
        if self.audio_next is None:
            if self.has_video:
                return
            self.outlet.audio_format(AUDIO)
            self.audio_next = time
        self.fill_audio(time + 960)

    def fill_audio(self, until):
        self.filled.append(until)
        if self.audio_next is None:
            return
        self.audio_next = max(self.audio_next, until - 480_000)
        while self.audio_next + 1024 <= until + 1023:
            self.outlet.sample("audio", Sample(Track.AUDIO, (b"a" * 300,), self.audio_next, True))
            self.audio_next += 1024

    def reencode_source(self, is_on):
        self.is_encoding = is_on

    def restart(self):
        self.restarts += 1
        self.is_begun = False
        self.audio_next = None
        self.formats = {}

    def close(self):
        self.is_closed = True

    async def drain(self, timeout_s):  # noqa: ARG002  the pipeline's signature
        return True


class FakeFile:
    def __init__(self, state=None):
        self.saved = [state] if state else []
        self.gate = asyncio.Event()
        self.gate.set()

    async def load(self):
        return self.saved[-1] if self.saved else None

    async def save(self, state):
        await self.gate.wait()
        self.saved.append(state)


@dataclass
class Stage:
    """A broadcast with everything around it faked, and a publisher to play."""

    file: FakeFile = field(default_factory=FakeFile)
    settings: Settings = field(default_factory=Settings)
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW_MS))
    ms: int = 0
    frame: int = 0
    keyframes_asked: int = 0
    is_over: bool = False

    def __post_init__(self):
        self.messages = []
        self.broadcast = Broadcast(
            stream=STREAM,
            slug="show",
            settings=self.settings,
            clock=self.clock,
            publish=self.messages.append,
            request_keyframe=self._ask,
            ingest_facts=lambda: ({"upload_loss_percent": 0.0}, ()),
            on_over=self._over,
            make_pipeline=self._pipeline,
            state_file=self.file,
        )

    def _pipeline(self, *values):
        self.pipeline = FakePipeline(*values)
        return self.pipeline

    def _ask(self):
        self.keyframes_asked += 1

    def _over(self):
        self.is_over = True

    async def begin(self, tracks=BOTH):
        await self.broadcast.start()
        self.broadcast.publisher_connected("s1", tracks, "OBS-Studio/32.0")
        await settle()
        return self

    async def play(self, seconds, gop=50, *, video=True, audio=True, sps=SPS):
        """Send media at 25 fps and 50 Opus packets a second, in real order."""
        end = self.ms + round(seconds * 1000)
        while self.ms < end:
            now_s = self.clock.monotonic()
            if video and self.ms % 40 == 0:
                is_idr = self.frame % gop == 0
                sets = (sps, b"\x68\xce") if is_idr else ()
                body = (*sets, (b"\x65" if is_idr else b"\x41") + b"\x88" * 20)
                self.broadcast.access_unit(
                    AccessUnit(Track.VIDEO, body, self.ms * 90, 90_000, is_idr, now_s)
                )
                self.frame += 1
            if audio:
                self.broadcast.access_unit(
                    AccessUnit(Track.AUDIO, (b"o",), self.ms * 48, 48_000, True, now_s)
                )
            self.broadcast.poll()
            self.ms += 20
            self.clock.move(0.02)
            await settle()

    def wait(self, seconds):
        """Let time pass without media."""
        self.clock.move(seconds)
        self.broadcast.poll()

    def of(self, kind, rendition=None):
        found = [m for m in self.messages if isinstance(m, kind)]
        if rendition:
            found = [m for m in found if _name(m) == rendition]
        return found


def _name(message):
    return message.part.rendition if isinstance(message, PartMade) else message.rendition


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def stage():
    made = []

    async def make(tracks=BOTH, **kinds):
        made.append(await Stage(**kinds).begin(tracks))
        return made[-1]

    yield make
    for one in made:
        one.file.gate.set()
        await one.broadcast.drain(end_show=False)


def check_link(messages):
    """What every HTTP process relies on, whatever happened."""
    inits, opened, made = set(), {}, {}
    newest = (-1, 0)
    for message in messages:
        match message:
            case InitMade():
                inits.add((message.rendition, message.init_hash))
            case SlotOpened():
                slot = message.slot
                assert (slot.msn, slot.part) > newest
                assert slot.part == 0 or not message.is_discontinuity
                newest = (slot.msn, slot.part)
                opened[newest] = slot
            case PartMade():
                part = message.part
                key = (part.slot.msn, part.slot.part)
                assert opened[key] == part.slot
                assert (part.rendition, part.init_hash) in inits
                assert made.get(part.rendition, (-1, 0)) < key
                made[part.rendition] = key
                cmaf_reader.read_chunk(part.payload)
    for rendition in made:
        for message in messages:
            if isinstance(message, SegmentEnded) and message.rendition == rendition:
                parts = [
                    m.part
                    for m in messages
                    if isinstance(m, PartMade)
                    and (m.part.rendition, m.part.slot.msn) == (rendition, message.msn)
                ]
                assert sum(p.duration_us for p in parts) == message.duration_us
                assert parts[-1].end_ms == message.end_ms
                assert message.duration_us < 3_500_000


async def test_show_opens_with_the_first_keyframe(stage):
    """Viewers get a show whose number is the second of its first tick, with all renditions."""
    one = await stage()

    await one.play(7)

    opened = one.of(ShowOpened)
    assert len(opened) == 1
    assert opened[0].show == NOW_MS // 1000
    assert not opened[0].audio_only
    assert one.broadcast.show == opened[0].show
    assert [r.name for r in one.of(RenditionsSet)[0].renditions] == ["source", "360p", "audio"]
    assert [m.msn for m in one.of(SegmentEnded, "360p")] == [0, 1, 2]
    assert len(one.of(PartMade, "audio")) >= 12
    source = one.of(RenditionsSet)[-1].renditions[0]
    assert source.codecs == ("avc1.x", "mp4a.40.2")
    assert (source.width, source.height, source.frame_rate_milli) == (320, 180, 25_000)
    check_link(one.messages)


async def test_bandwidth_covers_every_segment(stage):
    """BANDWIDTH is the peak of what was sent, rounded up, and is not sent again without need."""
    one = await stage()

    await one.play(13)

    sent = one.of(RenditionsSet)
    assert len(sent) <= 3
    source = sent[-1].renditions[0]
    sizes = {}
    for message in one.of(PartMade, "source"):
        sizes.setdefault(message.part.slot.msn, [0, 0])
        sizes[message.part.slot.msn][0] += len(message.part.payload)
        sizes[message.part.slot.msn][1] += message.part.duration_us
    peaks = [size * 8_000_000 // us for size, us in sizes.values() if us >= 1_900_000]
    assert max(peaks) <= source.bandwidth_bps <= max(peaks) * 1.3
    assert source.average_bandwidth_bps <= source.bandwidth_bps


async def test_rungs_make_an_idr_where_segments_begin(stage):
    """Players switch renditions at segment borders."""
    one = await stage()

    await one.play(7)

    begins = [m.slot.start_ms for m in one.of(SlotOpened) if m.slot.part == 0]
    assert one.pipeline.forced == begins


async def test_nothing_is_published_before_it_is_on_the_disk(stage):
    """A crash right after a segment opened can never hand out its numbers again."""
    one = await stage()
    one.file.gate.clear()

    await one.play(1)
    before = list(one.messages)
    one.file.gate.set()
    await settle()

    assert before == []
    assert isinstance(one.messages[0], ShowOpened)
    state = one.file.saved[0]
    assert state.msn == 0
    assert state.planned_end_ms >= max(
        m.slot.planned_end_ms for m in one.of(SlotOpened) if m.slot.msn == 0
    )
    check_link(one.messages)


async def test_publisher_who_comes_back_goes_on_with_the_show(stage):
    """A reconnect keeps show and numbers; absent time is a marked break and shares no second."""
    one = await stage()
    await one.play(3)
    last = one.of(SlotOpened)[-1].slot
    one.broadcast.publisher_gone("s1", "media_timeout")
    await settle()
    assert one.of(SegmentEnded, "source")[-1].msn == last.msn
    assert one.of(Health)[-1].state == "waiting"
    one.wait(10)
    one.frame = 0

    one.broadcast.publisher_connected("s2", BOTH, "OBS-Studio/32.0")
    await one.play(3)

    after = next(m for m in one.of(SlotOpened) if m.slot.msn == last.msn + 1)
    assert after.is_discontinuity
    assert after.slot.first_tick >= last.first_tick + last.tick_count
    assert after.slot.start_ms >= one.clock.wall_ms - 3100
    assert len(one.of(ShowOpened)) == 1
    assert one.pipeline.restarts == 1
    assert {m.part.rendition for m in one.of(PartMade) if m.part.slot.msn > last.msn} == {
        "source",
        "360p",
        "audio",
    }
    check_link(one.messages)


async def test_show_ends_when_the_publisher_stays_away(stage):
    """After reconnect_wait_s viewers get ENDLIST and the worker may go."""
    one = await stage()
    await one.play(3)
    one.broadcast.publisher_gone("s1", "deleted")
    await settle()

    one.wait(59)
    await settle()
    assert not one.is_over
    one.wait(2)
    await settle()

    assert one.is_over
    assert isinstance(one.messages[-1], ShowEnded)
    assert one.of(Health)[-1].state == "ended"
    assert one.file.saved[-1].ended
    assert one.pipeline.is_closed


async def test_worker_without_publisher_gives_up(stage):
    """A WHIP session that never gets through does not hold a worker indefinitely."""
    one = Stage()
    await one.broadcast.start()

    one.wait(61)
    await settle()

    assert one.is_over
    assert one.messages == []


def kept(**changes):
    state = ShowState(
        show=1_799_999_990,
        msn=41,
        planned_end_ms=NOW_MS + 1500,
        discontinuity_sequence=2,
        origin_ms=NOW_MS - 90_000,
        audio_only=False,
        part_target_ms=500,
        target_duration_s=3,
    )
    return replace(state, **changes)


async def test_new_worker_goes_on_with_the_kept_show(stage):
    """After a restart the show has the next number, and begins past every second planned before."""
    one = await stage(file=FakeFile(kept()))

    await one.play(1)

    opened, slot = one.of(ShowOpened)[0], one.of(SlotOpened)[0]
    assert (opened.show, opened.discontinuity_sequence) == (1_799_999_990, 2)
    assert (slot.slot.msn, slot.slot.part, slot.is_discontinuity) == (42, 0, True)
    assert slot.slot.start_ms >= NOW_MS + 1600
    assert one.file.saved[-1].discontinuity_sequence == 3
    assert one.file.saved[-1].origin_ms == NOW_MS - 90_000
    check_link(one.messages)


@pytest.mark.parametrize(
    "changes",
    [{"ended": True}, {"planned_end_ms": NOW_MS - 61_000}, {"part_target_ms": 400}],
    ids=["ended", "too long ago", "other constants"],
)
async def test_new_show_begins_where_the_kept_one_cannot_go_on(stage, changes):
    """Its number is new, and it is greater than the last one."""
    one = await stage(file=FakeFile(kept(show=NOW_MS // 1000 + 5, **changes)))

    await one.play(1)

    assert one.of(ShowOpened)[0].show == NOW_MS // 1000 + 6
    assert one.of(SlotOpened)[0].slot.msn == 0
    assert not one.of(SlotOpened)[0].is_discontinuity


async def test_long_gop_is_encoded_again_in_time(stage):
    """OBS without a keyframe interval still gives legal segments, and its creator reads why."""
    one = await stage()

    await one.play(12, gop=10_000)

    ended = one.of(SegmentEnded, "source")
    assert len(ended) >= 4
    assert all(m.duration_us < 3_500_000 for m in ended)
    assert [m.is_discontinuity for m in one.of(SlotOpened) if m.slot.part == 0][:3] == [
        False,
        True,
        False,
    ]
    assert len(one.of(InitMade, "source")) == 2
    assert one.pipeline.is_encoding
    assert one.keyframes_asked > 0
    assert any("Keyframe interval: set 2 s" in a for a in one.of(Health)[-1].advice)
    check_link(one.messages)


async def test_source_is_passed_through_again_when_its_keyframes_fit(stage):
    """A creator who mends the setting gets the picture back untouched, without a restart."""
    one = await stage()
    await one.play(6, gop=10_000)
    assert one.pipeline.is_encoding
    one.frame = 0

    await one.play(14, gop=50)

    assert not one.pipeline.is_encoding
    assert len([m for m in one.of(SlotOpened) if m.is_discontinuity]) == 2
    check_link(one.messages)


async def test_b_frames_are_told_to_the_creator_and_cost_no_break(stage):
    """A source that was never passed through does not change its coding later."""
    one = await stage()
    one.pipeline.is_b_profile = True

    await one.play(7, sps=OTHER_SPS)

    assert not any(m.is_discontinuity for m in one.of(SlotOpened))
    assert any("B-frames to 0" in a for a in one.of(Health)[-1].advice)
    check_link(one.messages)


async def test_new_picture_size_is_a_discontinuity_without_a_pause(stage):
    """A browser that changes size gets a new init at a segment's beginning."""
    one = await stage()
    await one.play(4)
    one.frame = 0

    await one.play(4, sps=OTHER_SPS)

    marked = [m for m in one.of(SlotOpened) if m.is_discontinuity]
    assert len(marked) == 1
    slot = marked[0].slot
    first = next(m.part for m in one.of(PartMade, "source") if m.part.slot == slot)
    assert first.init_hash == one.of(InitMade, "source")[-1].init_hash
    assert one.pipeline.restarts == 0
    before = [m for m in one.of(SegmentEnded, "source") if m.msn == slot.msn - 1]
    assert before[0].end_ms == slot.start_ms
    check_link(one.messages)


async def test_video_only_publisher_gets_sound_of_silence(stage):
    """Each rendition has audio, so players and playlists are the same for all publishers."""
    one = await stage(frozenset({Track.VIDEO}))

    await one.play(5, audio=False)

    assert one.pipeline.filled
    parts = one.of(PartMade, "source")
    assert len(parts) >= 8
    runs = [cmaf_reader.read_chunk(m.part.payload).runs for m in parts]
    assert all([run.track for run in tracks] == [1, 2] for tracks in runs)


async def test_lost_sound_is_waited_for_only_a_little(stage):
    """When sound stops, the picture goes on after audio_wait_ms."""
    one = await stage()
    await one.play(3)

    await one.play(4, audio=False)

    newest = one.of(PartMade, "source")[-1].part
    assert newest.end_ms >= one.clock.wall_ms - 500 - 40 - 150 - 100


async def test_audio_only_show_has_one_rendition_cut_by_sound(stage):
    """A show without a picture has parts and segments like any other."""
    one = await stage(frozenset({Track.AUDIO}))

    await one.play(9, video=False)

    assert one.of(ShowOpened)[0].audio_only
    assert [r.name for r in one.of(RenditionsSet)[-1].renditions] == ["audio"]
    parts = [m.part for m in one.of(PartMade)]
    assert {part.rendition for part in parts} == {"audio"}
    assert all(part.duration_us <= 522_000 for part in parts)
    assert len(one.of(SegmentEnded)) >= 3
    check_link(one.messages)


async def test_muted_audio_show_goes_on(stage):
    """Opus that pauses (DTX) does not stop the show: silence fills it."""
    one = await stage(frozenset({Track.AUDIO}))
    await one.play(3, video=False)
    count = len(one.of(PartMade))

    await one.play(1, video=False, audio=False)

    assert len(one.of(PartMade)) >= count + 1


async def test_still_picture_does_not_stop_the_sound(stage):
    """When video stops, parts with sound go on in every rendition; it comes back at an IDR."""
    one = await stage()
    await one.play(3)
    await one.play(5, video=False)
    newest = one.of(PartMade, "source")[-1].part
    still_ms = one.clock.wall_ms
    one.frame = 0

    await one.play(3)

    assert newest.end_ms >= still_ms - 600
    assert one.of(PartMade, "360p")[-1].part.end_ms >= one.clock.wall_ms - 700
    back = [m.slot for m in one.of(SlotOpened) if m.is_discontinuity]
    assert len(back) == 1
    assert back[0].start_ms >= still_ms - 50
    check_link(one.messages)


async def test_silent_rung_does_not_hold_up_the_others(stage):
    """A rung whose encoder is stuck gets parts without a picture after some seconds."""
    one = await stage()
    await one.play(3)
    one.pipeline.silent_rungs.add("360p")

    await one.play(6)

    assert one.of(PartMade, "source")[-1].part.end_ms >= one.clock.wall_ms - 700
    assert one.of(PartMade, "360p")[-1].part.end_ms >= one.clock.wall_ms - 5200
    check_link(one.messages)


async def test_time_that_leaps_is_a_discontinuity(stage):
    """A publisher that was suspended goes on with fresh codecs and a marked segment."""
    one = await stage()
    await one.play(3)
    one.ms += 5000
    one.clock.move(5)
    one.frame = 0

    await one.play(3)

    assert one.pipeline.restarts == 1
    assert len([m for m in one.of(SlotOpened) if m.is_discontinuity]) == 1
    assert len(one.of(ShowOpened)) == 1
    check_link(one.messages)


async def test_replay_tells_a_new_http_process_the_whole_window(stage):
    """An HTTP process that connects late lists what the others list."""
    one = await stage()
    await one.play(60)

    sent = one.broadcast.replay()

    assert isinstance(sent[0], ShowOpened)
    kept_ms = [m.slot.start_ms for m in sent if isinstance(m, SlotOpened)]
    assert 39_000 <= kept_ms[-1] - kept_ms[0] <= 42_000
    assert isinstance(sent[-1], Health)
    assert len([m for m in sent if isinstance(m, RenditionsSet)]) == 1
    check_link(sent)


async def test_replay_counts_the_discontinuities_it_left_out(stage):
    """EXT-X-DISCONTINUITY-SEQUENCE is the same in an HTTP process that came later."""
    one = await stage()
    await one.play(3)
    one.broadcast.publisher_gone("s1", "deleted")
    one.wait(5)
    one.frame = 0
    one.broadcast.publisher_connected("s2", BOTH, "OBS-Studio/32.0")

    await one.play(50)

    sent = one.broadcast.replay()
    assert not any(m.is_discontinuity for m in sent if isinstance(m, SlotOpened))
    assert sent[0].discontinuity_sequence == 1


async def test_drain_leaves_the_show_to_be_continued(stage):
    """A restart of the server is a break for viewers, not the end."""
    one = await stage()
    await one.play(3.5)

    await one.broadcast.drain(end_show=False)

    assert one.of(ShowEnded) == []
    assert not one.file.saved[-1].ended
    assert one.of(SegmentEnded, "source")[-1].msn == one.of(SlotOpened)[-1].slot.msn
    assert one.pipeline.is_closed


async def test_drain_ends_the_show_when_told(stage):
    """An operator who stops a stream gives viewers an end."""
    one = await stage()
    await one.play(3.5)

    await one.broadcast.drain(end_show=True)

    assert isinstance(one.messages[-1], ShowEnded)
    assert one.file.saved[-1].ended


async def test_health_is_told_every_two_seconds(stage):
    """The creator sees the numbers of the moment."""
    one = await stage()

    await one.play(9)

    sent = one.of(Health)
    assert 4 <= len(sent) <= 6
    assert sent[-1].state == "live"
    assert sent[-1].facts["fps"] == 25
    assert sent[-1].facts["gop_s"] == 2
    assert sent[-1].facts["renditions"] == 3
    assert sent[-1].facts["upload_loss_percent"] == 0.0
    assert sent[-1].advice == ()
