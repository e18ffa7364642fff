"""The lower of the operator's limits and a viewer's own."""

import pytest

from metering.model.spending_limits import SpendingLimits, limit_units, lower, operator_limits
from metering.settings import PriceSettings
from metering.units import Planck


@pytest.mark.parametrize(
    ("one", "other", "lowest"), [(0, 0, 0), (0, 5, 5), (5, 0, 5), (5, 7, 5), (7, 5, 5)]
)
def test_the_lower_of_two_limits_holds_and_none_holds_nothing(one, other, lowest) -> None:
    assert lower(Planck(one), Planck(other)) == lowest


def test_each_limit_is_within_its_like() -> None:
    operators = operator_limits(PriceSettings(stream_limit_planck="50", day_limit_planck="70"))
    own = SpendingLimits(session=Planck(9), stream=Planck(60), day=Planck(60))
    assert operators.within(own) == SpendingLimits(Planck(9), Planck(50), Planck(60))


@pytest.mark.parametrize(("planck", "units"), [(0, 0), (1, 1), (999, 1), (1000, 1), (5000, 5)])
def test_a_limit_is_never_none_for_the_store_by_rounding(planck, units) -> None:
    assert limit_units(Planck(planck), 1000) == units
