"""When a price may begin, and until when it can be taken back: faults in words. Pure.

Source: docs/metering.md, "What a second costs".
"""

from __future__ import annotations

from typing import Final

from mediaserver.hls.slots import PLANNED_AHEAD_S, utc_text
from metering.units import PriceVersion

PRICE_AHEAD_MAX_S: Final = 366 * 86_400
"""A price further ahead is a slip; a year is enough to announce one."""


def from_tick_fault(from_tick: int, earliest: int, notice_s: int) -> str:
    """Return what is wrong with the first second of a new price, or nothing when it is legal."""
    if from_tick < earliest:
        return (
            f"from_tick {from_tick}: a price starts at least price.change_notice_s "
            f"({notice_s} s) past the newest second planned; "
            f"use {earliest} or later, or leave it out"
        )
    if from_tick <= earliest + PRICE_AHEAD_MAX_S:
        return ""
    for unit, divisor in (("milli", 10**3), ("micro", 10**6), ("nano", 10**9)):
        # The present moment too, which is a little too early for a price.
        if abs(from_tick // divisor - earliest) <= PRICE_AHEAD_MAX_S:
            return (
                f"from_tick {from_tick}: looks like {unit}seconds, but counts seconds of Unix "
                f"time; use {max(from_tick // divisor, earliest)}"
            )
    return (
        f"from_tick {from_tick}: a price starts at most {PRICE_AHEAD_MAX_S // 86_400} days ahead, "
        f"in seconds of Unix time; use {earliest + PRICE_AHEAD_MAX_S} or earlier"
    )


def order_fault(slug: str, last: PriceVersion, *, can_go: bool) -> str:
    """Return why a new price cannot begin before the newest one, or with it.

    Args:
        can_go: Whether a price that is to come can be taken back.
    """
    begin = utc_text(last.from_tick * 1000)
    remedy = f"use a from_tick of {last.from_tick + 1} or later"
    if can_go:
        remedy += f", or take that one back first: vilokanam streams withdraw-price {slug} "
        remedy += str(last.number)
    return f"price {last.number} begins at {begin}, and a new one begins later: {remedy}"


def withdraw_until_s(from_tick: int, lost_s: int) -> int:
    """Return the Unix second until which a price that begins at `from_tick` can be withdrawn.

    A process that control has not reached for `lost_s` answers 503 for priced media, so `lost_s`
    after a withdrawal each knows of it or claims nothing. What is planned by then ends at most
    `PLANNED_AHEAD_S` after the clock (docs/metering.md, "Money").
    """
    return from_tick - lost_s - PLANNED_AHEAD_S


def withdraw_fault(price: PriceVersion, newest_tick: int, lost_s: int) -> str:
    """Return why the newest price of a stream stays, or nothing when it can be withdrawn.

    Args:
        newest_tick: The newest second of the stream that may be planned.
        lost_s: ``metering.policy_lost_s``: by then every process knows, or claims nothing.
    """
    if price.from_tick > newest_tick + lost_s:
        return ""
    if price.from_tick == 0:
        return f"price {price.number}: a stream's first price stays; set another one"
    until = utc_text(withdraw_until_s(price.from_tick, lost_s) * 1000)
    return (
        f"price {price.number} begins at {utc_text(price.from_tick * 1000)} and could be "
        f"withdrawn until {until}: from then on its seconds may be claimed before every process "
        "knows; set another price"
    )
