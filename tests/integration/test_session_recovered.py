"""What a session was billed and has spent of its limit, which only Redis counts, after recovery."""

from dataclasses import replace

import pytest

from metering.errors import StoreUnavailableError
from metering.store.records import BalanceState, ShardState, WatchedState
from metering.units import SHARDS, EntryKey, Run, SessionId, Units, Verdict, shard_of
from tests.support.metering_kit import NOW, STREAM, account, claim, grant, open_sessions, opened

WHO = account(1)
SHARD = shard_of(WHO)
KEY = EntryKey(STREAM, WHO, 1, 1)


async def test_a_session_goes_on_with_what_it_spent_after_a_restart(redis_any):
    """Its page shows what the link has cost, and its limit is not given out anew."""
    state = ShardState(
        balances=(BalanceState(WHO, Units(1000), Units(20)),),
        watched=(WatchedState(WHO, STREAM.bytes, (Run(NOW, 2),)),),
        cumulative=((KEY, 2),),
        sessions=(replace(grant(WHO, 1), limit_units=Units(30)),),
    )
    async with opened(redis_any.url) as (store, claims):
        await open_sessions(store, WHO, 1)
        await claims.claim(claim(WHO, 1, NOW, 2))
        for shard in range(SHARDS):
            await store.rebuild(shard, state if shard == SHARD else ShardState(), "epoch-2")
        claims.set_expected("epoch-2", store.run_id)

        (reading,) = await claims.meters([(WHO, STREAM.bytes, SessionId(1))])
        assert (reading.state, reading.session_ticks, reading.session_units) == ("live", 2, 20)
        assert (await claims.claim(claim(WHO, 1, NOW + 2))).verdict is Verdict.GRANTED
        assert (await claims.claim(claim(WHO, 1, NOW + 3))).verdict is Verdict.LIMIT


async def test_nothing_is_said_of_a_session_before_its_store_is_recovered(redis_any):
    """A recovery drops all and writes it again: a page that asked between was told to stop."""
    async with opened(redis_any.url) as (store, claims):
        await open_sessions(store, WHO, 1)
        claims.set_expected("", "")

        with pytest.raises(StoreUnavailableError):
            await claims.meters([(WHO, STREAM.bytes, SessionId(1))])
