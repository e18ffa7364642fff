"""Rows of payments that are about one person; see `metering.book.account_rows`.

Amounts, states and the provider's own ids stay, as the books need them; what providers sent word
for word, addresses to pay at, names on bank accounts and what staff wrote go.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import case, or_, select

from mediaserver.payments.auto_records import UNDER_WAY
from mediaserver.payments.records import OrderState
from mediaserver.payments.schema import (
    auto_charges,
    auto_top_ups,
    notices,
    orders,
    payouts,
    refunds,
    withdrawals,
)
from metering.book.account_rows import HeldRows
from metering.units import AccountId

ERASED: Final = "erased"
_MEANS: Final = frozenset({"means"})
"""What a provider charges by."""


def of_person(person: str, account: AccountId | None) -> list[HeldRows]:
    """Return the rows of a person and of the account that they pay from."""
    asked_by = payouts.c.made_by == f"person:{person}"
    payout = HeldRows(
        payouts,
        asked_by if account is None else or_(asked_by, payouts.c.account == account),
        erased={"payee": ERASED, "bank_account": "", "why": "", "idempotency_key": payouts.c.id},
    )
    if account is None:
        return [payout]
    theirs = orders.c.account == account
    by_order = select(orders.c.id).where(theirs)
    by_payment = select(orders.c.payment).where(theirs, orders.c.payment.is_not(None))
    return [
        HeldRows(
            notices,
            or_(notices.c.order.in_(by_order), notices.c.payment.in_(by_payment)),
            frozenset({"body"}),
            {"body": b"", "detail": ""},
        ),
        HeldRows(
            orders,
            theirs,
            erased={
                "pay_url": "",
                "idempotency_key": None,
                # One that is paid after this is not booked: nobody could watch for it.
                "state": case(
                    (orders.c.state == OrderState.OPEN.value, OrderState.CLOSED.value),
                    else_=orders.c.state,
                ),
            },
        ),
        HeldRows(
            refunds,
            refunds.c.account == account,
            frozenset({"made_by"}),
            {"why": "", "detail": ""},
        ),
        HeldRows(
            withdrawals,
            withdrawals.c.account == account,
            erased={"idempotency_key": withdrawals.c.id},
        ),
        HeldRows(auto_top_ups, auto_top_ups.c.person == person, _MEANS, erased=None),
        HeldRows(
            auto_charges, auto_charges.c.person == person, _MEANS, {"means": "", "detail": ""}
        ),
        payout,
    ]


def undecided(person: str, account: AccountId | None) -> list[HeldRows]:
    """Return what of a person's money is still on its way: nobody could tell them how it ended."""
    asked_by = payouts.c.made_by == f"person:{person}"
    if account is not None:
        asked_by |= payouts.c.account == account
    asked = [HeldRows(payouts, asked_by & payouts.c.state.in_(["requested", "approved"]))]
    if account is not None:
        under_way = [state.value for state in UNDER_WAY]
        asked.append(
            HeldRows(
                auto_charges,
                (auto_charges.c.person == person) & auto_charges.c.state.in_(under_way),
            )
        )
        asked.append(
            HeldRows(refunds, (refunds.c.account == account) & (refunds.c.state == "asked"))
        )
    return asked
