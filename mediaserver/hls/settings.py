"""Settings of HLS: table ``[hls]``. Ranges are checked by mediaserver.settings."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class HlsSettings:
    """Constants of every playlist. Why each default: config/mediaserver.toml."""

    part_target_ms: int = field(default=500, metadata={"low": 100, "high": 4000})
    segment_target_ms: int = field(default=2000, metadata={"low": 500, "high": 10000})
    target_duration_s: int = field(default=3, metadata={"low": 1, "high": 12})
    window_ms: int = field(default=30000, metadata={"low": 6000, "high": 3600000})
    waiters_max: int = field(default=20000, metadata={"low": 10, "high": 1000000})
    is_page_enabled: bool = True
