"""Earnings go out: never more than is available, one at a time, each once."""

from dataclasses import replace

import pytest

from mediaserver.payments import comparison, orders, payouts
from mediaserver.payments.payouts import Currency, PayoutStateError
from mediaserver.payments.records import Payout, PayoutState
from mediaserver.payments.settings import PaymentsSettings
from metering.book.postings import post
from metering.errors import IdempotencyConflictError, InvalidValueError, UnknownNameError
from metering.model.ledger import Holder, Posting, Role, Settled, settlement_postings
from metering.units import Asset, Planck
from tests.support.payments_fixture import PLANCK, make_payments

EURO = Currency("EUR", 2, PLANCK)
IBAN = "DE89 3704 0044 0532 0130 00"
SETTLED_MS = 1000


@pytest.fixture
def fixture():
    """A stream that earned ten euros for its creator, and a ninth as much for the platform."""
    made = make_payments()
    settle(made, 1000 * PLANCK * 10 // 9 + 10, SETTLED_MS, "1")
    return made


def settle(fixture, planck: int, at_ms: int, reference: str) -> None:
    """Post a batch of one tick at this price."""
    stream = fixture.stream
    item = Settled(fixture.key(), 0, 1, Planck(planck), stream.platform_fee_ppm, stream.creator)
    with fixture.book.together() as connection:
        post(connection, "settlement", reference, at_ms, settlement_postings([item]))


def state(fixture, matured_ms: int = SETTLED_MS):
    with fixture.book.viewing() as connection:
        asked = payouts.asked_for(connection, fixture.stream.id)
    return fixture.book.payouts.earnings(fixture.stream, asked, matured_ms)


def ask(fixture, planck: int = 0, key: str = "k", matured_ms: int = SETTLED_MS, **changed):
    draft = Payout(
        id=orders.new_id(),
        stream=fixture.stream.id,
        planck=Planck(planck),
        amount=0,
        currency="EUR",
        currency_decimals=2,
        payee="Ann Creator",
        bank_account=IBAN,
        state=PayoutState.REQUESTED,
        reference=None,
        why="",
        made_by="person:ann",
        idempotency_key=key,
        created_ms=5,
        decided_ms=None,
        paid_ms=None,
    )
    with fixture.book.together() as connection:
        wanted = replace(draft, **changed)
        stream = fixture.stream
        return payouts.ask(fixture.book, connection, stream, wanted, EURO, matured_ms)


def approve(fixture, payout: str):
    with fixture.book.together() as connection:
        return payouts.approve(fixture.book, connection, payout, SETTLED_MS, 6)


def pay(fixture, payout: str, reference: str = "bank 1"):
    with fixture.book.together() as connection:
        return payouts.pay(fixture.book, connection, payout, reference, 7)


def refuse(fixture, payout: str, why: str = "no such account"):
    with fixture.book.together() as connection:
        return payouts.refuse(fixture.book, connection, payout, why, 6)


def differences(fixture):
    assert fixture.book.ledger.unbalanced() == []
    with fixture.book.together() as connection:
        return comparison.compare(fixture.book, connection).differences


def test_what_was_settled_matures_and_goes_out_once(fixture) -> None:
    young = state(fixture, SETTLED_MS - 1)
    assert (young.available, young.maturing) == (0, 1000 * PLANCK + 9)
    with pytest.raises(
        InvalidValueError,
        match="cannot be paid out: 0 planck are available of talks, 10000009 mature",
    ):
        ask(fixture, matured_ms=SETTLED_MS - 1)

    made, is_new = ask(fixture)
    assert (is_new, made.planck, made.amount) == (True, 1000 * PLANCK, 1000)  # whole cents
    assert ask(fixture) == (made, False)
    assert (state(fixture).available, state(fixture).asked) == (9, 1000 * PLANCK)
    approved, is_new = approve(fixture, made.id)
    assert (approved.state, is_new, approve(fixture, made.id)[1]) == ("approved", True, False)
    assert state(fixture).paid_out == 0
    paid, is_new = pay(fixture, made.id)
    assert (paid.state, paid.reference, is_new) == ("paid", "bank 1", True)
    assert pay(fixture, made.id) == (paid, False)
    left = state(fixture)
    assert (left.available, left.asked, left.paid_out, left.debt) == (9, 0, 1000 * PLANCK, 0)
    assert differences(fixture) == ()


def test_never_more_than_is_available_and_one_at_a_time(fixture) -> None:
    with pytest.raises(InvalidValueError, match="is not in 10000 to 10000000"):
        ask(fixture, 1001 * PLANCK)
    with pytest.raises(InvalidValueError, match="is not a multiple of 10000"):
        ask(fixture, PLANCK + 1)
    made, _ = ask(fixture, 300 * PLANCK)
    for _ in range(2):
        with pytest.raises(PayoutStateError, match="one at a time"):
            ask(fixture, PLANCK, "k2")
        if made.state is PayoutState.REQUESTED:
            made, _ = approve(fixture, made.id)
    pay(fixture, made.id)
    with pytest.raises(InvalidValueError, match="is not in 10000 to 7000000"):
        ask(fixture, 701 * PLANCK, "k2")
    assert ask(fixture, key="k2")[0].amount == 700


def test_refused_it_is_available_again(fixture) -> None:
    made, _ = ask(fixture)
    refused, is_new = refuse(fixture, made.id)
    assert (refused.state, refused.why, is_new) == ("refused", "no such account", True)
    assert refuse(fixture, made.id) == (refused, False)
    assert state(fixture).available == 1000 * PLANCK + 9
    with pytest.raises(PayoutStateError, match="is refused: no such account"):
        approve(fixture, made.id)
    with pytest.raises(PayoutStateError, match="has to be approved"):
        pay(fixture, made.id)
    assert ask(fixture, key="k2")[1]


def test_it_is_paid_only_when_it_was_approved_and_by_one_reference(fixture) -> None:
    made, _ = ask(fixture)
    with pytest.raises(PayoutStateError, match="is requested; it has to be approved"):
        pay(fixture, made.id)
    approve(fixture, made.id)
    pay(fixture, made.id)
    with pytest.raises(PayoutStateError, match="is paid by reference bank 1"):
        pay(fixture, made.id, "bank 2")
    with pytest.raises(PayoutStateError, match="is paid"):
        refuse(fixture, made.id)
    with pytest.raises(UnknownNameError):
        pay(fixture, "ab" * 16)
    assert state(fixture).paid_out == 1000 * PLANCK


def test_one_key_is_one_payout(fixture) -> None:
    made, _ = ask(fixture, 300 * PLANCK)
    with pytest.raises(IdempotencyConflictError, match="another payout"):
        ask(fixture, 301 * PLANCK)
    for changed in ({"bank_account": "12345678"}, {"payee": "Eve"}):
        with pytest.raises(IdempotencyConflictError, match="another payout"):
            ask(fixture, 300 * PLANCK, "k", SETTLED_MS, **changed)
    assert ask(fixture, 300 * PLANCK) == (made, False)


def test_what_went_back_since_is_not_approved_and_paid_it_is_a_debt(fixture) -> None:
    """As when seconds are given back that a payout was asked of."""
    made, _ = ask(fixture)
    _give_back(fixture, 400 * PLANCK, "bad 1")
    with pytest.raises(PayoutStateError, match="3999991 of that are not available any more"):
        approve(fixture, made.id)
    refuse(fixture, made.id)

    made, _ = ask(fixture, key="k2")
    assert made.amount == 600
    approve(fixture, made.id)
    _give_back(fixture, 100 * PLANCK, "bad 2")
    pay(fixture, made.id)  # the bank has paid already
    assert (state(fixture).available, state(fixture).debt) == (0, 100 * PLANCK - 9)
    with pytest.raises(InvalidValueError):
        ask(fixture, key="k3")


def _give_back(fixture, planck: int, reference: str) -> None:
    creator = Holder(Role.CREATOR, fixture.stream.creator, fixture.stream.id)
    viewer = Holder(Role.VIEWER, fixture.accounts[0])
    lines = (Posting(creator, Planck(-planck)), Posting(viewer, Planck(planck)))
    with fixture.book.together() as connection:
        post(connection, "seconds_back", reference, 8, lines)


def test_pages_states_and_what_a_bank_is_to_pay(fixture) -> None:
    for number in range(3):
        made, _ = ask(fixture, 10 * PLANCK, f"k{number}")
        approve(fixture, made.id)
        if number < 2:
            pay(fixture, made.id)
    with fixture.book.viewing() as connection:
        first = payouts.page(connection, limit=2)
        rest = payouts.page(connection, limit=2, before=first[-1].id, stream=fixture.stream.id)
        paid = payouts.page(connection, limit=9, state=PayoutState.PAID)
        due = payouts.approved(connection)
    assert [item.idempotency_key for item in first + rest] == ["k2", "k1", "k0"]
    assert [item.idempotency_key for item in paid] == ["k1", "k0"]
    assert [item.id for item in due] == [made.id]


def test_a_payout_that_only_one_side_has_is_named(fixture) -> None:
    made, _ = ask(fixture)
    approve(fixture, made.id)
    pay(fixture, made.id)
    with fixture.book.together() as connection:
        connection.exec_driver_sql("UPDATE creator_payouts SET planck = '7'")
    assert differences(fixture) == (
        f"payout {made.id} is paid 10000000 planck, and the book has 7",
    )


def test_a_payout_is_booked_once_whole(fixture) -> None:
    book, stream = fixture.book, fixture.stream
    assert book.payouts.add("p", stream, Planck(5), 1)
    assert not book.payouts.add("p", stream, Planck(5), 2)
    with pytest.raises(IdempotencyConflictError, match="another content"):
        book.payouts.add("p", stream, Planck(6), 2)
    with pytest.raises(InvalidValueError, match="must be above 0"):
        book.payouts.add("q", stream, Planck(0), 2)


@pytest.mark.parametrize(
    ("payee", "account", "fault"),
    [
        ("Ann", IBAN, ""),
        ("Åsa Öberg", "HDFC0001234 / 50100", ""),
        ("Ann", "DE89 3704 0044 0532 0130 01", "check digits"),
        ("=cmd()", IBAN, "payee"),
        ("", IBAN, "payee"),
        ("A" * 71, IBAN, "payee"),
        ("Ann", "=1+1", "bank_account"),
        ("Ann", "abc 123", "bank_account"),
        ("Ann", "12", "bank_account"),
    ],
)
def test_whom_a_bank_pays_is_checked(payee, account, fault) -> None:
    faults = payouts.bank_faults(payee, account)
    assert (fault in "".join(faults)) if fault else not faults


def test_it_is_paid_in_the_money_that_comes_in() -> None:
    settings = PaymentsSettings(planck_per_minor_unit="10000")
    assert payouts.currency_of(settings, Asset("EURO", 6)) == EURO
    assert payouts.currency_of(PaymentsSettings(), Asset("UNIT", 12)) == Currency("UNIT", 12, 1)
    assert [payouts.decimal_text(7, 2), payouts.decimal_text(1230, 2)] == ["0.07", "12.30"]
    assert payouts.decimal_text(5, 0) == "5"
