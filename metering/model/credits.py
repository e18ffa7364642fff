"""What an account may take of what it earned, as of a second of the chain's clock. Pure.

Source: chain/pallets/tick-stream/src/credit.rs, ``Credit::roll``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Credit:
    """What an account earned, as the pallet stores it, in planck; pending matures in two periods.

    Attributes:
        available: May be taken.
        pending: Earned in notice period `period`.
        maturing: Earned in the notice period before it.
        period: The notice period in which it was last touched, counted from 0.
    """

    available: int
    pending: int
    maturing: int
    period: int


@dataclass(frozen=True, slots=True)
class Payout:
    """What was earned and not taken yet, in planck.

    Attributes:
        available: May be taken now.
        maturing: Becomes available when the notice period that runs now is over.
        pending: Becomes available one notice period later.
        notice_s: Length of a notice period.
    """

    available: int
    maturing: int
    pending: int
    notice_s: int


def rolled(credit: Credit | None, now_s: int, notice_s: int) -> Payout:
    """Return a credit moved on to now, as the pallet does when it is next touched.

    Args:
        credit: As it is stored; None is nothing.
        now_s: The chain's clock.
        notice_s: Its credit notice.
    """
    if credit is None:
        return Payout(0, 0, 0, notice_s)
    passed = now_s // max(notice_s, 1) - credit.period
    if passed <= 0:
        return Payout(credit.available, credit.maturing, credit.pending, notice_s)
    if passed == 1:
        return Payout(credit.available + credit.maturing, credit.pending, 0, notice_s)
    return Payout(credit.available + credit.maturing + credit.pending, 0, 0, notice_s)
