"""Double entry: where every planck comes from and where it goes.

Holders: *outside* (what people paid in), *viewer* (the balance), *creator* and *platform* (what a
stream earned, kept per stream). Each transfer's postings sum to zero, so all balances do.

The platform's share of an entry is a function of its cumulative ticks alone; what is posted is the
difference to what was posted before. So earnings do not depend on how ticks fell into batches, and
audit.py can derive them again from the ticks. So is the part of each payee of a stream's split
table (splits.py); its creator has what platform and payees leave.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final
from uuid import UUID

from metering.errors import LedgerImbalanceError, NegativeSecondsError
from metering.units import AccountId, EntryKey, Planck

PPM: Final = 1_000_000
"""Parts in a whole: fees are in parts per million, as in substrate's Permill."""


NOBODY: Final = AccountId(b"")
"""The account of holders that are none: outside and the platform."""


class Role(Enum):
    """The side of the business that a holder is on."""

    OUTSIDE = "outside"
    VIEWER = "viewer"
    CREATOR = "creator"
    PLATFORM = "platform"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds money in the ledger.

    Attributes:
        role: In which role.
        account: Whose, for viewers and creators; the platform and outside have none.
        stream: Which stream earned it, for creators and the platform.
    """

    role: Role
    account: AccountId = NOBODY
    stream: UUID | None = None


@dataclass(frozen=True, slots=True)
class Posting:
    """One side of a transfer: positive comes in, negative goes out."""

    holder: Holder
    planck: Planck


@dataclass(frozen=True, slots=True)
class Share:
    """What part of a stream's earnings goes to a payee.

    Attributes:
        account: The payee; they hold it as a creator does, for that stream.
        ppm: Parts in a million of what viewers pay, the platform's included.
    """

    account: AccountId
    ppm: int


Shares = tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class Settled:
    """One entry that finalized, and how far it was settled before.

    Attributes:
        key: Which entry.
        before: Cumulative ticks settled so far.
        after: Cumulative ticks settled now; never less.
        planck_per_tick: Price of the entry's version.
        platform_fee_ppm: The platform's share.
        creator: Who earns the rest.
        shares: Of payees, by the split table that holds for the entry's version.
    """

    key: EntryKey
    before: int
    after: int
    planck_per_tick: Planck
    platform_fee_ppm: int
    creator: AccountId
    shares: Shares = ()


def cost(ticks: int, planck_per_tick: Planck) -> Planck:
    """Return what `ticks` of one price version cost: exact, nothing is rounded.

    Raises:
        NegativeSecondsError: If `ticks` is below 0.
    """
    if ticks < 0:
        raise NegativeSecondsError(f"{ticks} ticks cannot be charged")
    return Planck(ticks * planck_per_tick)


def split(planck: Planck, platform_fee_ppm: int) -> tuple[Planck, Planck]:
    """Return the creator's and the platform's share of an amount: their sum is the amount.

    The platform's share is rounded down and the creator gets the rest, as in the chain's pallet
    (docs/metering.md, "What a second costs").
    """
    platform = planck * platform_fee_ppm // PPM
    return Planck(planck - platform), Planck(platform)


def earned_by(
    planck: Planck, stream: UUID, platform_fee_ppm: int, creator: AccountId, shares: Shares = ()
) -> dict[Holder, int]:
    """Return what each holder earns of an amount, the creator first: their sum is the amount.

    Each part is rounded down, and the creator gets what is left.

    Source: docs/metering.md, "Split tables".
    """
    rest, platform = split(planck, platform_fee_ppm)
    earned = {Holder(Role.CREATOR, creator, stream): int(rest)}
    earned[Holder(Role.PLATFORM, stream=stream)] = platform
    for share in shares:
        part = planck * share.ppm // PPM
        earned[Holder(Role.CREATOR, share.account, stream)] = part
        earned[Holder(Role.CREATOR, creator, stream)] -= part
    return earned


def deposit_postings(account: AccountId, planck: Planck) -> tuple[Posting, ...]:
    """Return the postings of a top-up."""
    return balanced(
        (
            Posting(Holder(Role.OUTSIDE), Planck(-planck)),
            Posting(Holder(Role.VIEWER, account), planck),
        )
    )


def withdrawal_postings(account: AccountId, planck: Planck) -> tuple[Posting, ...]:
    """Return the postings of money that went out again to a viewer; below 0 it came in again."""
    return balanced(
        (
            Posting(Holder(Role.VIEWER, account), Planck(-planck)),
            Posting(Holder(Role.OUTSIDE), planck),
        )
    )


def payout_postings(creator: AccountId, stream: UUID, planck: Planck) -> tuple[Posting, ...]:
    """Return the postings of earnings that went out to their creator."""
    return balanced(
        (
            Posting(Holder(Role.CREATOR, creator, stream), Planck(-planck)),
            Posting(Holder(Role.OUTSIDE), planck),
        )
    )


def balance_and_debt(stayed: Planck, spent: Planck) -> tuple[Planck, Planck]:
    """Return what an account may spend, and what it owes: one of them is 0.

    Args:
        stayed: Paid in, less what went out again; of a creator what they earned, likewise.
        spent: All that was watched, or is asked for; it may be more, when money went back that was
            spent already.
    """
    left = stayed - spent
    return Planck(max(left, 0)), Planck(max(-left, 0))


def settlement_postings(settled: Iterable[Settled]) -> tuple[Posting, ...]:
    """Return the postings of what one batch settled, one per holder, those of nothing left out.

    Raises:
        LedgerImbalanceError: If an entry goes back.
    """
    sums: dict[Holder, int] = {}
    for item in settled:
        if item.after < item.before:
            raise LedgerImbalanceError(f"{item.key} goes back from {item.before} to {item.after}")
        viewer = Holder(Role.VIEWER, item.key.account)
        for ticks, sign in ((item.after, 1), (item.before, -1)):
            paid = cost(ticks, item.planck_per_tick)
            sums[viewer] = sums.get(viewer, 0) - sign * paid
            for holder, planck in earned_by(
                paid, item.key.stream, item.platform_fee_ppm, item.creator, item.shares
            ).items():
                sums[holder] = sums.get(holder, 0) + sign * planck
    return balanced(
        tuple(Posting(holder, Planck(planck)) for holder, planck in sums.items() if planck)
    )


def give_back_postings(given: Iterable[Settled]) -> tuple[Posting, ...]:
    """Return the postings of settled ticks that are given back, of each side its share.

    The platform's part is a function of the cumulative ticks given back, as its share is of those
    settled: when all of an entry went back, nothing of it is left to anybody, and never less.

    Args:
        given: Cumulative ticks given back of each entry, in place of those settled.

    Raises:
        LedgerImbalanceError: If an entry goes back.
    """
    moved = settlement_postings(given)
    return tuple(Posting(line.holder, Planck(-line.planck)) for line in moved)


def balanced(postings: tuple[Posting, ...]) -> tuple[Posting, ...]:
    """Return `postings` when they sum to nothing.

    Raises:
        LedgerImbalanceError: If they do not.
    """
    total = sum(posting.planck for posting in postings)
    if total:
        raise LedgerImbalanceError(f"postings sum to {total} planck, not to 0")
    return postings
