"""Rules for networks and addresses of this machine, as far as text alone shows them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from mediaserver.http.client_address import network
from mediaserver.settings.records import Settings

_NAME: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\.?")

_ORIGIN: Final = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
"""RFC 6454, 6.2: what a browser sends; no path, no slash."""


def host_faults(host: str) -> Iterator[str]:
    """Yield what is wrong with ``server.host`` whatever the machine: it is part of a URL, say."""
    if not host:
        yield 'server.host: "" is empty; use 0.0.0.0 to listen on every address'
    elif not _is_address(host) and not _NAME.fullmatch(host):
        yield f"server.host: {host} is neither an address nor a name; use {_host_in(host)}"


def network_faults(settings: Settings) -> Iterator[str]:
    """Yield what is no network where one is expected."""
    for key, texts in (
        ("server.trusted_proxies", settings.server.trusted_proxies),
        ("auth.admin_networks", settings.auth.admin_networks),
    ):
        for index, text in enumerate(texts):
            try:
                network(text)
            except ValueError:
                yield f"{key}[{index}]: {text} is no network; use {_remedy(text)}"
    for index, text in enumerate(settings.server.cors_origins):
        if not _ORIGIN.fullmatch(text):
            yield (
                f"server.cors_origins[{index}]: {text} is no origin; use scheme, host and, where "
                "it is not the usual one, port, such as https://example.org"
            )


def _remedy(text: str) -> str:
    try:
        return f"{ipaddress.ip_network(text, strict=False)}, which it is in, or one address"
    except ValueError:
        return "one such as 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7"


def _host_in(text: str) -> str:
    """Return what of a URL, or of a host with a port, is the host."""
    try:
        host = urlsplit(text if "//" in text else f"//{text}").hostname or ""
    except ValueError:
        host = text.strip("[]")
    if _is_address(host) or _NAME.fullmatch(host):
        return f"{host}, and server.port for a port"
    return "one such as 127.0.0.1, ::1 or 0.0.0.0"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
