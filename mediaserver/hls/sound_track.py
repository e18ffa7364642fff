"""The sound of one rendition, frame after frame without a hole: silence fills in for what is late.

A hole in the sound of a part shifts what follows it in players, or ends them. Pure.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from mediaserver.media import AAC_FRAME_SAMPLES, AudioFormat, Sample, Track

SAMPLES_MAX: Final = 4000
"""Frames that wait for their cut: a minute and a half."""
_PER_MS: Final = 48
_SILENCE: Final = {
    1: bytes.fromhex("00c800802380"),
    2: bytes.fromhex("210049900219002380"),
}
"""One AAC-LC frame of silence, by channels."""


class SoundTrack:
    """AAC frames that wait, and where the sound that was given out ends.

    Attributes:
        end: Where the newest frame that came ends (1/48000 s).
        dropped: Frames left out: too many, or too late.
        filled: Frames of silence that were put in.
    """

    def __init__(self, audio_format: AudioFormat) -> None:
        self.end = 0
        self.dropped = 0
        self.filled = 0
        self._silence = _SILENCE[audio_format.channels]
        self._waiting: deque[Sample] = deque()
        self._next: int | None = None
        self._given_ms: int | None = None

    def add(self, sample: Sample) -> None:
        """Take a frame; they come in order."""
        if len(self._waiting) >= SAMPLES_MAX:
            self.dropped += 1
            return
        self.end = sample.time + AAC_FRAME_SAMPLES
        self._waiting.append(sample)

    def take(self, start_ms: int, end_ms: int, *, is_given_up: bool) -> list[Sample]:
        """Return the frames that start in a part, holes filled.

        Args:
            start_ms: Where the part begins: where the one before ended, or time breaks.
            end_ms: Where it ends.
            is_given_up: What has not come by now will not be waited for.
        """
        start, end = start_ms * _PER_MS, end_ms * _PER_MS
        if self._next is None or self._given_ms != start_ms:
            self._next = start
        taken: list[Sample] = []
        while self._waiting and self._waiting[0].time < end:
            sample = self._waiting.popleft()
            # Late: its part was made without it, or silence has its place.
            if sample.time < start or sample.time + AAC_FRAME_SAMPLES <= self._next:
                self.dropped += 1
                continue
            self._fill(taken, sample.time)
            taken.append(sample)
            self._next = sample.time + AAC_FRAME_SAMPLES
        if self._waiting or is_given_up:
            follows = self._waiting[0].time if self._waiting else end + AAC_FRAME_SAMPLES
            self._fill(taken, follows, end)
        self._given_ms = end_ms
        return taken

    def _fill(self, taken: list[Sample], until: int, before: int | None = None) -> None:
        """Put silence where whole frames are missing up to `until`, none begins at `before`."""
        assert self._next is not None
        while until - self._next >= AAC_FRAME_SAMPLES and (before is None or self._next < before):
            taken.append(Sample(Track.AUDIO, (self._silence,), self._next, is_idr=True))
            self._next += AAC_FRAME_SAMPLES
            self.filled += 1
