"""Amounts as people read and write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.errors import InvalidValueError
from metering.model.amounts import aligned, amount_text, both_texts, parse_amount
from metering.units import Asset

UNIT = Asset("UNIT", 12, 1)


@given(st.integers(0, (1 << 128) - 1), st.integers(0, 30))
def test_o6_what_is_printed_is_read_as_the_same_money(planck, decimals):
    """An amount copied from one command into another is not rounded, whatever the asset."""
    asset = Asset("DOT", decimals, 1)

    assert parse_amount(amount_text(planck, asset), asset) == planck
    assert parse_amount(f"{planck} planck", asset) == planck


@pytest.mark.parametrize(
    ("text", "planck"),
    [
        ("0.00025 UNIT", 250_000_000),
        ("0.00025UNIT", 250_000_000),
        (" 1.50 UNIT ", 1_500_000_000_000),
        ("7 planck", 7),
        ("0", 0),
        ("0.0", 0),
    ],
)
def test_o6_an_amount_with_its_unit_is_read(text, planck):
    """Nobody counts twelve digits; what is nothing needs no unit."""
    assert parse_amount(text, UNIT) == planck


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("250", ['"250 UNIT" is 250000000000000 planck', "--planck 250 is 0.00000000025 UNIT"]),
        ("0.00025", ["names no unit", '"0.00025 UNIT"']),
        ("1 DOT", ["DOT is not a unit here", "UNIT or planck"]),
        ("1.5 planck", ["planck is whole"]),
        ("0.0000000000001 UNIT", ["finer than one planck", "12 decimal places"]),
        ("1,000 UNIT", ["1,000 UNIT is not an amount", '"0.5 UNIT"']),
        ("-5 UNIT", ["-5 UNIT is not an amount"]),
        ("1e3 UNIT", ["is not an amount"]),
        ("", ["is not an amount"]),
        ("9" * 41 + " UNIT", ["is not an amount"]),
        ("٣ UNIT", ["is not an amount"]),
    ],
)
def test_o6_an_amount_that_may_mean_two_things_is_refused_with_both(text, words):
    """A factor of a million million never goes through unseen."""
    with pytest.raises(InvalidValueError) as caught:
        parse_amount(text, UNIT)

    assert [word for word in words if word not in str(caught.value)] == []


def test_o6_amounts_are_shown_in_the_asset():
    """What people read has the unit, no digit more than it needs, and its point in one column."""
    assert amount_text(-1_500_000_000_000, UNIT) == "-1.5 UNIT"
    assert amount_text(0, UNIT) == "0 UNIT"
    assert both_texts(250_000_000, UNIT) == "0.00025 UNIT (250000000 planck)"
    assert aligned([1_500_000_000_000, 250_000_000, 10**14], UNIT) == [
        "  1.5     UNIT",
        "  0.00025 UNIT",
        "100       UNIT",
    ]
