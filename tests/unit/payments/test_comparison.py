"""What reconciling says of orders, notices and deposits."""

from dataclasses import replace

import pytest
from sqlalchemy import text

from mediaserver.payments import comparison, inbox
from mediaserver.payments.records import PaymentStatus
from metering.units import Planck
from tests.support.payments_fixture import PLANCK, back, make_order, make_payments, paid, take


@pytest.fixture
def fixture():
    return make_payments()


def compare(fixture) -> comparison.Comparison:
    with fixture.book.together() as connection:
        return comparison.compare(fixture.book, connection)


def change(fixture, statement: str) -> None:
    with fixture.book.together() as connection:
        connection.execute(text("PRAGMA defer_foreign_keys=ON"))
        connection.execute(text(statement))


def test_what_agrees_has_no_difference(fixture) -> None:
    """Neither what is open, nor test money, nor other people's sales through the same provider."""
    order = make_order(fixture)
    take(fixture, paid(order))
    take(fixture, paid(order, event="e2"))
    take(fixture, replace(paid(make_order(fixture), "e3", "p3"), is_live=False))
    take(fixture, replace(paid(order, "e4", "p4"), order=""))
    take(fixture, replace(paid(order, "e5", "p5"), status=PaymentStatus.FAILED))

    assert compare(fixture) == comparison.Comparison(1, Planck(1000 * PLANCK), Planck(0), ())


def test_a_payment_that_the_book_has_not_is_named_until_it_is_given_back(fixture) -> None:
    order = make_order(fixture)
    take(fixture, paid(order))
    take(fixture, paid(order, "e2", "p2"))
    take(fixture, paid(order, "e3", "p2"))

    assert compare(fixture).differences == (
        "webhook was paid 1000 EUR by payment p2, and the book has not: paid-twice, notice 3",
    )
    take(fixture, replace(paid(order, "e4", "p2"), status=PaymentStatus.REFUNDED, amount=999))
    assert len(compare(fixture).differences) == 1
    take(fixture, replace(paid(order, "e5", "p2"), status=PaymentStatus.REFUNDED))
    assert compare(fixture).differences == ()


def test_a_wrong_notice_that_a_right_one_follows_is_no_difference(fixture) -> None:
    order = make_order(fixture)
    take(fixture, replace(paid(order, "e1"), amount=1))
    assert len(compare(fixture).differences) == 1

    take(fixture, paid(order, "e2"))

    assert compare(fixture).differences == ()


def test_a_paid_order_without_its_deposit_is_named(fixture) -> None:
    order = make_order(fixture)
    take(fixture, paid(order))

    change(fixture, "UPDATE deposits SET planck = '7' WHERE idempotency_key = 'payment:webhook:p1'")
    assert [
        line.startswith(f"order {order.id} is 10000000 planck")
        for line in (compare(fixture).differences)
    ] == [True]
    change(fixture, "DELETE FROM deposits WHERE idempotency_key = 'payment:webhook:p1'")
    assert compare(fixture).differences == (
        f"order {order.id} is paid, and the book has no deposit payment:webhook:p1",
    )


def test_a_deposit_without_its_order_is_named(fixture) -> None:
    account = fixture.accounts[0]
    fixture.book.deposits.add(account, Planck(5), inbox.deposit_key("stripe", "pi_9"), "", 1)

    assert compare(fixture).differences == (
        "the book has a deposit payment:stripe:pi_9, and no order is paid by it",
    )


def test_what_went_back_is_compared_with_the_book(fixture) -> None:
    """A posting that somebody changed, or that is missing, is named."""
    order = make_order(fixture)
    take(fixture, paid(order))
    take(fixture, back("p1", PaymentStatus.REFUNDED, 300, "re_1"))
    take(fixture, back("p1", PaymentStatus.DISPUTED, 200, "dp_1"))
    assert compare(fixture) == comparison.Comparison(
        1, Planck(1000 * PLANCK), Planck(500 * PLANCK), ()
    )

    change(fixture, "DELETE FROM deposit_returns WHERE reference = 'webhook:dp_1'")
    assert compare(fixture).differences == (
        f"of order {order.id}, payment p1, 5000000 planck went back, and the book has 3000000",
    )


def test_what_went_back_and_could_not_be_taken_is_named_until_it_is_set_right(fixture) -> None:
    order = make_order(fixture)
    take(fixture, paid(order))
    wrong = back("p1", PaymentStatus.DISPUTED, 300, "dp_1")
    take(fixture, replace(wrong, currency="USD", event="e7"))
    (difference,) = compare(fixture).differences
    assert difference == (
        "webhook told that 300 USD of payment p1 is disputed, and the book has not: "
        "wrong-currency, notice 2"
    )

    take(fixture, wrong)

    assert compare(fixture).differences == ()


def test_a_dispute_of_what_was_given_back_already_is_named_until_it_is_won(fixture) -> None:
    """The bank takes from the operator what the payer has: the deposit has nothing more to give."""
    take(fixture, paid(make_order(fixture)))
    assert take(fixture, back("p1", PaymentStatus.REFUNDED, 1000, "re_1")).detail == ""
    assert compare(fixture).differences == ()

    disputed = take(fixture, back("p1", PaymentStatus.DISPUTED, 1000, "dp_1"))

    assert "2000 are refunded or disputed" in disputed.detail
    (difference,) = compare(fixture).differences
    assert "of payment p1 over 1000 minor units of EUR, 2000 are" in difference
    assert take(fixture, back("p1", PaymentStatus.WON, 1000, "dp_1")).detail == ""
    assert compare(fixture).differences == ()


def test_a_lost_dispute_of_what_was_given_back_is_a_settled_loss_and_no_difference(fixture) -> None:
    """What nobody can change is not an alarm each night; what is still open is."""
    order = make_order(fixture)
    take(fixture, paid(order))
    take(fixture, back("p1", PaymentStatus.REFUNDED, 700, "re_1"))
    take(fixture, back("p1", PaymentStatus.DISPUTED, 1000, "dp_1"))
    assert (len(compare(fixture).differences), compare(fixture).losses) == (1, ())

    take(fixture, back("p1", PaymentStatus.LOST, 1000, "dp_1"))

    report = compare(fixture)
    assert report.differences == ()
    (loss,) = report.losses
    assert loss == (
        f"order {order.id}: payment p1 was given back and its dispute is lost: 700 minor units of "
        "EUR above the payment are a loss, and settled"
    )
    take(fixture, back("p1", PaymentStatus.DISPUTED, 900, "dp_2"))
    assert ("2600 are refunded" in compare(fixture).differences[0], compare(fixture).losses) == (
        True,
        (),
    )
    for dispute, amount in (("dp_1", 1000), ("dp_2", 900)):
        take(fixture, back("p1", PaymentStatus.WON, amount, dispute))
    assert (compare(fixture).differences, compare(fixture).losses) == ((), ())


def test_a_lost_dispute_that_was_not_taken_settles_nothing(fixture) -> None:
    take(fixture, paid(make_order(fixture)))
    take(fixture, back("p1", PaymentStatus.REFUNDED, 1000, "re_1"))
    take(fixture, back("p1", PaymentStatus.DISPUTED, 1000, "dp_1"))

    assert take(fixture, back("p1", PaymentStatus.LOST, 900, "dp_1")).outcome == "wrong-amount"

    assert compare(fixture).losses == ()
    assert compare(fixture).differences
