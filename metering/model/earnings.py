"""What a creator, or a payee of its split table, earned with a stream, by state. Pure.

Watched seconds are *pending* until their batch is final, then *maturing* for
``payout.maturing_days``, so that what a payer's bank takes back in the first days was not paid out
already; then *available*.

Source: docs/metering.md, "Earnings".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from metering.model.ledger import Holder, Shares, balance_and_debt, cost, earned_by
from metering.units import AccountId, Planck

DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Earnings:
    """A creator's or payee's share of one stream, in planck.

    Attributes:
        pending: Booked, in no batch that is final.
        maturing: Settled within the last days.
        available: May be paid out.
        debt: What went out beyond what is left: taken from what comes next.
        asked: Of payouts that are asked for and not paid yet: in none of the others.
        paid_out: Of all payouts.
    """

    pending: Planck
    maturing: Planck
    available: Planck
    debt: Planck
    asked: Planck
    paid_out: Planck


def by_state(
    postings: Iterable[tuple[int, Planck]],
    pending: Planck,
    asked: Planck,
    paid_out: Planck,
    matured_ms: int,
) -> Earnings:
    """Return earnings by state.

    What is taken away counts at once, whatever it is taken of.

    Args:
        postings: When, Unix ms, and planck of each posting of theirs for the stream: earned is
            positive, paid out and given back negative.
        matured_ms: Before this, Unix ms, what was earned has matured.
    """
    balance = maturing = 0
    for at_ms, planck in postings:
        balance += planck
        if planck > 0 and at_ms > matured_ms:
            maturing += planck
    available, debt = balance_and_debt(Planck(balance - maturing), asked)
    return Earnings(pending, Planck(maturing), available, debt, asked, paid_out)


@dataclass(frozen=True, slots=True)
class OpenEntry:
    """An entry that is booked beyond what is settled of it: cumulative ticks.

    Attributes:
        shares: Of payees, by the split table that holds for its version.
    """

    booked: int
    settled: int
    planck_per_tick: Planck
    shares: Shares = ()


def pending_share(
    entries: Iterable[OpenEntry], holder: Holder, creator: AccountId, platform_fee_ppm: int
) -> Planck:
    """Return a creator's or payee's share of what a stream has booked and not settled.

    Args:
        entries: Of the holder's stream.
        creator: The stream's.
    """
    assert holder.stream is not None
    total = 0
    for entry in entries:
        for ticks, sign in ((entry.booked, 1), (entry.settled, -1)):
            paid = cost(ticks, entry.planck_per_tick)
            earned = earned_by(paid, holder.stream, platform_fee_ppm, creator, entry.shares)
            total += sign * earned.get(holder, 0)
    return Planck(total)
