"""A statement of a month: its lines add up, and a flipped byte of its file shows."""

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering import signing
from metering.errors import InvalidValueError, ReceiptInvalidError
from metering.model import statement
from metering.model.statement import Move, Part, Statement, StatementLine
from metering.units import AccountId, Asset, Planck

OPERATOR = signing.from_seed(b"operator".ljust(32, b"."))
UNIT = Asset("UNIT", 3)
FIRST, END = statement.bounds_of("2026-11")
DAY = 86_400_000


def move(at_ms: int, planck: int, kind: str = "settlement", reference: str = "1", *, fee=False):
    part = Part.FEE if fee else Part.OWN
    return Move(at_ms, kind, reference, part, Planck(planck))


MOVES = [
    move(FIRST - 1, 50),
    move(FIRST, 90),
    move(FIRST, 10, fee=True),
    move(FIRST + 5, 900, reference="2"),
    move(FIRST + 5, 100, reference="2", fee=True),
    move(FIRST + DAY, -500, "payout", "p1"),
    move(END, 7),
]


def made(title: str = "Camera") -> Statement:
    opening, lines, closing = statement.sums_of(MOVES, "2026-11", {"p1": "bank 7"})
    ends = (END, True, opening, lines, closing)
    return Statement(UUID(int=1), "cam", title, AccountId(b"c" * 32), "2026-11", *ends)


def test_days_are_summed_and_what_went_out_is_named() -> None:
    assert (FIRST, END) == (1793491200000, 1796083200000)
    found = made()
    assert (found.opening, found.closing) == (50, 50 + 990 - 500)
    earned, payout = found.lines
    planck = (Planck(1100), Planck(110), Planck(990))
    assert earned == StatementLine("2026-11-01", "earned", "", "", *planck)
    planck = (Planck(-500), Planck(0), Planck(-500))
    assert payout == StatementLine("2026-11-02", "payout", "p1", "bank 7", *planck)


@given(
    st.lists(
        st.tuples(
            st.integers(FIRST - DAY, END + DAY),
            st.integers(-99, 99),
            st.sampled_from(["settlement", "payout"]),
            st.booleans(),
        )
    )
)
def test_what_a_month_closes_with_is_what_the_next_opens_with(rows) -> None:
    moves = sorted((move(at, n, kind, fee=fee) for at, n, kind, fee in rows), key=lambda m: m.at_ms)
    november = statement.sums_of(moves, "2026-11", {})
    assert november[2] == statement.sums_of(moves, "2026-12", {})[0]
    assert all(line.gross - line.fee == line.planck for line in november[1])


def test_the_table_has_names_units_and_periods_and_no_formula() -> None:
    heads, *lines = statement.table(made("=1+1"), UNIT)
    rows = [dict(zip(heads, line, strict=True)) for line in lines]
    assert [row["what"] for row in rows] == ["opening", "earned", "payout", "closing"]
    assert {(row["stream"], row["title"], row["month"]) for row in rows} == {
        ("cam", "'=1+1", "2026-11")
    }
    assert [row["amount"] for row in rows] == ["0.05", "0.99", "-0.5", "0.54"]
    assert (rows[1]["paid_by_viewers"], rows[1]["platform_fee"]) == ("1.1", "0.11")
    assert {row["unit"] for row in rows} == {"UNIT"}
    assert rows[2]["note"] == "bank 7"


def test_a_signed_file_holds_and_a_changed_one_does_not() -> None:
    data = statement.file_bytes(made(), UNIT, OPERATOR)
    content = statement.verify(data, OPERATOR.account)
    assert (content["title"], content["closing"]) == ("Camera", "540")
    for old, new in ((b'"540"', b'"541"'), (b"Camera", b"Cinema"), (b"bank 7", b"bank 8")):
        with pytest.raises(ReceiptInvalidError, match="not signed by this operator"):
            statement.verify(data.replace(old, new), OPERATOR.account)
    with pytest.raises(ReceiptInvalidError, match="not signed by this operator"):
        statement.verify(data, AccountId(b"e" * 32))
    for other in (b"", b"[]", b'{"format": 1}', data.replace(b"signature", b"signatory")):
        with pytest.raises(ReceiptInvalidError):
            statement.verify(other, OPERATOR.account)


def test_a_signed_sum_that_is_wrong_is_named() -> None:
    wrong = replace(made(), closing=Planck(541))
    with pytest.raises(ReceiptInvalidError, match="its lines make 540, it says 541"):
        statement.verify(statement.file_bytes(wrong, UNIT, OPERATOR), OPERATOR.account)
    [line, *rest] = made().lines
    wrong = replace(made(), lines=(replace(line, fee=Planck(1)), *rest))
    with pytest.raises(ReceiptInvalidError, match="2026-11-01 does not add up"):
        statement.verify(statement.file_bytes(wrong, UNIT, OPERATOR), OPERATOR.account)


@pytest.mark.parametrize("month", ["2026-13", "2026-1", "26-11", "2026-11-01", "", "२०२६-11"])
def test_what_is_no_month_is_refused(month) -> None:
    with pytest.raises(InvalidValueError, match="is not a month"):
        statement.bounds_of(month)


def test_a_year_ends_with_december() -> None:
    assert statement.bounds_of("2026-12")[1] == statement.bounds_of("2027-01")[0]
