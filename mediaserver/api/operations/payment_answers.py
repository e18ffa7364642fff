"""What is answered about payments, what goes back, and what creators are paid."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from mediaserver.api.operations.operation import (
    AccountText,
    Answer,
    CountText,
    PlanckText,
    SignedText,
)


class StaffOrder(Answer, frozen=True):
    """An order of a payment, as staff sees it."""

    order: str
    account: AccountText
    person: str | None
    provider: str
    amount: CountText
    currency: str
    currency_decimals: int | None
    planck: PlanckText
    state: Literal["open", "paid", "closed"]
    payment: str | None
    created_ms: int
    paid_ms: int | None


class Orders(Answer, frozen=True):
    """A page of orders."""

    payments: list[StaffOrder]
    next_before: str | None


class Notice(Answer, frozen=True):
    """What a provider told."""

    number: int
    provider: str
    event: str
    received_ms: int
    kind: str
    status: str
    order: str | None
    payment: str | None
    reversal: str | None
    amount: SignedText | None
    currency: str | None
    currency_decimals: int | None
    is_live: bool
    outcome: str
    detail: str


class Notices(Answer, frozen=True):
    """A page of notices."""

    notices: list[Notice]
    next_before: int | None


class Reversal(Answer, frozen=True):
    """A refund or dispute that a provider told of."""

    kind: Literal["refund", "dispute"]
    id: str
    amount: SignedText
    currency: str
    is_total: bool
    is_undone: bool


class Refund(Answer, frozen=True):
    """A refund of an order."""

    refund: str
    order: str
    account: AccountText
    amount: CountText
    planck: PlanckText
    why: str
    state: Literal["asked", "done", "refused"]
    reference: str | None
    detail: str
    made_by: str
    created_ms: int
    done_ms: int | None


class Refunds(Answer, frozen=True):
    """A page of refunds."""

    refunds: list[Refund]
    next_before: str | None


class OrderInFull(StaffOrder, frozen=True):
    """An order with all that is known of its payment."""

    given_back: CountText
    given_back_planck: PlanckText
    reversals: list[Reversal]
    refunds: list[Refund]
    notices: list[Notice]


class BadSeconds(Answer, frozen=True):
    """Bad seconds of a show that were given back."""

    number: int
    from_tick: int
    to_tick: int
    seconds: int
    planck: PlanckText
    show: int | None
    viewers: int
    why: str
    made_by: str
    created_ms: int


class BadSecondsPage(Answer, frozen=True):
    """A page of bad seconds."""

    refunds: list[BadSeconds]
    next_before: int | None


class Heard(Answer, frozen=True):
    """What a notice came to."""

    outcome: str
    detail: str


class OwnOrder(Answer, frozen=True):
    """An order, as its payer sees it."""

    order: str
    account: AccountText
    provider: str
    amount: CountText
    currency: str
    currency_decimals: int | None
    planck: PlanckText
    state: Literal["open", "paid", "closed"]
    payment: str | None
    pay_url: str | None
    created_ms: int
    paid_ms: int | None


class TopUps(Answer, frozen=True):
    """A page of one's own orders, and what may be ordered."""

    top_ups: list[OwnOrder]
    next_before: str | None
    providers: list[str]
    currency: str
    currency_decimals: int
    amount_min: int
    amount_max: int
    planck_per_minor_unit: str


class WithdrawalPart(Answer, frozen=True):
    """A part of a withdrawal: what goes back to one payment."""

    order: str
    amount: CountText
    state: Literal["asked", "done", "refused"]
    reference: str | None
    done_ms: int | None


class Withdrawal(Answer, frozen=True):
    """What somebody took out."""

    withdrawal: str
    amount: CountText
    currency: str
    planck: PlanckText
    created_ms: int
    state: Literal["asked", "done", "refused"]
    parts: list[WithdrawalPart]


class Withdrawals(Answer, frozen=True):
    """A page of withdrawals, and how much may be taken out."""

    withdrawals: list[Withdrawal]
    next_before: str | None
    amount_max: CountText
    planck_max: PlanckText
    currency: str
    currency_decimals: int


class PayeeEarnings(Answer, frozen=True):
    """What a payee earned with a stream, by state."""

    account: AccountText
    pending: SignedText
    maturing: SignedText
    available: SignedText
    debt: SignedText
    asked: SignedText
    paid_out: SignedText


class AutoCharge(Answer, frozen=True):
    """A payment that was asked for by itself."""

    order: str
    amount: CountText
    currency: str
    currency_decimals: int | None
    state: Literal["asked", "sent", "paid", "declined", "lost"]
    detail: str
    created_ms: int
    done_ms: int | None


class AutoOffer(Answer, frozen=True):
    """A provider that takes such payments, and the unit of its amounts."""

    provider: str
    currency: str
    currency_decimals: int
    amount: CountText | None


class AutoTopUp(Answer, frozen=True):
    """What is allowed to be paid by itself, and what was."""

    state: Literal["off", "setting-up", "on"]
    why: str
    provider: str | None
    threshold_planck: PlanckText
    amount: CountText
    day_max: CountText
    month_max: CountText
    currency: str
    currency_decimals: int | None
    day: CountText
    month: CountText
    held_by: Literal["day", "month"] | None
    pay_url: str | None
    charges: list[AutoCharge]
    offers: list[AutoOffer]


class Earnings(Answer, frozen=True):
    """What a creator earned with a stream, by state, and its payees."""

    stream: str
    title: str
    account: AccountText
    pending: SignedText
    maturing: SignedText
    available: SignedText
    debt: SignedText
    asked: SignedText
    paid_out: SignedText
    payees: list[PayeeEarnings]
    maturing_days: int


class StatementLine(Answer, frozen=True):
    """What earnings came or went on a day."""

    day: str
    what: str
    reference: str
    note: str
    gross: SignedText
    fee: SignedText
    planck: SignedText
    others: SignedText | UnsetType = UNSET


class StatementAsset(Answer, frozen=True):
    """What a statement counts in."""

    symbol: str
    decimals: int


class Statement(Answer, frozen=True):
    """A month of a stream's earnings, signed."""

    format: str
    operator: AccountText
    asset: StatementAsset
    stream: str
    slug: str
    title: str
    creator: AccountText
    month: str
    made_ms: int
    is_closed: bool
    opening: SignedText
    lines: list[StatementLine]
    closing: SignedText
    signature: str
    payee: AccountText | UnsetType = UNSET


class PayoutRequest(Answer, frozen=True):
    """What a creator, or a payee, asked to be paid."""

    payout: str
    stream: str
    account: AccountText | None
    state: Literal["requested", "approved", "paid", "refused"]
    planck: PlanckText
    amount: CountText
    currency: str
    currency_decimals: int
    payee: str
    bank_account: str
    reference: str | None
    why: str
    created_ms: int
    decided_ms: int | None
    paid_ms: int | None


class PayoutRequests(Answer, frozen=True):
    """A page of payouts."""

    payouts: list[PayoutRequest]
    next_before: str | None
