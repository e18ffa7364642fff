"""Every planck comes from somewhere and goes somewhere."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.errors import LedgerImbalanceError, NegativeSecondsError
from metering.model.ledger import (
    PPM,
    Holder,
    Posting,
    Role,
    Settled,
    balanced,
    cost,
    deposit_postings,
    settlement_postings,
    split,
)
from metering.units import AccountId, EntryKey, Planck

AMOUNTS = st.integers(0, 10**39)
FEES = st.integers(0, PPM)
STREAM = UUID(int=7)


def settled(viewer: int, before: int, after: int, price: int, ppm: int) -> Settled:
    key = EntryKey(STREAM, AccountId(bytes([viewer]) * 32), 1, 1)
    return Settled(key, before, after, Planck(price), ppm, AccountId(b"c" * 32))


@given(AMOUNTS, FEES)
def test_a_split_is_exact_and_the_creator_gets_what_is_left(amount, ppm):
    """No planck is lost or made, and the platform's share is never above its part."""
    creator, platform = split(Planck(amount), ppm)

    assert creator + platform == amount
    assert creator >= 0 <= platform
    assert 0 <= amount * ppm - platform * PPM < PPM


@given(AMOUNTS, st.integers(0, 10**6), FEES)
def test_shares_never_go_back_as_more_is_watched(amount, more, ppm):
    """Otherwise a later batch would have to take money back."""
    was, now = split(Planck(amount), ppm), split(Planck(amount + more), ppm)

    assert now[0] >= was[0]
    assert now[1] >= was[1]


@given(st.integers(0, 10**20), FEES, st.lists(st.integers(0, 10**5), min_size=1, max_size=8))
def test_earnings_do_not_depend_on_how_ticks_fall_into_batches(price, ppm, steps):
    """A creator earns the same whether settled each second or once."""
    sums: dict[Holder, int] = {}
    before = 0
    for step in steps:
        for posting in settlement_postings([settled(1, before, before + step, price, ppm)]):
            sums[posting.holder] = sums.get(posting.holder, 0) + posting.planck
        before += step

    at_once = {p.holder: p.planck for p in settlement_postings([settled(1, 0, before, price, ppm)])}

    assert {holder: planck for holder, planck in sums.items() if planck} == at_once


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 10**6), st.integers(0, 10**6)), max_size=20
    ),
    st.integers(0, 10**25),
    FEES,
)
def test_every_posting_sums_to_zero(entries, price, ppm):
    """Whatever settles, what viewers lose is what creators and the platform gain."""
    postings = settlement_postings(
        settled(viewer, before, before + more, price, ppm) for viewer, before, more in entries
    )

    assert sum(posting.planck for posting in postings) == 0
    assert all(
        posting.planck <= 0
        for p in [Role.VIEWER]
        for posting in postings
        if posting.holder.role is p
    )


def test_the_odd_planck_is_the_creators():
    """However near the platform came to it: as the pallet splits."""
    assert split(Planck(1), 500_000) == (1, 0)
    assert split(Planck(1), 999_999) == (1, 0)
    assert split(Planck(10), 250_000) == (8, 2)


def test_a_deposit_comes_from_outside():
    """The balance has what was paid in."""
    account = AccountId(b"v" * 32)

    assert deposit_postings(account, Planck(5)) == (
        Posting(Holder(Role.OUTSIDE), Planck(-5)),
        Posting(Holder(Role.VIEWER, account), Planck(5)),
    )


def test_what_does_not_sum_to_nothing_stops_settling():
    """A bug is never booked."""
    with pytest.raises(LedgerImbalanceError):
        balanced((Posting(Holder(Role.OUTSIDE), Planck(1)),))
    with pytest.raises(LedgerImbalanceError):
        settlement_postings([settled(1, 5, 4, 1, 0)])
    with pytest.raises(NegativeSecondsError):
        cost(-1, Planck(1))
