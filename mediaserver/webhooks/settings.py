"""The tables ``[webhooks]`` and ``[hooks]``. Why each default: config/mediaserver.toml."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """A server that is told, ``[[webhooks.targets]]``."""

    name: str = field(default="", metadata={"about": "What it is called here: a-z, 0-9 and -."})
    url: str = field(default="", metadata={"about": "Where events are posted: https://..."})
    secret_file: str = field(
        default="",
        metadata={"about": "File with what they are signed with: whsec_..., one a line."},
    )
    events: tuple[str, ...] = field(
        default=(), metadata={"about": "Which kinds it is told; empty: all."}
    )


@dataclass(frozen=True, slots=True)
class WebhooksSettings:
    """Who is told what happens."""

    targets: tuple[WebhookTarget, ...] = ()
    allowed_networks: tuple[str, ...] = ()
    timeout_s: int = field(default=10, metadata={"low": 1, "high": 60})
    give_up_h: int = field(default=24, metadata={"low": 1, "high": 168})
    keep_days: int = field(default=14, metadata={"low": 1, "high": 365})
    low_s: int = field(default=300, metadata={"low": 1, "high": 86400})


@dataclass(frozen=True, slots=True)
class HooksSettings:
    """What the operator's own server decides."""

    ask: tuple[str, ...] = ()
    url: str = ""
    secret_file: str = ""
    timeout_s: int = field(default=2, metadata={"low": 1, "high": 5})
    cache_s: int = field(default=30, metadata={"low": 0, "high": 3600})
    on_failure: str = field(default="closed", metadata={"choices": ("closed", "open")})
