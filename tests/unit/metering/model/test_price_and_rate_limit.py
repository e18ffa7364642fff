from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.errors import InvalidValueError
from metering.model import price, rate_limit
from metering.units import Planck, PricedRun, PriceVersion, Run, Units

versions = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 3)), max_size=5).map(
    lambda raw: tuple(
        PriceVersion(number, tick, Planck(cost * 10))
        for number, (tick, cost) in enumerate(sorted(raw), 1)
    )
)


@given(versions, st.builds(Run, st.integers(0, 60), st.integers(1, 20)))
def test_each_tick_costs_what_was_in_force_at_it(prices, run):
    """Splitting an object by price changes nothing for any of its seconds."""
    costs = {}
    for priced in price.priced_runs(prices, run, 10):
        for tick in range(priced.run.first, priced.run.end):
            assert tick not in costs
            costs[tick] = (priced.version, priced.units_per_tick * 10)

    for tick in range(run.first, run.end):
        version = price.in_force(prices, tick)
        if version is None or version.planck_per_tick == 0:
            assert tick not in costs
        else:
            assert costs[tick] == (version.number, version.planck_per_tick)


@given(versions, st.integers(0, 60))
def test_v2_the_next_change_is_the_first_second_that_costs_something_else(prices, tick):
    """What is told of a price to come is what will be charged, and from when on."""

    def cost(at):
        version = price.in_force(prices, at)
        return version.planck_per_tick if version else 0

    last = max((version.from_tick for version in prices), default=0)
    changed = [at for at in range(tick + 1, last + 1) if cost(at) != cost(tick)]

    coming = price.next_change(prices, tick)

    assert (coming and (coming.from_tick, coming.planck_per_tick)) == (
        (changed[0], cost(changed[0])) if changed else None
    )


def test_before_the_first_version_a_tick_is_free():
    prices = (PriceVersion(1, 100, Planck(5)),)

    assert price.priced_runs(prices, Run(98, 4), 1) == (PricedRun(Run(100, 2), 1, Units(5)),)


@pytest.mark.parametrize(("planck", "quantum"), [(15, 10), (2**43, 1)])
def test_a_price_that_cannot_be_counted_exactly_is_an_error(planck, quantum):
    """Nothing is ever rounded: the operator is told which quantum to set."""
    with pytest.raises(InvalidValueError, match="quantum"):
        price.priced_runs((PriceVersion(1, 0, Planck(planck)),), Run(0, 1), quantum)


def test_the_largest_claim_stays_exact_in_a_double():
    assert price.TICKS_PER_CLAIM_MAX * price.UNITS_PER_TICK_MAX < 2**53


def test_a_bucket_holds_the_window_up_to_a_minute_and_thirty_seconds():
    assert rate_limit.cap_fifths(30_000) == 60_000 * 5
    assert rate_limit.cap_fifths(3_600_000) == 90_000 * 5


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 30_000)), max_size=40))
def test_no_player_gets_more_than_the_bucket_and_its_refill(steps):
    """Whatever is asked when: at most 90 s of media and 2.2 s for each second that passed."""
    cap = rate_limit.cap_fifths(60_000)
    bucket, now, taken = rate_limit.Bucket(cap, 0), 0, 0
    for passed, media in steps:
        now += passed
        after = rate_limit.draw(bucket, media, now, cap)
        if after is not None:
            bucket, taken = after, taken + media
        assert taken * 5 <= cap + 11 * now
        assert bucket.level >= 0


def test_a_clock_that_went_back_does_not_stop_the_viewer():
    cap = rate_limit.cap_fifths(60_000)

    assert rate_limit.draw(rate_limit.Bucket(0, 10_000), 4000, 5_000, cap) == rate_limit.Bucket(
        cap - 20_000, 5_000
    )
