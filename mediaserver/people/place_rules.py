"""From where a stream may be watched: countries, networks, and pages that it is shown on. Pure.

An address that is denied by its network is refused, one of an allowed network is not looked at
further. Then its country counts. Where anything is allowed, what is in no list is refused. Pages go
by the host that a browser names, beside that.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

OWN: Final = "own"
"""In the place of a host: a page of ours, which sends no referrer."""
COUNTRIES_MAX: Final = 250
"""ISO 3166-1 has 249."""
NETWORKS_MAX: Final = 200
"""Each is compared when an address comes for the first time."""
REFERRERS_MAX: Final = 100
_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_HOST: Final = re.compile(
    r"(?:\*\.)?(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))*|\[[0-9a-f:.]{2,45}\]"
)
_HOST_CHARACTERS_MAX: Final = 253


@dataclass(frozen=True, slots=True)
class PlaceRules:
    """Lists of a stream, or of the server; an empty list says nothing.

    Attributes:
        allow_countries: Two letters each, ISO 3166-1.
        allow_networks: CIDR, IPv4 or IPv6.
        allow_referrers: Hosts; ``*.example.org`` is every host below it.
    """

    allow_countries: tuple[str, ...] = ()
    deny_countries: tuple[str, ...] = ()
    allow_networks: tuple[str, ...] = ()
    deny_networks: tuple[str, ...] = ()
    allow_referrers: tuple[str, ...] = ()
    deny_referrers: tuple[str, ...] = ()

    @property
    def has_countries(self) -> bool:
        """Return whether a country has to be known."""
        return bool(self.allow_countries or self.deny_countries)

    @property
    def has_referrers(self) -> bool:
        """Return whether the page counts."""
        return bool(self.allow_referrers or self.deny_referrers)

    @property
    def is_empty(self) -> bool:
        """Return whether they say nothing."""
        return not any(getattr(self, part.name) for part in fields(self))


class Refusal(StrEnum):
    """Why somebody may not watch from where they are."""

    NETWORK = "network"
    COUNTRY = "country"
    COUNTRY_UNKNOWN = "country_unknown"
    """No file of countries could be read."""
    REFERRER = "referrer"


DETAILS: Final = {
    Refusal.NETWORK: "This stream is not shown in your network.",
    Refusal.COUNTRY: "This stream is not shown in your country.",
    Refusal.COUNTRY_UNKNOWN: (
        "This stream is not shown in every country, and this server cannot tell now which is yours."
    ),
    Refusal.REFERRER: "This stream is not shown on this page: open it at its own address.",
}


class PlaceJudge:
    """The rules of one stream or of the server, ready to be asked."""

    def __init__(self, rules: PlaceRules, *, is_open_without_file: bool = False) -> None:
        """Take rules that `faults` has nothing against.

        Args:
            is_open_without_file: Whether country lists are passed over while no file can be read.
        """
        self._allowed = tuple(map(ipaddress.ip_network, rules.allow_networks))
        self._denied = tuple(map(ipaddress.ip_network, rules.deny_networks))
        self._rules = rules
        self._is_open = is_open_without_file

    def needs_country(self, address: Address | None) -> bool:
        """Return whether the country of an address decides."""
        return self._rules.has_countries and self._by_network(address) is None

    def refusal(self, address: Address | None, country: str | None) -> Refusal | None:
        """Return why who comes from an address may not watch; None: they may.

        Args:
            address: None: not known, which no rule lets pass.
            country: Empty: of none that is known; None: no file could be read.
        """
        rules = self._rules
        is_asked = bool(self._allowed or self._denied) or rules.has_countries
        if not is_asked:
            return None
        if address is None:
            return Refusal.NETWORK
        by_network = self._by_network(address)
        if by_network is not None:
            return None if by_network else Refusal.NETWORK
        if rules.has_countries:
            if country is None:
                return None if self._is_open else Refusal.COUNTRY_UNKNOWN
            if country in rules.deny_countries:
                return Refusal.COUNTRY
            if country in rules.allow_countries:
                return None
        if rules.allow_countries:
            return Refusal.COUNTRY
        return Refusal.NETWORK if self._allowed else None

    def _by_network(self, address: Address | None) -> bool | None:
        """Return what the lists of networks say of an address; None: nothing."""
        if address is None or _holds(self._denied, address):
            return False
        return True if _holds(self._allowed, address) else None


def referrer_refusal(rules: PlaceRules, host: str) -> Refusal | None:
    """Return why a stream is not shown on a page.

    Args:
        host: As `referrer_of` returns it.
    """
    if host == OWN or not rules.has_referrers:
        return None
    if _names(rules.deny_referrers, host):
        return Refusal.REFERRER
    is_allowed = not rules.allow_referrers or _names(rules.allow_referrers, host)
    return None if is_allowed else Refusal.REFERRER


def faults(rules: PlaceRules) -> list[str]:
    """Return what is wrong with each list, ``name: fault; remedy``."""
    found: list[str] = []
    for name, most in (
        ("countries", COUNTRIES_MAX),
        ("networks", NETWORKS_MAX),
        ("referrers", REFERRERS_MAX),
    ):
        for kind in ("allow", "deny"):
            field = f"{kind}_{name}"
            items: Sequence[str] = getattr(rules, field)
            if len(items) > most:
                found.append(f"{field}: {len(items)} are over {most}; name fewer")
                continue
            found += [f"{field}: {text}" for item in items if (text := _FAULTS[name](item))]
    both = set(rules.allow_countries) & set(rules.deny_countries)
    found += [f"deny_countries: {code} is in allow_countries, too" for code in sorted(both)]
    return found


def _country_fault(text: str) -> str:
    if _COUNTRY.fullmatch(text):
        return ""
    return f"{text[:16]!r} is no country; give two capital letters of ISO 3166-1, such as DE"


def _network_fault(text: str) -> str:
    try:
        found = ipaddress.ip_network(text)
    except ValueError as error:
        return f"{text[:64]!r} is no network ({str(error)[:120]}); give one such as 192.0.2.0/24"
    if isinstance(found, ipaddress.IPv6Network) and found.subnet_of(_MAPPED):
        return f"{text[:64]!r} is IPv4 written as IPv6; give it as IPv4"
    if "%" in text:
        return f"{text[:64]!r} names a link of one machine; leave out what is behind %"
    return ""


def _host_fault(text: str) -> str:
    if len(text) <= _HOST_CHARACTERS_MAX and _HOST.fullmatch(text):
        return ""
    return (
        f"{text[:64]!r} is no host; give its name in small letters, without https:// and port, "
        "such as shop.example.org or *.example.org (other letters as xn--...)"
    )


_FAULTS: Final = {
    "countries": _country_fault,
    "networks": _network_fault,
    "referrers": _host_fault,
}


def _holds(networks: Sequence[Network], address: Address) -> bool:
    return any(address in network for network in networks)


def _names(hosts: Sequence[str], host: str) -> bool:
    return any(
        host == item or (item.startswith("*.") and host.endswith(item[1:])) for item in hosts
    )
