"""Money that goes back: by the provider's word, or by ours, each once, in any order."""

import asyncio
from dataclasses import replace

import pytest

from mediaserver.payments import comparison, orders, refunding, refunds
from mediaserver.payments.provider import ProviderAwayError, RefundRefusedError
from mediaserver.payments.records import Order, Outcome, PaymentStatus, Refund, RefundState
from mediaserver.payments.service import Payments
from mediaserver.payments.settings import PaymentsSettings
from metering.book.async_book import AsyncBook
from metering.errors import IdempotencyConflictError, InvalidValueError
from tests.support.payments_fixture import (
    PLANCK,
    a_refund,
    back,
    make_order,
    make_payments,
    paid,
    take,
)

S = PaymentStatus
START = 10**12


class OneProvider:
    """A provider called `webhook` that answers refunds as it is told to."""

    name, is_live = "webhook", True

    def __init__(self) -> None:
        self.answer: str | Exception | None = "re_1"
        self.asked: list[str] = []

    async def give_back(self, order: Order, refund: Refund) -> str | None:
        assert order.id == refund.order
        self.asked.append(refund.id)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def fixture():
    made = make_payments()
    take(made, paid(make_order(made)))
    return made


@pytest.fixture
def provider() -> OneProvider:
    return OneProvider()


@pytest.fixture
def payments(fixture, provider) -> Payments:
    book = AsyncBook(fixture.book)
    return Payments(book, PaymentsSettings(), (provider,), demo_planck=0, symbol="EUR", decimals=6)


def there(fixture) -> int:
    """Return how many cents of the payment are in the account."""
    assert fixture.book.ledger.unbalanced() == []
    assert sum(fixture.book.ledger.balances().values()) == 0
    return (fixture.book.deposits.total(fixture.accounts[0]) - START) // PLANCK


def send(payments: Payments, refund: Refund, now_ms: int) -> Refund:
    return asyncio.run(refunding.send(payments, refund, now_ms))


async def one_change(payments: Payments) -> object:
    """Ask until a provider refuses; return whose money is there again."""
    changed = asyncio.Queue[object]()
    task = asyncio.create_task(refunding.keep_asking(payments, lambda: 9, changed.put_nowait))
    account = await asyncio.wait_for(changed.get(), 20)
    task.cancel()
    return account


def kinds(fixture) -> list[str]:
    with fixture.book.viewing() as connection:
        rows = connection.exec_driver_sql(
            "SELECT kind, reference FROM deposit_returns ORDER BY number"
        )
        return [f"{row.kind} {row.reference}" for row in rows]


def the_order(fixture) -> Order:
    with fixture.book.viewing() as connection:
        return orders.page(connection, limit=1)[0]


def ask(fixture, amount: int = 300, **changed) -> Refund:
    wanted = a_refund(the_order(fixture).id, amount, account=fixture.accounts[0], **changed)
    with fixture.book.together() as connection:
        return refunding.make(fixture.book, connection, wanted)[0]


@pytest.mark.parametrize(
    ("notices", "left", "postings"),
    [
        ([(S.REFUNDED, 300, "re_1")], 700, ["refund webhook:re_1"]),
        ([(S.REFUNDED, 300, "")], 700, ["refund webhook:p1:300"]),
        # One by one and as their sum: Stripe tells both.
        ([(S.REFUNDED, 300, "re_1"), (S.REFUNDED, 300, "")], 700, ["refund webhook:re_1"]),
        ([(S.REFUNDED, 300, ""), (S.REFUNDED, 300, "re_1")], 700, ["refund webhook:p1:300"]),
        (
            [(S.REFUNDED, 300, "re_1"), (S.REFUND_FAILED, 300, "re_1")],
            *(1000, ["refund webhook:re_1", "refund_failed webhook:re_1"]),
        ),
        ([(S.REFUND_FAILED, 300, "re_1"), (S.REFUNDED, 300, "re_1")], 1000, []),
        ([(S.DISPUTED, 1000, "dp_1")], 0, ["chargeback webhook:dp_1"]),
        ([(S.DISPUTED, 1000, "dp_1"), (S.LOST, 1000, "dp_1")], 0, ["chargeback webhook:dp_1"]),
        (
            [(S.DISPUTED, 1000, "dp_1"), (S.WON, 1000, "dp_1")],
            *(1000, ["chargeback webhook:dp_1", "chargeback_won webhook:dp_1"]),
        ),
        ([(S.WON, 1000, "dp_1"), (S.DISPUTED, 1000, "dp_1")], 1000, []),
        ([(S.DISPUTED, 1000, "")], 0, ["chargeback webhook:p1"]),
        # No more than was paid.
        (
            [(S.REFUNDED, 700, "re_1"), (S.DISPUTED, 1000, "dp_1")],
            *(0, ["refund webhook:re_1", "chargeback webhook:dp_1"]),
        ),
    ],
)
def test_what_a_provider_tells_is_a_posting_that_says_why(fixture, notices, left, postings) -> None:
    heard = [back("p1", *notice) for notice in notices]
    for notice in heard + heard:
        take(fixture, notice)

    assert (there(fixture), kinds(fixture)) == (left, postings)


def test_what_we_ask_for_is_beside_a_sum_that_was_told_before(fixture) -> None:
    """That sum cannot hold it: its payer is not left with it in the account and at the bank."""
    take(fixture, back("p1", S.REFUNDED, 300, ""))

    mine = ask(fixture)
    assert there(fixture) == 400
    other = ask(fixture, 100, idempotency_key="k2")
    assert there(fixture) == 300

    # The provider tells of all of them, in either form, and what is told late by name.
    take(fixture, back("p1", S.REFUNDED, 300, mine.id))
    take(fixture, back("p1", S.REFUNDED, 300, "re_1"))
    take(fixture, back("p1", S.REFUNDED, 700, ""))
    assert there(fixture) == 300

    take(fixture, back("p1", S.REFUND_FAILED, 100, other.id))
    assert there(fixture) == 400
    with fixture.book.together() as connection:
        assert comparison.compare(fixture.book, connection).differences == ()


def test_a_notice_by_the_providers_id_of_what_was_said_to_be_done_is_the_same(fixture) -> None:
    """Debited twice, its payer would have lost what they were given back."""
    mine = ask(fixture)
    with fixture.book.together() as connection:
        assert refunds.decide(connection, mine.id, RefundState.DONE, 7, reference="bank-7")

    assert take(fixture, back("p1", S.REFUNDED, 300, "bank-7")).outcome is Outcome.REPEATED
    assert there(fixture) == 700

    take(fixture, back("p1", S.REFUND_FAILED, 300, "bank-7"))
    assert there(fixture) == 1000
    with fixture.book.viewing() as connection:
        assert refunds.get(connection, mine.id).state is RefundState.REFUSED


@pytest.mark.parametrize("is_told_first", [True, False])
def test_what_was_told_by_the_providers_id_before_it_was_said_to_be_done_is_one(
    fixture, is_told_first
) -> None:
    """Also where their sum was told, which holds it."""
    heard = [back("p1", S.REFUNDED, 300, "bank-7"), back("p1", S.REFUNDED, 300, "")]
    for notice in heard if is_told_first else []:
        take(fixture, notice)
    mine = ask(fixture)
    for notice in heard:
        take(fixture, notice)
    assert there(fixture) == 400

    for now_ms in (7, 8):
        with fixture.book.together() as connection:
            assert refunding.done(fixture.book, connection, mine, "bank-7", now_ms) is (now_ms == 7)
    for notice in heard:
        take(fixture, replace(notice, event=f"{notice.event}-again"))
    assert there(fixture) == 700
    with fixture.book.together() as connection:
        assert comparison.compare(fixture.book, connection).differences == ()

    take(fixture, back("p1", S.REFUND_FAILED, 300, "bank-7"))
    assert there(fixture) == 1000
    with fixture.book.viewing() as connection:
        assert refunds.get(connection, mine.id).state is RefundState.REFUSED


@pytest.mark.parametrize(
    ("heard", "words"),
    [
        (back("p1", S.REFUNDED, 200, "x"), "was of 200"),
        (back("p1", S.REFUND_FAILED, 300, "x"), "failed"),
        (back("p2", S.REFUNDED, 300, "x"), "is of payment p2"),
    ],
)
def test_another_refund_is_not_said_to_be_this_one(fixture, heard, words) -> None:
    mine = ask(fixture)
    take(fixture, heard)
    left = there(fixture)
    with pytest.raises(InvalidValueError, match=words), fixture.book.together() as connection:
        refunding.done(fixture.book, connection, mine, "x", 7)
    with fixture.book.viewing() as connection:
        assert refunds.get(connection, mine.id).state is RefundState.ASKED
    assert there(fixture) == left


def test_what_never_was_is_not_beside_that_sum(fixture, payments, provider) -> None:
    take(fixture, back("p1", S.REFUNDED, 300, ""))
    mine = ask(fixture)
    ask(fixture, 100, idempotency_key="k2")
    provider.answer = RefundRefusedError("too old")

    send(payments, mine, 7)

    assert there(fixture) == 600


def test_what_was_given_back_by_hand_may_be_in_a_sum_that_was_told(fixture) -> None:
    take(fixture, back("p1", S.REFUNDED, 300, ""))
    ask(fixture, reference="re_1", state=RefundState.DONE)
    assert there(fixture) == 700


def test_what_is_told_before_the_payment_counts_once_that_comes(fixture) -> None:
    order = make_order(fixture)
    early = take(fixture, back("p2", S.REFUNDED, 400, "re_2"))
    assert (early.outcome, early.account) == (Outcome.KEPT, None)
    take(fixture, back("p2", S.DISPUTED, 600, "dp_2"))
    assert there(fixture) == 1000

    assert take(fixture, paid(order, "e2", "p2")).outcome is Outcome.BOOKED

    assert there(fixture) == 1000
    assert kinds(fixture) == ["refund webhook:re_2", "chargeback webhook:dp_2"]


@pytest.mark.parametrize(
    ("changed", "outcome", "words"),
    [
        ({"currency": "USD"}, Outcome.WRONG_CURRENCY, "USD went back"),
        ({"is_live": False}, Outcome.TEST_MODE, "takes real money"),
        ({"payment": "p9"}, Outcome.OTHER_ORDER, "re_1 is of payment p1"),
        ({"amount": 301}, Outcome.WRONG_AMOUNT, "was of 300 before, and is of 301"),
        ({"amount": None}, Outcome.KEPT, ""),
    ],
)
def test_what_does_not_fit_is_kept_with_its_reason(fixture, changed, outcome, words) -> None:
    first = back("p1", S.REFUNDED, 300, "re_1")
    take(fixture, first)

    taken = take(fixture, replace(first, event="e9", **changed))

    assert (taken.outcome, words in taken.detail) == (outcome, True)
    assert there(fixture) == 700


def test_a_refund_of_ours_is_booked_asked_and_done(fixture, payments, provider) -> None:
    refund = ask(fixture)
    assert (there(fixture), refund.state) == (700, RefundState.ASKED)
    assert ask(fixture) == refund

    done = send(payments, refund, 7)

    assert (done.state, done.reference, done.done_ms) == (RefundState.DONE, "re_1", 7)
    assert send(payments, done, 8) == done
    assert provider.asked == [refund.id]
    # The provider's own notices of it say nothing new.
    take(fixture, back("p1", S.REFUNDED, 300, refund.id))
    take(fixture, back("p1", S.REFUNDED, 300))
    assert (there(fixture), kinds(fixture)) == (700, [f"refund webhook:{refund.id}"])


def test_a_refund_that_the_provider_refuses_is_in_the_account_again(
    fixture, payments, provider
) -> None:
    refund = ask(fixture)
    provider.answer = RefundRefusedError("no such charge")

    ended = send(payments, refund, 7)

    assert (ended.state, ended.detail) == (RefundState.REFUSED, "no such charge")
    assert there(fixture) == 1000
    assert kinds(fixture)[1] == f"refund_failed webhook:{refund.id}"
    again = ask(fixture, 1000, idempotency_key="k2")
    assert (again.amount, there(fixture)) == (1000, 0)


@pytest.mark.parametrize("is_heard_first", [True, False])
def test_a_refund_that_was_made_and_failed_is_undone_once(
    fixture, payments, provider, is_heard_first
) -> None:
    """By the answer and by the notice, whichever comes first."""
    refund = ask(fixture)
    provider.answer = RefundRefusedError("its refund re_1 is failed", is_made=True)
    failed = back("p1", S.REFUND_FAILED, 300, refund.id)
    if is_heard_first:
        take(fixture, failed)
    send(payments, refund, 7)
    take(fixture, failed)

    assert there(fixture) == 1000
    with fixture.book.viewing() as connection:
        assert refunds.get(connection, refund.id).state is RefundState.REFUSED


def test_a_provider_that_is_away_is_asked_again_by_itself(fixture, payments, provider) -> None:
    """As is one that was not asked, because the process died before it could."""
    refund = ask(fixture)
    provider.answer = ProviderAwayError("away")
    assert send(payments, refund, 7) == refund
    provider.answer = RefundRefusedError("too late")

    assert asyncio.run(one_change(payments)) == fixture.accounts[0]
    assert there(fixture) == 1000


@pytest.mark.parametrize(
    "fault", [InvalidValueError("the book did not take it"), AttributeError("status")]
)
def test_one_that_cannot_be_asked_for_keeps_none_behind_it(
    fixture, payments, provider, fault
) -> None:
    ask(fixture)
    second = ask(fixture, 100, idempotency_key="k2")
    answers = [fault, RefundRefusedError("too late")]

    async def give_back(order: Order, refund: Refund) -> str | None:
        raise answers.pop(0)

    provider.give_back = give_back

    asyncio.run(one_change(payments))

    with fixture.book.viewing() as connection:
        assert refunds.get(connection, second.id).state is RefundState.REFUSED
    assert there(fixture) == 700


def test_what_is_given_back_by_hand_waits_for_word_of_it(fixture, payments, provider) -> None:
    refund = ask(fixture)
    provider.answer = None
    assert (send(payments, refund, 7)).state is RefundState.ASKED

    take(fixture, back("p1", S.REFUNDED, 300, refund.id))

    with fixture.book.viewing() as connection:
        assert refunds.get(connection, refund.id).state is RefundState.DONE
    assert there(fixture) == 700


def test_what_was_given_back_already_is_booked_by_the_providers_name(fixture) -> None:
    """And its notice, should it come, says nothing new."""
    refund = ask(fixture, reference="re_9", state=RefundState.DONE)
    take(fixture, back("p1", S.REFUNDED, 300, "re_9"))

    assert (refund.state, there(fixture)) == (RefundState.DONE, 700)
    assert kinds(fixture) == ["refund webhook:re_9"]


@pytest.mark.parametrize("amount", [0, -1, 701, 10**9])
def test_no_more_is_given_back_than_is_left(fixture, amount) -> None:
    ask(fixture, 300)
    with pytest.raises(InvalidValueError, match="is not in 1 to 700"):
        ask(fixture, amount, idempotency_key="k2")
    with pytest.raises(IdempotencyConflictError, match="used for another refund"):
        ask(fixture, 301)
    assert there(fixture) == 700


def test_what_is_not_paid_is_not_given_back(fixture) -> None:
    make_order(fixture)
    with pytest.raises(InvalidValueError, match="is not paid"):
        ask(fixture)


def test_what_was_spent_is_a_debt_that_the_next_deposit_pays(fixture) -> None:
    """The balance by the book is below what was spent; it never plays."""
    book, account = fixture.book, fixture.accounts[0]
    take(fixture, back("p1", S.DISPUTED, 1000, "dp_1"))

    funds = book.escrow.funds([account])[1][account]
    viewer = book.viewers.get(account)

    assert funds.net == START
    assert viewer.deposited - viewer.withdrawn == START
