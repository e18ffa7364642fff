"""Orders, refunds and what providers say of payments, as the rest of the server sees it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from metering.units import AccountId, Planck


class OrderState(StrEnum):
    """How far an order is."""

    OPEN = "open"
    """Nobody has paid it yet; most of these never are."""
    PAID = "paid"
    """Its deposit is in the book."""
    CLOSED = "closed"
    """Its account was closed before it was paid: what comes goes back."""


class PaymentStatus(StrEnum):
    """What a provider says of a payment."""

    PAID = "paid"
    FAILED = "failed"
    REFUNDED = "refunded"
    REFUND_FAILED = "refund-failed"
    """It did not reach the payer."""
    DISPUTED = "disputed"
    WON = "won"
    """The dispute ended for us: the money stays."""
    LOST = "lost"
    OTHER = "other"
    """Something that moves no money, or that this version does not know."""


class Outcome(StrEnum):
    """What became of a notice. All but the first two are for a person to look at."""

    BOOKED = "booked"
    REPEATED = "repeated"
    """What it says is in the book already."""
    KEPT = "kept"
    """It moves no money, or speaks of a payment that is not booked: it counts once that is."""
    NOT_OURS = "not-ours"
    """It names no order: something else that is sold through the same provider."""
    UNKNOWN_ORDER = "unknown-order"
    OTHER_PROVIDER = "other-provider"
    TEST_MODE = "test-mode"
    WRONG_CURRENCY = "wrong-currency"
    WRONG_AMOUNT = "wrong-amount"
    OTHER_ORDER = "other-order"
    """Its payment was booked for another order."""
    PAID_TWICE = "paid-twice"
    """Another payment was booked for its order."""
    CLOSED_ACCOUNT = "closed-account"
    """Its account was closed meanwhile: nobody could watch for it."""
    REFUSED = "refused"
    """The book did not take it."""
    UNREADABLE = "unreadable"
    """It is signed, and not in the form that is described."""


NOT_BOOKED = frozenset(Outcome) - {
    *(Outcome.BOOKED, Outcome.REPEATED, Outcome.KEPT, Outcome.NOT_OURS, Outcome.TEST_MODE),
    Outcome.UNREADABLE,
}
"""Somebody paid, as far as the provider knows, and the book has no deposit."""


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants to pay in.

    Attributes:
        id: 32 hexadecimal digits; opens nothing.
        person: Who ordered; None for who came by a viewer's link.
        amount: In the provider's minor units, such as cents; the demo's are planck.
        planck: What is booked when it is paid, by the rate when it was ordered.
        payment: The provider's, once it is paid.
        pay_url: Where it is paid; empty while the provider has not told, or needs none.
        idempotency_key: Of the request; unique below its person.
    """

    id: str
    account: AccountId
    person: str | None
    provider: str
    amount: int
    currency: str
    planck: Planck
    state: OrderState
    payment: str | None
    pay_url: str
    idempotency_key: str | None
    created_ms: int
    paid_ms: int | None


@dataclass(frozen=True, slots=True)
class Notice:
    """What a provider says of a payment, its signature checked.

    Attributes:
        event: The provider's id of this notice: the same again is the same notice.
        kind: The provider's own word for it.
        order: Ours; empty where it names none.
        payment: The provider's id of the payment; empty where it names none.
        amount: Of the payment, refund or dispute; of a refund without an id what was given back of
            the payment so far. None where it names none.
        currency: Upper case; empty where it names none.
        is_live: It is of real money.
        reversal: Id of the refund or dispute; empty where it names none.
        means: What may be charged from now on, where the payer agreed to that; empty: nothing.
    """

    event: str
    kind: str
    status: PaymentStatus
    order: str = ""
    payment: str = ""
    amount: int | None = None
    currency: str = ""
    is_live: bool = True
    reversal: str = ""
    means: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class KeptNotice:
    """A notice in the inbox, and what became of it.

    Attributes:
        number: From 1, in the order in which they came.
        detail: Why it was not booked; empty where nobody has to do anything.
    """

    number: int
    provider: str
    received_ms: int
    notice: Notice
    outcome: Outcome
    detail: str


class RefundState(StrEnum):
    """How far a refund that we ask for is."""

    ASKED = "asked"
    """It is in the book; its provider has not said yet that it is done."""
    DONE = "done"
    REFUSED = "refused"
    """The provider does not do it: the money is in the account again."""


@dataclass(frozen=True, slots=True)
class Refund:
    """What we ask a provider to give back of an order's payment.

    Attributes:
        id: 32 hexadecimal digits; opens nothing. The provider is told it.
        amount: In minor units.
        planck: What left the balance for it.
        reference: The provider's id of it, once it is known.
        detail: Why it was refused; empty.
        made_by: Who asked: their word in the audit log.
        idempotency_key: Of the request; unique below `made_by`.
        withdrawal: Which one it is a part of; None for one that finance asked for.
    """

    id: str
    order: str
    account: AccountId
    amount: int
    planck: Planck
    why: str
    state: RefundState
    reference: str | None
    detail: str
    made_by: str
    idempotency_key: str
    created_ms: int
    done_ms: int | None
    withdrawal: str | None = None


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What somebody took out of their balance; its parts are refunds.

    Attributes:
        id: 32 hexadecimal digits; opens nothing.
        amount: In minor units of `currency`, all parts together.
        planck: What left the balance for it.
        idempotency_key: Of the request; unique below its person.
    """

    id: str
    account: AccountId
    person: str
    amount: int
    currency: str
    planck: Planck
    idempotency_key: str
    created_ms: int


class PayoutState(StrEnum):
    """How far a payout is."""

    REQUESTED = "requested"
    """Finance has not looked at it yet."""
    APPROVED = "approved"
    """The bank is to be told."""
    PAID = "paid"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Payout:
    """What a creator, or a payee, asks to be paid of what a stream earned.

    Attributes:
        id: 32 hexadecimal digits; opens nothing. The bank's transfer carries it.
        planck: What leaves the earnings for it.
        amount: What the bank pays, in minor units of `currency`, by the rate when it was asked for.
        currency_decimals: Decimal places of its minor unit.
        payee: Name of who is paid, for the bank.
        bank_account: Their account, for the bank.
        reference: The bank's, once it is paid.
        why: Why it was refused; empty.
        made_by: Who asked: their word in the audit log.
        idempotency_key: Of the request; unique below its stream.
        decided_ms: When it was approved or refused.
        account: The payee whose earnings it is of; None: the creator's.
    """

    id: str
    stream: UUID
    planck: Planck
    amount: int
    currency: str
    currency_decimals: int
    payee: str
    bank_account: str
    state: PayoutState
    reference: str | None
    why: str
    made_by: str
    idempotency_key: str
    created_ms: int
    decided_ms: int | None
    paid_ms: int | None
    account: AccountId | None = None
