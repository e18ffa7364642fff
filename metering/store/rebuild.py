"""What a shard is made of again, as commands: balances, counts, watched seconds, sessions.

`Store.rebuild` sends them. Nothing here waits or answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from metering.model import rate_limit, ticks
from metering.model.join_caps import JoinCaps
from metering.store import keys
from metering.store.records import SessionGrant, ShardState, ShowCount
from metering.units import HOUR_TICKS, AccountId

KEEP_EXTRA_S: Final = 3600
"""Keys outlive the seconds that a claim may name by an hour."""


class ShardWriter:
    """Writes shards.

    Args:
        window_ms: Longest playlist window: it bounds the pace.

    Attributes:
        keep_ms: So long after its end a session is kept.
        pace_cap: Media that a session may be ahead of the clock, in fifths of a millisecond.
    """

    def __init__(self, watched_hours: int, window_ms: int) -> None:
        self._watched_s = watched_hours * 3600
        self.keep_ms = (self._watched_s + KEEP_EXTRA_S) * 1000
        self.pace_cap = rate_limit.cap_fifths(window_ms)

    def write(self, pipe: Any, state: ShardState, now_ms: int) -> None:
        """Put all commands of a shard into a pipeline of redis-py.

        Args:
            now_ms: Redis's clock.
        """
        now_s = now_ms // 1000
        self._write_balances(pipe, state, now_s // 86400)
        self._write_watched(pipe, state, now_s)
        self._write_shows(pipe, state)
        self._write_sessions(pipe, state, now_ms)

    def _write_balances(self, pipe: Any, state: ShardState, day: int) -> None:
        for balance in state.balances:
            key = keys.balance(balance.account)
            given = balance.deposited_units + balance.provisional_units
            pipe.hincrby(key, "b", given - balance.frozen_units - balance.spent_units)
            pipe.hincrby(key, "d", balance.deposited_units)
            if balance.provisional_units or balance.frozen_units:
                more = {"v": int(balance.provisional_units), "z": int(balance.frozen_units)}
                pipe.hset(key, mapping=more)
            pipe.hincrby(key, f"u{day}", balance.day_spent_units)
            pipe.hset(
                key,
                mapping={
                    "m": int(balance.stream_limit_units),
                    "y": int(balance.day_limit_units),
                    "n": day,
                },
            )
            if balance.passes:
                pipe.hset(key, "q", balance.passes)
            for stream, units in balance.stream_spent:
                pipe.hincrby(keys.counts(balance.account, stream), "u", units)
        for entry, count in state.cumulative:
            key = keys.counts(entry.account, entry.stream.bytes)
            pipe.hset(key, f"{entry.join}:{entry.version}", count)
        for join in state.joins:
            number = join.caps.number
            versions = b"".join(version.to_bytes(4, "big") for version in join.versions)
            fields = {f"t{number}": join.ticks, f"v{number}": versions, f"a{number}": join.units}
            key = keys.counts(join.caps.account, join.caps.stream)
            pipe.hset(key, mapping={**caps_fields(join.caps), **fields})

    def _write_watched(self, pipe: Any, state: ShardState, now_s: int) -> None:
        seen: dict[tuple[AccountId, bytes], ticks.Runs] = {}
        entries = [(w.account, w.stream, w.runs) for w in state.watched]
        entries += [(line.key.account, line.key.stream.bytes, line.runs) for line in state.pending]
        for account, stream, runs in entries:
            seen[account, stream] = ticks.union(seen.get((account, stream), ()), runs)
        for (account, stream), runs in seen.items():
            for hour, bitmap in ticks.bitmaps(runs).items():
                expires_s = (hour + 1) * HOUR_TICKS + self._watched_s + KEEP_EXTRA_S
                if expires_s > now_s:
                    pipe.set(keys.watched(account, stream, hour), bitmap, exat=expires_s)

    def _write_shows(self, pipe: Any, state: ShardState) -> None:
        shows: dict[bytes, list[ShowCount]] = {}
        for count in state.shows:
            shows.setdefault(keys.counts(count.account, count.stream), []).append(count)
        for key, counts in shows.items():
            counts.sort(key=lambda count: count.show)
            forgotten, kept = counts[: -keys.SHOWS_KEPT], counts[-keys.SHOWS_KEPT :]
            for count in kept:
                if count.covered_ticks:
                    pipe.hset(key, f"f{count.show}", count.covered_ticks)
                if count.left_units is not None:
                    pipe.hset(key, f"r{count.show}", int(count.left_units))
            if forgotten:
                pipe.hset(key, "o", forgotten[-1].show)

    def _write_sessions(self, pipe: Any, state: ShardState, now_ms: int) -> None:
        for grant in state.sessions:
            self._write_session(pipe, grant, now_ms, {"s": keys.LIVE})
            index = keys.sessions(grant.account, grant.stream)
            pipe.sadd(index, grant.session.to_bytes(8, "big"))
            pipe.pexpireat(index, grant.expires_ms + self.keep_ms)
        for ended in state.ended:
            self._write_session(pipe, ended.grant, now_ms, {"s": ended.reason, "e": ended.ended_ms})

    def _write_session(
        self, pipe: Any, grant: SessionGrant, now_ms: int, what: Mapping[str, bytes | str | int]
    ) -> None:
        key = keys.session(grant.account, grant.session)
        pipe.hset(
            key,
            mapping={
                "i": grant.stream,
                "x": grant.expires_ms,
                "j": grant.join,
                "l": int(grant.limit_units),
                **({"c": 1} if grant.is_capped else {}),
                **what,
            },
        )
        # Where Redis still has it, what the session was billed stays: the book counts by account.
        pipe.hsetnx(key, "b", keys.SLOT.pack(self.pace_cap, self.pace_cap, now_ms, 0, 0))
        if grant.spent_units:
            pipe.hsetnx(key, "u", int(grant.spent_units))
        pipe.pexpireat(key, int(what.get("e", grant.expires_ms)) + self.keep_ms)


def caps_fields(caps: JoinCaps) -> dict[Any, Any]:
    """Return the fields of a join's caps in the hash of its counts."""
    return {f"c{caps.number}": caps.packed, f"l{caps.number}": int(caps.spend_units)}
