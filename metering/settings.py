"""Settings of money: ``[metering]``, ``[price]``, ``[chain]``; checked by mediaserver.settings."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class MeteringSettings:
    """Where ticks are counted. Why each default: config/mediaserver.toml."""

    redis_url: str = ""
    fsync: str = field(default="everysec", metadata={"choices": ("everysec", "always")})
    cut_period_s: int = field(default=10, metadata={"low": 1, "high": 600})
    watched_hours: int = field(default=24, metadata={"low": 1, "high": 720})
    claim_timeout_ms: int = field(default=2000, metadata={"low": 100, "high": 30000})
    memory_accounts_max: int = field(default=200000, metadata={"low": 100, "high": 10000000})
    policy_lost_s: int = field(default=30, metadata={"low": 6, "high": 600})
    minutes_kept_days: int = field(default=400, metadata={"low": 1, "high": 36500})


@dataclass(frozen=True, slots=True)
class PriceSettings:
    """The asset and how money is split. Why each default: config/mediaserver.toml."""

    asset_symbol: str = "UNIT"
    asset_decimals: int = field(default=12, metadata={"low": 0, "high": 30})
    quantum_planck: str = "1"
    supply_planck: str = "1000000000000000000"
    default_planck_per_s: str = "100000000"
    platform_fee_ppm: int = field(default=100000, metadata={"low": 0, "high": 1000000})
    preview_s: int = field(default=0, metadata={"low": 0, "high": 86400})
    change_notice_s: int = field(default=60, metadata={"low": 60, "high": 86400})
    session_limit_planck: str = "0"
    stream_limit_planck: str = "0"
    day_limit_planck: str = "0"
    top_up_url: str = ""
    entry_url: str = ""
    demo_top_up_planck: str = "0"


@dataclass(frozen=True, slots=True)
class ChainSettings:
    """Where batches are settled. Why each default: config/mediaserver.toml."""

    backend: str = field(default="journal", metadata={"choices": ("journal", "substrate")})
    url: str = "ws://127.0.0.1:9944"
    operator_key_file: str = ""
    batch_period_s: int = field(default=30, metadata={"low": 1, "high": 3600})
    batch_entries_max: int = field(default=10000, metadata={"low": 1, "high": 100000})
    finality_ms: int = field(default=1000, metadata={"low": 0, "high": 3600000})
    era_blocks: int = field(default=64, metadata={"low": 4, "high": 4096})
    in_flight_max: int = field(default=4, metadata={"low": 1, "high": 32})
    request_timeout_s: int = field(default=10, metadata={"low": 1, "high": 300})
    exposure_alarm_planck: str = "1000000000000000"
    creator_float_planck: str = "10000000000"
    provisional_cap_planck: str = "1000000000000"
    viewer_float_planck: str = "100000000000"
    escrow_from_block: int = field(default=1, metadata={"low": 1, "high": 4294967295})
