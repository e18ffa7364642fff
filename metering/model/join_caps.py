"""What the chain allows a join of a viewer, and what the claim script must therefore refuse. Pure.

A join is one agreement of a viewer with a stream: how much they will spend, at which price, until
when. The chain refuses what goes beyond it, however late it arrives; so the claim script refuses it
before a byte is served. `metering/store/scripts/common.lua` keeps the same sums; this file is what
it is judged by.

Source: docs/metering.md, "What the chain would refuse"; pallet tick-stream, `settle`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from metering.model.price import UNITS_MAX, UNITS_PER_TICK_MAX
from metering.units import AccountId, Units

PPM: Final = 1_000_000
CAPS: Final = struct.Struct(">IIIIQQQ")
"""A join's caps as the scripts read them: burst ticks, rate ppm, price versions, notice seconds,
from and till (Unix seconds of Redis' clock), units per tick."""
SKEW_STEP_S: Final = 60
"""A chain's clock that is off by less is right: a block takes 6 s, and its news has a way to go."""


@dataclass(frozen=True, slots=True)
class JoinLimits:
    """Constants of the pallet that bound every join.

    Attributes:
        burst_ticks: Ticks that a join may have at once.
        rate_ppm: And millionths of a tick for each second since it was opened.
        prices_max: Price versions that one join may have ticks of.
        notice_s: An ended join's entries are settled for so long; escrow leaves no sooner.
    """

    burst_ticks: int
    rate_ppm: int
    prices_max: int
    notice_s: int


@dataclass(frozen=True, slots=True)
class Join:
    """One join of a viewer; times are seconds of the chain's clock.

    Attributes:
        stream: Which stream.
        account: Who pays.
        number: From 1, one more each time they join.
        max_spend: Planck that it may cost in all.
        max_price: Planck that a tick may cost.
        joined_s: When it was opened.
        expires_s: When it ends by itself.
        ended_s: When it was left, or another took its place, or its stream was closed.
    """

    stream: UUID
    account: AccountId
    number: int
    max_spend: int
    max_price: int
    joined_s: int
    expires_s: int
    ended_s: int | None = None

    @property
    def till_s(self) -> int:
        """Return the second from which it gets no new ticks."""
        return self.expires_s if self.ended_s is None else min(self.ended_s, self.expires_s)


@dataclass(frozen=True, slots=True)
class JoinCaps:
    """What the store must know of a join.

    Attributes:
        account: Who pays.
        stream: 16 bytes, big-endian UUID.
        number: Which join.
        spend_units: What it may cost in all; 0 is nothing.
        packed: `CAPS`.
    """

    account: AccountId
    stream: bytes
    number: int
    spend_units: Units
    packed: bytes


def ticks_allowed(join: Join, limits: JoinLimits, now_s: int) -> int:
    """Return how many ticks a join may have by `now_s`: a burst, then a rate.

    >>> from uuid import UUID
    >>> join = Join(UUID(int=1), AccountId(bytes(32)), 1, 10**12, 10**8, 1000, expires_s=4600)
    >>> limits = JoinLimits(burst_ticks=120, rate_ppm=1_100_000, prices_max=8, notice_s=3600)
    >>> [ticks_allowed(join, limits, now_s) for now_s in (900, 1000, 1009, 1010, 4600, 9000)]
    [120, 120, 129, 131, 4080, 4080]
    """
    passed = max(0, min(now_s, join.till_s) - join.joined_s)
    return limits.burst_ticks + passed * limits.rate_ppm // PPM


def is_open(join: Join, now_s: int) -> bool:
    """Return whether a join gets new ticks."""
    return now_s < join.till_s


def caps_of(join: Join, limits: JoinLimits, quantum: int, skew_s: int = 0) -> JoinCaps:
    """Return what the store must know of a join.

    Args:
        join: By the chain's clock.
        quantum: Planck in a unit; what is no whole unit is left out, so never above the chain's.
        skew_s: Our clock less the chain's.
    """
    packed = CAPS.pack(
        limits.burst_ticks,
        limits.rate_ppm,
        limits.prices_max,
        limits.notice_s,
        max(0, join.joined_s + skew_s),
        max(0, join.till_s + skew_s),
        min(join.max_price // quantum, UNITS_PER_TICK_MAX),
    )
    spend = Units(min(join.max_spend // quantum, UNITS_MAX))
    return JoinCaps(join.account, join.stream.bytes, join.number, spend, packed)


def skew(before_s: int, ours_s: int, chains_s: int) -> int:
    """Return our clock less the chain's, in steps: it changes only when it has become another.

    A chain that is in step has the time of its newest block, a few seconds ago: that is no skew.

    >>> skew(0, ours_s=1006, chains_s=1000), skew(0, 5000, 1000), skew(4000, 5030, 1000)
    (0, 4000, 4000)
    """
    skew_s = ours_s - chains_s
    if abs(skew_s) < SKEW_STEP_S:
        return 0
    return before_s if abs(skew_s - before_s) < SKEW_STEP_S else skew_s
