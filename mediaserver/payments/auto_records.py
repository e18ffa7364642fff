"""Automatic top-ups: what a viewer allows, and what was asked for by it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from metering.units import AccountId, Planck

DECLINED_MAX: Final = 3
"""Declined one after the other, it ends: card networks fine who asks in vain again and again."""


class AutoState(StrEnum):
    """Whether somebody's balance is filled by itself."""

    SETTING_UP = "setting-up"
    """It begins with the first payment, whose means is kept."""
    ON = "on"
    OFF = "off"


class ChargeState(StrEnum):
    """How far a payment that we ask for by ourselves is."""

    ASKED = "asked"
    """The provider is to be asked, or has not answered."""
    SENT = "sent"
    """The provider has it, and says by a notice how it ends."""
    PAID = "paid"
    DECLINED = "declined"
    """It never comes."""
    LOST = "lost"
    """Nobody said how it ended: it may have been taken, and counts as if it were."""


UNDER_WAY: Final = (ChargeState.ASKED, ChargeState.SENT)


@dataclass(frozen=True, slots=True)
class AutoTopUp:
    """What somebody allows.

    Attributes:
        threshold: A balance below it is filled.
        amount: Of one payment, in minor units of `currency`.
        day_max: Most of a UTC day, in minor units.
        month_max: Most of a UTC month of the calendar, in minor units.
        means: What the provider charges: its own ids; empty where it needs none.
        why: Why we turned it off; empty.
        setup_order: The order whose payment saves the means.
        crossing: How often the balance fell below the threshold and was asked to be filled.
        is_low: This crossing was asked for already.
        declined: Payments that were declined since one was paid.
        is_told: Its owner knows of its state.
    """

    person: str
    account: AccountId
    provider: str
    currency: str
    threshold: Planck
    amount: int
    day_max: int
    month_max: int
    state: AutoState
    means: str = field(default="", repr=False)
    why: str = ""
    setup_order: str | None = None
    crossing: int = 0
    is_low: bool = False
    declined: int = 0
    is_told: bool = True
    changed_ms: int = 0


@dataclass(frozen=True, slots=True)
class Charge:
    """A payment that was asked for by itself; its order has the same id.

    Attributes:
        crossing: One payment for each of a person's.
        reference: The provider's id of it, once it is known.
        detail: Why it was declined, in the provider's words; empty.
        next_ms: Not before this the provider is asked again.
    """

    id: str
    person: str
    account: AccountId
    crossing: int
    provider: str
    amount: int
    currency: str
    means: str = field(repr=False)
    state: ChargeState
    reference: str | None
    detail: str
    created_ms: int
    next_ms: int
    done_ms: int | None


@dataclass(frozen=True, slots=True)
class Spent:
    """What was asked for by itself, in minor units, without what was declined."""

    day: int
    month: int


def periods(now_ms: int) -> tuple[int, int]:
    """Return when this day and this month began, Unix ms."""
    now = datetime.fromtimestamp(now_ms // 1000, UTC)
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return int(day.timestamp()) * 1000, int(day.replace(day=1).timestamp()) * 1000


def held_by(rule: AutoTopUp, spent: Spent) -> str:
    """Return which most keeps another payment from being asked for; empty: none."""
    if spent.day + rule.amount > rule.day_max:
        return "day"
    return "month" if spent.month + rule.amount > rule.month_max else ""
