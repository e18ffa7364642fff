from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from metering.model import ticks
from metering.units import HOUR_TICKS, AccountId, Run, shard_of

runs = st.lists(st.builds(Run, st.integers(0, 20_000), st.integers(1, 5000)), max_size=8)


def seen(some) -> set[int]:
    return {tick for run in some for tick in range(run.first, run.end)}


@given(runs)
def test_normal_form_holds_the_same_ticks_sorted_and_apart(some):
    """However ticks are told, they are kept in one way."""
    normal = ticks.normal(some)

    assert seen(normal) == seen(some)
    assert all(run.end < other.first for run, other in pairwise(normal))
    assert ticks.count(normal) == len(seen(some))


@given(runs, runs)
def test_set_operations_are_those_of_sets(first, second):
    """Union, difference and intersection of runs are those of their ticks."""
    assert seen(ticks.union(first, second)) == seen(first) | seen(second)
    assert seen(ticks.difference(first, second)) == seen(first) - seen(second)
    assert seen(ticks.intersection(first, second)) == seen(first) & seen(second)
    assert ticks.difference(first, second) == ticks.normal(ticks.difference(first, second))


@given(runs)
def test_bitmaps_and_back_are_the_same_ticks(some):
    """What Redis keeps as bits is what the book gets as runs."""
    back = [
        run
        for hour, bitmap in ticks.bitmaps(some).items()
        for run in ticks.from_bitmap(bitmap, hour * HOUR_TICKS)
    ]

    assert ticks.normal(back) == ticks.normal(some)


def test_bit_0_is_the_highest_bit_of_byte_0():
    """The order of bits is that of Redis SETBIT."""
    assert ticks.bitmaps([Run(0, 1), Run(9, 2)]) == {0: b"\x80\x60"}
    assert ticks.from_bitmap(b"\x01\x80", 100) == (Run(107, 2),)


def test_the_shard_is_the_crc16_of_redis_cluster():
    """An account's shard never changes: this vector is from the Redis Cluster specification."""
    assert shard_of(AccountId(b"123456789")) == 0x31C3 % 256
