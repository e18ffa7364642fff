"""Money out: whatever breaks half-way, the store holds what the book says, or is told later."""

import asyncio
import contextlib

import pytest

from mediaserver.accounting.take_out import take_out
from metering.book.async_book import AsyncBook
from metering.book.returns import Return, ReturnKind
from metering.errors import BookError, NotEnoughError, StoreUnavailableError
from metering.units import AccountId, Planck, Units
from tests.support.book_fixture import BookFixture, make_book

START = 10**12


class FakeStore:
    """A balance, and what came in; it fails as it is told to."""

    def __init__(self) -> None:
        self.balance = self.deposits = START
        self.is_away_after = False
        self.is_away = False

    async def withdraw(self, _account: AccountId, units: Units) -> tuple[bool, Units]:
        is_taken = units <= self.balance
        if is_taken:
            self.balance, self.deposits = self.balance - units, self.deposits - units
        if self.is_away_after:
            raise StoreUnavailableError("no answer")
        return is_taken, Units(self.balance)

    async def set_deposits(self, _account: AccountId, total_units: Units) -> Units:
        if self.is_away:
            raise StoreUnavailableError("away")
        self.balance += total_units - self.deposits
        self.deposits = total_units
        return Units(self.balance)


@pytest.fixture
def fixture() -> BookFixture:
    return make_book()


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


def take(fixture: BookFixture, store: FakeStore, planck: int, *, fails: bool = False) -> list[int]:
    """Take an amount out; return the accounts that are to be written later."""
    book, (account,) = AsyncBook(fixture.book), fixture.accounts
    later: list[AccountId] = []
    back = Return(ReturnKind.WITHDRAWAL, "w", "top-up 0", Planck(planck), "")

    async def post() -> None:
        assert store.balance == START - planck, "the money could be watched away meanwhile"
        if fails:
            raise BookError("no disk")
        await book.run(lambda book: book.returns.add(back, 1))

    with contextlib.suppress(BookError, StoreUnavailableError):
        asyncio.run(take_out(store, book, account, Planck(planck), post, later.append))
    return [*map(len, later)]


def test_what_is_booked_is_gone_from_both(fixture, store) -> None:
    assert take(fixture, store, 7) == []
    assert store.balance == START - 7 == fixture.book.deposits.total(fixture.accounts[0])


def test_what_the_book_does_not_take_is_in_the_store_again(fixture, store) -> None:
    assert take(fixture, store, 7, fails=True) == []
    assert store.balance == START


def test_more_than_there_is_is_refused_and_changes_nothing(fixture, store) -> None:
    with pytest.raises(NotEnoughError, match="1000000000000 planck") as caught:
        take(fixture, store, START + 1)
    assert caught.value.balance == store.balance == START


def test_a_store_that_does_not_answer_is_written_later(fixture, store) -> None:
    """It may have taken the amount: the sum of the book makes that good."""
    store.is_away_after = True
    assert take(fixture, store, 7) == [32]
    assert fixture.book.deposits.total(fixture.accounts[0]) == START


def test_a_store_that_goes_away_after_the_posting_is_written_later(fixture, store) -> None:
    store.is_away = True
    assert take(fixture, store, 7) == [32]
    assert fixture.book.deposits.total(fixture.accounts[0]) == START - 7
