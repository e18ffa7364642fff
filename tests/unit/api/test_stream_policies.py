"""What HTTP processes are told of named viewers: no more than they need."""

from dataclasses import replace

from mediaserver.api.streams.stream_policies import stream_policies
from metering.model.named_prices import NamedPrice
from metering.units import AccountId, Planck, PriceVersion
from tests.support.book_fixture import make_book

ANN, BOB = AccountId(b"a" * 32), AccountId(b"b" * 32)


def test_of_named_viewers_those_are_told_who_pay_something_else() -> None:
    """Of prices that no second can be claimed at any more nothing is."""
    prices = tuple(PriceVersion(number, number * 10, Planck(number)) for number in range(1, 9))
    stream = replace(make_book().stream, prices=prices)
    named = {
        ANN: (NamedPrice(5, 20, Planck(3)), NamedPrice(42, None, Planck(0))),
        BOB: (NamedPrice(5, 21, Planck(3)), NamedPrice(78, None, Planck(0))),
    }

    (policy,) = stream_policies([stream], {stream.id: named}, 0, 75)

    assert [version.number for version in policy.prices] == [7, 8]
    ((account, seen),) = [(item.account, item.prices) for item in policy.named]
    assert (account, [version.number for version in seen]) == (BOB, [21, 7, 8])
