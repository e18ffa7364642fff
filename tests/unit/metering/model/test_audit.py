"""Claims, book and chain: whatever the chain's storage says otherwise is named."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from metering.model.audit import audit
from metering.model.audit_records import ChainState, Earner, EntryCounts, Records
from metering.model.ledger import Holder, Role
from metering.units import AccountId, EntryKey, Planck, Run

CAM = UUID(int=1)
ANN, BEA, OPERATOR = (AccountId(bytes([n]) * 32) for n in (1, 2, 9))
KEY = EntryKey(CAM, ANN, 1, 1)
JOIN = (CAM, ANN, 1)

CHAIN = ChainState(
    last_seq=2,
    settled={KEY: 40},
    joins=frozenset({JOIN}),
    held={ANN: 4_500},
    totals={CAM: (40, 4_000)},
    credits={BEA: 3_600, OPERATOR: 0},
    outcomes={1: (b"one", ()), 2: (b"two", (3,))},
)

RECORDS = Records(
    booked=((KEY, (Run(1000, 61),)),),
    pending=(),
    entries={KEY: EntryCounts(booked=61, settled=40, refused=0, planck_per_tick=Planck(100))},
    earners={CAM: Earner(BEA, platform_fee_ppm=100_000)},
    deposits={ANN: Planck(10_000)},
    withdrawals={ANN: Planck(1_500)},
    ledger={
        Holder(Role.OUTSIDE): Planck(-8_500),
        Holder(Role.VIEWER, ANN): Planck(4_500),
        Holder(Role.CREATOR, BEA, CAM): Planck(3_600),
        Holder(Role.PLATFORM, stream=CAM): Planck(400),
    },
    batches={1: (b"one", ()), 2: (b"two", (3,))},
    operator=OPERATOR,
    chain=CHAIN,
)


def _differences(**changes) -> list[str]:
    chain = replace(CHAIN, **changes)
    return [str(difference) for difference in audit(replace(RECORDS, chain=chain))[1]]


def test_books_that_agree_have_no_difference():
    """Deposits less withdrawals less what is settled is what the escrow holds."""
    assert audit(RECORDS)[1] == ()


def test_what_was_paid_out_left_the_creators_earnings():
    """Each payout of the ledger has its row, and each row its posting."""
    bea = Holder(Role.CREATOR, BEA, CAM)
    ledger = {**RECORDS.ledger, bea: Planck(3_500), Holder(Role.OUTSIDE): Planck(-8_400)}
    paid = replace(RECORDS, payouts={bea: Planck(100)}, ledger=ledger, chain=None)
    assert audit(paid)[1] == ()

    for wrong in (replace(paid, payouts={}), replace(RECORDS, payouts=paid.payouts, chain=None)):
        named = sorted(str(difference) for difference in audit(wrong)[1])
        assert ["creator" in named[0], "outside" in named[1], len(named)] == [True, True, 2]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"last_seq": 3}, "newest batch final on the chain: expected 2, found 3"),
        ({"settled": {KEY: 41}}, "settled on the chain: expected 40, found 41"),
        ({"settled": {}}, "settled on the chain: expected 40, found 0"),
        ({"settled": {}, "joins": frozenset()}, "settled on the chain: expected 40, found 0"),
        ({"held": {ANN: 4_499}}, "planck in escrow on the chain: expected 4500, found 4499"),
        ({"totals": {CAM: (41, 4_000)}}, "ticks settled on the chain: expected 40, found 41"),
        ({"totals": {CAM: (40, 4_001)}}, "planck settled on the chain: expected 4000, found 4001"),
        ({"credits": {BEA: 3_601}}, "credit on the chain, at most: expected 3600, found 3601"),
        ({"credits": {OPERATOR: 401}}, "credit on the chain, at most: expected 400, found 401"),
        ({"outcomes": {1: (b"other", ())}}, "batch 1: final on the chain with other content"),
        ({"outcomes": {2: (b"two", ())}}, "batch 2, entry 3: refused by the chain"),
    ],
)
def test_each_thing_that_the_chain_says_otherwise_is_named(changes, what):
    """One cause, one line: an operator reads where to look."""
    [difference] = _differences(**changes)

    assert what in difference


def test_a_session_that_the_chain_removed_is_no_difference():
    """An ended join may be reaped; the totals of its stream still hold it."""
    chain = replace(CHAIN, settled={}, joins=frozenset())
    removed = replace(RECORDS, chain=chain, ended=frozenset({JOIN}))

    assert audit(removed)[1] == ()


def _restored(**changes) -> tuple[tuple, list[str]]:
    """Return rows and differences of a book that adopted 30 ticks; `changes` are the chain's."""
    chain = replace(
        CHAIN,
        last_seq=7,
        settled={KEY: 70},
        held={ANN: 1_500},
        totals={CAM: (70, 7_000)},
        credits={BEA: 6_300, OPERATOR: 700},
    )
    records = replace(
        RECORDS,
        entries={KEY: replace(RECORDS.entries[KEY], ahead=30)},
        ledger={
            Holder(Role.OUTSIDE): Planck(-8_500),
            Holder(Role.VIEWER, ANN): Planck(1_500),
            Holder(Role.CREATOR, BEA, CAM): Planck(6_300),
            Holder(Role.PLATFORM, stream=CAM): Planck(700),
        },
        passed_seq=7,
        chain=replace(chain, **changes),
    )
    rows, differences = audit(records)
    return rows, [str(difference) for difference in differences]


def test_what_a_restored_book_adopted_is_a_number_of_its_own_and_no_difference():
    """The chain moved 70 ticks, 30 of them nobody has: balance and escrow are still equal."""
    (row,), differences = _restored()

    assert differences == []
    assert (row.metered, row.settled, row.in_flight, row.planck) == (61, 40, 21, 6_100)
    assert (row.adopted, row.adopted_planck) == (30, 3_000)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"last_seq": 8}, "newest batch final on the chain: expected 7, found 8"),
        ({"settled": {KEY: 71}}, "settled on the chain: expected 70, found 71"),
        ({"settled": {KEY: 40}}, "settled on the chain: expected 70, found 40"),
        ({"held": {ANN: 1_499}}, "planck in escrow on the chain: expected 1500, found 1499"),
        ({"held": {ANN: 4_500}}, "planck in escrow on the chain: expected 1500, found 4500"),
        ({"totals": {CAM: (69, 7_000)}}, "ticks settled on the chain: expected 70, found 69"),
        ({"totals": {CAM: (70, 7_001)}}, "planck settled on the chain: expected 7000, found 7001"),
        ({"credits": {BEA: 6_301}}, "credit on the chain, at most: expected 6300, found 6301"),
    ],
)
def test_adopted_ticks_hide_nothing_beyond_them(changes, what):
    """One tick or planck more, or less, than was adopted has its name."""
    _, [difference] = _restored(**changes)

    assert what in difference


def test_adopted_ticks_whose_money_the_ledger_did_not_move_are_named():
    """Else a viewer could spend what the chain has taken."""
    bad = replace(RECORDS, entries={KEY: replace(RECORDS.entries[KEY], ahead=30)}, chain=None)

    differences = [str(difference) for difference in audit(bad)[1]]

    assert any(
        "planck in the ledger: expected 1500, found 4500" in difference
        for difference in differences
    )


def test_credit_that_was_taken_out_is_no_difference():
    """Creators withdraw when they like: the chain then holds less than they earned."""
    assert _differences(credits={BEA: 0}) == []


def test_a_withdrawal_that_the_ledger_does_not_have_is_named():
    """Money that left must have left the viewer's account in the ledger too."""
    bad = replace(RECORDS, withdrawals={}, chain=None)

    differences = [str(difference) for difference in audit(bad)[1]]

    assert any(
        "planck in the ledger: expected 6000, found 4500" in difference
        for difference in differences
    )
