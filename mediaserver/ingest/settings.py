"""Settings of ingest: table ``[ingest]``. Ranges are checked by mediaserver.settings."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """How publishers reach us. Why each default: config/mediaserver.toml."""

    bind_addresses: tuple[str, ...] = ("127.0.0.1",)
    advertise_addresses: tuple[str, ...] = ()
    udp_port_min: int = field(default=40000, metadata={"low": 1024, "high": 65535})
    udp_port_max: int = field(default=40999, metadata={"low": 1024, "high": 65535})
    offer_bytes_max: int = field(default=65536, metadata={"low": 4096, "high": 1 << 20})
    connect_timeout_s: int = field(default=10, metadata={"low": 2, "high": 60})
    media_timeout_ms: int = field(default=4000, metadata={"low": 1000, "high": 60000})
    reconnect_wait_s: int = field(default=60, metadata={"low": 0, "high": 3600})
    pending_sessions_per_address_max: int = field(default=20, metadata={"low": 1, "high": 1000})
    pending_sessions_per_key_max: int = field(default=4, metadata={"low": 1, "high": 100})
    loss_give_up_ms: int = field(default=400, metadata={"low": 50, "high": 5000})
    receive_buffer_bytes: int = field(default=4 << 20, metadata={"low": 65536, "high": 64 << 20})
    video_kbps_max: int = field(default=8000, metadata={"low": 100, "high": 100000})
