"""Settings of transcoding: table ``[transcode]``. Ranges are checked by mediaserver.settings."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Rung:
    """One transcoded rung of the ladder: ``[[transcode.rungs]]``."""

    name: str = "360p"
    height: int = field(default=360, metadata={"low": 90, "high": 4320})
    video_kbps: int = field(default=700, metadata={"low": 50, "high": 50000})


@dataclass(frozen=True, slots=True)
class TranscodeSettings:
    """What is made of the source. Why each default: config/mediaserver.toml."""

    rungs: tuple[Rung, ...] = (Rung(),)
    preset: str = "superfast"
    top_rung_kbps: int = field(default=4000, metadata={"low": 100, "high": 100000})
    audio_kbps: int = field(default=128, metadata={"low": 32, "high": 512})
    queue_frames_max: int = field(default=90, metadata={"low": 10, "high": 1000})
    audio_wait_ms: int = field(default=150, metadata={"low": 20, "high": 2000})
