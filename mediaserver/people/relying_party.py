"""Whom passkeys are made for, by the server's public address."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Whom passkeys are made for.

    Attributes:
        id: A domain, without port.
        origin: Of the pages that may ask, with scheme and port.
    """

    id: str
    origin: str


def relying_party(public_url: str) -> RelyingParty | None:
    """Return the relying party, None where browsers make no passkeys.

    They do for a domain in a secure context (WebAuthn Level 3, 5.1.3): HTTPS, or localhost.
    """
    parts = urlsplit(public_url)
    host = parts.hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return None
    is_local = host == "localhost" or host.endswith(".localhost")
    if not host or (parts.scheme != "https" and not is_local):
        return None
    return RelyingParty(host, origin(public_url))


def origin(url: str) -> str:
    """Return the origin of an address as browsers write it (RFC 6454, 6.2)."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    is_default = parts.port in (None, _PORTS.get(parts.scheme))
    return f"{parts.scheme}://{host}" + ("" if is_default else f":{parts.port}")
