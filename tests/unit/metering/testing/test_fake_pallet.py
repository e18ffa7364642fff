"""The fake chain's rules: what each batch does, and what each refused entry is told."""

from dataclasses import replace
from uuid import UUID

import pytest

from metering.chain.node import scale, storage
from metering.chain.node.storage import Operator, Outcome
from metering.model.credits import Credit
from metering.testing.fake_node import tables
from metering.testing.fake_node.credit import rolled
from metering.testing.fake_node.runtime import UNIT
from tests.support.pallet_scenario import PRICE, STREAM, PalletScenario, make_pallet_scenario
from tests.support.wallet import of_stream

SLOT_S = 6


def settle(scenario: PalletScenario, seq: int, *entries) -> Outcome:
    """Settle a batch in the next block and return what became of it."""
    scenario.world.submit(scenario.settle(seq, *entries))
    scenario.world.make_block()
    return scenario.state.get(storage.outcome_key(scenario.operator.account, seq))


def reasons(outcome: Outcome) -> list[tuple[int, str]]:
    return [(index, tables.REFUSALS[reason]) for index, reason in outcome.refused]


def wait(scenario: PalletScenario, seconds: int) -> None:
    for _ in range(-(-seconds // SLOT_S)):
        scenario.world.make_block()


def test_a_settled_entry_moves_exactly_its_cost():
    """The escrow falls and the credit rises by ticks x price; nothing is made."""
    scenario = make_pallet_scenario()
    issuance = scenario.state.get(storage.prefix("Balances", "TotalIssuance"))

    outcome = settle(scenario, 1, scenario.entry(0, 40))

    escrow = scenario.state.get(
        storage.escrow_key(scenario.operator.account, scenario.viewers[0].account)
    )
    credit = scenario.state.get(storage.credit_key(scenario.creator.account))
    pot = scenario.state.account(tables.POT)
    assert (outcome.ticks, outcome.amount, outcome.refused) == (40, 40 * PRICE, ())
    assert escrow.held == UNIT - 40 * PRICE
    assert credit.pending == 40 * PRICE
    assert pot.free == tables.EXISTENTIAL_DEPOSIT + 40 * PRICE
    assert scenario.state.get(storage.prefix("Balances", "TotalIssuance")) == issuance


def test_an_entry_at_or_below_what_is_settled_changes_nothing():
    """The same seconds in two batches are paid for once."""
    scenario = make_pallet_scenario()
    settle(scenario, 1, scenario.entry(0, 40))

    again = settle(scenario, 2, scenario.entry(0, 40), scenario.entry(1, 3))

    assert (again.ticks, again.amount, again.refused) == (3, 3 * PRICE, ())


@pytest.mark.parametrize(("seq", "error"), [(0, "AlreadySettled"), (3, "SequenceGap")])
def test_only_the_next_batch_is_taken(seq, error):
    """A number that is taken or leaves a gap fails, and its transaction costs a fee."""
    scenario = make_pallet_scenario()
    settle(scenario, 1, scenario.entry(0, 1))
    free = scenario.state.account(scenario.operator.account).free

    assert settle(scenario, seq, scenario.entry(0, 9)) is None
    assert scenario.state.get(storage.operator_key(scenario.operator.account)).last_seq == 1
    assert scenario.state.account(scenario.operator.account).free < free
    assert bytes((3, 7, tables.ERRORS.index(error))) in scenario.state.get(storage.events_key())


def test_a_batch_that_succeeds_costs_the_operator_nothing():
    """Settling is free for who does it right."""
    scenario = make_pallet_scenario()
    free = scenario.state.account(scenario.operator.account).free

    settle(scenario, 1, scenario.entry(0, 1))

    assert scenario.state.account(scenario.operator.account).free == free


def too_fast(scenario: PalletScenario):
    return scenario.entry(0, 121 + 2 * SLOT_S)


def no_stream(scenario: PalletScenario):
    entry = scenario.entry(0, 1)
    other = replace(entry.key, stream=type(entry.key.stream)(int=99))
    return replace(entry, key=other)


def no_session(scenario: PalletScenario):
    return scenario.entry(0, 1, join=2)


def no_price(scenario: PalletScenario):
    return scenario.entry(0, 1, version=2)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (too_fast, "TooFast"),
        (no_stream, "NoStream"),
        (no_session, "NoSession"),
        (no_price, "NoPrice"),
    ],
)
def test_one_bad_entry_is_refused_and_the_rest_settled(make, reason):
    """A viewer who is billed rightly in the same batch is billed."""
    scenario = make_pallet_scenario()

    outcome = settle(scenario, 1, make(scenario), scenario.entry(1, 5))

    assert [one for _, one in reasons(outcome)] == [reason]
    assert outcome.ticks == 5


def test_a_price_that_is_announced_and_not_in_force_is_refused():
    """Nobody pays a price before its time, nor one above the own cap."""
    scenario = make_pallet_scenario()
    now_s = scenario.state.get(storage.now_key()) // 1000
    changed = {"stream_id": STREAM, "price": PRICE + 1, "from": now_s + 90}
    scenario.do(scenario.creator, "set_price", **changed)

    early = settle(scenario, 1, scenario.entry(0, 1, version=2))
    wait(scenario, 90)
    late = settle(scenario, 2, scenario.entry(0, 1, version=2))

    assert reasons(early) == [(0, "PriceNotYet")]
    assert reasons(late) == [(0, "PriceAboveCap")]


def test_a_join_that_ended_takes_entries_until_the_notice_is_over():
    """Leaving stops new seconds, not the bill for old ones; an hour later the bill is closed."""
    scenario = make_pallet_scenario()
    scenario.do(scenario.viewers[0], "leave_stream", stream_id=STREAM)

    soon = settle(scenario, 1, scenario.entry(0, 10))
    wait(scenario, tables.WITHDRAW_NOTICE_S)
    late = settle(scenario, 2, scenario.entry(0, 20))

    assert soon.refused == ()
    assert reasons(late) == [(0, "Ended")]


def test_nobody_pays_more_than_cap_and_escrow():
    """The session's own cap first, then what is held for this operator."""
    scenario = make_pallet_scenario(deposit=5 * PRICE)
    capped = {"stream_id": STREAM, "max_spend": 3 * PRICE, "max_price": PRICE, "duration": 3600}
    scenario.do(scenario.viewers[1], "join_with_caps", **capped)

    outcome = settle(scenario, 1, scenario.entry(0, 6), scenario.entry(1, 4, join=2))

    assert sorted(one for _, one in reasons(outcome)) == ["Escrow", "SpendCap"]
    assert outcome.amount == 0


def test_escrow_leaves_after_its_notice_without_the_operator():
    """An hour after asking, what was not used is the viewer's again."""
    scenario = make_pallet_scenario()
    viewer, operator = scenario.viewers[0], scenario.operator.account
    scenario.do(viewer, "request_withdraw", operator=operator, amount=UNIT)
    settle(scenario, 1, scenario.entry(0, 10))
    scenario.do(viewer, "withdraw_escrow", operator=operator)
    early = scenario.state.get(storage.escrow_key(operator, viewer.account))
    wait(scenario, tables.WITHDRAW_NOTICE_S)

    scenario.do(viewer, "withdraw_escrow", operator=operator)

    assert early.held == UNIT - 10 * PRICE
    assert (scenario.state.get(storage.escrow_key(operator, viewer.account)) or early).held in (
        0,
        early.held,
    )
    assert scenario.state.account(viewer.account).reserved == 0


def test_shares_are_floors_of_the_cumulative_amount():
    """However a bill is cut into batches, each payee gets the same planck in the end."""
    whole, pieces = make_pallet_scenario(seed=1), make_pallet_scenario(seed=2)
    friend = whole.viewers[1].account
    share = storage.Split(friend, 333_333)
    for scenario in (whole, pieces):
        made = {"stream_id": 8, "title": b"", "price": 7, "splits": (share,)}
        scenario.do(scenario.creator, "create_stream", operator=scenario.operator.account, **made)
        joined = {"stream_id": 8, "max_spend": UNIT, "max_price": 10, "duration": 3600}
        scenario.do(scenario.viewers[0], "join_with_caps", **joined)

    def entry(scenario: PalletScenario, ticks: int):
        of_first = scenario.entry(0, ticks)
        return replace(of_first, key=replace(of_first.key, stream=UUID(int=8)))

    settle(whole, 1, entry(whole, 50))
    for seq, ticks in enumerate((1, 3, 4, 29, 50), 1):
        settle(pieces, seq, entry(pieces, ticks))

    paid = [scenario.state.get(storage.credit_key(friend)).pending for scenario in (whole, pieces)]
    assert paid == [50 * 7 * 333_333 // 1_000_000] * 2


def test_credit_matures_in_two_notice_periods():
    """What is earned now can be drawn after one to two notices."""
    at = tables.CREDIT_NOTICE_S

    assert rolled(Credit(1, 2, 3, 5), 6 * at) == Credit(4, 0, 2, 6)
    assert rolled(Credit(1, 2, 3, 5), 7 * at) == Credit(6, 0, 0, 7)
    assert rolled(Credit(1, 2, 3, 5), 5 * at + at - 1) == Credit(1, 2, 3, 5)


def test_an_operator_who_comes_back_goes_on_from_its_last_number():
    """A number that is used stays used."""
    scenario = make_pallet_scenario()
    settle(scenario, 1, scenario.entry(0, 1))
    scenario.do(scenario.operator, "deregister_operator")
    wait(scenario, tables.WITHDRAW_NOTICE_S)
    scenario.do(scenario.operator, "release_bond")
    scenario.do(scenario.operator, "register_operator")

    found: Operator = scenario.state.get(storage.operator_key(scenario.operator.account))
    assert (found.active, found.last_seq, found.bond) == (True, 1, tables.OPERATOR_BOND)


def test_a_call_that_fails_takes_back_all_it_wrote():
    """Nothing of half a call stays: only the nonce and the fee."""
    scenario = make_pallet_scenario()
    before = scenario.state.get(
        storage.escrow_key(scenario.operator.account, scenario.viewers[0].account)
    )

    scenario.do(
        scenario.viewers[0], "deposit", operator=scenario.operator.account, amount=10**6 * UNIT
    )

    after = scenario.state.get(
        storage.escrow_key(scenario.operator.account, scenario.viewers[0].account)
    )
    assert after == before
    assert scenario.state.account(scenario.viewers[0].account).nonce == 3


def test_calls_read_back_what_they_wrote():
    """Every call of the table is decoded to itself."""
    scenario = make_pallet_scenario()
    for name, shape in tables.TICK_STREAM_CALLS.items():
        arguments = {
            field: _some(codec) for field, codec in shape.arguments.items() if field != "entries"
        }
        if "entries" in shape.arguments:
            arguments["entries"] = ()
        call = of_stream(name, **arguments)
        reader = scale.Reader(call.encode())

        assert tables.Call.read(reader) == call
        reader.end()
    assert scenario.world.forks.head.number > 0


def _some(codec):
    for value in (5, b"v" * 32, b"title", True, ()):
        try:
            codec.encode(value)
        except Exception:  # noqa: BLE001, S112 -- looking for one that fits
            continue
        return value
    raise AssertionError
