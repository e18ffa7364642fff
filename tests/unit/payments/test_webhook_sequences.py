"""Money in at scale: whatever a provider tells, however often and in any order, is booked once.

Many short lives of a few orders are random sequences of notices. `Model` is what the book is judged
by.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field, replace
from typing import Final

from mediaserver.payments import inbox, orders
from mediaserver.payments.judging import judge
from mediaserver.payments.records import (
    NOT_BOOKED,
    Notice,
    Order,
    OrderState,
    Outcome,
    PaymentStatus,
)
from metering.units import AccountId
from tests.support.payments_fixture import an_order, make_payments, paid

SEQUENCES = int(os.environ.get("VILOKANAM_SEQUENCES", "2000"))
"""`make soak` asks for 100,000."""
SEED = int(os.environ["VILOKANAM_SEED"])
"""Printed at the head of each run by tests/conftest.py."""
NOTICES: Final = 5
ROWS_SHARE: Final = 40
ACCOUNT: Final = AccountId(b"a" * 32)
OTHERS: Final = (PaymentStatus.FAILED, PaymentStatus.REFUNDED, PaymentStatus.DISPUTED)


@dataclass
class Model:
    """What is booked, in a few lines: of each order and payment the first that is right."""

    orders: dict[str, Order]
    booked: dict[str, str] = field(default_factory=dict)

    def hear(self, notice: Notice) -> None:
        order = self.orders.get(notice.order)
        if (
            order is not None
            and (notice.status, notice.is_live) == (PaymentStatus.PAID, True)
            and (notice.amount, notice.currency) == (order.amount, order.currency)
            and order.provider == "webhook"
            and notice.payment not in self.booked
            and order.id not in self.booked.values()
        ):
            self.booked[notice.payment] = order.id

    @property
    def planck(self) -> int:
        return sum(self.orders[order].planck for order in self.booked.values())


def sequence(dice: random.Random, made: list[Order], name: str) -> list[Notice]:
    """Return notices of some orders: right ones, wrong ones, of other modes; some come again."""
    notices = []
    for number in range(NOTICES):
        order = dice.choice(made)
        notice = paid(order, f"{name} {number}", f"{name} p{dice.randrange(4)}")
        match dice.randrange(9):
            case 0:
                notice = replace(notice, amount=dice.choice([0, 1, order.amount * 100, None]))
            case 1:
                notice = replace(notice, order=dice.choice(["", "0" * 32]))
            case 2:
                notice = replace(notice, is_live=False)
            case 3:
                notice = replace(notice, currency="USD")
            case 4:
                notice = replace(notice, status=dice.choice(OTHERS))
        notices.append(notice)
    notices += dice.choices(notices, k=NOTICES // 2)
    dice.shuffle(notices)
    return notices


def orders_of(account: AccountId, dice: random.Random, life: int) -> list[Order]:
    begun_ms = life * orders.HOUR_MS
    return [
        an_order(account, dice.randrange(1, 5000), created_ms=begun_ms),
        an_order(account, 1000, created_ms=begun_ms),
        an_order(account, 1000, provider="stripe", created_ms=begun_ms),
    ]


def test_every_sequence_is_judged_as_the_model_says() -> None:
    """The decision alone, at full count: what the rows hold is in two mappings."""
    dice = random.Random(SEED)
    for life in range(SEQUENCES):
        made = {order.id: order for order in orders_of(ACCOUNT, dice, life)}
        model, booked = Model(dict(made)), dict[str, str]()
        notices = sequence(dice, list(made.values()), str(life))
        for notice in notices:
            model.hear(notice)
            order, booked_for = made.get(notice.order), booked.get(notice.payment)
            outcome, detail = judge(notice, order, booked_for, provider="webhook", is_live=True)
            assert (outcome in NOT_BOOKED) <= bool(detail)
            if outcome is Outcome.BOOKED:
                assert order is not None
                booked[notice.payment] = order.id
                made[order.id] = replace(order, state=OrderState.PAID, payment=notice.payment)

        assert booked == model.booked, f"seed {SEED}, life {life}: {notices}"


def test_every_sequence_of_notices_is_in_the_book_as_the_model_says() -> None:
    """The rows, of a share of the lives: each takes some sixty statements."""
    dice = random.Random(SEED)
    fixture = make_payments()
    book, account = fixture.book, fixture.accounts[0]
    expected = int(book.deposits.total(account))
    for life in range(max(SEQUENCES // ROWS_SHARE, 1)):
        made = orders_of(account, dice, life)
        model = Model({order.id: order for order in made})
        notices = sequence(dice, made, str(life))
        with book.together() as connection:  # one transaction a life, for speed alone
            for order in made:
                orders.make(connection, order)
            for notice in notices:
                model.hear(notice)
                inbox.take(book, connection, "webhook", notice, b"", life, is_live=True)
            paid_by = {order.id: orders.get(connection, order.id).payment for order in made}
        expected += model.planck

        assert {payment: order for order, payment in paid_by.items() if payment} == model.booked, (
            f"seed {SEED}, life {life}: {notices}"
        )
    assert book.deposits.total(account) == expected, f"seed {SEED}"
    assert book.ledger.unbalanced() == []
    assert sum(book.ledger.balances().values()) == 0
