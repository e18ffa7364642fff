"""Whose token a request carries, whether they may see the stream, and who pays for a run.

Tokens are verified once and remembered; whom a stream is for is decided by
`mediaserver.hls.restrictions`.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from mediaserver.clock import Clock
from mediaserver.errors import AccessDeniedError
from mediaserver.hls.addresses import Address
from mediaserver.hls.known_policy import KnownPolicy
from mediaserver.hls.places import Places
from mediaserver.hls.responses import RefusedError
from mediaserver.hls.restrictions import EVERYBODYS, HiddenError, TakenDownError
from mediaserver.playback_token import Grant, verify
from metering.ports import Gate
from metering.units import Run, StreamPolicy

GRANTS_CACHED_MAX: Final = 100_000
"""Verified tokens kept: 30 MB, and five times as many viewers as one process serves."""
_NOT_PUBLIC: Final = "This stream is not public: open its page and sign in to watch it."


class ViewerCheck:
    """Tokens by control's keys, and its restrictions; without `places` addresses do not count."""

    def __init__(self, gate: Gate, clock: Clock, places: Places | None = None) -> None:
        self.keys: tuple[tuple[int, bytes], ...] = ()
        """Key number and secret of each that is good; none before control was heard of."""
        self._gate = gate
        self._clock = clock
        self._grants: dict[str, Grant] = {}
        self._restrictions = EVERYBODYS
        self._places = places
        self._holds_any = False

    def set_policy(self, policy: KnownPolicy) -> bool:
        """Take over control's keys and restrictions; return whether the keys are others."""
        self._restrictions = policy.restrictions
        if self._places is not None:
            self._places.set_policy(policy)
        has_rules = self._places is not None and self._places.has_rules
        self._holds_any = has_rules or bool(self._restrictions.limited)
        if policy.rest.token_keys == self.keys:
            return False
        self.keys = policy.rest.token_keys
        self._grants.clear()
        return True

    def known(self, token: str) -> Grant | None:
        """Return what a token grants that was verified of late."""
        return self._grants.get(token)

    def check_sight(self, address: Address, request: web.BaseRequest) -> None:
        """Hold that who asks may see the stream of an address, whatever of it they ask for.

        Raises:
            RefusedError: 404 as of a stream that is not there; 401, 403, or 503 as `Places` says.
        """
        if not self._holds_any:
            return
        policy = self._gate.policy(address.place.slug)
        if policy is None:
            return
        try:
            self._restrictions.check(policy.stream, lambda: self._verified(address.token))
        except HiddenError:
            raise unknown(policy.slug) from None
        except AccessDeniedError as denied:
            detail = _NOT_PUBLIC if denied.reason == "token" else ""
            if isinstance(denied, TakenDownError):
                detail = denied.detail
            raise RefusedError(denied.status, denied.reason, detail=detail) from denied
        if self._places is not None:
            self._places.check(policy.stream, request)

    def payer(self, token: str, policy: StreamPolicy, run: Run) -> Grant | None:
        """Return who pays, None when nothing is to be paid.

        Raises:
            RefusedError: 401 or 403.
        """
        if not self._gate.is_priced(policy, run):
            return None
        try:
            grant = self._verified(token)
        except AccessDeniedError as denied:
            raise RefusedError(denied.status, denied.reason) from denied
        if grant.stream != policy.stream:
            raise RefusedError(403, "stream")
        return grant

    def player(self, token: str, policy: StreamPolicy) -> Grant | None:
        """Return whose player a token is; None without a good one: nothing depends on it."""
        try:
            grant = self._verified(token) if token else None
        except AccessDeniedError:
            return None
        return grant if grant is not None and grant.stream == policy.stream else None

    def _verified(self, token: str) -> Grant:
        now_s = self._clock.now_ms() // 1000
        grant = self._grants.get(token)
        if grant is None or now_s >= grant.expires_s:
            grant = verify(token, self.keys, now_s)
            if len(self._grants) >= GRANTS_CACHED_MAX:
                del self._grants[next(iter(self._grants))]
            self._grants[token] = grant
        return grant


def unknown(slug: str) -> RefusedError:
    """Return the answer to who asks for a stream that is not there, or not for them to know of."""
    detail = f"There is no stream {slug!r} here: see that the address is spelled right."
    return RefusedError(404, "not_found", detail=detail)
