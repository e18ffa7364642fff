"""The fake chain's rules: what each batch does, and what each refused entry is told."""

from dataclasses import replace

import pytest

from metering.chain.node import storage
from metering.chain.node.storage import Operator, Outcome
from metering.model.credits import Credit
from metering.testing.fake_node import tables
from metering.testing.fake_node.credit import rolled
from metering.testing.fake_node.runtime import UNIT
from tests.support.fake_chain import PRICE, STREAM, Town, make_town
from tests.support.wallet import of_stream

SLOT_S = 6


def settle(town: Town, seq: int, *entries) -> Outcome:
    """Settle a batch in the next block and return what became of it."""
    town.world.submit(town.settle(seq, *entries))
    town.world.make_block()
    return town.state.get(storage.outcome_key(town.operator.account, seq))


def reasons(outcome: Outcome) -> list[tuple[int, str]]:
    return [(index, tables.REFUSALS[reason]) for index, reason in outcome.refused]


def wait(town: Town, seconds: int) -> None:
    for _ in range(-(-seconds // SLOT_S)):
        town.world.make_block()


def test_a_settled_entry_moves_exactly_its_cost():
    """The escrow falls and the credit rises by ticks x price; nothing is made."""
    town = make_town()
    issuance = town.state.get(storage.prefix("Balances", "TotalIssuance"))

    outcome = settle(town, 1, town.entry(0, 40))

    escrow = town.state.get(storage.escrow_key(town.operator.account, town.viewers[0].account))
    credit = town.state.get(storage.credit_key(town.creator.account))
    pot = town.state.account(tables.POT)
    assert (outcome.ticks, outcome.amount, outcome.refused) == (40, 40 * PRICE, ())
    assert escrow.held == UNIT - 40 * PRICE
    assert credit.pending == 40 * PRICE
    assert pot.free == tables.EXISTENTIAL_DEPOSIT + 40 * PRICE
    assert town.state.get(storage.prefix("Balances", "TotalIssuance")) == issuance


def test_an_entry_at_or_below_what_is_settled_changes_nothing():
    """The same seconds in two batches are paid for once."""
    town = make_town()
    settle(town, 1, town.entry(0, 40))

    again = settle(town, 2, town.entry(0, 40), town.entry(1, 3))

    assert (again.ticks, again.amount, again.refused) == (3, 3 * PRICE, ())


@pytest.mark.parametrize(("seq", "error"), [(0, "AlreadySettled"), (3, "SequenceGap")])
def test_only_the_next_batch_is_taken(seq, error):
    """A number that is taken or leaves a gap fails, and its transaction costs a fee."""
    town = make_town()
    settle(town, 1, town.entry(0, 1))
    free = town.state.account(town.operator.account).free

    assert settle(town, seq, town.entry(0, 9)) is None
    assert town.state.get(storage.operator_key(town.operator.account)).last_seq == 1
    assert town.state.account(town.operator.account).free < free
    assert bytes((3, 7, tables.ERRORS.index(error))) in town.state.get(storage.events_key())


def test_a_batch_that_succeeds_costs_the_operator_nothing():
    """Settling is free for who does it right."""
    town = make_town()
    free = town.state.account(town.operator.account).free

    settle(town, 1, town.entry(0, 1))

    assert town.state.account(town.operator.account).free == free


def too_fast(town: Town):
    return town.entry(0, 121 + 2 * SLOT_S)


def no_stream(town: Town):
    entry = town.entry(0, 1)
    other = replace(entry.key, stream=type(entry.key.stream)(int=99))
    return replace(entry, key=other)


def no_session(town: Town):
    return town.entry(0, 1, join=2)


def no_price(town: Town):
    return town.entry(0, 1, version=2)


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
    """Whoever is billed rightly in the same batch is billed."""
    town = make_town()

    outcome = settle(town, 1, make(town), town.entry(1, 5))

    assert [one for _, one in reasons(outcome)] == [reason]
    assert outcome.ticks == 5


def test_a_price_that_is_announced_and_not_in_force_is_refused():
    """Nobody pays a price before its time, nor one above the own cap."""
    town = make_town()
    now_s = town.state.get(storage.now_key()) // 1000
    changed = {"stream_id": STREAM, "price": PRICE + 1, "from": now_s + 90}
    town.do(town.creator, "set_price", **changed)

    early = settle(town, 1, town.entry(0, 1, version=2))
    wait(town, 90)
    late = settle(town, 2, town.entry(0, 1, version=2))

    assert reasons(early) == [(0, "PriceNotYet")]
    assert reasons(late) == [(0, "PriceAboveCap")]


def test_a_join_that_ended_takes_entries_until_the_notice_is_over():
    """Leaving stops new seconds, not the bill for old ones; an hour later the bill is closed."""
    town = make_town()
    town.do(town.viewers[0], "leave_stream", stream_id=STREAM)

    soon = settle(town, 1, town.entry(0, 10))
    wait(town, tables.WITHDRAW_NOTICE_S)
    late = settle(town, 2, town.entry(0, 20))

    assert soon.refused == ()
    assert reasons(late) == [(0, "Ended")]


def test_nobody_pays_more_than_cap_and_escrow():
    """The session's own cap first, then what is held for this operator."""
    town = make_town(deposit=5 * PRICE)
    capped = {"stream_id": STREAM, "max_spend": 3 * PRICE, "max_price": PRICE, "duration": 3600}
    town.do(town.viewers[1], "join_with_caps", **capped)

    outcome = settle(town, 1, town.entry(0, 6), town.entry(1, 4, join=2))

    assert sorted(one for _, one in reasons(outcome)) == ["Escrow", "SpendCap"]
    assert outcome.amount == 0


def test_escrow_leaves_after_its_notice_without_the_operator():
    """An hour after asking, what was not used is the viewer's again."""
    town = make_town()
    viewer, operator = town.viewers[0], town.operator.account
    town.do(viewer, "request_withdraw", operator=operator, amount=UNIT)
    settle(town, 1, town.entry(0, 10))
    town.do(viewer, "withdraw_escrow", operator=operator)
    early = town.state.get(storage.escrow_key(operator, viewer.account))
    wait(town, tables.WITHDRAW_NOTICE_S)

    town.do(viewer, "withdraw_escrow", operator=operator)

    assert early.held == UNIT - 10 * PRICE
    assert (town.state.get(storage.escrow_key(operator, viewer.account)) or early).held in (
        0,
        early.held,
    )
    assert town.state.account(viewer.account).reserved == 0


def test_shares_are_floors_of_the_cumulative_amount():
    """However a bill is cut into batches, each payee gets the same planck in the end."""
    whole, pieces = make_town(seed=1), make_town(seed=2)
    friend = whole.viewers[1].account
    share = storage.Split(friend, 333_333)
    for town in (whole, pieces):
        made = {"stream_id": 8, "title": b"", "price": 7, "splits": (share,)}
        town.do(town.creator, "create_stream", operator=town.operator.account, **made)
        joined = {"stream_id": 8, "max_spend": UNIT, "max_price": 10, "duration": 3600}
        town.do(town.viewers[0], "join_with_caps", **joined)

    def entry(town: Town, ticks: int):
        one = town.entry(0, ticks)
        return replace(one, key=replace(one.key, stream=type(one.key.stream)(int=8)))

    settle(whole, 1, entry(whole, 50))
    for seq, ticks in enumerate((1, 3, 4, 29, 50), 1):
        settle(pieces, seq, entry(pieces, ticks))

    paid = [town.state.get(storage.credit_key(friend)).pending for town in (whole, pieces)]
    assert paid == [50 * 7 * 333_333 // 1_000_000] * 2


def test_credit_matures_in_two_notice_periods():
    """What is earned now can be drawn after one to two notices."""
    at = tables.CREDIT_NOTICE_S

    assert rolled(Credit(1, 2, 3, 5), 6 * at) == Credit(4, 0, 2, 6)
    assert rolled(Credit(1, 2, 3, 5), 7 * at) == Credit(6, 0, 0, 7)
    assert rolled(Credit(1, 2, 3, 5), 5 * at + at - 1) == Credit(1, 2, 3, 5)


def test_an_operator_who_comes_back_goes_on_from_its_last_number():
    """A number that is used stays used."""
    town = make_town()
    settle(town, 1, town.entry(0, 1))
    town.do(town.operator, "deregister_operator")
    wait(town, tables.WITHDRAW_NOTICE_S)
    town.do(town.operator, "release_bond")
    town.do(town.operator, "register_operator")

    found: Operator = town.state.get(storage.operator_key(town.operator.account))
    assert (found.active, found.last_seq, found.bond) == (True, 1, tables.OPERATOR_BOND)


def test_a_call_that_fails_takes_back_all_it_wrote():
    """Nothing of half a call stays: only the nonce and the fee."""
    town = make_town()
    before = town.state.get(storage.escrow_key(town.operator.account, town.viewers[0].account))

    town.do(town.viewers[0], "deposit", operator=town.operator.account, amount=10**6 * UNIT)

    after = town.state.get(storage.escrow_key(town.operator.account, town.viewers[0].account))
    assert after == before
    assert town.state.account(town.viewers[0].account).nonce == 3


def test_calls_read_back_what_they_wrote():
    """Every call of the table is decoded to itself."""
    town = make_town()
    for name, shape in tables.TICK_STREAM_CALLS.items():
        arguments = {
            field: _some(codec) for field, codec in shape.arguments.items() if field != "entries"
        }
        if "entries" in shape.arguments:
            arguments["entries"] = ()
        call = of_stream(name, **arguments)
        reader = tables.scale.Reader(call.encode())

        assert tables.Call.read(reader) == call
        reader.end()
    assert town.world.forks.head.number > 0


def _some(codec):
    for value in (5, b"v" * 32, b"title", True, ()):
        try:
            codec.encode(value)
        except Exception:  # noqa: BLE001, S112 -- looking for one that fits
            continue
        return value
    raise AssertionError
