"""What a named viewer pays, second by second."""

from hypothesis import given
from hypothesis import strategies as st

from metering.model.named_prices import NamedPrice, prices_of
from metering.model.price import in_force, next_change, priced_runs
from metering.units import FREE_LIST, Planck, PriceVersion, Run

TICKS = st.integers(0, 40)
COSTS = st.integers(0, 3).map(lambda cost: Planck(10 * cost))
EVERYBODYS = (PriceVersion(1, 0, Planck(10)), PriceVersion(4, 20, Planck(0)))


def test_a_viewers_own_price_holds_between_two_of_everybodys():
    """A change for everybody meanwhile is none for them; what is free to all is free."""
    own = (NamedPrice(5, 2, Planck(3)), NamedPrice(12, FREE_LIST, Planck(0)))
    prices = (PriceVersion(1, 0, Planck(10)), PriceVersion(3, 8, Planck(30)), EVERYBODYS[1])

    seen = prices_of(prices, (*own, NamedPrice(15, None, Planck(0))))

    assert [(version.from_tick, version.number) for version in seen] == [
        (0, 1),
        (5, 2),
        (12, FREE_LIST),
        (15, 3),
        (20, 4),
    ]
    runs = priced_runs(seen, Run(4, 20), 1)
    assert [(priced.run.first, priced.version, priced.units_per_tick) for priced in runs] == [
        (4, 1, 10),
        (5, 2, 3),
        (12, FREE_LIST, 0),
        (15, 3, 30),
    ]
    assert next_change(seen, 5) == PriceVersion(FREE_LIST, 12, Planck(0))


def test_a_long_history_of_prices_is_gone_through_once():
    """Control does it for each named viewer, every few seconds."""

    class Counted(list[PriceVersion]):
        looks = 0

        def __iter__(self):
            Counted.looks += 1
            return super().__iter__()

    prices = Counted(PriceVersion(number, number, Planck(10)) for number in range(1, 400))

    assert [version.number for version in prices_of(prices, (NamedPrice(7, 900, Planck(3)),))] == [
        *range(1, 7),
        900,
    ]
    assert Counted.looks <= 2


@given(
    st.dictionaries(TICKS, COSTS, max_size=5),
    st.dictionaries(TICKS, st.none() | COSTS, max_size=5),
    TICKS,
)
def test_each_second_costs_what_was_said_last_before_it(everybodys, own, tick):
    """A viewer's own word goes before everybody's, unless that is that it is free."""
    prices = tuple(
        PriceVersion(number, first, cost)
        for number, (first, cost) in enumerate(sorted(everybodys.items()), 1)
    )
    named = tuple(
        NamedPrice(first, None if cost is None else (100 + first if cost else 0), cost or Planck(0))
        for first, cost in sorted(own.items())
    )

    paid = in_force(prices_of(prices, named), tick)

    everybody = [cost for first, cost in sorted(everybodys.items()) if first <= tick][-1:]
    mine = [cost for first, cost in sorted(own.items()) if first <= tick][-1:]
    expected = mine if mine and mine[0] is not None and everybody and everybody[0] else everybody
    assert ([] if paid is None else [paid.planck_per_tick]) == expected
