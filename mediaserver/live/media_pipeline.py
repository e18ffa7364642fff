"""What a broadcast needs of transcode's `Pipeline`; its rules are tested without codecs by it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from mediaserver.media import AccessUnit
from mediaserver.transcode.pipeline import Outlet
from mediaserver.transcode.settings import TranscodeSettings


class MediaPipeline(Protocol):
    """The contract of each method is `Pipeline`'s."""

    @property
    def has_b_frames(self) -> bool:
        """True when the source cannot be passed through."""

    def start(self, has_video: bool, has_audio: bool) -> None:
        """Set which tracks come."""

    def push_video(self, unit: AccessUnit, time_ms: int, force_idr: bool) -> None:
        """Take one access unit."""

    def push_audio(self, unit: AccessUnit, time: int) -> None:
        """Take one Opus packet."""

    def fill_audio(self, until: int) -> None:
        """Make AAC up to here."""

    def reencode_source(self, is_on: bool) -> None:
        """Encode the source, or pass it through."""

    def renditions(self) -> tuple[str, ...]:
        """Names, best first."""

    def restart(self) -> None:
        """Begin afresh."""

    def close(self) -> None:
        """End the threads."""

    async def drain(self, timeout_s: float) -> bool:
        """Wait for what is under way."""


PipelineMaker = Callable[[TranscodeSettings, asyncio.AbstractEventLoop, Outlet], MediaPipeline]
