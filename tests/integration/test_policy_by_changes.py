"""What HTTP processes are told by changes is what they would be told whole."""

import asyncio
import contextlib
import os
import random
from collections.abc import Callable
from dataclasses import MISSING, fields
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock
from uuid import UUID

import pytest

from mediaserver.api.context import Context
from mediaserver.hls.known_policy import KnownPolicy
from mediaserver.ipc.messages import Policy, PolicyChange
from mediaserver.people import bars, guests, stream_rules, takedowns
from mediaserver.people.place_rules import PlaceRules
from mediaserver.people.service import People
from mediaserver.people.visibility import Visibility
from mediaserver.processes import policy_maker
from mediaserver.processes.policy_maker import TURN_S, PolicyMaker
from mediaserver.settings.records import Settings
from metering.book.async_book import AsyncBook
from metering.book.book import Book
from metering.errors import BookError, IdempotencyConflictError, InvalidValueError, UnknownNameError
from metering.units import Asset, Planck, SessionId
from tests.support.book_fixture import PRICE
from tests.support.people_fixture import make_people

SEED = int(os.environ["VILOKANAM_SEED"])
RULES = (
    PlaceRules(),
    PlaceRules(deny_countries=("FR",)),
    PlaceRules(allow_networks=("192.0.2.0/24",)),
)


class PolicyFixture:
    """A book that is written at random, and who reads it for HTTP processes."""

    def __init__(self, seed: int, streams: int) -> None:
        self.rng = random.Random(seed)
        self.fixture = make_people()
        self.clock = self.fixture.clock
        self.book = AsyncBook(self.fixture.book)
        self.slugs = [f"stream-{number}" for number in range(streams)]
        for slug in self.slugs:
            self.fixture.book.streams.create(slug, slug, PRICE, 1, 0)
        self.account = self.fixture.accounts[0]
        self.sessions = 0
        asked: dict[str, Any] = {
            "settings": Settings(),
            "clock": self.clock,
            "book": self.book,
            "people": People(self.book),
            "decisions": SimpleNamespace(asks=lambda _: False),
        }
        needed = {part.name: Mock() for part in fields(Context) if part.default is MISSING}
        self.shared = Context(**needed | asked)
        self.maker = self.new_maker()

    def new_maker(self) -> PolicyMaker:
        return PolicyMaker(self.shared, lambda: Policy((), (), Asset(), "e", "r", "", False, 0))

    def write(self) -> None:
        """Do one thing that HTTP processes must know of, or be refused."""
        refusals = (IdempotencyConflictError, InvalidValueError, UnknownNameError)
        with contextlib.suppress(*refusals), self.fixture.book.together() as connection:
            self.rng.choice(self.changes(connection))()

    def write_by_hand(self) -> None:
        with self.fixture.book._engine.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE streams SET title = 'By hand' WHERE slug = 'stream-9'"
            )

    def changes(self, connection: Any) -> list[Callable[[], Any]]:
        book, rng, now_ms = self.fixture.book, self.rng, self.clock.wall_ms
        slug = rng.choice(self.slugs)
        stream: UUID = book.streams.get(slug).id
        later, planck = now_ms // 1000 + rng.randrange(1, 5000), Planck(10**8 * rng.randrange(5))
        until_ms = rng.choice([None, now_ms + rng.randrange(1, 3_000_000)])
        visibility, rules = rng.choice(list(Visibility)), rng.choice(RULES)
        self.sessions += 1
        session, account = SessionId(self.sessions), self.account
        ends_ms = now_ms + 9_000_000

        def rename() -> None:
            wanted = f"stream-{rng.randrange(100)}"
            book.streams.rename(slug, wanted)
            self.slugs[self.slugs.index(slug)] = wanted

        def swap() -> None:
            other = rng.choice(self.slugs)
            for old, new in ((slug, "for-a-while"), (other, slug), ("for-a-while", other)):
                book.streams.rename(old, new)

        def create() -> None:
            made, _ = book.streams.create(f"stream-{rng.randrange(100)}", "New", planck, 1, 0)
            self.slugs.append(made.slug)

        def over() -> None:
            book.sessions.add(session, account, stream, 1, now_ms, ends_ms)
            book.sessions.end(session, rng.choice(["owner", "left"]), now_ms)

        return [
            create,
            rename,
            swap,
            over,
            lambda: book.streams.set_title(slug, f"Title {later}"),
            lambda: book.streams.enable(slug, is_enabled=bool(later % 2)),
            lambda: book.streams.set_preview(slug, later % 100),
            lambda: book.streams.rotate_key(slug, now_ms),
            lambda: book.streams.add_price(slug, planck, later),
            lambda: book.streams.withdraw_price(
                slug, book.streams.get(slug).prices[-1].number, now_ms // 1000
            ),
            lambda: book.show_caps.put(stream, planck, later),
            lambda: book.named_prices.add(stream, account, rng.choice([None, planck]), later),
            lambda: guests.set_visibility(connection, stream, visibility),
            lambda: bars.add(connection, account, stream, until_ms, "spam", "admin", now_ms),
            lambda: [
                bars.end(connection, bar.id, stream, now_ms)
                for bar in bars.page(connection, stream, 1)
            ],
            lambda: stream_rules.put(connection, rng.choice([stream, None]), rules, now_ms),
            lambda: takedowns.add(
                connection, stream, "stolen", is_legal=False, made_by="admin", now_ms=now_ms
            ),
            lambda: takedowns.end(connection, stream, now_ms),
        ]


def content_of(policy: Policy) -> dict[str, Any]:
    """Return what a policy says, in one order."""
    known = KnownPolicy(policy)
    hidden = known.restrictions.limited
    return {
        "streams": known.streams,
        "slugs": known.slugs,
        "keys": known.stream_keys,
        "unlisted": set(policy.unlisted),
        "invited": set(policy.invited),
        "ended": set(policy.ended_sessions) if hidden else set(),
        "rules": known.address_rules,
        "down": known.restrictions.taken_down,
        "limited": known.restrictions.limited,
    }


@pytest.mark.parametrize("seed", range(SEED, SEED + 4))
async def test_changes_come_to_what_is_read_whole(seed: int, monkeypatch) -> None:
    """Links are lost meanwhile, the book does not answer at times, and time goes on."""
    world = await asyncio.to_thread(PolicyFixture, seed, 8)
    rng = world.rng
    # Nothing is read again in its turn: each write has to be known by itself.
    monkeypatch.setattr(policy_maker, "TURN", 0)
    whole = await world.maker.make()
    assert isinstance(whole, Policy)
    process = KnownPolicy(whole)
    for _ in range(80):
        for _ in range(rng.randrange(4)):
            await world.book.run(lambda _: world.write())
        world.clock.wall_ms += rng.choice([0, 1000, 600_000])
        if rng.random() < 0.1:
            run = world.book.run
            monkeypatch.setattr(world.book, "run", Mock(side_effect=BookError("away")))
            with pytest.raises(BookError):
                await world.maker.make()
            monkeypatch.setattr(world.book, "run", run)
        change = await world.maker.make()
        assert isinstance(change, PolicyChange)
        if rng.random() < 0.2:  # the link was lost: a new one begins whole
            assert world.maker.known is not None
            process = KnownPolicy(world.maker.known.whole())
        else:
            process.change(change)

        fresh = await world.new_maker().make()
        assert isinstance(fresh, Policy)
        expected, found = content_of(fresh), content_of(process.whole())
        assert process.restrictions.limited == expected["limited"]
        # Sessions of a stream that is public again, or whose tokens have expired, may stay.
        assert found.pop("ended") >= expected.pop("ended")
        assert found == expected


async def test_a_change_has_the_streams_that_changed_alone() -> None:
    """What another program writes into the database is read in its turn."""
    world = await asyncio.to_thread(PolicyFixture, SEED, 30)
    await world.maker.make()
    quiet = await world.maker.make()

    await world.book.run(lambda book: book.streams.set_title("stream-7", "Another"))
    one = await world.maker.make()
    await asyncio.to_thread(world.write_by_hand)
    unheard = await world.maker.make()
    world.clock.move(TURN_S)
    heard = await world.maker.make()

    for change, titles in ((quiet, []), (one, ["Another"]), (unheard, []), (heard, ["By hand"])):
        assert isinstance(change, PolicyChange)
        assert [item.title for item in change.policy.streams] == titles


async def test_a_transaction_that_fails_is_not_told() -> None:
    world = await asyncio.to_thread(PolicyFixture, SEED, 2)
    await world.maker.make()

    def fail(book: Book) -> None:
        with book.together():
            book.streams.set_title("stream-1", "Another")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await world.book.run(fail)

    change = await world.maker.make()
    assert isinstance(change, PolicyChange)
    assert change.policy.streams == ()
