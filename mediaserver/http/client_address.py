"""Who asked: the address that bounds, logs and the admin API go by. Pure.

The peer of a connection is a proxy's when one is in front. What a proxy says of the client is
believed only from networks that the operator named, and read from the right: each entry was written
by the one after it, so the first that is no proxy of ours is the client (RFC 7239, 8.1).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

FORWARDED_FOR: Final = "X-Forwarded-For"
FORWARDED: Final = "Forwarded"
"""RFC 7239. Where a request has both, `FORWARDED_FOR` counts: it is what most proxies write."""
ENTRIES_MAX: Final = 32
"""No chain of proxies is as long; what is further to the left is nobody's word."""
UNKNOWN: Final = "unknown"
"""The key of all whose address a proxy does not tell."""
IPV6_KEY_BITS: Final = 64
"""One customer has at least this network, and may use any address of it (RFC 6177)."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Client:
    """Who asked.

    Attributes:
        address: None when a proxy of ours does not tell.
        is_certain: False where the client itself may have written the address: two headers that
            disagree, or a chain of which every entry is a proxy of ours.
    """

    address: Address | None
    is_certain: bool = True

    @property
    def text(self) -> str:
        """Return the address as logs have it."""
        return UNKNOWN if self.address is None else str(self.address)

    @property
    def certain_text(self) -> str:
        """Return the address that rules and bounds behind this process go by.

        `UNKNOWN` where the client itself may have written it: rules of place refuse it media, and
        so they refuse it a token too.
        """
        return self.text if self.is_certain else UNKNOWN

    @property
    def key(self) -> str:
        """Return what bounds count by: the address, of IPv6 its network of 64 bits."""
        return bound_key(self.text)


class Networks:
    """A list of networks."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Take networks as they are in the configuration.

        Raises:
            ValueError: One is not a network.
        """
        self._networks = tuple(network(text) for text in texts)

    def hold(self, address: Address | None) -> bool:
        """Return whether an address is in one of them; an unknown one is in none."""
        return address is not None and any(address in network for network in self._networks)

    def joined_by(self, address: str) -> Networks:
        """Return these and one address more.

        Raises:
            ValueError: It is no address.
        """
        more = Networks((address,))
        more._networks += self._networks
        return more


def network(text: str) -> Network:
    """Return a network or a single address.

    Raises:
        ValueError: It is neither, or has bits set behind its prefix.
    """
    return ipaddress.ip_network(text)


def parse(text: str) -> Address | None:
    """Return the address of a peer or of an entry of a header, None when there is none in it.

    A port is left out, and an IPv4 address that came as IPv6 (RFC 4291, 2.5.5.2) is IPv4.
    """
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def bound_key(text: str) -> str:
    """Return what bounds count an address by; `UNKNOWN` for what is none."""
    address = parse(text)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, IPV6_KEY_BITS), strict=False))
    return UNKNOWN if address is None else str(address)


def client_of(
    peer: str,
    own: str,
    forwarded_for: Sequence[str],
    forwarded: Sequence[str],
    trusted: Networks,
) -> Client:
    """Return who made a request.

    Args:
        peer: Address that the connection came from.
        own: Address that it came to: who connects from there is this machine.
        forwarded_for: Values of all headers `FORWARDED_FOR`, in order.
        forwarded: The same of `FORWARDED`.
        trusted: The operator's proxies.
    """
    nearest = parse(peer)
    if nearest is not None and nearest == parse(own):
        nearest = ipaddress.ip_address("127.0.0.1" if nearest.version == 4 else "::1")
    if not trusted.hold(nearest):
        return Client(nearest)
    chains = [
        [entry for value in forwarded_for for entry in value.split(",")],
        [entry for value in forwarded for entry in _fors(value)],
    ]
    found = [_client(chain, trusted) for chain in chains if chain]
    if not found:
        return Client(nearest)
    return Client(found[0].address, found[0].is_certain and found[0] == found[-1])


def _client(chain: list[str], trusted: Networks) -> Client:
    address: Address | None = None
    for entry in chain[: -ENTRIES_MAX - 1 : -1]:
        address = parse(entry)
        if not trusted.hold(address):
            return Client(address)
    return Client(address, is_certain=len(chain) == 1)


def _fors(value: str) -> Iterator[str]:
    """Yield the ``for`` of each element of a header `FORWARDED`, `UNKNOWN` where it has none."""
    for element in value.split(","):
        names = dict(pair.strip().partition("=")[::2] for pair in element.split(";"))
        yield next((text for name, text in names.items() if name.lower() == "for"), UNKNOWN)
