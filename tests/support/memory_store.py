"""An in-memory store with the behaviour that cuts, recovery and reconciling rely on."""

from __future__ import annotations

from collections import defaultdict

from metering.errors import InvalidValueError, StoreUnavailableError
from metering.model import ticks
from metering.store.records import ShardMark, ShardState, StoreTotals, Unbilled, WatchedState
from metering.units import SHARDS, Cut, CutLine, EntryKey, Run, shard_of


class MemoryStore:
    """What `metering.store.client.Store` promises, without Redis.

    `claim` does what the claim script does: ticks that are watched already are not pending again.
    """

    def __init__(self, run_id: str = "run-1") -> None:
        self.run_id = run_id
        self.epochs: dict[int, str] = {}
        self.made_by: dict[int, str] = {}
        self.pending: dict[int, dict[EntryKey, tuple[Run, ...]]] = defaultdict(dict)
        self.cuts: dict[int, dict[int, Cut]] = defaultdict(dict)
        self.last: dict[int, int] = defaultdict(int)
        self.booked: dict[int, int] = defaultdict(int)
        self.gone: dict[int, int] = defaultdict(int)
        self.counted: dict[EntryKey, int] = defaultdict(int)
        self.watched: dict[tuple[bytes, bytes], tuple[Run, ...]] = {}
        self.states: dict[int, ShardState] = {}
        self.free: dict[int, list[WatchedState]] = {}
        self.unpaid = 0
        self.forgiven = 0
        self.late = 0
        self.covered = 0

    def claim(self, key: EntryKey, *runs: Run) -> int:
        at = (key.account, key.stream.bytes)
        new = ticks.difference(runs, self.watched.get(at, ()))
        if new:
            self.watched[at] = ticks.union(self.watched.get(at, ()), new)
            shard = self.pending[shard_of(key.account)]
            shard[key] = ticks.union(shard.get(key, ()), new)
        return ticks.count(new)

    async def epoch(self) -> str | None:
        names = {self.epochs.get(shard) for shard in range(SHARDS)}
        return names.pop() if len(names) == 1 else None

    async def dirty_shards(self) -> list[int]:
        return [s for s in range(SHARDS) if self.pending[s] or self.last[s] > self.booked[s]]

    async def cut(self, shard: int, number: int, booked_number: int) -> Cut | None:
        if number in self.cuts[shard]:
            return self.cuts[shard][number]
        if number <= self.last[shard] or self.last[shard] > booked_number:
            raise InvalidValueError(f"cut {number} of shard {shard} cannot be made")
        if number > self.last[shard] + 1:
            raise StoreUnavailableError(f"shard {shard} does not know cut {number - 1}")
        self.booked[shard] = max(self.booked[shard], booked_number)
        if not self.pending[shard]:
            return None
        lines = []
        for key, runs in sorted(self.pending.pop(shard).items(), key=lambda item: repr(item[0])):
            self.counted[key] += ticks.count(runs)
            lines.append(CutLine(key, runs, self.counted[key]))
        self.last[shard] = number
        self.cuts[shard][number] = Cut(shard, number, tuple(lines))
        return self.cuts[shard][number]

    async def forget(self, shard: int, up_to_number: int) -> None:
        for number in [n for n in self.cuts[shard] if n <= up_to_number]:
            del self.cuts[shard][number]
        self.gone[shard] = max(self.gone[shard], up_to_number)
        self.booked[shard] = max(self.booked[shard], up_to_number)

    async def unbooked(self, shard: int, booked_number: int | None = None) -> tuple[CutLine, ...]:
        known = self.booked[shard] if booked_number is None else booked_number
        left = dict(self.pending[shard])
        for number, cut in self.cuts[shard].items():
            if number > known:
                for line in cut.lines:
                    left[line.key] = ticks.union(left.get(line.key, ()), line.runs)
        return tuple(CutLine(key, runs, 0) for key, runs in left.items())

    async def rebuild(self, shard: int, state: ShardState, epoch: str) -> None:
        self.states[shard] = state
        self.forgiven += state.newly_forgiven
        for key in [key for key in self.counted if shard_of(key.account) == shard]:
            del self.counted[key]
        self.pending[shard] = {line.key: line.runs for line in state.pending}
        self.cuts[shard] = {}
        self.counted.update(dict(state.cumulative))
        self.last[shard] = self.booked[shard] = self.gone[shard] = state.booked_number
        for one in state.watched:
            self.watched[one.account, one.stream] = one.runs
        for line in state.pending:
            at = (line.key.account, line.key.stream.bytes)
            self.watched[at] = ticks.union(self.watched.get(at, ()), line.runs)
        self.epochs[shard] = self.made_by[shard] = epoch

    async def marks(self) -> dict[int, ShardMark]:
        return {
            shard: ShardMark(
                self.made_by[shard],
                self.booked[shard],
                sum(n for key, n in self.counted.items() if shard_of(key.account) == shard)
                + sum(ticks.count(runs) for runs in self.pending[shard].values()),
                self.states[shard].forgiven,
            )
            for shard in self.states
        }

    async def void(self) -> None:
        self.epochs.clear()

    async def unbilled(self) -> list[Unbilled]:
        return [Unbilled(shard, tuple(found), ()) for shard, found in self.free.items()]

    async def forget_unbilled(self, unbilled: Unbilled) -> None:
        self.free.pop(unbilled.shard)

    async def totals(self) -> StoreTotals:
        pending = sum(ticks.count(r) for shard in self.pending.values() for r in shard.values())
        return StoreTotals(
            pending + sum(self.counted.values()),
            self.unpaid,
            self.forgiven,
            pending,
            self.late,
            self.covered,
        )

    async def carry(self, *, unpaid: int, forgiven: int, late: int, covered: int) -> None:
        self.unpaid += unpaid
        self.forgiven += forgiven
        self.late += late
        self.covered += covered

    def restarted(self, *, is_empty: bool = False) -> MemoryStore:
        """Return the Redis that answers after a restart: same content, or none, another run."""
        after = MemoryStore(self.run_id + "+")
        if not is_empty:
            run_id = after.run_id
            after.__dict__.update(self.__dict__)
            after.run_id = run_id
        return after
