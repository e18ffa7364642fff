"""From where somebody may watch a stream: control's rules, asked of each request's address.

What is remembered of an address is forgotten when rules or countries change, so that a change
counts for who plays already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import UUID

from aiohttp import web

from mediaserver.hls.known_policy import KnownPolicy
from mediaserver.hls.responses import RefusedError
from mediaserver.http.client_address import Address, Client
from mediaserver.ipc.messages import AddressRules
from mediaserver.people.countries import Countries
from mediaserver.people.place_rules import DETAILS, PlaceJudge, PlaceRules, Refusal

REMEMBERED_MAX: Final = 50_000
"""Addresses and streams: 10 MB. Twice as many viewers of streams with rules as one process has."""


class Places:
    """Judges by the rules of the last policy."""

    def __init__(self, countries: Countries, client: Callable[[web.BaseRequest], Client]) -> None:
        """Take collaborators.

        Args:
            client: Returns who made a request.
        """
        self._countries = countries
        self._client = client
        self._rules: dict[UUID | None, AddressRules] = {}
        self._taken: tuple[KnownPolicy | None, int] = (None, 0)
        self._judges: dict[UUID | None, PlaceJudge] = {}
        self._seen: dict[tuple[UUID, Address | None], Refusal | None] = {}
        self._seen_version = 0

    def set_policy(self, policy: KnownPolicy) -> None:
        """Take over control's rules: those that changed are read again."""
        if (policy, policy.rules_version) == self._taken:
            return
        self._taken = (policy, policy.rules_version)
        rules, is_open = policy.address_rules, self._countries.is_open_unread
        for stream in [known for known in self._rules if known not in rules]:
            del self._judges[stream]
        for stream, item in rules.items():
            if self._rules.get(stream) != item:
                self._judges[stream] = PlaceJudge(_rules(item), is_open_without_file=is_open)
        self._rules = dict(rules)
        self._seen.clear()
        self._countries.want(is_wanted=any(_rules(item).has_countries for item in rules.values()))

    @property
    def has_rules(self) -> bool:
        """Return whether any stream has rules, or the server."""
        return bool(self._judges)

    def check(self, stream: UUID, request: web.BaseRequest) -> None:
        """Hold that who makes a request may watch a stream from where they are.

        Raises:
            RefusedError: 403 ``place``; 503 in the first moments, while countries are not read.
        """
        judges = [self._judges[key] for key in (None, stream) if key in self._judges]
        if not judges:
            return
        if self._countries.version != self._seen_version:
            self._seen.clear()
            self._seen_version = self._countries.version
        client = self._client(request)
        address = client.address if client.is_certain else None
        key = (stream, address)
        if key not in self._seen:
            if not self._countries.is_known and any(item.needs_country(address) for item in judges):
                raise RefusedError(503, "starting")
            if len(self._seen) >= REMEMBERED_MAX:
                del self._seen[next(iter(self._seen))]
            self._seen[key] = self._refusal(judges, address)
        refusal = self._seen[key]
        if refusal is not None:
            raise RefusedError(403, "place", detail=DETAILS[refusal])

    def _refusal(self, judges: list[PlaceJudge], address: Address | None) -> Refusal | None:
        for judge in judges:
            country: str | None = ""
            if address is not None and judge.needs_country(address):
                country = self._countries.of(address)
            if (refusal := judge.refusal(address, country)) is not None:
                return refusal
        return None


def _rules(item: AddressRules) -> PlaceRules:
    return PlaceRules(
        item.allow_countries, item.deny_countries, item.allow_networks, item.deny_networks
    )
