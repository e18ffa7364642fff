"""What control writes to the store and reads from it. Values only.

All amounts are units (`metering.units.Units`), signed 64 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from metering.model.join_caps import JoinCaps
from metering.units import AccountId, Cause, CutLine, EntryKey, Run, SessionId, Units

_NONE: Final = Units(0)


@dataclass(frozen=True, slots=True)
class SessionGrant:
    """The right of one player to claim.

    Attributes:
        account: Who pays.
        stream: 16 bytes, big-endian UUID.
        session: Which player.
        join: Its ticks are counted under this join number.
        limit_units: What it may spend, 0 for no limit.
        expires_ms: Unix time from which it is refused.
        is_capped: Its join is one of the chain: claims keep to the join's caps.
        spent_units: What it has spent of its limit, for a store that has lost that; never too
            little. Opening a session does not read it.
    """

    account: AccountId
    stream: bytes
    session: SessionId
    join: int
    limit_units: Units
    expires_ms: int
    is_capped: bool = False
    spent_units: Units = _NONE


@dataclass(frozen=True, slots=True)
class BalanceState:
    """A balance as the book has it.

    Attributes:
        account: Whose.
        deposited_units: Sum of all deposits, less what was taken out again.
        spent_units: Cost of all ticks in booked cuts *and* of `ShardState.pending`.
        stream_limit_units: Most that one stream may take, 0 for no limit.
        day_limit_units: Most that one UTC day may take, 0 for no limit.
        day_spent_units: Spent so far in the current UTC day.
        stream_spent: Spent so far by stream (16 bytes); needed for the stream limit only.
        provisional_units: Credit for deposits that are not final.
        frozen_units: Asked back from the escrow, so not to be spent.
        passes: Its passes, packed.
    """

    account: AccountId
    deposited_units: Units
    spent_units: Units
    stream_limit_units: Units = _NONE
    day_limit_units: Units = _NONE
    day_spent_units: Units = _NONE
    stream_spent: tuple[tuple[bytes, Units], ...] = ()
    provisional_units: Units = _NONE
    frozen_units: Units = _NONE
    passes: bytes = b""


@dataclass(frozen=True, slots=True)
class JoinState:
    """A join of the chain: what it may have, and what it has, pending included.

    Attributes:
        caps: As the chain has them.
        ticks: Of all price versions.
        units: What those cost.
        versions: Price versions that it has ticks of.
    """

    caps: JoinCaps
    ticks: int = 0
    units: Units = _NONE
    versions: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class WatchedState:
    """Ticks of one stream (16 bytes) that are never billed to an account again."""

    account: AccountId
    stream: bytes
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class CoveredState:
    """Ticks of one show of a stream (16 bytes) that were covered for an account, and why."""

    account: AccountId
    stream: bytes
    show: int
    runs: tuple[Run, ...]
    cause: Cause = Cause.PREVIEW


@dataclass(frozen=True, slots=True)
class ShowCount:
    """What an account had of a show.

    Attributes:
        account: Who.
        stream: 16 bytes.
        show: Its number.
        covered_ticks: So many its preview covered.
        left_units: What it may still cost; None where nothing of it was counted yet.
    """

    account: AccountId
    stream: bytes
    show: int
    covered_ticks: int = 0
    left_units: Units | None = None


@dataclass(frozen=True, slots=True)
class EndedSession:
    """A session that may not claim any more; evidence of what it got may still come.

    Attributes:
        grant: What it was allowed.
        reason: Why it ended: one word.
        ended_ms: Unix time.
    """

    grant: SessionGrant
    reason: str
    ended_ms: int


@dataclass(frozen=True, slots=True)
class ShardMark:
    """The mark of a shard: which book it served, as recovery reads it.

    Attributes:
        epoch: Which recovery made it, empty for none. A book that never made it went back.
        booked_number: Newest cut that it knows is booked. A book that has fewer went back.
        metered: Ticks billed: in booked cuts or pending.
        forgiven: `ShardState.forgiven`, as it was rebuilt last.
        forgiven_ends: `ShardState.forgiven_ends`, likewise.
    """

    epoch: str
    booked_number: int
    metered: int
    forgiven: Run | None
    forgiven_ends: tuple[tuple[bytes, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Unbilled:
    """Ticks of a shard that are watched and never billed, which the book may not have yet.

    Attributes:
        shard: Which.
        ticks: By account and stream.
        words: The same as the store has them, for `Store.forget_unbilled`.
        covered: Ticks that were covered, by show.
        covered_words: The same as the store has them, and `shows`.
        shows: Stream (16 bytes) and number of shows of which is counted what they cost.
    """

    shard: int
    ticks: tuple[WatchedState, ...]
    words: tuple[bytes, ...]
    covered: tuple[CoveredState, ...] = ()
    covered_words: tuple[bytes, ...] = ()
    shows: tuple[tuple[bytes, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ShardState:
    """All that a shard holds, for `Store.rebuild`.

    Attributes:
        balances: Every account of the shard.
        watched: Ticks of booked cuts, and of those never billed, in the last watched hours; older
            ones may be left out. Ticks of `pending` are added by the store.
        pending: Ticks metered and not booked; `CutLine.cumulative` is not read.
        cumulative: Ticks of each key in booked cuts.
        booked_number: Last cut number that the book has of this shard, 0 before the first.
        sessions: Sessions that are live.
        ended: Sessions that ended not long ago.
        forgiven: Ticks that are served and counted but never billed, because the book was restored;
            None at all other times.
        forgiven_ends: Of streams (16 bytes) that had planned past the clock: where `forgiven` ends
            for them, exclusive.
        newly_forgiven: Ticks that were metered here and that the restored book cannot hold.
        joins: Joins of the chain that may still get ticks, or evidence.
        shows: What accounts had of each show that may still be claimed.
    """

    balances: tuple[BalanceState, ...] = ()
    watched: tuple[WatchedState, ...] = ()
    pending: tuple[CutLine, ...] = ()
    cumulative: tuple[tuple[EntryKey, int], ...] = ()
    booked_number: int = 0
    sessions: tuple[SessionGrant, ...] = ()
    ended: tuple[EndedSession, ...] = ()
    forgiven: Run | None = None
    forgiven_ends: tuple[tuple[bytes, int], ...] = ()
    newly_forgiven: int = 0
    joins: tuple[JoinState, ...] = ()
    shows: tuple[ShowCount, ...] = ()


@dataclass(frozen=True, slots=True)
class StoreTotals:
    """Ticks over all shards.

    Attributes:
        metered_ticks: Billed: in booked cuts or pending.
        unpaid_ticks: Delivered, reported as evidence, and not paid: never collected later.
        forgiven_ticks: Served unbilled after the book was restored.
        pending_ticks: Metered and not cut yet.
        late_ticks: In evidence older than the watched hours: not billed, as it cannot be known
            whether they were before.
        covered_ticks: Watched and billed to nobody, as a preview or a cap allows.
        shows: Shows of which the book was to be told, by each shard.
    """

    metered_ticks: int
    unpaid_ticks: int
    forgiven_ticks: int
    pending_ticks: int
    late_ticks: int = 0
    covered_ticks: int = 0
    shows: int = 0


@dataclass(frozen=True, slots=True)
class MeterReading:
    """What the live meter shows of one session.

    Attributes:
        balance_units: What the account has left.
        session_ticks: Billed under this session.
        session_units: What those cost.
        state: ``live``, ``gone`` when the store has no such session, else why it ended.
        covered_ticks: By the preview of the show that was asked of, over all sessions.
        left_units: What that show may still cost; None where nothing of it was counted yet.
        passes: Those of the account, packed (`model.passes`).
    """

    balance_units: Units
    session_ticks: int
    session_units: Units
    state: str
    covered_ticks: int = 0
    left_units: Units | None = None
    passes: bytes = b""
