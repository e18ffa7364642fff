"""A letter when a balance runs down: once a crossing, kept until a mail server took it."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaserver.people import balance_letters, credentials, persons
from mediaserver.people.balance_crossing import Crossed, Letter, look
from mediaserver.people.credentials import NewCredential
from mediaserver.people.mail import MailError
from mediaserver.people.records import CredentialKind
from mediaserver.people.service import People
from mediaserver.processes.letter_writer import AGAIN_MS, LetterWriter
from mediaserver.settings.records import Settings
from metering.book.async_book import AsyncBook
from metering.book.returns import Return, ReturnKind
from metering.units import Cut, CutLine, Planck, Run, SessionId, shard_of
from tests.support.book_fixture import PRICE
from tests.support.people_fixture import make_people

LOW, END = Letter.LOW, Letter.END


@pytest.mark.parametrize(
    ("balances", "letters"),
    [
        ([100, 50, 49, 20, 15], [LOW]),
        ([100, 49, 9, 9, 0], [LOW, END]),
        ([100, 3], [END]),
        ([100, 49, 50, 49], [LOW, LOW]),
        ([49, 9, 30, 9, 5], [LOW, END, END]),
        ([100, 9, 11, 9, 200, 10, 9], [END, END, LOW, END]),
    ],
)
def test_each_crossing_is_worth_one_letter(balances, letters) -> None:
    """Low below 50, over below 10, the price of a second: also of the little that was paid in."""
    known, written = Crossed(Planck(50)), []
    for balance in balances:
        known, letter = look(known, Planck(balance), Planck(10))
        written += [letter] if letter else []
    assert written == letters


@given(st.lists(st.integers(0, 100), min_size=1), st.integers(0, 20))
def test_no_two_letters_without_money_in_between(balances, second) -> None:
    known, last, highest = Crossed(Planck(50)), None, 0
    for balance in balances:
        known, letter = look(known, Planck(balance), Planck(second))
        highest = max(highest, balance)
        if letter is LOW and last is not None:
            assert highest >= 50
        if letter is END and last is END:
            assert highest >= max(second, 1)
        if letter is not None:
            last, highest = letter, balance


class Letters:
    """A mail server that takes letters, or does not."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, str]] = []
        self.is_away = False

    async def send(self, _server: Any, to: str, subject: str, text: str) -> None:
        if self.is_away or to.startswith("bad"):
            raise MailError("away")
        self.taken.append((to, subject, text))


class Viewer:
    """A viewer who asked for letters and watches, and who writes to them."""

    def __init__(self, url: str) -> None:
        self.fixture = make_people(url)
        self.book, self.clock = self.fixture.book, self.fixture.clock
        self.account, self.cuts = self.fixture.accounts[0], 0
        made = Settings()
        people = replace(made.people, mail_url="smtp://127.0.0.1", mail_from="live@example.org")
        self.letters = Letters()
        book = AsyncBook(self.book)
        shared: Any = type("Shared", (), {})()
        shared.settings = replace(made, people=people)
        shared.book, shared.people, shared.clock = book, People(book), self.clock
        self.writer = LetterWriter(shared, self.letters.send)
        self.ask(2_000 * PRICE)

    def ask(self, threshold: int, address: str = "ann@example.org") -> None:
        with self.book.together() as connection:
            person = persons.create(connection, "Ann", 1).id
            persons.give_account(connection, person, self.account)
            shown = NewCredential(CredentialKind.MAIL, address, address)
            self.credential = credentials.add(connection, person, shown, 1).id
            balance_letters.put(connection, person, self.credential, Crossed(Planck(threshold)))
        now_ms = self.clock.now_ms()
        stream = self.fixture.stream.id
        self.book.sessions.add(
            SessionId(1), self.account, stream, 1, now_ms, now_ms + 10**9, now_ms + 10**9
        )

    def watch(self, seconds: int) -> None:
        self.cuts += 1
        first = 1_700_000_000 + 100_000 * self.cuts
        total = self.fixture.book.cuts.spent(self.account) // PRICE + seconds
        line = CutLine(self.fixture.key(), (Run(first, seconds),), total)
        self.book.cuts.book([Cut(shard_of(self.account), self.cuts, (line,))], 1)


@pytest.fixture
def viewer(tmp_path) -> Viewer:
    return Viewer(f"sqlite:///{tmp_path / 'book'}")


async def test_who_watches_below_their_line_gets_one_letter_and_one_at_the_end(viewer) -> None:
    """10,000 seconds were paid in; the address, the rest and where to pay in are in the letter."""
    assert await viewer.writer.round() == 0
    viewer.watch(8_001)
    assert [await viewer.writer.round() for _ in range(3)] == [1, 0, 0]
    viewer.watch(1_999)
    assert [await viewer.writer.round() for _ in range(3)] == [1, 0, 0]
    (low, end) = viewer.letters.taken
    assert low[:2] == ("ann@example.org", "Your balance is low")
    assert "0.1999 UNIT is left" in low[2]
    assert "/me/" in low[2]
    assert end[1] == "Your balance is used up"


async def test_what_is_owed_is_no_balance_that_is_left(viewer) -> None:
    """The payment was taken back after most of it was watched."""
    viewer.watch(8_001)
    back = Return(ReturnKind.REFUND, "r", "top-up 0", Planck(10_000 * PRICE), "")
    viewer.book.returns.add(back, 1)

    assert await viewer.writer.round() == 1
    ((_, subject, text),) = viewer.letters.taken
    assert subject == "Your balance is used up"
    assert text.startswith("0 UNIT is left")


async def test_a_letter_that_was_not_taken_is_sent_later_and_once(viewer) -> None:
    viewer.watch(8_001)
    viewer.letters.is_away = True
    with pytest.raises(MailError):
        await viewer.writer.round()
    viewer.letters.is_away = False
    assert await viewer.writer.round() == 0  # not at once
    viewer.clock.move(AGAIN_MS / 1000)
    assert [await viewer.writer.round() for _ in range(2)] == [1, 0]
    # Another process, after a crash before it was sent, sends it too.
    viewer.watch(1_999)
    viewer.letters.is_away = True
    with pytest.raises(MailError):
        await viewer.writer.round()
    viewer.letters.is_away = False
    again = LetterWriter(viewer.writer._shared, viewer.letters.send)
    assert await again.round() == 1


def owe(viewer: Viewer, addresses: list[str]) -> None:
    """Have a letter due to each address, the oldest first."""
    with viewer.book.together() as connection:
        for number, address in enumerate(addresses):
            person = persons.create(connection, "P", 1).id
            shown = NewCredential(CredentialKind.MAIL, address, address)
            credential = credentials.add(connection, person, shown, 1).id
            crossed, now_ms = Crossed(Planck(50)), viewer.clock.now_ms() + number
            balance_letters.put(connection, person, credential, crossed)
            asked = balance_letters.Asked(person, viewer.account, credential, crossed)
            balance_letters.saw(connection, asked, crossed, LOW, Planck(5), now_ms)


async def test_addresses_that_take_none_make_room_for_others(viewer, monkeypatch) -> None:
    """They are due for a day, and the oldest."""
    monkeypatch.setattr(balance_letters, "DUE_MAX", 2)
    await asyncio.to_thread(owe, viewer, ["bad1@x.org", "bad2@x.org", "bea@x.org"])

    with pytest.raises(MailError):
        await viewer.writer.round()
    assert [await viewer.writer.round() for _ in range(2)] == [1, 0]
    assert [to for to, _, _ in viewer.letters.taken] == ["bea@x.org"]
    viewer.clock.move(AGAIN_MS / 1000)
    with pytest.raises(MailError):
        await viewer.writer.round()


async def test_an_address_that_is_no_way_in_any_more_gets_none(viewer) -> None:
    with viewer.book.together() as connection:
        connection.exec_driver_sql("DELETE FROM people_credentials")
    viewer.watch(8_001)
    assert await viewer.writer.round() == 0


async def test_who_watches_nothing_is_not_looked_at(viewer) -> None:
    """Nothing runs down there."""
    viewer.watch(8_001)
    viewer.book.sessions.end(SessionId(1), "left", 5)
    assert await viewer.writer.round() == 0


async def test_without_a_mail_server_it_waits(viewer) -> None:
    shared = viewer.writer._shared
    shared.settings = Settings()
    running = asyncio.create_task(LetterWriter(shared, viewer.letters.send).run())
    await asyncio.sleep(0)
    assert not running.done()
    running.cancel()
