"""What HTTP processes are told always fits the message that it is told in."""

import os
import random
from dataclasses import replace
from uuid import UUID

from mediaserver.api.streams import policy_room
from mediaserver.api.streams.policy_room import growth_bytes, record_bytes
from mediaserver.api.streams.stream_policies import stream_policies
from mediaserver.ipc.framing import HEADER_BYTES_MAX
from mediaserver.ipc.messages import Policy
from metering.book import policy_counts
from metering.book.records import StreamRecord
from metering.model.named_prices import NamedPrice
from metering.units import FREE_LIST, AccountId, Asset, Planck, PriceVersion, ShowCap
from tests.support.book_fixture import make_book
from tests.support.wire import wire

SEED = int(os.environ["VILOKANAM_SEED"])
NOW = 2**33
OLDEST = NOW - 24 * 3600
RICH = Planck(10**30)


def message_bytes(
    stream: StreamRecord, named: dict[AccountId, tuple[NamedPrice, ...]], oldest: int
) -> int:
    """Return how many bytes the message is with one stream in it, less what it is with none."""

    def message(streams: tuple[object, ...]) -> int:
        keys = tuple((item.slug, bytes(32)) for item in streams)  # type: ignore[attr-defined]
        ids = tuple(item.stream for item in streams)  # type: ignore[attr-defined]
        parts = (streams, ((1, bytes(32)),), Asset(), "e", "r", "u", False, 1, keys)
        return len(wire(Policy(*parts, unlisted=ids)))  # type: ignore[arg-type]

    return message(stream_policies([stream], {stream.id: named}, 0, oldest)) - message(())


def changed(
    rng: random.Random,
    record: StreamRecord,
    named: dict[AccountId, tuple[NamedPrice, ...]],
    now: int,
) -> tuple[StreamRecord, dict[AccountId, tuple[NamedPrice, ...]]]:
    """Return a stream after a price, a cap or a viewer's price more: none holds for the past."""
    tick = now + 60 + rng.randrange(7200)
    own = (change.version or 0 for changes in named.values() for change in changes)
    number = max(record.prices[-1].number, *own, 0) + 1
    match rng.randrange(6):
        case 0 | 1:
            later = max(now + 60, record.prices[-1].from_tick + 1) + rng.randrange(2000)
            price = PriceVersion(number, later, RICH)
            return replace(record, prices=(*record.prices, price)), named
        case 2:
            return replace(record, caps=(*record.caps, ShowCap(tick, RICH))), named
    account = AccountId(bytes([rng.randrange(9)]) * 32)
    made = rng.choice(
        [
            NamedPrice(tick, number, RICH),
            NamedPrice(tick, FREE_LIST, Planck(0)),
            NamedPrice(tick, None, Planck(0)),
        ]
    )
    kept = (item for item in named.get(account, ()) if item.from_tick < tick)
    return record, named | {account: (*kept, made)}


def test_no_change_takes_more_bytes_than_are_held_free_for_it() -> None:
    """Whatever is changed, in whatever order; the bound is never below what is sent."""
    rng = random.Random(SEED)
    for _ in range(20):
        record = replace(
            make_book().stream, id=UUID(int=2**128 - 1), slug="s" * 63, title="\U0001f600" * 40
        )
        record = replace(record, prices=(PriceVersion(1, 0, RICH),))
        named: dict[AccountId, tuple[NamedPrice, ...]] = {}
        now = NOW
        for _ in range(60):
            now += rng.choice((0, 100, 9000))
            oldest = now - 24 * 3600
            most = record_bytes(record, named, oldest) + growth_bytes(record, named, oldest)
            record, named = changed(rng, record, named, now)
            size = record_bytes(record, named, oldest)
            assert message_bytes(record, named, oldest) <= size <= most, f"seed {SEED}"


def test_thousands_of_changes_within_a_day_are_counted_by_their_bytes() -> None:
    """500 viewers, each with a few prices: by count that was little, and it was 50 MB."""
    prices = tuple(PriceVersion(n, OLDEST + n, RICH) for n in range(1, 1001))
    stream = replace(make_book().stream, prices=prices)
    named = {
        AccountId(n.to_bytes(32, "big")): (NamedPrice(NOW + 99, 2000 + n, RICH),)
        for n in range(500)
    }

    assert record_bytes(stream, named, OLDEST) > 4 * HEADER_BYTES_MAX
    assert record_bytes(stream, named, NOW + 100) < policy_room.STREAM_BYTES_MAX


def test_there_is_room_beside_all_streams_for_what_else_is_told() -> None:
    """1,000 keys of machines, 10,000 ended sessions, and what two requests at once may add."""
    beside = 1000 * 120 + 10_000 * 22 + 2 * policy_room.STREAM_BYTES_MAX // 10

    assert policy_room.POLICY_BYTES_MAX + beside < HEADER_BYTES_MAX


def test_what_the_database_counts_is_never_below_what_is_sent() -> None:
    """So most changes need no look at 10,000 streams."""
    rng, fixture = random.Random(SEED), make_book(viewers=3)
    book, stream, now = fixture.book, fixture.stream, NOW
    book.streams.create("second", "\U0001f600\x7f" * 20, Planck(5), 1, 0)
    for _ in range(40):
        now += rng.choice((0, 100, 9000))
        if rng.random() < 0.4:
            last = book.streams.get(stream.slug).prices[-1].from_tick
            book.streams.add_price(stream.slug, Planck(7), max(now + 60, last + 1))
        elif rng.random() < 0.2:
            book.show_caps.put(stream.id, Planck(rng.randrange(99)), now)
        else:
            planck = rng.choice([None, Planck(0), Planck(3)])
            book.named_prices.add(stream.id, rng.choice(fixture.accounts), planck, now + 60)
        named = book.named_prices.all()
        exact = sum(
            record_bytes(record, named.get(record.id, {}), now - 24 * 3600)
            for record in book.streams.all()
        )
        with book.viewing() as connection:
            assert exact <= policy_room.counted_bytes(policy_counts.count(connection))
