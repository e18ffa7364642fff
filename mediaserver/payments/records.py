"""Orders, and what providers say of their payments, as the rest of the server sees them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from metering.units import AccountId, Planck


class OrderState(StrEnum):
    """How far an order is."""

    OPEN = "open"
    """Nobody has paid it yet; most of these never are."""
    PAID = "paid"
    """Its deposit is in the book."""


class PaymentStatus(StrEnum):
    """What a provider says of a payment."""

    PAID = "paid"
    FAILED = "failed"
    REFUNDED = "refunded"
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
    """Its payment is in the book already."""
    KEPT = "kept"
    """It says of no payment that it is paid."""
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
        amount: Of the payment, or what was given back of it so far; None where it names none.
        currency: Upper case; empty where it names none.
        is_live: It is of real money.
    """

    event: str
    kind: str
    status: PaymentStatus
    order: str = ""
    payment: str = ""
    amount: int | None = None
    currency: str = ""
    is_live: bool = True


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
