"""Calls that were prepared for somebody's wallet, until they are signed and a while after.

In memory: who is in the middle of one when control restarts prepares it anew. What was sent is the
chain's by then, and a repeated call is another one that its wallet shows and signs.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from mediaserver.http.problem import ApiError
from mediaserver.people import tokens
from metering.chain.node.scale import Hash
from metering.escrow.call_client import Draft
from metering.escrow.wallet_calls import CallProgress, CallState

SIGN_MS: Final = 5 * 60_000
"""So long a prepared call may be signed."""
KEPT_MS: Final = 20 * 60_000
"""So long its fate is told: the chain's own time for a call is a third of it."""
ALL_MAX: Final = 20_000
OF_PERSON_MAX: Final = 20
"""As many as one may prepare in a minute; the oldest gives way."""


@dataclass(slots=True)
class KeptCall:
    """A call of somebody.

    Attributes:
        person: Whose.
        session: Of which of their browsers.
        name: Of the call, as the audit log has it.
        signature: Which it was sent with; None: it is not signed.
        sent: What a node calls it then.
        is_unsure: Whether it arrived at a node is not known.
        looked_ms: When its fate was last asked for.
    """

    id: str
    person: str
    session: str
    name: str
    draft: Draft
    made_ms: int
    signature: bytes | None = None
    sent: Hash | None = None
    is_unsure: bool = False
    fate: CallProgress = field(default_factory=lambda: CallProgress(CallState.SENT))
    looked_ms: int = 0

    @property
    def expires_ms(self) -> int:
        """Return until when it may be signed."""
        return self.made_ms + SIGN_MS

    @property
    def is_over(self) -> bool:
        """Return whether its fate is decided."""
        return self.fate.state not in {CallState.SENT, CallState.IN_BLOCK}


class KeptCalls:
    """All of them, in the order they were made."""

    def __init__(self) -> None:
        self._calls: dict[str, KeptCall] = {}
        self._counts: Counter[str] = Counter()

    def add(self, person: str, session: str, name: str, draft: Draft, now_ms: int) -> KeptCall:
        """Return a call that is new.

        Raises:
            ApiError: 429 when too many people have some.
        """
        self._forget(now_ms)
        if self._counts[person] >= OF_PERSON_MAX:
            self._remove(next(call.id for call in self._calls.values() if call.person == person))
        if len(self._calls) >= ALL_MAX:
            raise ApiError(
                429,
                "Too many at once",
                "too many people sign at this moment; try again in a minute",
                {"Retry-After": "60"},
            )
        made = KeptCall(tokens.new_id(), person, session, name, draft, now_ms)
        self._calls[made.id] = made
        self._counts[person] += 1
        return made

    def get(self, call: str, person: str, session: str, now_ms: int) -> KeptCall:
        """Return somebody's call that is signed or may be.

        Raises:
            ApiError: 404 when there is none of theirs, from this browser; 409 when it was not
                signed in time.
        """
        self._forget(now_ms)
        known = self._calls.get(call)
        if known is None or (known.person, known.session) != (person, session):
            raise ApiError(
                404, "No such call", "this browser prepared no such call of late: begin again"
            )
        if known.signature is None and now_ms >= known.expires_ms:
            raise ApiError(
                409, "Begin again", "this call was not signed within five minutes: begin again"
            )
        return known

    def _forget(self, now_ms: int) -> None:
        while self._calls:
            oldest = next(iter(self._calls.values()))
            if now_ms < oldest.made_ms + KEPT_MS:
                return
            self._remove(oldest.id)

    def _remove(self, call: str) -> None:
        person = self._calls.pop(call).person
        self._counts[person] -= 1
        if not self._counts[person]:
            del self._counts[person]
