"""What a shard must hold, derived from the ticks that book and store have. Pure.

Source: docs/metering.md, "After Redis restarted".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from uuid import UUID

from metering.book.records import BookedTicks, CoveredTicks, EntryRecord, Funds
from metering.model import show_caps, ticks
from metering.model.join_caps import Join, JoinLimits, caps_of
from metering.model.passes import Pass, packed
from metering.model.price import UNITS_MAX, to_units
from metering.model.spending_limits import SpendingLimits, limit_units
from metering.store.records import BalanceState, JoinState, ShardMark, ShowCount, WatchedState
from metering.units import AccountId, Cause, CutLine, EntryKey, Planck, Run, ShowCap, Units

NO_LIMITS: Final = SpendingLimits()
ENDLESS_TICKS: Final = 1 << 40
"""More seconds than any clock will show."""
_DAY_S: Final = 86400
_NO_SHOWS: Final[Mapping[UUID, int]] = {}


def less_booked(
    unbooked: Iterable[CutLine], booked: Iterable[BookedTicks], counts: dict[EntryKey, int]
) -> tuple[CutLine, ...]:
    """Return the unbooked less what the book has, each tick of a viewer and stream once.

    A tick is one tick whatever join number or price version it was counted under.
    """
    seen: dict[tuple[AccountId, UUID], tuple[Run, ...]] = {}
    for entry in booked:
        at = (entry.key.account, entry.key.stream)
        seen[at] = ticks.union(seen.get(at, ()), entry.runs)
    out = []
    for line in unbooked:
        at = (line.key.account, line.key.stream)
        fresh = ticks.difference(line.runs, seen.get(at, ()))
        if fresh:
            seen[at] = ticks.union(seen.get(at, ()), fresh)
            total = counts.get(line.key, 0) + ticks.count(fresh)
            out.append(CutLine(line.key, fresh, total))
    return tuple(out)


def watched_states(
    seen: Iterable[tuple[AccountId, UUID, tuple[Run, ...]]],
) -> tuple[WatchedState, ...]:
    """Return ticks merged by account and stream."""
    watched: dict[tuple[AccountId, UUID], list[Run]] = defaultdict(list)
    for account, stream, runs in seen:
        watched[account, stream].extend(runs)
    return tuple(
        WatchedState(account, stream.bytes, ticks.normal(runs))
        for (account, stream), runs in watched.items()
    )


def show_counts(
    covered: Iterable[CoveredTicks],
    billed: Mapping[tuple[AccountId, UUID], Sequence[BookedTicks]],
    shows: Mapping[UUID, Sequence[int]],
    *,
    caps: Mapping[UUID, Sequence[ShowCap]],
    prices: Mapping[tuple[UUID, int], Planck],
    quantum: int,
) -> tuple[ShowCount, ...]:
    """Return what each account had of each show: covered by the preview, and left below the cap.

    Args:
        covered: Of shows that may still be claimed.
        billed: All billed ticks of those shows at least.
        shows: The counted shows of each stream, as `show_caps.cost_by_show` takes them.
        caps: Of each stream.
        prices: By stream and version.
    """
    counts: dict[tuple[AccountId, UUID, int], int] = defaultdict(int)
    for line in covered:
        if line.cause is Cause.PREVIEW:
            counts[line.account, line.stream, line.show] += ticks.count(line.runs)
    left: dict[tuple[AccountId, UUID, int], Units] = {}
    for (account, stream), entries in billed.items():
        priced = [(entry.runs, prices[stream, entry.key.version]) for entry in entries]
        for show, cost in show_caps.cost_by_show(priced, shows.get(stream, ())).items():
            cap = show_caps.cap_units(caps.get(stream, ()), show, quantum)
            if cap is not None:
                left[account, stream, show] = Units(cap - to_units(cost, quantum))
    return tuple(
        ShowCount(account, stream.bytes, show, counts[account, stream, show], left.get(at))
        for at in sorted(counts.keys() | left.keys())
        for account, stream, show in [at]
    )


def balance_states(
    funds: Mapping[AccountId, Funds],
    *,
    provisional: Mapping[AccountId, Planck],
    frozen: Mapping[AccountId, Planck],
    quantum: int,
    limits: SpendingLimits,
    own_limits: Mapping[AccountId, SpendingLimits],
    entries: Sequence[EntryRecord],
    booked: Sequence[BookedTicks],
    pending: Sequence[CutLine],
    now_tick: int,
    prices: Mapping[tuple[UUID, int], Planck],
    passes: Sequence[Pass] = (),
    oldest: int = 0,
    last_shows: Mapping[UUID, int] = _NO_SHOWS,
) -> tuple[BalanceState, ...]:
    """Return every balance of a shard: what was paid in and spent, booked and pending.

    Args:
        funds: Of every account of the shard.
        provisional: Credit for deposits that are not final.
        frozen: Asked back, as of the newest head; what `funds` has where it is silent.
        quantum: Planck per unit.
        limits: What one stream, and one day, may take.
        own_limits: What viewers themselves allow, where they do.
        booked: Ticks of the current day at least.
        pending: Ticks that the book has not.
        prices: By stream and version.
        passes: All that were paid; of one that was refunded the price came in again.
        oldest: Oldest second that may still be claimed.
        last_shows: As `passes.may_cover` takes them.
    """
    spent: dict[AccountId, int] = defaultdict(int)
    by_stream: dict[AccountId, dict[UUID, int]] = defaultdict(lambda: defaultdict(int))
    today: dict[AccountId, int] = defaultdict(int)
    for key, count in [(entry.key, entry.booked) for entry in entries] + [
        (line.key, ticks.count(line.runs)) for line in pending
    ]:
        cost = count * prices[key.stream, key.version]
        spent[key.account] += cost
        by_stream[key.account][key.stream] += cost
    refunds: dict[AccountId, int] = defaultdict(int)
    held: dict[AccountId, list[Pass]] = defaultdict(list)
    for item in passes:
        spent[item.account] += item.planck
        by_stream[item.account][item.stream] += item.planck
        if item.created_ms // 1000 // _DAY_S == now_tick // _DAY_S:
            today[item.account] += item.planck
        refunds[item.account] += item.planck if item.refunded_ms is not None else 0
        held[item.account].append(item)
    day = [Run(now_tick // _DAY_S * _DAY_S, _DAY_S)]
    for entry in [*booked, *(BookedTicks(line.key, line.runs) for line in pending)]:
        count = ticks.count(ticks.intersection(entry.runs, day))
        today[entry.key.account] += count * prices[entry.key.stream, entry.key.version]
    return tuple(
        BalanceState(
            account,
            whole_units(Planck(had.net + refunds[account]), quantum),
            to_units(Planck(spent[account]), quantum),
            *_balance_limits(limits.within(own_limits.get(account, NO_LIMITS)), quantum),
            to_units(Planck(today[account]), quantum),
            tuple(
                (stream.bytes, to_units(Planck(planck), quantum))
                for stream, planck in by_stream[account].items()
            ),
            whole_units(provisional.get(account, Planck(0)), quantum),
            frozen_units(frozen.get(account, had.frozen), quantum),
            packed(held[account], oldest, last_shows),
        )
        for account, had in funds.items()
    )


def _balance_limits(limits: SpendingLimits, quantum: int) -> tuple[Units, Units]:
    return limit_units(limits.stream, quantum), limit_units(limits.day, quantum)


def billed_by_stream(
    booked: Iterable[BookedTicks], pending: Iterable[CutLine]
) -> Mapping[tuple[AccountId, UUID], Sequence[BookedTicks]]:
    """Return all billed ticks by account and stream."""
    billed: dict[tuple[AccountId, UUID], list[BookedTicks]] = defaultdict(list)
    for entry in [*booked, *(BookedTicks(line.key, line.runs) for line in pending)]:
        billed[entry.key.account, entry.key.stream].append(entry)
    return billed


def cost_since(
    billed: Iterable[BookedTicks], first_tick: int, prices: Mapping[tuple[UUID, int], Planck]
) -> Planck:
    """Return what billed ticks cost, from `first_tick` on.

    A session has spent no more than that since it could have claimed `first_tick`; what its
    account's other players spent on the stream is in it.
    """
    since = [Run(first_tick, ENDLESS_TICKS)]
    return Planck(
        sum(
            ticks.count(ticks.intersection(entry.runs, since))
            * prices[entry.key.stream, entry.key.version]
            for entry in billed
        )
    )


def join_states(
    joins: Iterable[Join],
    *,
    limits: JoinLimits,
    quantum: int,
    skew_s: int,
    entries: Sequence[EntryRecord],
    pending: Sequence[CutLine],
    prices: Mapping[tuple[UUID, int], Planck],
) -> tuple[JoinState, ...]:
    """Return joins of the chain with what they have had: booked, adopted, pending, all versions."""
    had: dict[tuple[AccountId, UUID, int], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for key, count in [(entry.key, entry.booked + entry.ahead) for entry in entries] + [
        (line.key, ticks.count(line.runs)) for line in pending
    ]:
        had[key.account, key.stream, key.join][key.version] += count
    states = []
    for join in joins:
        counts = had.get((join.account, join.stream, join.number), {})
        cost = sum(count * prices[join.stream, version] for version, count in counts.items())
        states.append(
            JoinState(
                caps_of(join, limits, quantum, skew_s),
                sum(counts.values()),
                to_units(Planck(cost), quantum),
                tuple(sorted(version for version, count in counts.items() if count)),
            )
        )
    return tuple(states)


def forgiven_range(ranges: Sequence[Run], mark: ShardMark | None, oldest: int) -> Run | None:
    """Return one range over all forgiven ranges that end after `oldest`, of book and shard."""
    merged = list(ranges)
    if mark is not None and mark.forgiven is not None and mark.forgiven.end > oldest:
        merged.append(mark.forgiven)
    if not merged:
        return None
    first = min(run.first for run in merged)
    return Run(first, max(run.end for run in merged) - first)


def forgiven_ends(
    forgiven: Run | None, floors: Mapping[UUID, int], mark: ShardMark | None
) -> tuple[tuple[bytes, int], ...]:
    """Return where the forgiven range ends for streams that it goes on for, of book and shard.

    Args:
        forgiven: `forgiven_range`.
        floors: Ends by stream, of the book.
    """
    if forgiven is None:
        return ()
    ends = {stream.bytes: end for stream, end in floors.items()}
    for stream, end in mark.forgiven_ends if mark is not None else ():
        ends[stream] = max(end, ends.get(stream, 0))
    return tuple((stream, end) for stream, end in sorted(ends.items()) if end > forgiven.end)


def whole_units(planck: Planck, quantum: int) -> Units:
    """Return the whole units in an amount, no more than Redis counts."""
    return Units(min(max(planck, 0) // quantum, UNITS_MAX))


def frozen_units(planck: Planck, quantum: int) -> Units:
    """Return what a requested withdrawal of `planck` freezes: a part of a unit counts whole."""
    return Units(min(-(-planck // quantum), UNITS_MAX))
