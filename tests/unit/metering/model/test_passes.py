"""What a pass covers, costs and gives back."""

from dataclasses import replace
from uuid import UUID

import pytest

from metering.model.ledger import Holder, Role
from metering.model.passes import (
    BACK_S,
    ENDLESS_TICK,
    KEPT_MAX,
    MONTH_S,
    Pass,
    PassKind,
    PassOffer,
    covers_until,
    in_force,
    may_cover,
    new_pass_run,
    not_covered,
    packed,
    postings_of,
    refund_postings,
    sums_of,
)
from metering.units import AccountId, Planck, Run

NOW = 1_800_000_000
STREAM, OTHER = UUID(int=7), UUID(int=8)
ANN, BEA = AccountId(b"\x01" * 32), AccountId(b"\x02" * 32)
MONTH = Pass(
    *("a" * 32, ANN, STREAM, PassKind.MONTH, 0, NOW - BACK_S, NOW + MONTH_S, Planck(100)),
    *(333_333, BEA, NOW * 1000),
)
SHOW = replace(MONTH, id="b" * 32, kind=PassKind.SHOW, show=NOW - 900, from_tick=NOW - 900)
SHOW = replace(SHOW, until_tick=ENDLESS_TICK)


def test_a_month_is_thirty_days_and_begins_a_window_before_it_was_bought():
    """Who spent their last on it can pay for what a player shows first: it is behind the newest."""
    assert new_pass_run(PassKind.MONTH, NOW, NOW - 900) == (NOW - 60, NOW + 30 * 86_400)
    assert new_pass_run(PassKind.SHOW, NOW, NOW - 900) == (NOW - 900, ENDLESS_TICK)


def test_the_offer_that_began_last_is_in_force_until_it_is_taken_back():
    offers = (
        PassOffer(PassKind.MONTH, NOW - 9, Planck(5)),
        PassOffer(PassKind.MONTH, NOW, Planck(7)),
        PassOffer(PassKind.MONTH, NOW + 9, Planck(0)),
        PassOffer(PassKind.SHOW, NOW - 9, Planck(1)),
    )

    found = [in_force(offers, PassKind.MONTH, NOW + at) for at in (-10, -1, 0, 8, 9)]

    assert [None if offer is None else offer.planck for offer in found] == [None, 5, 7, 7, None]


@pytest.mark.parametrize(
    ("item", "now", "show", "until"),
    [
        (MONTH, NOW - BACK_S - 1, 0, None),
        (MONTH, NOW - BACK_S, 0, NOW + MONTH_S),
        (MONTH, NOW + MONTH_S - 1, 5, NOW + MONTH_S),
        (MONTH, NOW + MONTH_S, 5, None),
        (SHOW, NOW, SHOW.show, ENDLESS_TICK),
        (SHOW, NOW, SHOW.show + 1, None),
        (SHOW, NOW, 0, None),
    ],
)
def test_a_pass_covers_from_its_first_second_to_its_last(item, now, show, until):
    """And one for a show that show alone."""
    entries = packed([item], 0)

    assert covers_until(entries, STREAM.bytes, now, show) == until
    assert covers_until(entries, OTHER.bytes, now, show) is None


def test_the_store_has_the_newest_passes_that_may_still_cover():
    """What ended, or was given back, is left out; the field stays short."""
    many = [replace(SHOW, id=f"{n:032x}", created_ms=n) for n in range(KEPT_MAX + 5)]
    newest = replace(MONTH, created_ms=NOW * 1000)

    entries = packed([newest, *many], 0)

    assert len(entries) == KEPT_MAX * 44
    assert entries.endswith(bytes.fromhex(newest.id))
    assert bytes.fromhex(many[0].id) not in entries
    assert packed([MONTH], MONTH.until_tick) == b""
    assert packed([replace(MONTH, refunded_ms=5)], 0) == b""


def test_the_price_is_split_as_seconds_are_and_given_back_by_who_had_it():
    lines = {line.holder: line.planck for line in postings_of(MONTH)}

    assert lines == {
        Holder(Role.VIEWER, ANN): -100,
        Holder(Role.CREATOR, BEA, STREAM): 67,
        Holder(Role.PLATFORM, stream=STREAM): 33,
    }
    assert {line.holder: -line.planck for line in refund_postings(MONTH)} == lines
    refunded = replace(MONTH, id="c" * 32, refunded_ms=5)
    assert sums_of([MONTH, refunded, replace(MONTH, is_paid=False)]) == lines


def test_seconds_outside_of_every_pass_are_named():
    """A refunded pass counts: what it covered before stays covered."""
    refunded = replace(MONTH, refunded_ms=5)
    runs = (Run(NOW - BACK_S - 2, 4), Run(NOW + MONTH_S - 1, 2))

    assert not_covered(runs, 5, [refunded]) == (Run(NOW - BACK_S - 2, 2), Run(NOW + MONTH_S, 1))
    assert not_covered(runs, SHOW.show, [SHOW]) == ()
    assert not_covered(runs, 5, [SHOW]) == runs


def test_a_month_that_runs_is_not_forgotten_for_passes_of_shows():
    """Who buys many shows of other streams keeps what they paid a month for."""
    shows = [
        replace(SHOW, id=f"{n:032x}", stream=OTHER, show=NOW + n, created_ms=NOW * 1000 + n)
        for n in range(1, KEPT_MAX + 1)
    ]

    entries = packed([MONTH, *shows], NOW - 86_400)

    assert covers_until(entries, STREAM.bytes, NOW + 1000, 0) == MONTH.until_tick


def test_a_show_that_is_on_air_is_not_forgotten_for_passes_of_shows_that_are_over():
    """However long ago it began; of shows that are over no second may be claimed."""
    streams = [UUID(int=100 + n) for n in range(KEPT_MAX)]
    over = [
        replace(SHOW, id=f"{n:032x}", stream=stream, created_ms=NOW * 1000 + n)
        for n, stream in enumerate(streams, 1)
    ]
    long = replace(SHOW, show=NOW - 90 * 86_400, from_tick=NOW - 90 * 86_400, created_ms=1)
    oldest = NOW + 86_400

    kept = packed([long, *over], oldest, dict.fromkeys(streams, NOW + 9))

    assert covers_until(kept, STREAM.bytes, oldest + 5, long.show) == ENDLESS_TICK
    assert len(kept) == 44


def test_a_show_holds_until_a_second_of_the_next_is_the_oldest_that_may_be_claimed():
    following = replace(SHOW, id="c" * 32, show=NOW + 50, from_tick=NOW + 50)

    assert may_cover([SHOW, following], NOW + 49) == [SHOW, following]
    assert may_cover([SHOW, following], NOW + 50) == [following]
    assert may_cover([SHOW], NOW + 50, {STREAM: NOW + 50}) == []
    assert may_cover([SHOW, MONTH], NOW + 50, {STREAM: SHOW.show}) == [SHOW, MONTH]


def test_what_the_store_is_asked_for_it_has_however_many_there_are():
    """Else it could not say whether its price was taken."""
    months = [
        replace(MONTH, id=f"{n:032x}", stream=UUID(int=n), created_ms=NOW * 1000 + n)
        for n in range(1, KEPT_MAX + 1)
    ]
    asked = replace(SHOW, id="f" * 32, is_paid=False, created_ms=1)

    kept = packed([asked, *months], 0)

    assert bytes.fromhex(asked.id) in kept
    assert len(kept) == KEPT_MAX * 44
