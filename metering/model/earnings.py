"""What a creator earned with a stream, by state. Pure.

Watched seconds are *pending* until their batch is final, then *maturing* for
``payout.maturing_days``, so that what a payer's bank takes back in the first days was not paid out
already; then *available*.

Source: docs/metering.md, "Earnings".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from metering.model.ledger import balance_and_debt, cost, split
from metering.units import Planck

DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Earnings:
    """A creator's share of one stream, in planck.

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
        postings: When, Unix ms, and planck of each posting of the creator and stream: earned is
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


def pending_share(entries: Iterable[tuple[int, int, Planck]], platform_fee_ppm: int) -> Planck:
    """Return the creator's share of what is booked and not settled.

    Args:
        entries: Cumulative ticks booked and settled of each, and planck a tick.
    """
    total = 0
    for booked, settled, price in entries:
        total += split(cost(booked, price), platform_fee_ppm)[0]
        total -= split(cost(settled, price), platform_fee_ppm)[0]
    return Planck(total)
