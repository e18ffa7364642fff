"""What is answered about viewers' accounts and the books."""

from __future__ import annotations

from typing import Any, Literal

from mediaserver.api.operations.operation import (
    AccountText,
    Answer,
    CountText,
    PlanckText,
    SignedText,
)


class Viewer(Answer, frozen=True):
    """A viewer and their account."""

    account: AccountText
    name: str
    created_ms: int
    has_wallet: bool
    deposited: PlanckText
    withdrawn: PlanckText
    given_back: PlanckText
    spent: PlanckText
    balance: PlanckText
    debt: PlanckText


class MadeViewer(Viewer, frozen=True):
    """A new viewer, with their key, shown this once."""

    viewer_key: str | None


class Viewers(Answer, frozen=True):
    """A page of viewers."""

    viewers: list[Viewer]
    next_after: str | None


class Credited(Answer, frozen=True):
    """A credit."""

    account: AccountText
    name: str
    is_new: bool
    deposited: PlanckText
    is_applied: bool


class RefundedViewer(Viewer, frozen=True):
    """The viewer after a refund."""

    is_new: bool
    is_applied: bool


class LedgerLine(Answer, frozen=True):
    """The balance of a holder."""

    role: Literal["outside", "viewer", "creator", "platform"]
    account: AccountText | None
    stream: str | None
    planck: SignedText


class Ledger(Answer, frozen=True):
    """A page of the ledger; `sum` is over all."""

    lines: list[LedgerLine]
    sum: SignedText
    covered_ticks: CountText
    next_after: str | None


class Attempt(Answer, frozen=True):
    """One sending of a batch."""

    number: int
    signed_ms: int
    sent_ms: int | None
    reason: str | None


class Batch(Answer, frozen=True):
    """A settlement batch."""

    seq: int
    hash: str
    entries: int
    state: str
    sealed_ms: int
    finalized_ms: int | None
    finalized_at: int | None
    reason: str | None
    attempts: list[Attempt]


class Batches(Answer, frozen=True):
    """The newest batches."""

    batches: list[Batch]


class RetriedBatch(Answer, frozen=True):
    """A batch that is sent again, and what it was."""

    was: str
    batch: Batch


class UsageLine(Answer, frozen=True):
    """A minute of a viewer at one price version."""

    stream: str
    stream_id: str
    viewer: AccountText
    minute: int
    price_version: int
    planck_per_s: PlanckText
    seconds: int
    planck: PlanckText


class Usage(Answer, frozen=True):
    """A page of usage."""

    usage: list[UsageLine]
    next_after: int
    is_end: bool


class Totals(Answer, frozen=True):
    """Sums of the books."""

    metered: CountText
    settled: CountText
    in_flight: CountText
    pending: CountText
    refused: CountText
    planck: PlanckText
    adopted: CountText
    adopted_planck: PlanckText
    unpaid_ticks: CountText
    forgiven_ticks: CountText
    late_ticks: CountText
    covered_ticks: CountText


class Row(Answer, frozen=True):
    """The seconds of an account and stream at one price version."""

    stream: str
    account: AccountText
    version: int
    metered: int
    settled: int
    in_flight: int
    pending: int
    refused: int
    planck: PlanckText
    adopted: int
    adopted_planck: PlanckText


class Covered(Answer, frozen=True):
    """Seconds that were billed to nobody."""

    stream: str
    account: AccountText
    ticks: CountText
    causes: dict[str, CountText]


class Restore(Answer, frozen=True):
    """A time at which an older book was put back."""

    found_ms: int
    shards: int | None
    forgiven_from: int
    forgiven_to: int
    lost_ticks: CountText


class PaidIn(Answer, frozen=True):
    """What providers brought and took back."""

    paid: int
    planck: PlanckText
    back: PlanckText
    losses: list[str]


class Reconciliation(Answer, frozen=True):
    """The comparison of store, book, chain and providers."""

    is_balanced: bool
    is_store_read: bool
    is_chain_read: bool
    differences: list[str]
    payments: PaidIn
    totals: Totals
    rows: list[Row]
    covered: list[Covered]
    restores: list[Restore]


class Asset(Answer, frozen=True):
    """What is paid with."""

    symbol: str
    decimals: int
    quantum: PlanckText


class Operator(Answer, frozen=True):
    """Whom receipts are signed by."""

    public_key: AccountText
    asset: Asset


class ReceiptAsset(Answer, frozen=True):
    """What receipts count in."""

    symbol: str
    decimals: int


class ReceiptFile(Answer, frozen=True):
    """The signed receipts of a viewer and stream; keep it byte for byte."""

    format: str
    operator: AccountText
    asset: ReceiptAsset
    stream: str
    account: AccountText
    count: int
    receipts: list[dict[str, Any]]
