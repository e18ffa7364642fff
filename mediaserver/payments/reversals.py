"""How much of a payment is back with its payer, by all that was told of it. Pure.

The answer depends on what was told, never on the order in which it came or how often: of each
refund and dispute its first amount counts, and that it was undone counts for good. Only of a refund
that we ask for it is kept what was told before it, as a sum that cannot hold it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from mediaserver.payments.records import Notice, PaymentStatus


class ReversalKind(StrEnum):
    """Who takes a payment back."""

    REFUND = "refund"
    """Its provider, or we."""
    DISPUTE = "dispute"
    """The payer's bank."""
    TOLD_BEFORE = "told-before"
    """Nobody: what was told as a sum when we asked for the refund of the same id, not in it."""


@dataclass(frozen=True, slots=True)
class Reversal:
    """A refund or a dispute of a payment, as it is known.

    Attributes:
        id: The provider's, or ours where we asked for it; that of the payment where it names none.
        amount: In minor units; 0 for one that never was.
        is_total: The amount is of all refunds of the payment so far.
        is_undone: It failed, or the bank gave it back: the money is here again.
    """

    kind: ReversalKind
    id: str
    amount: int
    currency: str
    is_total: bool = False
    is_undone: bool = False


class OtherAmountError(Exception):
    """A refund or dispute is told with another amount than before; says which."""


_KINDS = {
    PaymentStatus.REFUNDED: ReversalKind.REFUND,
    PaymentStatus.REFUND_FAILED: ReversalKind.REFUND,
    PaymentStatus.DISPUTED: ReversalKind.DISPUTE,
    PaymentStatus.LOST: ReversalKind.DISPUTE,
    PaymentStatus.WON: ReversalKind.DISPUTE,
}


def of_notice(notice: Notice) -> Reversal | None:
    """Return the refund or dispute that a notice speaks of; None when it speaks of neither."""
    kind = _KINDS.get(notice.status)
    if kind is None or notice.amount is None or not notice.payment:
        return None
    return Reversal(
        kind,
        notice.reversal or notice.payment,
        notice.amount,
        notice.currency,
        is_total=notice.status is PaymentStatus.REFUNDED and not notice.reversal,
        is_undone=notice.status in (PaymentStatus.REFUND_FAILED, PaymentStatus.WON),
    )


def joined(known: Reversal, heard: Reversal) -> Reversal:
    """Return what is known of a reversal after it is heard of again.

    Raises:
        OtherAmountError: It had another amount.
    """
    if known.is_total:
        return replace(known, amount=max(known.amount, heard.amount))
    is_undone = known.is_undone or heard.is_undone
    # Of a dispute that is over nothing is counted, whatever its amount.
    is_free = is_undone and known.kind is ReversalKind.DISPUTE
    if known.amount != heard.amount and not is_free:
        raise OtherAmountError(
            f"{known.kind} {known.id} was of {known.amount} before, and is of {heard.amount} now"
        )
    return replace(known, is_undone=is_undone)


def told_so_far(reversals: Iterable[Reversal], currency: str) -> int:
    """Return the largest sum of refunds that was told of a payment, 0 where none was."""
    return max((item.amount for item in reversals if _is_sum(item, currency)), default=0)


def taken_back(reversals: Sequence[Reversal], amount: int, currency: str) -> int:
    """Return how much of a payment its payer has back, never more than the payment."""
    return min(amount, given_and_taken(reversals, currency))


def given_and_taken(reversals: Sequence[Reversal], currency: str) -> int:
    """Return what refunds and disputes that are open or lost make together: may be above a payment.

    Refunds are told one by one, or as their sum so far, or both: the larger of the two counts. What
    failed of them was in both. A refund that we asked for was in no sum that was told before.

    Args:
        reversals: Of what we asked for, in the order in which we did.
        currency: Of the payment; what is told in another one is for a person to look at.
    """
    failed = disputed = 0
    named: dict[str, int] = {}
    for item in reversals:
        if item.currency != currency or item.is_total:
            continue
        if item.kind is ReversalKind.DISPUTE:
            disputed += 0 if item.is_undone else item.amount
        elif item.kind is ReversalKind.REFUND:
            named[item.id] = item.amount
            failed += item.amount if item.is_undone else 0
    refunded = max(told_so_far(reversals, currency), sum(named.values()))

    # Ours from each of them on are beside the sum that was told before it.
    asked = 0
    for item in reversed(reversals):
        if item.kind is ReversalKind.TOLD_BEFORE and item.currency == currency:
            asked += named.get(item.id, 0)
            refunded = max(refunded, item.amount + asked)
    return refunded - failed + disputed


def _is_sum(item: Reversal, currency: str) -> bool:
    return item.is_total and item.kind is ReversalKind.REFUND and item.currency == currency
