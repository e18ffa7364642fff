"""The threads of the pipeline: one decodes, one encodes per transcoded rendition, one makes AAC.

They own the codecs and hand what they made to `LoopPost`, which takes it to the event loop.
FFmpeg releases the GIL, so the loop stays free. A codec's error costs what it was given, never the
thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from queue import Full, Queue
from typing import Any, Final, Protocol

from mediaserver.h264 import NalUnits
from mediaserver.media import AudioFormat, Sample, VideoFormat
from mediaserver.transcode.audio import AacMaker
from mediaserver.transcode.ladder import Step
from mediaserver.transcode.video import CODEC_ERRORS, Decoder, Encoder, Picture

UNSHOWN_MAX: Final = 32
"""Units whose picture may still come: 16 frames of reordering, twice."""
END_WAIT_S: Final = 2.0
"""A codec that does not come back within this long is left behind."""
PICTURES_MAX: Final = 4
"""Decoded pictures that may wait for one encoder: 4 of 1080p are 12 MB."""
_PATIENCE_S: Final = 0.2
"""How often a waiting thread checks whether it has to stop."""


class LoopPost:
    """Takes what the threads made to the event loop, until it is closed there."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sink: Sink) -> None:
        self._loop = loop
        self._sink = sink
        self._is_open = True

    def close(self) -> None:
        """Deliver nothing any more; call on the event loop."""
        self._is_open = False

    def video(self, name: str, sample: Sample, video_format: VideoFormat | None) -> None:
        """Hand over one encoded picture; an IDR with its format."""
        self.call(lambda: self._sink.emit_video(name, sample, video_format))

    def audio_format(self, audio_format: AudioFormat) -> None:
        """Hand over what the AAC is."""
        self.call(lambda: self._sink.emit_audio_format(audio_format))

    def audio(self, sample: Sample) -> None:
        """Hand over one AAC frame."""
        self.call(lambda: self._sink.emit_audio(sample))

    def lost(self, name: str, frames: int) -> None:
        """Report what a codec could not use."""
        self.call(lambda: self._sink.emit_lost(name, frames))

    def call(self, what: Callable[[], None]) -> None:
        """Call `what` on the event loop, if this is still open then."""
        # A closed loop means that nobody waits any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._deliver, what)

    def _deliver(self, what: Callable[[], None]) -> None:
        if self._is_open:
            what()


class Sink(Protocol):
    """Receives what the codecs made, on the event loop."""

    def emit_video(self, name: str, sample: Sample, video_format: VideoFormat | None) -> None:
        """Take one encoded picture."""

    def emit_audio_format(self, audio_format: AudioFormat) -> None:
        """Take what the AAC is."""

    def emit_audio(self, sample: Sample) -> None:
        """Take one AAC frame."""

    def emit_lost(self, name: str, frames: int) -> None:
        """Count what a codec could not use."""


@dataclass(frozen=True, slots=True)
class Unit:
    """An access unit to decode, and what to make of its picture.

    Attributes:
        payload: Its NAL units.
        time_ms: Its place on the timeline.
        is_idr_wanted: Every encoder makes an IDR of it.
        steps: The renditions to encode; from here on there are no others.
    """

    payload: NalUnits
    time_ms: int
    is_idr_wanted: bool
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Preroll:
    """Access units to decode only so that what follows can be decoded."""

    units: tuple[tuple[NalUnits, int], ...]


@dataclass(frozen=True, slots=True)
class EndStep:
    """Encode this rendition no more; call `done` when its last picture is out. An IDR follows."""

    name: str
    done: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Mark:
    """Call `reached` when everything put in before is out; `expect` gets how many will call."""

    expect: Callable[[int], None]
    reached: Callable[[], None]


class _Worker(threading.Thread):
    """A thread that takes items from a queue until it is stopped."""

    def __init__(self, name: str, post: LoopPost, items_max: int = 0) -> None:
        super().__init__(name=name, daemon=True)
        self.post = post
        self.queue: Queue[Any] = Queue(items_max)
        self._is_stopping = threading.Event()

    def stop(self) -> None:
        """End soon, leaving what waits; does not wait for it."""
        self._is_stopping.set()
        # When the queue is full it is awake, and looks at the flag after each item.
        with contextlib.suppress(Full):
            self.queue.put_nowait(None)

    def run(self) -> None:
        while not self._is_stopping.is_set():
            item = self.queue.get()
            if item is None:
                break
            self.take(item)
        self.close()

    def take(self, item: Any) -> None:
        """Work on one item."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of what the thread owns."""


class EncodeWorker(_Worker):
    """Encodes one rendition. Takes `Picture`, `Mark` and `EndStep`."""

    def __init__(self, step: Step, preset: str, frame_rate_milli: int, post: LoopPost) -> None:
        super().__init__(f"encode-{step.name}", post, PICTURES_MAX)
        self.step = step
        self._preset = preset
        self._rate = frame_rate_milli
        self._encoder: Encoder | None = None

    def give(self, item: Any) -> None:
        """Put an item in, waiting while the queue is full and the thread runs."""
        while not self._is_stopping.is_set():
            try:
                self.queue.put(item, timeout=_PATIENCE_S)
            except Full:
                continue
            return

    def take(self, item: Picture | Mark | EndStep) -> None:
        """Work on one item."""
        match item:
            case Picture():
                self._encode(item)
            case Mark():
                item.reached()
            case EndStep():
                self.post.call(item.done)
                self._is_stopping.set()

    def _encode(self, picture: Picture) -> None:
        if self._encoder is None:
            self._encoder = Encoder(self.step, self._preset, self._rate)
        try:
            for made in self._encoder.encode(picture):
                self.post.video(self.step.name, made.sample, made.format)
        except CODEC_ERRORS:
            self._encoder = None
            self.post.lost(self.step.name, 1)


class DecodeWorker(_Worker):
    """Decodes once and hands each picture to every encoder."""

    def __init__(self, preset: str, frame_rate_milli: int, post: LoopPost) -> None:
        super().__init__("decode", post)
        self._preset = preset
        self._rate = frame_rate_milli
        self._decoder = Decoder()
        self._encoders: dict[str, EncodeWorker] = {}
        self._wanted: dict[int, Unit] = {}
        self._is_idr_owed = False

    def take(self, item: Unit | Preroll | EndStep | Mark) -> None:
        """Work on one item."""
        match item:
            case Unit():
                self._wanted[item.time_ms] = item
                if len(self._wanted) > UNSHOWN_MAX:
                    self._forget(next(iter(self._wanted)))
                self._decode(item.payload, item.time_ms)
            case Preroll():
                for payload, time_ms in item.units:
                    self._decode(payload, time_ms)
            case EndStep():
                self._show(self._decoder.flush())
                encoder = self._encoders.pop(item.name, None)
                if encoder is None:
                    self.post.call(item.done)
                else:
                    _end(encoder, item)
            case Mark():
                item.expect(len(self._encoders))
                for encoder in self._encoders.values():
                    encoder.give(item)
                item.reached()

    def close(self) -> None:
        """End the encoders."""
        for encoder in self._encoders.values():
            encoder.stop()

    def _decode(self, payload: NalUnits, time_ms: int) -> None:
        try:
            self._show(self._decoder.decode(payload, time_ms))
        except CODEC_ERRORS:
            if time_ms in self._wanted:
                self._forget(time_ms)

    def _show(self, pictures: Iterable[Picture]) -> None:
        for picture in pictures:
            unit = self._wanted.pop(picture.time_ms, None)
            for time_ms in [t for t in self._wanted if t < picture.time_ms]:
                self._forget(time_ms)
            if unit is None:
                continue
            picture.ask_idr(unit.is_idr_wanted or self._is_idr_owed)
            self._is_idr_owed = False
            for encoder in self._encoders_for(unit.steps):
                encoder.give(picture)

    def _forget(self, time_ms: int) -> None:
        """Give up on the picture of a unit; the IDR that it was to be is owed by the next."""
        unit = self._wanted.pop(time_ms)
        self._is_idr_owed |= unit.is_idr_wanted
        for step in unit.steps:
            self.post.lost(step.name, 1)

    def _encoders_for(self, steps: tuple[Step, ...]) -> list[EncodeWorker]:
        for name, encoder in list(self._encoders.items()):
            if encoder.step not in steps:
                _end(encoder, EndStep(name, _nothing))
                del self._encoders[name]
        for step in steps:
            if step.name not in self._encoders:
                worker = EncodeWorker(step, self._preset, self._rate, self.post)
                self._encoders[step.name] = worker
                worker.start()
        return list(self._encoders.values())


@dataclass(frozen=True, slots=True)
class Begin:
    """The AAC clock starts at this position (1/48000 s)."""

    position: int


@dataclass(frozen=True, slots=True)
class Sound:
    """One Opus packet."""

    payload: bytes
    time: int


@dataclass(frozen=True, slots=True)
class Fill:
    """AAC exists up to this position afterwards."""

    until: int


class AudioWorker(_Worker):
    """Makes AAC. Takes `Begin` first, then `Sound`, `Fill` and `Mark`."""

    def __init__(self, audio_kbps: int, post: LoopPost) -> None:
        super().__init__("audio", post)
        self._maker = AacMaker(audio_kbps)

    def take(self, item: Begin | Sound | Fill | Mark) -> None:
        """Work on one item."""
        match item:
            case Begin():
                self._maker.begin(item.position)
                self.post.audio_format(self._maker.format)
            case Sound():
                try:
                    for sample in self._maker.push(item.payload, item.time):
                        self.post.audio(sample)
                except CODEC_ERRORS:
                    self.post.lost("audio", 1)
            case Fill():
                for sample in self._maker.fill(item.until):
                    self.post.audio(sample)
            case Mark():
                item.reached()


def _end(encoder: EncodeWorker, item: EndStep) -> None:
    """End an encoder and wait, so that all that follows under its name comes after its last."""
    encoder.give(item)
    encoder.join(END_WAIT_S)


def _nothing() -> None:
    """Nobody waits for this end."""
