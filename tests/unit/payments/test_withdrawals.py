"""What people take out: only what a provider brought, to the payment it came from, once."""

import pytest

from mediaserver.payments import comparison, orders, refunds, withdrawals
from mediaserver.payments.records import PaymentStatus, Refund, Withdrawal
from metering.errors import IdempotencyConflictError, InvalidValueError
from metering.units import Planck
from tests.support.payments_fixture import PLANCK, back, make_order, make_payments, paid, take

START = 10**12
PERSON = "ab12"


@pytest.fixture
def fixture():
    """A gift, and two payments of ten and of three euros, the younger one last."""
    made = make_payments()
    for amount, payment in ((1000, "p1"), (300, "p2")):
        take(made, paid(make_order(made, amount), f"e {payment}", payment))
    return made


def there(fixture) -> int:
    assert fixture.book.ledger.unbalanced() == []
    with fixture.book.together() as connection:
        assert comparison.compare(fixture.book, connection).differences == ()
    return (fixture.book.deposits.total(fixture.accounts[0]) - START) // PLANCK


def sources(fixture, currency: str = "EUR", names: tuple[str, ...] = ("webhook",)):
    with fixture.book.viewing() as connection:
        of = withdrawals.sources(connection, fixture.accounts[0], currency, names)
        return [(order.payment, left) for order, left in of]


def withdraw(fixture, amount: int, key: str = "k") -> list[Refund]:
    with fixture.book.together() as connection:
        of = withdrawals.sources(connection, fixture.accounts[0], "EUR", ["webhook"])
        parts = withdrawals.split(of, amount)
        planck = withdrawals.planck_of(parts)
        account, name = fixture.accounts[0], orders.new_id()
        wanted = Withdrawal(name, account, PERSON, amount, "EUR", planck, key, 5)
        return withdrawals.make(fixture.book, connection, wanted, parts)


def test_gifts_and_the_demos_credit_never_go_out(fixture) -> None:
    """Nor what came in another currency, or by a provider that is here no more."""
    order = make_order(fixture, provider="demo", currency="EUR")
    take(fixture, paid(order, "e demo", "p3"), provider="demo")

    assert sources(fixture) == [("p2", 300), ("p1", 1000)]
    assert sources(fixture, names=("webhook", "demo")) == [("p2", 300), ("p1", 1000)]
    assert sources(fixture, currency="USD") == []
    assert sources(fixture, names=()) == []
    with pytest.raises(InvalidValueError, match="is not in 1 to 1300"):
        withdraw(fixture, 1301)
    with pytest.raises(InvalidValueError, match="is not in 1 to 1300"):
        withdraw(fixture, 0)


def test_it_goes_to_the_payments_that_it_came_from_the_youngest_first(fixture) -> None:
    parts = withdraw(fixture, 500)

    assert [part.amount for part in parts] == [300, 200]
    assert (there(fixture), sources(fixture)) == (800, [("p1", 800)])
    with fixture.book.viewing() as connection:
        rows = connection.exec_driver_sql(
            "SELECT kind, reference FROM deposit_returns ORDER BY number"
        )
        names = [(row.kind, row.reference) for row in rows]
        ((item, shown),) = withdrawals.of_person(connection, PERSON, limit=5)
    assert names == [("withdrawal", f"webhook:{part.id}") for part in parts]
    assert (item.amount, item.planck, shown) == (500, 500 * PLANCK, parts)


def test_what_went_back_already_does_not_go_out_again(fixture) -> None:
    take(fixture, back("p1", PaymentStatus.DISPUTED, 1000, "dp_1"))
    take(fixture, back("p2", PaymentStatus.REFUNDED, 100, "re_1"))

    assert sources(fixture) == [("p2", 200)]
    withdraw(fixture, 200)
    assert (there(fixture), sources(fixture)) == (0, [])


def test_a_part_that_fails_at_the_bank_is_in_the_account_again(fixture) -> None:
    (first, second) = withdraw(fixture, 500)

    take(fixture, back("p1", PaymentStatus.REFUND_FAILED, 200, second.id))

    assert there(fixture) == 1000
    with fixture.book.viewing() as connection:
        ((_, shown),) = withdrawals.of_person(connection, PERSON, limit=5)
        assert [part.state.value for part in shown] == ["asked", "refused"]
        assert refunds.get(connection, first.id).amount == 300


def test_one_key_is_one_withdrawal(fixture) -> None:
    withdraw(fixture, 100)
    with fixture.book.viewing() as connection:
        known = withdrawals.known_by(connection, PERSON, "k", 100)
        assert known is not None
        assert withdrawals.known_by(connection, PERSON, "k2", 100) is None
        assert withdrawals.known_by(connection, "cd34", "k", 100) is None
        with pytest.raises(IdempotencyConflictError, match="a withdrawal of 100"):
            withdrawals.known_by(connection, PERSON, "k", 101)


def test_what_is_left_less_than_planned_is_booked_not_at_all(fixture) -> None:
    """As when a chargeback comes between the plan and the book."""
    with fixture.book.viewing() as connection:
        of = withdrawals.sources(connection, fixture.accounts[0], "EUR", ["webhook"])
    parts = withdrawals.split(of, 1300)
    take(fixture, back("p1", PaymentStatus.DISPUTED, 1000, "dp_1"))
    account, planck = fixture.accounts[0], Planck(1300 * PLANCK)
    wanted = Withdrawal(orders.new_id(), account, PERSON, 1300, "EUR", planck, "k", 5)

    with pytest.raises(InvalidValueError), fixture.book.together() as connection:
        withdrawals.make(fixture.book, connection, wanted, parts)

    assert there(fixture) == 300
    with fixture.book.viewing() as connection:
        assert withdrawals.of_person(connection, PERSON, limit=5) == []


def test_pages_follow_each_other(fixture) -> None:
    for number in range(5):
        withdraw(fixture, 10, f"k{number}")
    with fixture.book.viewing() as connection:
        first = withdrawals.of_person(connection, PERSON, limit=3)
        rest = withdrawals.of_person(connection, PERSON, limit=3, before=first[-1][0].id)
    keys = [item.idempotency_key for item, _ in first + rest]
    assert keys == ["k4", "k3", "k2", "k1", "k0"]


def test_parts_that_are_not_the_whole_are_named(fixture) -> None:
    withdraw(fixture, 100)
    with fixture.book.together() as connection:
        connection.exec_driver_sql("UPDATE payment_withdrawals SET planck = '7'")
        differences = comparison.compare(fixture.book, connection).differences
    assert [item.endswith("is not the sum of its parts") for item in differences] == [True]
