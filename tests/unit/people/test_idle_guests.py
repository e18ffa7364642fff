"""A guest who does not come any more is forgotten, unless they hold money."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, select

from mediaserver.people import (
    api_keys,
    audit,
    browser_sessions,
    credentials,
    idle_guests,
    persons,
)
from mediaserver.people.credentials import NewCredential
from mediaserver.people.records import CredentialKind, Person, Role
from mediaserver.people.schema import audit as audit_rows
from mediaserver.people.service import People
from mediaserver.processes import guest_sweep
from mediaserver.processes.book_file import BESIDE
from mediaserver.processes.guest_sweep import GuestSweep
from mediaserver.settings.records import Settings
from metering.book import schema
from metering.book.async_book import AsyncBook
from metering.book.book import Book
from metering.model.ledger import Share
from metering.model.passes import PassKind
from metering.units import AccountId, Cut, CutLine, Planck, Run, SessionId, shard_of
from tests.support.book_fixture import PRICE
from tests.support.people_fixture import make_people

DAY_MS = 86_400_000
CANARY = "Qzxvkw"


class Guests:
    """A server with guests."""

    def __init__(self, url: str, days: int = 30) -> None:
        self.fixture = make_people(url)
        self.book, self.clock = self.fixture.book, self.fixture.clock
        for room in BESIDE:
            room.bring_up(self.book)
        made = Settings()
        shared: Any = type("Shared", (), {})()
        shared.settings = replace(made, people=replace(made.people, guest_days=days))
        shared.book = AsyncBook(self.book)
        shared.people, shared.clock, shared.escrow = People(shared.book), self.clock, None
        self.shared = shared
        self.sweep = GuestSweep(shared)
        self.count = 0

    def guest(self) -> Person:
        """Return a new guest, who has an account without money and was seen now."""
        self.count += 1
        account = AccountId(bytes([self.count]) * 32)
        name = f"{CANARY} {self.count}"
        with self.book.together() as connection:
            self.book.viewers.create(name, account, self.clock.wall_ms)
            made = persons.create(connection, name, self.clock.wall_ms)
            persons.give_account(connection, made.id, account)
            shown = NewCredential(CredentialKind.PASSKEY, f"{CANARY}-{self.count}", CANARY)
            credentials.add(connection, made.id, shown, self.clock.wall_ms)
            self.come(connection, made)
            return persons.get(connection, made.id)

    def come(self, connection: Connection, guest: Person) -> None:
        browser_sessions.begin(connection, guest.id, self.clock.wall_ms, "203.0.113.7", CANARY)

    def is_closed(self, guest: Person) -> bool:
        with self.book.viewing() as connection:
            return persons.get(connection, guest.id).closed_ms is not None

    def pay_in(self, guest: Person) -> None:
        assert guest.account is not None
        self.book.deposits.add(guest.account, PRICE, f"pay {guest.id}", "", 1)


@pytest.fixture
def guests(tmp_path) -> Iterator[Guests]:
    made = Guests(f"sqlite:///{tmp_path / 'book'}")
    yield made
    made.book.close()


KEPT = ("came", "mail", "passkey", "role", "stream", "key", "money", "pass", "payee", "player")
"""What keeps a guest for another 30 days, or for good."""


def keep(guests: Guests, connection: Connection, guest: Person, how: str) -> None:
    """Do what keeps a guest."""
    now_ms, stream = guests.clock.wall_ms, guests.fixture.stream.id
    match how:
        case "came":
            guests.come(connection, guest)
        case "mail" | "passkey":
            shown = NewCredential(CredentialKind(how), "other", "other")
            credentials.add(connection, guest.id, shown, 1)
        case "role":
            persons.set_roles(connection, guest.id, [Role.AUDITOR])
        case "stream":
            persons.give_stream_role(connection, guest.id, stream, Role.MODERATOR)
        case "key":
            api_keys.make(connection, "k", ["audit:read"], f"person:{guest.id}", 1, None)
        case "money":
            guests.pay_in(guest)
        case "pass":  # all that they paid in
            assert guest.account is not None
            guests.pay_in(guest)
            passes, record = guests.book.passes, guests.fixture.stream
            offer = passes.offer(stream, PassKind.MONTH, PRICE, 0)
            bought = passes.ask(
                guest.account, record, offer, show=0, idempotency_key="k", now_ms=now_ms
            )
            passes.pay(bought.id, now_ms)
        case "payee":
            assert guest.account is not None
            shares = (Share(guest.account, 250_000),)
            last = guests.fixture.stream.prices[-1].from_tick
            guests.book.splits.put(guests.fixture.stream.slug, shares, last, now_ms)
        case "player":
            assert guest.account is not None
            ends_ms = now_ms + DAY_MS
            guests.book.sessions.add(SessionId(7), guest.account, stream, 1, now_ms, ends_ms)


@pytest.mark.parametrize("kept", KEPT)
async def test_only_who_is_a_guest_without_money_is_forgotten(guests: Guests, kept: str) -> None:
    """One of two does something on the 20th day; on the 31st one is forgotten."""
    gone, stays = await asyncio.to_thread(lambda: (guests.guest(), guests.guest()))
    guests.clock.move(20 * DAY_MS / 1000)

    def do(book: Book) -> None:
        with book.together() as connection:
            keep(guests, connection, stays, kept)

    await guests.shared.book.run(do)
    guests.clock.move(9 * DAY_MS / 1000)
    assert await guests.sweep.round() == 0

    guests.clock.move(2 * DAY_MS / 1000)

    assert [await guests.sweep.round() for _ in range(3)] == [1, 0, 0]
    closed = await asyncio.to_thread(lambda: [guests.is_closed(gone), guests.is_closed(stays)])
    assert closed == [True, False]


async def test_who_spent_all_they_paid_in_holds_no_money(guests: Guests) -> None:
    """What was paid, watched and settled stays in the books, under the account's number."""

    def live() -> Person:
        made = guests.guest()
        guests.pay_in(made)
        account = made.account
        assert account is not None
        key = replace(guests.fixture.key(), account=account)
        line = CutLine(key, (Run(1_700_000_000, 1),), 1)
        guests.book.cuts.book([Cut(shard_of(account), 1, (line,))], 1)
        return made

    made = await asyncio.to_thread(live)
    guests.clock.move(31 * DAY_MS / 1000)

    assert await guests.sweep.round() == 1

    def spent() -> Planck:
        assert made.account is not None
        return guests.book.cuts.spent(made.account)

    assert await asyncio.to_thread(spent) == PRICE


async def test_nothing_that_a_guest_said_of_themselves_is_left(guests: Guests, tmp_path) -> None:
    """Not in the book's file, nor in its log; the audit log says that it was done, and is whole."""
    made = await asyncio.to_thread(guests.guest)
    guests.clock.move(31 * DAY_MS / 1000)
    assert await guests.sweep.round() == 1

    def read() -> tuple[str, list[str], str]:
        with guests.book.viewing() as connection:
            fault, _ = audit.verify(connection, audit.FIRST)
            actions = connection.execute(select(audit_rows.c.action)).scalars().all()
            names = select(schema.viewers.c.name).where(schema.viewers.c.account == made.account)
            return fault, list(actions), connection.execute(names).scalar_one()

    fault, actions, name = await asyncio.to_thread(read)
    assert (fault, actions) == ("", ["guest.forget"])
    assert name.startswith("erased-")

    def left() -> list[str]:
        return [path.name for path in tmp_path.iterdir() if CANARY.encode() in path.read_bytes()]

    assert await asyncio.to_thread(left) == []


async def test_those_who_stay_do_not_hide_others(guests: Guests, monkeypatch) -> None:
    """Those who hold money do not hide the others behind them."""
    monkeypatch.setattr(guest_sweep, "LOOKED_MAX", 3)
    made = await asyncio.to_thread(lambda: [guests.guest() for _ in range(8)])
    rich = sorted(made, key=lambda guest: guest.id)[:4]
    for guest in rich:
        await asyncio.to_thread(guests.pay_in, guest)
    guests.clock.move(31 * DAY_MS / 1000)

    forgotten = [await guests.sweep.round() for _ in range(4)]

    assert forgotten == [0, 2, 2, 0]


async def test_who_comes_back_while_they_are_looked_at_stays(guests: Guests, monkeypatch) -> None:
    made = await asyncio.to_thread(guests.guest)
    guests.clock.move(31 * DAY_MS / 1000)
    page = idle_guests.page

    def come_then(connection: Connection, *asked: Any) -> list[Person]:
        found = page(connection, *asked)
        connection.rollback()
        with guests.book.together() as other:
            guests.come(other, made)
        return found

    monkeypatch.setattr(idle_guests, "page", come_then)

    assert await guests.sweep.round() == 0


async def test_with_zero_days_nobody_is_forgotten(tmp_path) -> None:
    guests = await asyncio.to_thread(Guests, f"sqlite:///{tmp_path / 'book'}", 0)
    await asyncio.to_thread(guests.guest)
    guests.clock.move(4000 * DAY_MS / 1000)

    assert await guests.sweep.round() == 0
    await asyncio.to_thread(guests.book.close)
