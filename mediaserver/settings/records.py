"""The records of the configuration, joined into one frozen tree. How it is read: load.py."""

from __future__ import annotations

from dataclasses import dataclass, field

from mediaserver.hls.settings import HlsSettings
from mediaserver.ingest.settings import IngestSettings
from mediaserver.payments.settings import PaymentsSettings, PayoutSettings
from mediaserver.people.settings import PeopleSettings, WatchSettings
from mediaserver.playback_token import AuthSettings
from mediaserver.transcode.settings import TranscodeSettings
from mediaserver.webhooks.settings import HooksSettings, WebhooksSettings
from metering.settings import ChainSettings, MeteringSettings, PriceSettings
from metering.units import Asset


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where the server listens and keeps its files. Why each default: config/mediaserver.toml."""

    host: str = "127.0.0.1"
    port: int = field(default=8080, metadata={"low": 1, "high": 65535})
    http_processes: int = field(default=1, metadata={"low": 1, "high": 64})
    data_dir: str = "data"
    public_url: str = ""
    publish_url: str = ""
    drain_timeout_s: int = field(default=5, metadata={"low": 1, "high": 600})
    worker_spares: int = field(default=1, metadata={"low": 1, "high": 16})
    workers_max: int = field(default=16, metadata={"low": 1, "high": 1000})
    worker_memory_max_mb: int = field(default=1024, metadata={"low": 64, "high": 1048576})
    trusted_proxies: tuple[str, ...] = ("127.0.0.0/8", "::1")
    cors_origins: tuple[str, ...] = ()
    connections_max: int = field(default=20000, metadata={"low": 64, "high": 1000000})
    connections_per_address_max: int = field(default=256, metadata={"low": 8, "high": 1000000})


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How the server speaks to its operator. Why each default: config/mediaserver.toml."""

    format: str = field(default="json", metadata={"choices": ("json", "console")})
    level: str = field(default="info", metadata={"choices": ("debug", "info", "warning", "error")})


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """What `vilokanam edge config` writes. Why each default: config/mediaserver.toml."""

    origin_url: str = "http://127.0.0.1:8080"
    listen: str = "127.0.0.1:8090"
    server_name: str = "_"
    tls_certificate: str = ""
    tls_key: str = ""
    cache_dir: str = "/var/cache/vilokanam"
    cache_memory_mb: int = field(default=16, metadata={"low": 1, "high": 4096})
    cache_disk_mb: int = field(default=2048, metadata={"low": 16, "high": 16 << 20})
    fill_wait_ms: int = field(default=50, metadata={"low": 5, "high": 500})
    access_log: str = "/var/log/nginx/vilokanam.log"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that an operator can set, one attribute for each table of the file."""

    server: ServerSettings = field(default_factory=ServerSettings)
    log: LogSettings = field(default_factory=LogSettings)
    ingest: IngestSettings = field(default_factory=IngestSettings)
    transcode: TranscodeSettings = field(default_factory=TranscodeSettings)
    hls: HlsSettings = field(default_factory=HlsSettings)
    auth: AuthSettings = field(default_factory=AuthSettings)
    people: PeopleSettings = field(default_factory=PeopleSettings)
    payments: PaymentsSettings = field(default_factory=PaymentsSettings)
    payout: PayoutSettings = field(default_factory=PayoutSettings)
    webhooks: WebhooksSettings = field(default_factory=WebhooksSettings)
    hooks: HooksSettings = field(default_factory=HooksSettings)
    watch: WatchSettings = field(default_factory=WatchSettings)
    metering: MeteringSettings = field(default_factory=MeteringSettings)
    price: PriceSettings = field(default_factory=PriceSettings)
    chain: ChainSettings = field(default_factory=ChainSettings)
    edge: EdgeSettings = field(default_factory=EdgeSettings)

    @property
    def public_url(self) -> str:
        """Return where people reach the server, without a slash at its end."""
        return self.server.public_url or f"http://{self._host}:{self.server.port}"

    @property
    def publish_url(self) -> str:
        """Return where publishers reach the server, without a slash at its end."""
        return self.server.publish_url or self.public_url

    @property
    def _host(self) -> str:
        """Return ``server.host`` as it is in a URL; one that is all addresses is this machine."""
        host = self.server.host
        if ":" in host:
            return "[::1]" if set(host) <= set("0:") else f"[{host.replace('%', '%25')}]"
        return "127.0.0.1" if set(host) <= set("0.") else host

    @property
    def asset(self) -> Asset:
        """Return the asset that everything is paid in."""
        return Asset(
            self.price.asset_symbol, self.price.asset_decimals, int(self.price.quantum_planck)
        )
