"""Who may join a stream."""

import pytest

from mediaserver.people.stream_access import Access, Visitor, may_join
from metering.units import Planck


def test_a_free_preview_needs_no_money() -> None:
    """Who has nothing watches the free seconds; the claim refuses what comes after them."""
    assert may_join(Visitor(True, Planck(10), Planck(0), preview_s=30)) is Access.OPEN
    assert may_join(Visitor(False, Planck(10), Planck(0), preview_s=30)) is Access.CLOSED


def test_a_show_that_is_paid_needs_no_more_money() -> None:
    """Who paid the most that it costs, and loads the page again, goes on."""
    assert may_join(Visitor(True, Planck(10), Planck(0), is_paid=True)) is Access.OPEN


@pytest.mark.parametrize(
    ("is_enabled", "planck", "balance", "access"),
    [
        (True, 10, 1, Access.OPEN),
        (True, 10, 0, Access.PURSE),
        (True, 10, -1, Access.PURSE),
        (True, 10, None, Access.OPEN),
        (True, 0, 0, Access.OPEN),
        (False, 0, 1, Access.CLOSED),
        (False, 10, 0, Access.CLOSED),
    ],
)
def test_who_may_join(is_enabled, planck, balance, access) -> None:
    """What is free is open to all, what costs asks for money, and a chain decides by itself."""
    held = None if balance is None else Planck(balance)
    assert may_join(Visitor(is_enabled, Planck(planck), held)) is access
