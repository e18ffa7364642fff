"""Money in and back at scale: what a provider tells, however often, in any order, is booked once.

Many short lives of a few orders are random sequences of notices. `Model` is what the book is judged
by.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field, replace
from typing import Final

from mediaserver.payments import inbox, orders
from mediaserver.payments.judging import judge, judge_reversal
from mediaserver.payments.records import (
    NOT_BOOKED,
    Notice,
    Order,
    OrderState,
    Outcome,
    PaymentStatus,
)
from mediaserver.payments.reversals import Reversal, joined, of_notice, taken_back
from metering.units import AccountId
from tests.support.payments_fixture import PLANCK, an_order, make_payments, paid

SEQUENCES = int(os.environ.get("VILOKANAM_SEQUENCES", "2000"))
"""`make soak` asks for 100,000."""
SEED = int(os.environ["VILOKANAM_SEED"])
"""Printed at the head of each run by tests/conftest.py."""
NOTICES: Final = 8
ROWS_SHARE: Final = 40
ACCOUNT: Final = AccountId(b"a" * 32)
S = PaymentStatus
BACK: Final = (S.REFUNDED, S.REFUND_FAILED, S.DISPUTED, S.LOST, S.WON)


@dataclass
class Model:
    """What is booked, in a few lines: of each order and payment the first that is right.

    Of each refund and dispute it has the amount, and whether it was undone; of each payment the
    largest sum of refunds that was told.
    """

    orders: dict[str, Order]
    booked: dict[str, str] = field(default_factory=dict)
    refunds: dict[tuple[str, str], int] = field(default_factory=dict)
    disputes: dict[tuple[str, str], int] = field(default_factory=dict)
    sums: dict[str, int] = field(default_factory=dict)
    undone: set[tuple[str, str]] = field(default_factory=set)

    def hear(self, notice: Notice) -> None:
        order = self.orders.get(notice.order)
        name = (notice.payment, notice.reversal)
        if notice.status in BACK:
            if notice.amount is None or not notice.is_live or notice.currency != "EUR":
                return
            is_refund = notice.status in (S.REFUNDED, S.REFUND_FAILED)
            if is_refund and not notice.reversal:
                self.sums[notice.payment] = max(self.sums.get(notice.payment, 0), notice.amount)
                return
            (self.refunds if is_refund else self.disputes)[name] = notice.amount
            if notice.status in (S.REFUND_FAILED, S.WON):
                self.undone.add(name)
        elif (
            order is not None
            and (notice.status, notice.is_live) == (PaymentStatus.PAID, True)
            and (notice.amount, notice.currency) == (order.amount, order.currency)
            and order.provider == "webhook"
            and notice.payment not in self.booked
            and order.id not in self.booked.values()
        ):
            self.booked[notice.payment] = order.id

    def back(self, payment: str) -> int:
        refunds = {name: amount for name, amount in self.refunds.items() if name[0] == payment}
        failed = sum(amount for name, amount in refunds.items() if name in self.undone)
        disputed = sum(
            amount
            for name, amount in self.disputes.items()
            if name[0] == payment and name not in self.undone
        )
        refunded = max(self.sums.get(payment, 0), sum(refunds.values())) - failed
        return min(refunded + disputed, self.orders[self.booked[payment]].amount)

    @property
    def planck(self) -> int:
        return sum(
            (self.orders[order].amount - self.back(payment)) * PLANCK
            for payment, order in self.booked.items()
        )


def sequence(dice: random.Random, made: list[Order], name: str) -> list[Notice]:
    """Return notices of some orders: right ones, wrong ones, of other modes; some come again."""
    notices = []
    for number in range(NOTICES):
        order = dice.choice(made)
        notice = paid(order, f"{name} {number}", f"{name} p{dice.randrange(4)}")
        if dice.randrange(2):
            notices.append(reversal(dice, notice))
            continue
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
                notice = replace(notice, status=PaymentStatus.FAILED)
        notices.append(notice)
    notices += dice.choices(notices, k=NOTICES // 2)
    dice.shuffle(notices)
    return notices


def reversal(dice: random.Random, notice: Notice) -> Notice:
    """Return a refund or dispute of a payment: of the same name it always has the same amount."""
    number, status = dice.randrange(1, 4), dice.choice(BACK)
    is_refund = status in (S.REFUNDED, S.REFUND_FAILED)
    name = f"{notice.payment} {'re' if is_refund else 'dp'} {number}"
    amount = 300 * number
    if status is S.REFUNDED and not dice.randrange(3):
        name, amount = "", dice.choice([1, 500, 1000, 5000])
    notice = replace(notice, status=status, reversal=name, amount=amount)
    match dice.randrange(10):
        case 0:
            return replace(notice, order="")  # as disputes are
        case 1:
            return replace(notice, currency="USD")
        case 2:
            return replace(notice, is_live=False)
        case 3:
            return replace(notice, amount=None)
    return notice


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
        known = dict[str, dict[tuple[object, ...], Reversal]]()
        notices = sequence(dice, list(made.values()), str(life))
        for notice in notices:
            model.hear(notice)
            if take_back(notice, known, made.get(booked.get(notice.payment, ""))):
                continue
            order, booked_for = made.get(notice.order), booked.get(notice.payment)
            outcome, detail = judge(notice, order, booked_for, provider="webhook", is_live=True)
            assert (outcome in NOT_BOOKED) <= bool(detail)
            if outcome is Outcome.BOOKED:
                assert order is not None
                booked[notice.payment] = order.id
                made[order.id] = replace(order, state=OrderState.PAID, payment=notice.payment)

        assert booked == model.booked, f"seed {SEED}, life {life}: {notices}"
        for payment, order_id in booked.items():
            items, order = list(known.get(payment, {}).values()), made[order_id]
            back = taken_back(items, order.amount, order.currency)
            assert back == model.back(payment), f"seed {SEED}, life {life}: {notices}"


def take_back(
    notice: Notice, known: dict[str, dict[tuple[object, ...], Reversal]], order: Order | None
) -> bool:
    """Keep what a notice says of a refund or dispute, as the rows do; False: it says nothing."""
    heard = of_notice(notice)
    if heard is None:
        return False
    outcome, detail = judge_reversal(notice, order, is_live=True)
    assert (outcome is not None) == bool(detail)
    if outcome is not Outcome.TEST_MODE:
        rows = known.setdefault(notice.payment, {})
        key = (heard.kind, heard.id, heard.currency, heard.is_total)
        rows[key] = joined(rows[key], heard) if key in rows else heard
    return True


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
