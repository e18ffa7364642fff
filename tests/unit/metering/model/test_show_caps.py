"""Which cap a show has, and what an account has spent in it."""

from metering.model.price import UNITS_MAX
from metering.model.show_caps import cap_of, cap_units, cost_by_show
from metering.units import Planck, Run, ShowCap

CAPS = (ShowCap(100, Planck(70)), ShowCap(200, Planck(0)), ShowCap(300, Planck(50)))


def test_a_show_keeps_the_cap_that_held_when_it_began():
    """Shows before the first cap are not counted; one whose cap was lifted is, without end."""
    assert cap_of(CAPS, 99) is None
    assert [cap_of(CAPS, show) for show in (100, 299, 300)] == list(CAPS)
    assert [cap_units(CAPS, show, 10) for show in (99, 199, 200, 301)] == [None, 7, UNITS_MAX, 5]


def test_a_run_over_two_shows_is_spent_in_both():
    """Seconds before the first counted show are of one that is not counted."""
    billed = [((Run(95, 10), Run(198, 4)), Planck(3)), ((Run(400, 2),), Planck(5))]

    assert cost_by_show(billed, (100, 200, 300)) == {100: 21, 200: 6, 300: 10}
    assert cost_by_show(billed, ()) == {}
