"""Settings of access: table ``[auth]``. Ranges are checked by mediaserver.settings."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """Tokens and viewer sessions. Why each default: config/mediaserver.toml."""

    admin_token_file: str = ""
    token_keys_file: str = ""
    edge_key_file: str = ""
    token_ttl_s: int = field(default=43200, metadata={"low": 60, "high": 604800})
    max_sessions: int = field(default=2, metadata={"low": 1, "high": 16})
