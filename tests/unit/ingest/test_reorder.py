"""Order, repair and giving up."""

import itertools
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mediaserver.ingest.reorder import ASKS_MAX, NEVER, PACKETS_MAX, Reorder


def items(deliveries):
    return [delivery.item for delivery in deliveries]


@given(st.permutations(range(1, 40)), st.integers(0, 0xFFFF))
def test_any_permutation_leaves_once_and_in_order(order, start):
    """Whatever the network did to their order, packets leave in theirs, each once."""
    reorder: Reorder[int] = Reorder(0.4, asks=True)
    left = items(reorder.push(start, 0, 0.0))
    for number in order:
        left += items(reorder.push((start + number) & 0xFFFF, number, 0.01))

    assert left == list(range(40))
    assert reorder.due_s == NEVER
    assert reorder.lost == 0


@given(st.integers(0, 1 << 32), st.integers(0, 0xFFFF))
def test_losses_repeats_and_disorder_never_break_the_order(seed, start):
    """With drops, copies and delays, what leaves is increasing, and every gap is counted."""
    dice = random.Random(seed)
    arrivals = sorted(
        (number + dice.uniform(0, 9), number)
        for number in range(300)
        for _ in range(dice.choice([0, 1, 1, 1, 1, 1, 2]) if number else 1)
    )
    arrivals.insert(0, (-1.0, 0))
    reorder: Reorder[int] = Reorder(0.02, asks=True)
    left: list[Any] = []
    for at, number in arrivals:
        left += reorder.push((start + number) & 0xFFFF, number, at / 1000)
        left += reorder.expire(at / 1000)
        reorder.asks(at / 1000)
    left += reorder.expire(1e9)

    numbers = items(left)
    assert numbers == sorted(set(numbers))
    for before, after in itertools.pairwise(left):
        assert after.lost == after.item - before.item - 1
    assert reorder.lost == sum(delivery.lost for delivery in left)
    assert reorder.due_s == NEVER


def test_missing_packets_are_asked_for_at_once_and_again_with_growing_waits():
    """A fixed step flooded the sender with repeats; the wait doubles instead."""
    reorder: Reorder[str] = Reorder(10.0, asks=True)
    reorder.push(10, "a", 0.0)
    reorder.push(13, "d", 0.0)

    asked = []
    while reorder.due_s < 10.0:
        now = reorder.due_s
        asked.append((round(now, 3), reorder.asks(now)))
    assert [numbers for _, numbers in asked] == [[11, 12]] * ASKS_MAX
    assert [at for at, _ in asked] == [0.0, 0.03, 0.09, 0.21, 0.45, 0.93]


def test_repaired_packet_is_counted_and_times_the_path():
    """One ask and its answer tell the round trip, which then spaces later asks."""
    reorder: Reorder[str] = Reorder(1.0, asks=True)
    reorder.push(10, "a", 0.0)
    reorder.push(12, "c", 0.0)
    reorder.asks(0.0)

    assert items(reorder.push(11, "b", 0.08)) == ["b", "c"]
    assert (reorder.repaired, reorder.lost, reorder.repair_s) == (1, 0, 0.08)


def test_gap_is_given_up_in_time():
    """A packet that does not come holds the rest back for the give-up time, and no longer."""
    reorder: Reorder[str] = Reorder(0.4, asks=True)
    reorder.push(10, "a", 0.0)
    reorder.push(13, "d", 1.0)

    assert reorder.expire(1.39) == []
    (delivery,) = reorder.expire(1.4)
    assert (delivery.item, delivery.lost) == ("d", 2)
    assert items(reorder.push(14, "e", 1.5)) == ["e"]
    assert reorder.push(11, "b", 1.5) == []
    assert (reorder.lost, reorder.late) == (2, 1)


def test_memory_is_bounded():
    """A gap at the head of a fast stream is given up when the buffer is full."""
    reorder: Reorder[int] = Reorder(1e9, asks=False)
    reorder.push(0, 0, 0.0)
    left = []
    for number in range(2, PACKETS_MAX + 10):
        left += reorder.push(number, number, 0.0)

    assert items(left) == list(range(2, PACKETS_MAX + 10))
    assert left[0].lost == 1


def test_jump_of_the_sender_is_a_loss_and_not_a_wait():
    """A sender that skips thousands of numbers is followed at once."""
    reorder: Reorder[str] = Reorder(1e9, asks=True)
    reorder.push(0, "a", 0.0)
    reorder.push(2, "c", 0.0)
    left = reorder.push(PACKETS_MAX + 100, "z", 0.0)

    assert [(d.item, d.lost) for d in left] == [("c", 1), ("z", PACKETS_MAX + 97)]
    assert reorder.due_s == NEVER


def test_a_h3_jump_past_the_window_goes_on_behind_the_gap():
    """An outage of 3.5 s at 12 Mbit/s: reception goes on at the first packet that comes."""
    reorder: Reorder[Any] = Reorder(0.4, asks=True)
    reorder.push(10, "a", 0.0)
    jumped = reorder.push(10 + PACKETS_MAX + 2, "b", 3.5)
    after = reorder.push(10 + PACKETS_MAX + 3, "c", 3.5)

    assert [(delivery.item, delivery.lost) for delivery in jumped] == [("b", PACKETS_MAX + 1)]
    assert items(after) == ["c"]
    assert (reorder.lost, reorder.due_s) == (PACKETS_MAX + 1, NEVER)


def test_a_h3_jump_with_packets_waiting_counts_each_gap_once():
    """What waited behind an earlier gap leaves first, then the packet behind the jump."""
    reorder: Reorder[Any] = Reorder(0.4, asks=True)
    reorder.push(10, "a", 0.0)
    reorder.push(12, "c", 0.0)
    jumped = reorder.push(12 + PACKETS_MAX + 5, "z", 3.5)

    assert [(delivery.item, delivery.lost) for delivery in jumped] == [
        ("c", 1),
        ("z", PACKETS_MAX + 4),
    ]
    assert reorder.lost == PACKETS_MAX + 5


def test_a_h3_jump_over_half_the_number_space_is_a_new_beginning():
    """A longer outage looks like a step back: two packets in a row are believed, one is not."""
    reorder: Reorder[Any] = Reorder(0.4, asks=True)
    reorder.push(10, "a", 0.0)

    assert reorder.push(10 + 40_000, "stray", 30.0) == []
    assert reorder.push(500 + 40_000, "b", 30.0) == []
    (begun,) = reorder.push(501 + 40_000, "c", 30.0)
    assert (begun.item, begun.lost) == ("c", 490 + 40_000)
    assert items(reorder.push(502 + 40_000, "d", 30.0)) == ["d"]


@given(st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=200), st.booleans())
def test_a_h3_no_sequence_of_numbers_raises(numbers, asks):
    """Whatever numbers come, nothing raises and time ends every wait."""
    reorder: Reorder[Any] = Reorder(0.05, asks=asks)
    for index, number in enumerate(numbers):
        reorder.push(number, index, index / 100)
        reorder.asks(index / 100)

    reorder.expire(1e9)
    assert reorder.due_s == NEVER
