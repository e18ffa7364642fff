"""Split tables: which one holds, what cannot be one, and what it gives whom."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering import signing
from metering.errors import ReceiptInvalidError
from metering.model import statement
from metering.model.ledger import PPM, Holder, Role, Share, earned_by
from metering.model.splits import (
    NO_TABLE,
    SplitTable,
    part_to_come,
    price_fault,
    table_at,
    table_faults,
)
from metering.model.statement import Move, Part, Statement
from metering.units import AccountId, Asset, Planck

STREAM = UUID(int=1)
BEA, PAT, SAM = (AccountId(letter * 32) for letter in (b"b", b"p", b"s"))
OPERATOR = signing.from_seed(b"operator".ljust(32, b"."))
FIRST, END = statement.bounds_of("2026-11")


def test_the_newest_table_that_has_begun_holds() -> None:
    tables = (SplitTable(1, 0, (Share(PAT, 1),)), SplitTable(2, 100, ()))

    assert [table_at(tables, tick).number for tick in (0, 99, 100, 500)] == [1, 1, 2, 2]
    assert table_at(tables[1:], 99) == NO_TABLE


@pytest.mark.parametrize(
    ("shares", "fault"),
    [
        ((Share(PAT, 500_000), Share(SAM, 400_001)), "more than the 1000000 that there are"),
        ((Share(PAT, 1), Share(PAT, 2)), "is there already"),
        ((Share(BEA, 1),), "is the stream's creator"),
        ((Share(PAT, 0),), "0 is not in 1 to 1000000"),
        (tuple(Share(AccountId(bytes([n]) * 32), 1) for n in range(8)), "at most 7"),
    ],
)
def test_what_cannot_be_a_table_is_said(shares, fault) -> None:
    assert fault in "; ".join(table_faults(shares, BEA, 100_000))
    assert table_faults((Share(PAT, 500_000), Share(SAM, 400_000)), BEA, 100_000) == []


@given(
    st.integers(0, 10**9),
    st.integers(0, PPM),
    st.lists(st.integers(1, PPM), max_size=7),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
)
def test_nobody_gives_back_a_planck_as_more_is_watched(price, fee, parts, ticks, more) -> None:
    """Where the price is enough; else it is refused. The sum is always the amount."""
    shares = tuple(Share(AccountId(bytes([n + 1]) * 32), ppm) for n, ppm in enumerate(parts))
    before = earned_by(Planck(price * ticks), STREAM, fee, BEA, shares)
    after = earned_by(Planck(price * (ticks + more)), STREAM, fee, BEA, shares)

    assert sum(after.values()) == price * (ticks + more)
    if not price_fault(shares, fee, Planck(price)) and shares:
        assert all(after[holder] >= before[holder] >= 0 for holder in after)


def test_a_price_too_little_to_be_shared_is_refused_in_words() -> None:
    """Two halves of one planck: the second planck would be both theirs, and one the creator's."""
    halves = (Share(PAT, 500_000), Share(SAM, 500_000))

    assert "rounded up to a whole planck, are 2" in price_fault(halves, 0, Planck(1))
    assert price_fault(halves, 0, Planck(2)) == price_fault(halves, 0, Planck(0)) == ""
    assert price_fault((), 100_000, Planck(1)) == ""
    earned = earned_by(Planck(7), STREAM, 100_000, BEA, (Share(PAT, 333_333),))
    assert earned[Holder(Role.CREATOR, PAT, STREAM)] == 2
    assert earned[Holder(Role.CREATOR, BEA, STREAM)] == 5


def stated(payee: AccountId | None) -> Statement:
    moves = [
        Move(FIRST, "settlement", "1", Part.OWN, Planck(25)),
        Move(FIRST, "settlement", "1", Part.FEE, Planck(10)),
        Move(FIRST, "settlement", "1", Part.OTHERS, Planck(65)),
    ]
    ends = statement.sums_of(moves, "2026-11", {})
    return Statement(STREAM, "cam", "Camera", BEA, "2026-11", END, True, *ends, payee)


def test_a_shared_statement_says_what_others_had_and_is_verified() -> None:
    """Its form is another one, so that who knows only the first is not misled."""
    data = statement.file_bytes(stated(PAT), Asset(), OPERATOR)

    content = statement.verify(data, OPERATOR.account)

    assert (content["format"], content["closing"]) == ("vilokanam-statement-2", "25")
    assert content["payee"] == f"0x{PAT.hex()}"
    assert content["lines"][0]["others"] == "65"
    heads, *rows = statement.table(stated(PAT), Asset("UNIT", 0))
    earned = dict(zip(heads, rows[1], strict=True))
    assert (earned["paid_by_viewers"], earned["other_payees"], earned["amount"]) == (
        *("100", "65"),
        "25",
    )
    with pytest.raises(ReceiptInvalidError, match="not signed"):
        statement.verify(data.replace(b'"65"', b'"64"'), OPERATOR.account)
    own = statement.verify(statement.file_bytes(stated(None), Asset(), OPERATOR), OPERATOR.account)
    assert own["payee"] == f"0x{BEA.hex()}"


def test_a_payee_is_told_the_next_part_that_is_another() -> None:
    """Not the next table: one that leaves their part as it is changes nothing for them."""
    tables = (
        SplitTable(1, 100, (Share(PAT, 250_000),)),
        SplitTable(2, 200, (Share(PAT, 250_000), Share(SAM, 1))),
        SplitTable(3, 300, (Share(SAM, 1),)),
    )

    parts = [part_to_come(tables, PAT, tick) for tick in (0, 99, 100, 200, 299, 300)]
    assert parts == [(250_000, 100), (250_000, 100), (0, 300), (0, 300), (0, 300), None]
    assert part_to_come(tables, SAM, 100) == (1, 200)
    assert part_to_come((), PAT, 0) is None
