"""A provider's notices: each is kept once, and books what it pays, once."""

from dataclasses import replace

import pytest

from mediaserver.payments import inbox, orders
from mediaserver.payments.records import OrderState, Outcome, PaymentStatus
from metering.errors import IdempotencyConflictError, InvalidValueError
from metering.units import AccountId, Planck
from tests.support.payments_fixture import PLANCK, an_order, make_order, make_payments, paid, take

START = 10**12


@pytest.fixture
def fixture():
    return make_payments()


def deposited(fixture) -> int:
    return fixture.book.deposits.total(fixture.accounts[0]) - START


def kept(fixture):
    with fixture.book.viewing() as connection:
        return inbox.page(connection, limit=100)


def test_what_is_paid_is_in_the_book_at_the_rate_of_the_order(fixture) -> None:
    order = make_order(fixture)

    taken = take(fixture, paid(order))

    assert (taken.outcome, taken.account) == (Outcome.BOOKED, order.account)
    assert deposited(fixture) == 1000 * PLANCK
    with fixture.book.viewing() as connection:
        now = orders.get(connection, order.id)
    assert (now.state, now.payment, now.paid_ms) == (OrderState.PAID, "p1", 5)
    assert fixture.book.ledger.unbalanced() == []


def test_the_same_notice_again_is_answered_as_the_first_was(fixture) -> None:
    order = make_order(fixture)
    first = take(fixture, paid(order))

    assert take(fixture, paid(order)) == first
    assert deposited(fixture) == 1000 * PLANCK
    assert len(kept(fixture)) == 1


def test_another_notice_of_the_same_payment_books_nothing(fixture) -> None:
    order = make_order(fixture)
    take(fixture, paid(order))

    taken = take(fixture, paid(order, event="e2"))

    assert (taken.outcome, taken.account) == (Outcome.REPEATED, order.account)
    assert deposited(fixture) == 1000 * PLANCK


def test_an_id_that_comes_with_other_content_is_refused(fixture) -> None:
    """A sender that numbers each notice 1 loses none in silence."""
    order = make_order(fixture)
    take(fixture, paid(order))

    with pytest.raises(IdempotencyConflictError, match="'e1' came before"):
        take(fixture, paid(make_order(fixture), payment="p2"))

    assert len(kept(fixture)) == 1


@pytest.mark.parametrize(
    ("changed", "outcome", "words"),
    [
        ({"amount": 999}, Outcome.WRONG_AMOUNT, "999 was paid"),
        ({"amount": 100_000}, Outcome.WRONG_AMOUNT, "an order of 1000"),
        ({"amount": None}, Outcome.WRONG_AMOUNT, "None was paid"),
        ({"currency": "USD"}, Outcome.WRONG_CURRENCY, "an order in EUR"),
        ({"is_live": False}, Outcome.TEST_MODE, "takes real money"),
        ({"order": "0" * 32}, Outcome.UNKNOWN_ORDER, "there is no order 0000"),
        ({"order": ""}, Outcome.NOT_OURS, ""),
        ({"status": PaymentStatus.FAILED}, Outcome.KEPT, ""),
        ({"status": PaymentStatus.REFUNDED}, Outcome.KEPT, ""),
    ],
)
def test_what_does_not_fit_the_order_is_kept_with_its_reason(
    fixture, changed, outcome, words
) -> None:
    taken = take(fixture, replace(paid(make_order(fixture)), **changed))

    assert (taken.outcome, taken.account) == (outcome, None)
    assert words in taken.detail
    assert deposited(fixture) == 0
    assert [item.outcome for item in kept(fixture)] == [outcome]


def test_an_order_that_is_paid_twice_is_booked_once(fixture) -> None:
    order = make_order(fixture)
    take(fixture, paid(order))

    taken = take(fixture, paid(order, event="e2", payment="p2"))

    assert taken.outcome is Outcome.PAID_TWICE
    assert "give payment p2 back" in taken.detail
    assert deposited(fixture) == 1000 * PLANCK


def test_a_payment_pays_one_order(fixture) -> None:
    order, other = make_order(fixture), make_order(fixture)
    take(fixture, paid(order))

    assert take(fixture, paid(other, event="e2")).outcome is Outcome.OTHER_ORDER
    assert deposited(fixture) == 1000 * PLANCK


def test_a_provider_pays_its_own_orders(fixture) -> None:
    order = make_order(fixture)

    assert take(fixture, paid(order), provider="stripe").outcome is Outcome.OTHER_PROVIDER
    assert deposited(fixture) == 0


def test_what_the_book_does_not_take_is_kept_and_nothing_of_it_is_booked(fixture) -> None:
    """As where somebody booked a deposit by the same key before."""
    order = make_order(fixture)
    fixture.book.deposits.add(order.account, Planck(1), inbox.deposit_key("webhook", "p1"), "", 1)

    taken = take(fixture, paid(order))

    assert taken.outcome is Outcome.REFUSED
    assert "idempotency key" in taken.detail
    assert deposited(fixture) == 1
    with fixture.book.viewing() as connection:
        assert orders.get(connection, order.id).state is OrderState.OPEN


def test_one_key_makes_one_order(fixture) -> None:
    first = make_order(fixture, person="ab", idempotency_key="k")

    assert make_order(fixture, person="ab", idempotency_key="k", created_ms=9) == first
    assert make_order(fixture, person="cd", idempotency_key="k").id != first.id
    with pytest.raises(IdempotencyConflictError, match="another top-up"):
        make_order(fixture, 2000, person="ab", idempotency_key="k")


def test_nobody_leaves_orders_without_end(fixture) -> None:
    for _ in range(orders.OPEN_PER_HOUR_MAX):
        order = make_order(fixture)
    with pytest.raises(InvalidValueError, match="not paid"):
        make_order(fixture)

    take(fixture, paid(order))
    make_order(fixture)
    make_order(fixture, created_ms=orders.HOUR_MS + 2)


def test_pages_follow_each_other(fixture) -> None:
    made = [make_order(fixture, person="ab").id for _ in range(5)]
    with fixture.book.together() as connection:
        orders.make(connection, an_order(AccountId(b"o" * 32)))
    with fixture.book.viewing() as connection:
        first = orders.page(connection, limit=3, person="ab")
        rest = orders.page(connection, limit=3, person="ab", before=first[-1].id)
        assert orders.page(connection, limit=3, before="nothing") == []
        assert orders.page(connection, limit=9, state=OrderState.PAID) == []
    assert [order.id for order in first + rest] == made[::-1]
