"""Claims per second and CPU per claim, beside a bare pipelined SETBIT + HINCRBY in the same run.

"preview" is a claim of a stream whose free preview is used up, "cap" one of a stream whose shows
have a cap that is not reached: what each adds to every later claim.

Run: python bench/claims.py [--viewers 20000] [--rounds 5] [--fsync everysec]
Ratios are worth more than rates: both halves share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from _common import cpu_s, table, write

from metering.ports import Claim
from metering.store import resp
from metering.store.claim_client import RawClaims
from metering.store.client import Store
from metering.store.embedded import EmbeddedRedis
from metering.store.records import BalanceState, SessionGrant, ShardState
from metering.units import (
    NO_COVER,
    SHARDS,
    AccountId,
    Cover,
    PricedRun,
    Run,
    SessionId,
    Units,
    Verdict,
    shard_of,
)

STREAM = bytes(15) + b"\x07"
PIPELINE = 500


class Stopwatch:
    """Wall, own CPU and Redis CPU of a stretch."""

    def __init__(self, pid: int, count: int) -> None:
        self._pid = pid
        self._count = count
        self.wall_s = self.own_s = self.redis_s = 0.0

    def __enter__(self) -> Self:
        self.wall_s, self.own_s = -time.perf_counter(), -time.process_time()
        self.redis_s = -cpu_s(self._pid)
        return self

    def __exit__(self, *_: object) -> None:
        self.wall_s += time.perf_counter()
        self.own_s += time.process_time()
        self.redis_s += cpu_s(self._pid)

    def facts(self) -> dict[str, float]:
        """Return rates and costs per operation."""
        return {
            "per_s": round(self._count / self.wall_s),
            "redis_us": round(1e6 * self.redis_s / self._count, 2),
            "own_us": round(1e6 * self.own_s / self._count, 2),
        }


async def fill(store: Store, accounts: list[AccountId]) -> None:
    """Give every account a balance and a session."""
    by_shard: dict[int, list[AccountId]] = {shard: [] for shard in range(SHARDS)}
    for who in accounts:
        by_shard[shard_of(who)].append(who)
    for shard, some in by_shard.items():
        state = ShardState(
            balances=tuple(BalanceState(who, Units(10**12), Units(0)) for who in some),
            sessions=tuple(
                SessionGrant(who, STREAM, SessionId(1), 1, Units(0), 1 << 45) for who in some
            ),
        )
        await store.rebuild(shard, state, "bench")


def seconds(tick: int) -> tuple[PricedRun, ...]:
    """Return one second at its price."""
    return (PricedRun(Run(tick, 1), 1, Units(10)),)


async def claims_round(
    claims: RawClaims, accounts: list[AccountId], tick: int, cover: Cover = NO_COVER
) -> None:
    """Let every viewer claim its next second at once, as many as a process would hold."""
    run = seconds(tick)
    for start in range(0, len(accounts), 4 * PIPELINE):
        answers = await asyncio.gather(
            *(
                claims.claim(Claim(who, STREAM, SessionId(1), run, 0, 0, cover))
                for who in accounts[start : start + 4 * PIPELINE]
            )
        )
        if any(
            answer.verdict is not Verdict.GRANTED or answer.new_ticks != 1 for answer in answers
        ):
            raise SystemExit(f"a claim was refused: {answers[0]}")


async def bare_round(socket: Path, accounts: list[AccountId], tick: int) -> None:
    """The least that could count: one bit and one counter per viewer, not atomic, no balance."""
    reader, writer = await asyncio.open_unix_connection(str(socket))
    replies = resp.reader()
    for start in range(0, len(accounts), PIPELINE):
        some = accounts[start : start + PIPELINE]
        for who in some:
            shard = b"{%d}:" % shard_of(who)
            bit = b"%d" % (tick % 3600)
            writer.write(resp.command(b"SETBIT", shard + b"W" + who + STREAM, bit, b"1"))
            writer.write(resp.command(b"HINCRBY", shard + b"B" + who, b"b", b"-10"))
        await writer.drain()
        left = 2 * len(some)
        while left:
            while replies.gets() is not False:
                left -= 1
            if left:
                replies.feed(await reader.read(1 << 20))
    writer.close()
    await writer.wait_closed()


async def measure(viewers: int, rounds: int, fsync: str) -> dict[str, Any]:
    """Return what both halves cost."""
    accounts = [AccountId(n.to_bytes(32, "big")) for n in range(1, viewers + 1)]
    with tempfile.TemporaryDirectory(prefix="vk-bench-") as folder:
        socket = Path(folder) / "redis.sock"
        async with EmbeddedRedis(Path(folder) / "data", socket, fsync) as embedded:
            store = await Store.connect(embedded.url, fsync)
            await fill(store, accounts)
            first = int(time.time())
            watches: dict[str, list[Stopwatch]] = {
                name: [] for name in ("claims", "preview", "cap", "bare")
            }
            async with RawClaims(embedded.url, timeout_ms=30_000) as claims:
                claims.set_expected("bench", store.run_id)
                await claims.wait_ready()
                await claims_round(claims, accounts, first)
                await bare_round(socket, accounts, first)
                # The preview's one second is used up before anything is measured.
                used = Cover(first, 1)
                await asyncio.gather(
                    *(
                        claims.claim(
                            Claim(who, STREAM, SessionId(1), seconds(first - 1), 0, 0, used)
                        )
                        for who in accounts
                    )
                )
                capped = Cover(first, 0, Units(10**9))
                for tick in range(first + 1, first + 1 + 3 * rounds, 3):
                    with Stopwatch(embedded.pid, viewers) as watch:
                        await claims_round(claims, accounts, tick)
                    watches["claims"].append(watch)
                    with Stopwatch(embedded.pid, viewers) as watch:
                        await claims_round(claims, accounts, tick + 1, used)
                    watches["preview"].append(watch)
                    with Stopwatch(embedded.pid, viewers) as watch:
                        await claims_round(claims, accounts, tick + 2, capped)
                    watches["cap"].append(watch)
                    with Stopwatch(embedded.pid, viewers) as watch:
                        await bare_round(socket, accounts, tick)
                    watches["bare"].append(watch)
                per_flush = claims.claims_total / claims.flushes_total
            await store.close()
    return _summary(watches, viewers, rounds, fsync, per_flush)


def _summary(
    watches: dict[str, list[Stopwatch]], viewers: int, rounds: int, fsync: str, per_flush: float
) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    cost = {}
    for name, some in watches.items():
        total = Stopwatch(0, viewers * rounds)
        total.wall_s = sum(watch.wall_s for watch in some)
        total.own_s = sum(watch.own_s for watch in some)
        total.redis_s = sum(watch.redis_s for watch in some)
        facts[name] = total.facts()
        cost[name] = (total.redis_s, total.own_s + total.redis_s)
    return {
        "viewers": viewers,
        "rounds": rounds,
        "fsync": fsync,
        "claims_per_flush": round(per_flush),
        **facts,
        "redis_cpu_ratio": round(cost["claims"][0] / cost["bare"][0], 2),
        "preview_to_claims": round(cost["preview"][0] / cost["claims"][0], 2),
        "cap_to_claims": round(cost["cap"][0] / cost["claims"][0], 2),
        "cpu_ratio": round(cost["claims"][1] / cost["bare"][1], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--fsync", choices=("everysec", "always"), default="everysec")
    options = parser.parse_args()
    facts = asyncio.run(measure(options.viewers, options.rounds, options.fsync))
    print("CPU of one claim, group commit, beside a bare SETBIT + HINCRBY")
    table(
        ("", "per s", "Redis us", "own us"),
        [(name, *facts[name].values()) for name in ("claims", "preview", "cap", "bare")],
    )
    print(
        f"Redis CPU of a claim after a preview, to one without: {facts['preview_to_claims']}; "
        f"below a cap: {facts['cap_to_claims']}"
    )
    print(f"Redis CPU to bare: {facts['redis_cpu_ratio']}; both CPU to bare: {facts['cpu_ratio']}")
    write("claims", facts)


if __name__ == "__main__":
    main()
