"""Several in flight, too large, exposed, and a chain that is ahead of a restored book."""

from __future__ import annotations

import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from metering.model.batch_state import Action, BatchState
from tests.support.book_fixture import (
    PRICE,
)
from tests.support.memory_chain import MemoryChain
from tests.support.settler_room import make_room


async def test_several_batches_are_in_flight_and_settle_in_order():
    """Four are signed before the first is final; the rest wait for room."""
    room = make_room(entries_max=1)
    settler = room.settler()
    for viewer in range(6):
        room.watch(viewer, 10)

    await settler.turn(is_due=True)

    assert [one.state for one in reversed(room.book.settlements.newest())] == (
        [BatchState.SENT] * 4 + [BatchState.SEALED] * 2
    )
    assert settler.progress.signed == 4
    room.chain.make_blocks()
    assert await settler.turn(is_due=True) is Action.CLOSE
    assert [one.seq for one in room.book.outbox.open(9)] == [5, 6]
    await room.settle(settler)
    assert room.book.outbox.oldest() is None
    assert sum(room.chain.paid.values()) == 60
    assert await room.differences() == ()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["turn", "turn", "block", "away", "back", "drop", "expire", "crash", "watch"]
        ),
        max_size=40,
    )
)
async def test_no_order_of_answers_pays_twice_with_several_in_flight(events):
    """Whatever is dropped, dies or is asked again, what is paid is what was watched."""
    room = make_room(viewers=3, entries_max=1)
    settler = room.settler()
    for viewer in range(3):
        room.watch(viewer, 10)
    for number, event in enumerate(events):
        match event:
            case "turn":
                await settler.turn(is_due=True)
            case "block":
                room.chain.make_blocks()
            case "away" | "back":
                room.chain.is_away = event == "away"
            case "drop":
                del room.chain.pool[:1]
            case "expire":
                room.chain.expire_pool()
            case "crash":
                settler = room.settler()
            case _:
                room.watch(number % 3, 3)
        assert all(room.chain.paid[key] <= room.counts[key.account] for key in room.chain.paid)

    room.chain.is_away = False
    await room.settle(settler, turns=60)

    assert {key.account: paid for key, paid in room.chain.paid.items()} == room.counts
    assert await room.differences() == ()
    room.book.close()


async def test_what_no_block_takes_is_sealed_in_smaller_batches():
    """Under the same and the following numbers; each entry once."""
    room = make_room(entries_max=6)
    settler = room.settler()
    for viewer in range(6):
        room.watch(viewer, 10)
    room.book.settlements.seal(1, 6)
    room.chain.entries_max = 4

    await room.settle(settler)

    assert [one.entry_count for one in reversed(room.book.settlements.newest())] == [4, 2]
    assert sum(room.chain.paid.values()) == 60
    assert await room.differences() == ()


async def test_a_batch_is_not_split_while_those_behind_it_may_live():
    """Their numbers would get other content: they die first."""
    room = make_room(entries_max=2)
    settler = room.settler()
    for viewer in range(4):
        room.watch(viewer, 10)
    await settler.turn(is_due=True)
    (first, _) = room.chain.pool
    room.chain.pool.remove(first)
    room.chain.dead.add(first)
    room.chain.entries_max = 1

    await settler.turn(is_due=True)

    assert [one.entry_count for one in room.book.outbox.open(9)] == [2, 2]
    room.chain.expire_pool()
    await room.settle(settler, turns=20)
    assert [one.entry_count for one in reversed(room.book.settlements.newest())] == [1, 1, 1, 1]
    assert sum(room.chain.paid.values()) == 40
    assert await room.differences() == ()


async def test_the_chains_own_bound_holds_for_new_batches():
    """Whatever the configuration says."""
    room = make_room(entries_max=100)
    room.chain.entries_max = 4
    for viewer in range(6):
        room.watch(viewer, 10)

    await room.settler().turn(is_due=True)

    assert [one.entry_count for one in reversed(room.book.settlements.newest())] == [4, 2]


async def test_a_chain_that_went_back_is_not_settled_on():
    """Another chain, or one begun anew: batch 2 would leave a gap there, and 1 is paid already."""
    room = make_room()
    settler = room.settler()
    room.watch(0, 10)
    await room.settle(settler)
    room.chain = MemoryChain(in_flight_max=4)
    room.watch(0, 10)
    settler = room.settler()

    with structlog.testing.capture_logs() as logs:
        assert await settler.turn(is_due=True) is Action.WAIT

    assert room.chain.signed == 0
    assert any(
        one["event"] == "settlement.chain.unfit" and "went back" in one["error"] for one in logs
    )


async def test_exposure_rises_while_nothing_is_final_and_its_alarm_is_told_once():
    """Viewers go on by policy; the operator knows what it costs."""
    room = make_room()
    settler = room.settler(exposure_alarm_planck=str(15 * PRICE))
    with structlog.testing.capture_logs() as logs:
        for _ in range(5):
            room.watch(0, 10)
            room.fixture.clock.wall_ms += 10_000
            await settler.turn(is_due=True)

        assert settler.progress.exposure_planck == 50 * PRICE
        assert settler.progress.lag_ms == 40_000
        assert room.book.settlements.exposure() == (50, 50 * PRICE)
        assert room.chain.paid == {}
        await room.settle(settler, turns=30)
        room.fixture.clock.wall_ms += 10_000
        await settler.turn(is_due=True)

    assert settler.progress.exposure_planck == 0
    told = [one["event"] for one in logs if one["event"].startswith("settlement.exposure")]
    assert told == ["settlement.exposure.high", "settlement.exposure.normal"]
    assert sum(room.chain.paid.values()) == 50
