"""What the tests of metering share: a clock to move, a store that is recovered and ready."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from metering.admission.gate import LocalGate
from metering.ports import Claim
from metering.settings import MeteringSettings
from metering.store.claim_client import RawClaims
from metering.store.client import Store
from metering.store.records import SessionGrant, ShardState
from metering.units import (
    SHARDS,
    AccountId,
    Asset,
    Fetch,
    Medium,
    Planck,
    PricedRun,
    PriceVersion,
    Run,
    SessionId,
    StreamPolicy,
    Units,
)
from tests.support.clock import FakeClock

STREAM = UUID(int=7)
EPOCH = "epoch-1"
FAR_MS = 1 << 45
NOW = int(time.time())


def clock_now() -> FakeClock:
    """Return a clock at the time of Redis, which has no other."""
    return FakeClock(NOW * 1000)


def account(number: int) -> AccountId:
    return AccountId(number.to_bytes(32, "big"))


def grant(who: AccountId, session: int, **changes: Any) -> SessionGrant:
    values: dict[str, Any] = {
        "stream": STREAM.bytes,
        "join": 1,
        "limit_units": Units(0),
        "expires_ms": FAR_MS,
    } | changes
    return SessionGrant(account=who, session=SessionId(session), **values)


def claim(who: AccountId, session: int, first: int, count: int = 1, **changes: Any) -> Claim:
    units = Units(changes.pop("units", 10))
    version = changes.pop("version", 1)
    values: dict[str, Any] = {"stream": STREAM.bytes, "video_ms": 0, "audio_ms": 0} | changes
    runs = (PricedRun(Run(first, count), version, units),) if count else ()
    return Claim(account=who, session=SessionId(session), runs=runs, **values)


def fetch(who: AccountId, session: int, first: int, count: int = 1, **changes: Any) -> Fetch:
    values: dict[str, Any] = {
        "stream": STREAM,
        "duration_ms": 1000,
        "medium": Medium.VIDEO,
    } | changes
    return Fetch(account=who, session=SessionId(session), run=Run(first, count), **values)


def policy(*prices: tuple[int, int], stream: UUID = STREAM) -> StreamPolicy:
    versions = tuple(
        PriceVersion(number, from_tick, Planck(planck))
        for number, (from_tick, planck) in enumerate(prices or ((0, 10),), 1)
    )
    return StreamPolicy(stream, "demo", "Demo", versions)


def tell(
    gate: LocalGate, clock: FakeClock, store: Store, *policies: StreamPolicy, **changes: Any
) -> None:
    values: dict[str, Any] = {"epoch": EPOCH, "replay_from_ms": 0} | changes
    gate.set_policy(
        policies or (policy(),),
        Asset(),
        values["epoch"],
        store.run_id,
        values["replay_from_ms"],
        clock.monotonic(),
    )


async def make_ready(store: Store, epoch: str = EPOCH) -> None:
    """Recover an empty store."""
    for shard in range(SHARDS):
        await store.rebuild(shard, ShardState(), epoch)


async def open_sessions(store: Store, who: AccountId, *sessions: int, deposit: int = 10**9) -> None:
    """Fill a balance and open sessions."""
    await store.set_deposits(who, Units(deposit))
    for session in sessions:
        await store.open_session(grant(who, session), 2)


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[tuple[Store, RawClaims]]:
    """A recovered store and a claims connection that is ready."""
    store = await Store.connect(url, "everysec")
    try:
        await make_ready(store)
        async with RawClaims(url, **options) as claims:
            claims.set_expected(EPOCH, store.run_id)
            await claims.wait_ready()
            yield store, claims
    finally:
        await store.close()


def make_gate(claims: RawClaims, clock: FakeClock, **changes: Any) -> LocalGate:
    return LocalGate(claims, MeteringSettings(**changes), clock)
