"""What one shard of Redis must hold, by the book and by what the shard has pending.

Source: docs/metering.md, "After Redis restarted", "After the book was restored".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from metering.book.book import Book
from metering.book.records import EntryRecord, Floor, SessionRecord, UnbilledTicks
from metering.model import ticks
from metering.model.escrow_events import overlaid
from metering.model.escrow_overlay import Overlay
from metering.model.join_caps import JoinLimits
from metering.model.price import to_units
from metering.model.spending_limits import SpendingLimits, limit_units, lower
from metering.recovery.derive import (
    NO_LIMITS,
    balance_states,
    billed_by_stream,
    cost_since,
    forgiven_ends,
    forgiven_range,
    join_states,
    less_booked,
    show_counts,
    watched_states,
)
from metering.store.records import EndedSession, JoinState, SessionGrant, ShardMark, ShardState
from metering.units import AccountId, CutLine, Planck, Run, shard_of


@dataclass(frozen=True, slots=True)
class RecoveryPolicy:
    """What recovery must know of the settings.

    Attributes:
        watched_hours: [metering].watched_hours.
        cut_period_s: [metering].cut_period_s.
        window_ms: Longest playlist window: what a player can ask for again.
        limits: What the operator allows to be spent.
        has_joins: Batches are settled on a chain: every session keeps to the caps of its join.
    """

    watched_hours: int
    cut_period_s: int
    window_ms: int = 60_000
    limits: SpendingLimits = NO_LIMITS
    has_joins: bool = False


@dataclass(slots=True)
class RecoveryWork:
    """What a recovery knows before the first shard, and what it finds shard by shard.

    Attributes:
        found_ms: When this book was found to be an older one, should it be.
        forgiven: Ticks that a shard of another book forgives.
        numbers: Number of each shard's newest booked cut.
        foreign: Shards that went on with another book than this one.
        in_use: Shards of which the book has anything.
        prices: By stream and version.
        live: Sessions that may spend, by shard.
        ended: Sessions that ended lately, by shard: evidence for them may still come.
        overlay: The chain's blocks after the finalized one; None when they are not known.
        limits: The pallet's, None without a chain.
        chain_s: Chain time of the newest block in the book.
        pending_ticks: Found: ticks that Redis had and the book had not.
        dropped_ticks: Found: ticks of viewers or prices that the book does not know.
    """

    now_ms: int
    policy: RecoveryPolicy
    found_ms: int
    forgiven: Run
    numbers: dict[int, int]
    foreign: set[int]
    in_use: set[int]
    prices: dict[tuple[UUID, int], Planck]
    live: dict[int, list[SessionRecord]]
    ended: dict[int, list[SessionRecord]]
    overlay: Overlay | None
    limits: JoinLimits | None
    chain_s: int
    pending_ticks: int = 0
    dropped_ticks: int = 0

    @property
    def oldest(self) -> int:
        """Return the oldest tick that a claim may name."""
        return max(0, self.now_ms // 1000 - self.policy.watched_hours * 3600)


def shard_state(
    book: Book,
    work: RecoveryWork,
    shard: int,
    unbooked: tuple[CutLine, ...],
    mark: ShardMark | None,
) -> ShardState:
    """Return what a shard must hold; what is to be forgiven is noted in the book before."""
    entries = book.cuts.entries(shard)
    counts = {entry.key: entry.booked for entry in entries}
    # Every viewer of the shard has an entry here, without deposits too.
    funds = book.escrow.funds_of_shard(shard)
    overlay = _overlay_of(book, work)
    own_limits = book.limits.of_shard(shard)
    live, ended = work.live.get(shard, ()), work.ended.get(shard, ())

    # What Redis has and the book has not. Only what the book can price and charge stays pending.
    # Of a show that is counted all is needed, however long ago it began.
    shows = book.show_caps.shows(work.oldest)
    oldest = min(
        [work.oldest]
        + [first for first, *_ in shows.values()]
        + [run.first for line in unbooked for run in line.runs]
        + [_first_tick(item, work) for item in (*live, *ended)]
    )
    booked = book.cuts.booked_ticks(shard, oldest)
    fresh = less_booked(unbooked, booked, counts)
    pending = tuple(
        line
        for line in fresh
        if line.key.account in funds and (line.key.stream, line.key.version) in work.prices
    )

    billed = billed_by_stream(booked, pending)

    def grant(session: SessionRecord) -> SessionGrant:
        limit = _limit(session, work, own_limits)
        of_stream = billed.get((session.account, session.stream), ())
        spent = cost_since(of_stream, _first_tick(session, work), work.prices)
        return _grant(session, work.policy, limit, spent, book.asset.quantum)

    # The rest is not billed. It is noted before the shard is replaced: then Redis has none of it.
    dropped = [line for line in fresh if line not in pending]
    if dropped:
        book.unbilled.add(
            UnbilledTicks(line.key.account, line.key.stream, line.runs) for line in dropped
        )
    floor = _floor(work, shard, mark, sum(counts.values()) + total(fresh))
    if floor is not None:
        book.unbilled.add_floor(floor)

    forgiven = forgiven_range(book.unbilled.forgiven(shard, work.oldest), mark, work.oldest)

    # A tick is watched when it is booked or was given away: it is not charged a second time.
    watched = [(line.key.account, line.key.stream, line.runs) for line in booked] + [
        (line.account, line.stream, line.runs) for line in book.unbilled.of_shard(shard, oldest)
    ]
    covered = book.covered.of_shard(shard, work.oldest)
    watched += [(line.account, line.stream, line.runs) for line in covered]
    passes = book.passes.of_shard(shard)
    return ShardState(
        balances=balance_states(
            funds,
            provisional=overlay.provisional if overlay else {},
            frozen=overlay.frozen if overlay else {},
            quantum=book.asset.quantum,
            limits=work.policy.limits,
            own_limits=own_limits,
            entries=entries,
            booked=booked,
            pending=pending,
            now_tick=work.now_ms // 1000,
            prices=work.prices,
            passes=passes,
            oldest=work.oldest,
            last_shows=book.passes.last_shows(passes, work.oldest),
        ),
        watched=watched_states(watched),
        pending=pending,
        cumulative=tuple(counts.items()),
        booked_number=work.numbers.get(shard, 0),
        sessions=tuple(map(grant, live)),
        ended=tuple(_ended(session, grant(session)) for session in ended),
        forgiven=forgiven,
        forgiven_ends=forgiven_ends(forgiven, book.unbilled.stream_floors(work.oldest), mark),
        newly_forgiven=total(dropped),
        joins=_joins(book, work, shard, entries, pending),
        shows=show_counts(
            covered,
            billed,
            shows,
            caps=book.show_caps.all(),
            prices=work.prices,
            quantum=book.asset.quantum,
        ),
    )


def _overlay_of(book: Book, work: RecoveryWork) -> Overlay | None:
    """Return the overlay while it begins at the block that the book has taken last.

    Otherwise the book has gone on since, and what was provisional may be in it; the overlay is
    written again soon.
    """
    cursor = book.escrow.cursor()
    if work.overlay is None or cursor is None or work.overlay.base.number != cursor.number:
        return None
    return work.overlay


def _joins(
    book: Book,
    work: RecoveryWork,
    shard: int,
    entries: Sequence[EntryRecord],
    pending: Sequence[CutLine],
) -> tuple[JoinState, ...]:
    """Return the joins of a shard for which claims or evidence may still come."""
    if work.limits is None:
        return ()
    streams = {stream for stream, _ in work.prices}
    known = book.joins.of_shard(shard, work.chain_s - work.limits.notice_s)
    joins = [
        join
        for join in overlaid(known, work.overlay.joins if work.overlay else ())
        if shard_of(join.account) == shard and join.stream in streams
    ]
    return join_states(
        joins,
        limits=work.limits,
        quantum=book.asset.quantum,
        skew_s=work.overlay.skew_s if work.overlay else 0,
        entries=entries,
        pending=pending,
        prices=work.prices,
    )


def _floor(
    work: RecoveryWork, shard: int, mark: ShardMark | None, known_ticks: int
) -> Floor | None:
    """Return the floor of a shard, None when it goes on with its own book."""
    if mark is None or shard not in work.foreign:
        return None
    lost = max(0, mark.metered - known_ticks)
    return Floor(shard, mark.epoch, work.forgiven, work.found_ms, lost)


def total(lines: Iterable[CutLine]) -> int:
    """Return how many ticks are in some lines."""
    return sum(ticks.count(line.runs) for line in lines)


def _limit(
    session: SessionRecord, work: RecoveryWork, own_limits: Mapping[AccountId, SpendingLimits]
) -> Planck:
    """Return what a session may spend: the lowest of the operator's and its viewer's limits."""
    own = own_limits.get(session.account, NO_LIMITS)
    return lower(lower(work.policy.limits.session, own.session), session.own_limit)


def _first_tick(session: SessionRecord, work: RecoveryWork) -> int:
    """Return the oldest tick that a session, or one that it follows, can have claimed.

    rfc8216bis, 6.2.2: media leaves the server no later than about a window after its playlist.
    """
    return max(0, (session.began_ms - 2 * work.policy.window_ms) // 1000)


def _grant(
    session: SessionRecord, policy: RecoveryPolicy, limit: Planck, spent: Planck, quantum: int
) -> SessionGrant:
    return SessionGrant(
        session.account,
        session.stream.bytes,
        session.session,
        session.join,
        limit_units(limit, quantum),
        session.expires_ms,
        is_capped=policy.has_joins,
        spent_units=to_units(spent, quantum),
    )


def _ended(session: SessionRecord, grant: SessionGrant) -> EndedSession:
    return EndedSession(
        grant,
        session.reason or "expired",
        session.expires_ms if session.ended_ms is None else session.ended_ms,
    )
