"""Several in flight, too large, exposed, and a chain that is ahead of a restored book."""

from __future__ import annotations

import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from metering.model.batch_state import Action, BatchState
from tests.support.book_fixture import PRICE
from tests.support.inline_chain import ERA_BLOCKS, make_chain
from tests.support.settler_fixture import make_settler_fixture


async def test_several_batches_are_in_flight_and_settle_in_order():
    """Four are signed before the first is final; the rest wait for room."""
    settling = make_settler_fixture(entries_max=1)
    settler = settling.settler()
    for viewer in range(6):
        settling.watch(viewer, 10)

    await settler.turn(is_due=True)

    assert [batch.state for batch in reversed(settling.book.settlements.newest())] == (
        [BatchState.SENT] * 4 + [BatchState.SEALED] * 2
    )
    assert settler.progress.signed == 4
    settling.chain.make_block()
    assert await settler.turn(is_due=True) is Action.CLOSE
    assert [batch.seq for batch in settling.book.outbox.open(9)] == [5, 6]
    await settling.settle(settler)
    assert settling.book.outbox.oldest() is None
    assert sum(settling.chain.paid().values()) == 60
    assert await settling.differences() == ()


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
    settling = make_settler_fixture(viewers=3, entries_max=1)
    settler = settling.settler()
    for viewer in range(3):
        settling.watch(viewer, 10)
    for number, event in enumerate(events):
        match event:
            case "turn":
                await settler.turn(is_due=True)
            case "block":
                settling.chain.make_block()
            case "away" | "back":
                settling.chain.node.is_away = event == "away"
            case "drop":
                settling.chain.drop_first()
            case "expire":
                settling.chain.expire_pool()
            case "crash":
                settler = settling.settler()
            case _:
                settling.watch(number % 3, 3)
        paid = settling.chain.paid()
        assert all(ticks <= settling.counts[key.account] for key, ticks in paid.items())

    settling.chain.node.is_away = False
    await settling.settle(settler, turns=60)

    assert {key.account: ticks for key, ticks in settling.chain.paid().items()} == settling.counts
    assert await settling.differences() == ()
    settling.book.close()


async def test_what_no_block_takes_is_sealed_in_smaller_batches():
    """Under the same and the following numbers; each entry once."""
    settling = make_settler_fixture(entries_max=6)
    settler = settling.settler()
    for viewer in range(6):
        settling.watch(viewer, 10)
    settling.book.settlements.seal(1, 6)
    settling.chain.node.constants = {"MaxEntries": 4}

    await settling.settle(settler)

    assert [batch.entry_count for batch in reversed(settling.book.settlements.newest())] == [4, 2]
    assert sum(settling.chain.paid().values()) == 60
    assert await settling.differences() == ()


async def test_a_batch_is_not_split_while_those_behind_it_may_live():
    """Their numbers would get other content: they die first."""
    settling = make_settler_fixture(entries_max=2)
    settler = settling.settler()
    for viewer in range(2):
        settling.watch(viewer, 10)
    await settler.turn(is_due=True)
    settling.chain.drop_first()
    settling.chain.make_block(ERA_BLOCKS - 1)
    for viewer in range(2, 4):
        settling.watch(viewer, 10)
    await settler.turn(is_due=True)
    settling.chain.drop_first()
    settling.chain.make_block()
    settling.chain.node.constants = {"MaxEntries": 1}

    await settler.turn(is_due=True)

    assert [batch.entry_count for batch in settling.book.outbox.open(9)] == [2, 2]
    settling.chain.expire_pool()
    await settling.settle(settler, turns=20)
    assert [batch.entry_count for batch in reversed(settling.book.settlements.newest())] == [
        1,
        1,
        1,
        1,
    ]
    assert sum(settling.chain.paid().values()) == 40
    assert await settling.differences() == ()


async def test_the_chains_own_bound_holds_for_new_batches():
    """Whatever the configuration says."""
    settling = make_settler_fixture(entries_max=100)
    settling.chain.node.constants = {"MaxEntries": 4}
    for viewer in range(6):
        settling.watch(viewer, 10)

    await settling.settler().turn(is_due=True)

    assert [batch.entry_count for batch in reversed(settling.book.settlements.newest())] == [4, 2]


async def test_a_chain_that_went_back_is_not_settled_on():
    """Another chain, or one begun anew: batch 2 would leave a gap there, and 1 is paid already."""
    settling = make_settler_fixture()
    settler = settling.settler()
    settling.watch(0, 10)
    await settling.settle(settler)
    settling.chain = make_chain(settling.fixture, in_flight_max=4)
    settling.watch(0, 10)
    settler = settling.settler()

    with structlog.testing.capture_logs() as logs:
        assert await settler.turn(is_due=True) is Action.WAIT

    assert settler.progress.signed == 0
    assert any(
        log["event"] == "settlement.chain.unfit" and "went back" in log["error"] for log in logs
    )


async def test_exposure_rises_while_nothing_is_final_and_its_alarm_is_logged_once():
    """Viewers go on by policy; the operator knows what it costs."""
    settling = make_settler_fixture()
    settler = settling.settler(exposure_alarm_planck=str(15 * PRICE))
    with structlog.testing.capture_logs() as logs:
        for _ in range(5):
            settling.watch(0, 10)
            settling.fixture.clock.wall_ms += 10_000
            await settler.turn(is_due=True)

        assert settler.progress.exposure_planck == 50 * PRICE
        assert settler.progress.lag_ms == 40_000
        assert settling.book.settlements.exposure() == (50, 50 * PRICE)
        assert settling.chain.paid() == {}
        await settling.settle(settler, turns=30)
        settling.fixture.clock.wall_ms += 10_000
        await settler.turn(is_due=True)

    assert settler.progress.exposure_planck == 0
    alarms = [log["event"] for log in logs if log["event"].startswith("settlement.exposure")]
    assert alarms == ["settlement.exposure.high", "settlement.exposure.normal"]
    assert sum(settling.chain.paid().values()) == 50
