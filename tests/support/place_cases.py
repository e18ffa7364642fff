"""Rules of place and who may watch by them: a table by hand that every answer is held to."""

from __future__ import annotations

from typing import Final

from mediaserver.people.place_rules import PlaceRules

COUNTRIES: Final = {
    "192.0.2.0/24": "DE",
    "198.51.100.0/24": "FR",
    "2001:db8:1::/48": "DE",
    "2001:db8:2::/48": "FR",
}
"""What the file of countries says."""
DE, FR, NOWHERE = "192.0.2.9", "198.51.100.9", "203.0.113.9"
DE6, FR6 = "2001:db8:1::9", "2001:db8:2::9"
UNKNOWN = "unknown"
"""A proxy of the operator's that does not tell who asks."""
ADDRESSES: Final = (DE, FR, NOWHERE, DE6, FR6, UNKNOWN)

CASES: Final[dict[str, tuple[PlaceRules, set[str]]]] = {
    "none": (PlaceRules(), {DE, FR, NOWHERE, DE6, FR6, UNKNOWN}),
    "pages alone": (
        PlaceRules(allow_referrers=("own.example.org",)),
        {DE, FR, NOWHERE, DE6, FR6, UNKNOWN},
    ),
    "allow a country": (PlaceRules(allow_countries=("DE",)), {DE, DE6}),
    "deny a country": (PlaceRules(deny_countries=("DE",)), {FR, FR6, NOWHERE}),
    "allow a network": (PlaceRules(allow_networks=("198.51.100.0/24",)), {FR}),
    "allow networks of both kinds": (
        PlaceRules(allow_networks=("203.0.113.9/32", "2001:db8:1::/48")),
        {NOWHERE, DE6},
    ),
    "deny a network": (PlaceRules(deny_networks=("192.0.2.0/25",)), {FR, FR6, DE6, NOWHERE}),
    "an allowed network is of no country": (
        PlaceRules(allow_countries=("DE",), allow_networks=("203.0.113.0/24",)),
        {DE, DE6, NOWHERE},
    ),
    "a denied network of an allowed country": (
        PlaceRules(allow_countries=("DE",), deny_networks=("192.0.2.9/32",)),
        {DE6},
    ),
    "a denied network inside an allowed one": (
        PlaceRules(allow_networks=("192.0.0.0/8",), deny_networks=("192.0.2.0/24",)),
        set(),
    ),
    "an allowed network of a denied country": (
        PlaceRules(deny_countries=("FR",), allow_networks=("198.51.100.9/32",)),
        {FR},
    ),
}
"""The rules of a case, and the addresses that may watch by them."""
