"""Which addresses a webhook may be sent to. Pure.

A target's name is its owner's to point anywhere: at the machine itself, at the cloud's metadata, at
a router. Only what is on the public internet is connected to, and networks that the operator names.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Network = IPv4Network | IPv6Network

NAT64: Final = ip_network("64:ff9b::/96")
"""RFC 6052: the last four bytes are an IPv4 address that a gateway connects to."""
NAT64_LOCAL: Final = ip_network("64:ff9b:1::/48")
"""RFC 8215: the same, to the operator's own taste; never public."""
COMPATIBLE: Final = ip_network("::/96")
"""RFC 4291, 2.5.5.1: IPv4 in IPv6, deprecated; `::` and `::1` are among them."""
SITE_LOCAL: Final = ip_network("fec0::/10")
"""RFC 3879: deprecated, and still routed inside some networks."""


def networks_of(texts: Sequence[str]) -> tuple[Network, ...]:
    """Return networks.

    Raises:
        ValueError: One is none, or has bits set behind its prefix.
    """
    return tuple(ip_network(text) for text in texts)


def refusal(address: str, allowed: Sequence[Network]) -> str:
    """Return why an address is not connected to, or nothing when it may be.

    Args:
        address: As the resolver gives it, perhaps with a zone.
    """
    found = ip_address(address.partition("%")[0])
    if any(found.version == network.version and found in network for network in allowed):
        return ""
    for inner in (found, *_inside(found)):
        if any(inner.version == network.version and inner in network for network in allowed):
            continue
        if what := _kind(inner):
            return f"{address} is {what}; webhooks.allowed_networks names those that may be used"
    return ""


def _inside(address: IPv4Address | IPv6Address) -> tuple[IPv4Address, ...]:
    """Return the IPv4 addresses that an IPv6 address leads to."""
    if isinstance(address, IPv4Address):
        return ()
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in NAT64 or address in COMPATIBLE:
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return tuple(item for item in found if item is not None)


def _kind(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None or address in NAT64:
            return ""  # judged by what is inside
        if address in NAT64_LOCAL or address in SITE_LOCAL:
            return "not on the public internet"
    if address.is_loopback or address.is_unspecified:
        return "this machine"
    if address.is_link_local:
        return "of the local link"
    if address.is_multicast:
        return "multicast"
    if not address.is_global or address.is_reserved:
        return "not on the public internet"
    return ""
