"""When a price may begin and be taken back."""

from __future__ import annotations

import pytest

from mediaserver.api.streams.price_times import (
    PRICE_AHEAD_MAX_S,
    from_tick_fault,
    withdraw_fault,
    withdraw_until_s,
)
from mediaserver.hls.slots import PLANNED_AHEAD_S
from metering.units import Planck, PriceVersion

EARLIEST = 1_800_000_060


@pytest.mark.parametrize("from_tick", [EARLIEST, EARLIEST + 86_400, EARLIEST + PRICE_AHEAD_MAX_S])
def test_f16_second_within_a_year_may_begin_a_price(from_tick: int) -> None:
    """Prices are announced early."""
    assert not from_tick_fault(from_tick, EARLIEST, 60)


@pytest.mark.parametrize(
    ("from_tick", "words"),
    [
        (EARLIEST - 1, f"use {EARLIEST} or later"),
        (1_800_000_100_000, "milliseconds, but counts seconds of Unix time; use 1800000100"),
        (1_800_000_100_000_000, "microseconds"),
        (1_800_000_000_000, f"milliseconds, but counts seconds of Unix time; use {EARLIEST}"),
        (EARLIEST + PRICE_AHEAD_MAX_S + 1, "at most 366 days ahead"),
        (1 << 52, "at most 366 days ahead"),
    ],
)
def test_f16_slip_of_the_hand_is_refused_in_words(from_tick: int, words: str) -> None:
    """One number too large must not end all price changes."""
    assert words in from_tick_fault(from_tick, EARLIEST, 60)


def test_f16_price_goes_exactly_while_no_process_may_claim_it_unaware() -> None:
    """`lost_s` after the withdrawal the newest second planned is still before the price."""
    price = PriceVersion(2, EARLIEST, Planck(5))
    until_s = withdraw_until_s(EARLIEST, 30)

    for now_s in range(until_s - 3, until_s + 4):
        newest = now_s + PLANNED_AHEAD_S
        assert bool(withdraw_fault(price, newest, 30)) == (newest + 30 >= EARLIEST)
        assert bool(withdraw_fault(price, newest, 30)) == (now_s >= until_s)
    assert "first price stays" in withdraw_fault(PriceVersion(1, 0, Planck(5)), EARLIEST, 30)
