"""A broadcast with a fake pipeline, a fake file and a clock that tests move."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import UUID

from mediaserver.ingest.encoder import Encoder
from mediaserver.ingest.session import EndReason
from mediaserver.ipc.messages import (
    InitMade,
    Message,
    PartMade,
    SegmentEnded,
    SlotOpened,
)
from mediaserver.live.broadcast import Broadcast
from mediaserver.live.show_state import ShowState
from mediaserver.media import AccessUnit, AudioFormat, Sample, Slot, Track, VideoFormat
from mediaserver.settings.records import Settings
from mediaserver.transcode.pipeline import Outlet
from mediaserver.transcode.settings import TranscodeSettings
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

    def __init__(
        self, _settings: TranscodeSettings, _loop: asyncio.AbstractEventLoop, outlet: Outlet
    ) -> None:
        self.outlet = outlet
        self.has_b_frames = False
        self.has_video = self.is_encoding = self.is_begun = False
        self.audio_next: int | None = None
        self.forced: list[int] = []
        self.filled: list[int] = []
        self.restarts = 0
        self.names: tuple[str, ...] = ("source", "360p", "audio")
        self.silent_rungs: set[str] = set()
        self.formats: dict[str, VideoFormat] = {}
        self.is_closed = False
        self.is_b_profile = False

    def start(self, has_video: bool, has_audio: bool) -> None:  # noqa: ARG002  the pipeline's signature
        self.has_video = has_video

    def renditions(self) -> tuple[str, ...]:
        if not self.has_video:
            return ("audio",) if self.audio_next is not None else ()
        return self.names if self.is_begun else ()

    def push_video(self, unit: AccessUnit, time_ms: int, force_idr: bool) -> None:
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

    def push_audio(self, unit: AccessUnit, time: int) -> None:  # noqa: ARG002  the pipeline's signature
        if self.audio_next is None:
            if self.has_video:
                return
            self.outlet.audio_format(AUDIO)
            self.audio_next = time
        self.fill_audio(time + 960)

    def fill_audio(self, until: int) -> None:
        self.filled.append(until)
        if self.audio_next is None:
            return
        self.audio_next = max(self.audio_next, until - 480_000)
        while self.audio_next + 1024 <= until + 1023:
            self.outlet.sample("audio", Sample(Track.AUDIO, (b"a" * 300,), self.audio_next, True))
            self.audio_next += 1024

    def reencode_source(self, is_on: bool) -> None:
        self.is_encoding = is_on

    def restart(self) -> None:
        self.restarts += 1
        self.is_begun = False
        self.audio_next = None
        self.formats = {}

    def close(self) -> None:
        self.is_closed = True

    async def drain(self, timeout_s: float) -> bool:  # noqa: ARG002  the pipeline's signature
        return True


class FakeFile:
    def __init__(self, state: ShowState | None = None) -> None:
        self.saved = [state] if state else []
        self.gate = asyncio.Event()
        self.gate.set()

    async def load(self) -> ShowState | None:
        return self.saved[-1] if self.saved else None

    async def save(self, state: ShowState) -> None:
        await self.gate.wait()
        self.saved.append(state)


@dataclass
class BroadcastHarness:
    """A broadcast with everything around it faked, and a publisher to play."""

    file: FakeFile = field(default_factory=FakeFile)
    settings: Settings = field(default_factory=Settings)
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW_MS))
    ms: int = 0
    frame: int = 0
    keyframes_asked: int = 0
    is_over: bool = False
    ended: EndReason | None = None

    def __post_init__(self) -> None:
        self.messages: list[Message] = []
        self.broadcast = Broadcast(
            stream=STREAM,
            slug="show",
            settings=self.settings,
            clock=self.clock,
            publish=self.messages.append,
            request_keyframe=self._ask,
            end_publisher=self._end,
            ingest_facts=lambda: ({"upload_loss_percent": 0.0}, (), Encoder.OBS),
            on_over=self._over,
            make_pipeline=self._pipeline,
            state_file=self.file,
        )

    def _pipeline(
        self, settings: TranscodeSettings, loop: asyncio.AbstractEventLoop, outlet: Outlet
    ) -> FakePipeline:
        self.pipeline = FakePipeline(settings, loop, outlet)
        return self.pipeline

    def _ask(self) -> None:
        self.keyframes_asked += 1

    def _end(self, reason: EndReason) -> None:
        self.ended = reason
        self.broadcast.publisher_gone("s1", reason)

    def _over(self) -> None:
        self.is_over = True

    async def begin(self, tracks: frozenset[Track] = BOTH) -> Self:
        await self.broadcast.start()
        self.broadcast.publisher_connected("s1", tracks, "OBS-Studio/32.0")
        await settle()
        return self

    async def play(
        self,
        seconds: float,
        gop: int = 50,
        *,
        video: bool = True,
        audio: bool = True,
        sps: bytes = SPS,
    ) -> None:
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

    def wait(self, seconds: float) -> None:
        """Let time pass without media."""
        self.clock.move(seconds)
        self.broadcast.poll()

    def of(self, kind: type[Any], rendition: str | None = None) -> list[Any]:
        messages = [m for m in self.messages if isinstance(m, kind)]
        if rendition:
            messages = [m for m in messages if _name(m) == rendition]
        return messages


def _name(message: Any) -> str:
    return str(message.part.rendition if isinstance(message, PartMade) else message.rendition)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@asynccontextmanager
async def broadcasts() -> AsyncIterator[Callable[..., Awaitable[BroadcastHarness]]]:
    """Give a function that begins a broadcast; all of them are drained when the block ends."""
    made: list[BroadcastHarness] = []

    async def make(tracks: frozenset[Track] = BOTH, **kinds: Any) -> BroadcastHarness:
        made.append(await BroadcastHarness(**kinds).begin(tracks))
        return made[-1]

    yield make
    for harness in made:
        harness.file.gate.set()
        await harness.broadcast.drain(end_show=False)


def check_link(messages: Sequence[Message]) -> None:
    """What every HTTP process relies on, whatever happened."""
    inits: set[tuple[str, str]] = set()
    opened: dict[tuple[int, int], Slot] = {}
    made: dict[str, tuple[int, int]] = {}
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
