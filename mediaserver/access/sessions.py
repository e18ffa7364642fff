"""Viewer sessions: the right of one player to watch one stream at one viewer's cost.

What a new session is, is said here; which older one ends for it is the store's to say (its script
knows the last claims). Ids come from the caller, as this file draws no random numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from metering.units import AccountId, SessionId

JOIN_FIRST: Final = 1
"""Join number of a viewer who has never left a stream on the chain (rules 5, "Entry")."""
SESSION_ID_BITS: Final = 64


@dataclass(frozen=True, slots=True)
class ViewerSession:
    """One player's right to watch one stream at one viewer's cost.

    Attributes:
        session: In the token, on the meter and in logs.
        account: Who pays.
        stream: Which stream.
        join: Join number that its ticks are entered under.
        created_ms: Unix time.
        expires_ms: Unix time from which its token is refused.
    """

    session: SessionId
    account: AccountId
    stream: UUID
    join: int
    created_ms: int
    expires_ms: int


def new_session(
    number: int,
    account: AccountId,
    stream: UUID,
    now_ms: int,
    ttl_s: int,
    *,
    join: int = JOIN_FIRST,
    till_ms: int | None = None,
) -> ViewerSession:
    """Return a session that begins now.

    Args:
        number: 64 random bits; 0 is nobody's.
        account: Who pays.
        stream: Which stream.
        now_ms: Unix time.
        ttl_s: How long its token lives.
        join: Join number that its ticks are entered under.
        till_ms: Unix time at which the join ends: the token lives no longer.

    Raises:
        ValueError: If `number` is 0 or does not fit 64 bits.
    """
    if not 0 < number < 1 << SESSION_ID_BITS:
        raise ValueError(f"session {number} is not 1 to 64 bits")
    expires_ms = now_ms + ttl_s * 1000
    if till_ms is not None:
        expires_ms = min(expires_ms, till_ms)
    return ViewerSession(SessionId(number), account, stream, join, now_ms, expires_ms)
