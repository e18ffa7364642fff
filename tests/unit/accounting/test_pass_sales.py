"""A pass is sold: whatever breaks half-way, it is whole or absent, and settled later."""

import asyncio

import pytest

from mediaserver.accounting.pass_sales import sell, settle, settle_all
from metering.book.async_book import AsyncBook
from metering.errors import BookError, StoreUnavailableError
from metering.model.passes import Pass, PassKind, PassOffer
from metering.units import AccountId, Planck, Units, Verdict
from tests.support.book_fixture import BookFixture, make_book

COST, START, NOW_MS = 300, 1000, 1_800_000_000_000


class FakeStore:
    """A balance and passes; it fails as it is told to."""

    def __init__(self) -> None:
        self.balance, self.passes = START, b""
        self.is_away_after = False
        self.verdict = Verdict.GRANTED

    async def buy_pass(
        self, item: Pass, units: Units, _: tuple[Units, Units], passes: bytes
    ) -> tuple[Verdict, Units]:
        if self.verdict is Verdict.GRANTED and not await self.has_pass(item):
            self.balance, self.passes = self.balance - units, passes
        if self.is_away_after:
            raise StoreUnavailableError("no answer")
        return self.verdict, Units(self.balance)

    async def has_pass(self, item: Pass) -> bool:
        return bytes.fromhex(item.id) in self.passes

    async def set_passes(self, _: AccountId, passes: bytes) -> None:
        self.passes = passes


@pytest.fixture
def fixture() -> BookFixture:
    return make_book()


def buy(fixture: BookFixture, store: FakeStore, key: str = "k", *, fails: bool = False):
    """Buy a month; return what came of it and the accounts that are to be settled later."""
    book, (account,) = AsyncBook(fixture.book), fixture.accounts
    later: list[AccountId] = []

    def write(book):
        offer = PassOffer(PassKind.MONTH, 0, Planck(COST))
        return book.passes.ask(
            account, fixture.stream, offer, show=0, idempotency_key=key, now_ms=NOW_MS
        )

    async def pay(asked: Pass) -> Pass:
        if fails:
            raise BookError("the disk is full")
        return await book.run(lambda book: book.passes.pay(asked.id, NOW_MS))

    async def ask() -> Pass:
        return await book.run(write)

    async def run():
        none = (Units(0), Units(0))
        try:
            sold = await sell(store, book, account, ask, pay, none, later.append)
        except (BookError, StoreUnavailableError):
            sold = None
        return sold, later

    return asyncio.run(run())


def settled(fixture: BookFixture, store: FakeStore) -> list[Pass]:
    (account,) = fixture.accounts
    asyncio.run(settle(store, AsyncBook(fixture.book), account))
    return fixture.book.passes.of_account(account)


def test_a_pass_is_sold_once_by_its_key(fixture):
    store = FakeStore()

    (first, _, _), later = buy(fixture, store)
    (second, _, _), _ = buy(fixture, store)

    assert (first, later) == (second, [])
    assert first.is_paid
    assert store.balance == START - COST


@pytest.mark.parametrize("verdict", [Verdict.PURSE, Verdict.LIMIT])
def test_what_is_refused_leaves_nothing_in_the_book(fixture, verdict):
    store = FakeStore()
    store.verdict = verdict

    (item, why, balance), later = buy(fixture, store)

    assert (item, why, balance, later) == (None, verdict, START, [])
    assert fixture.book.passes.of_account(fixture.accounts[0]) == []


@pytest.mark.parametrize("is_all", [False, True])
def test_a_price_that_was_taken_is_posted_later(fixture, is_all):
    """The book did not answer, or the store's answer was lost."""
    store = FakeStore()

    sold, later = buy(fixture, store, fails=True)
    assert (sold, later) == (None, fixture.accounts)
    if is_all:
        asyncio.run(settle_all(store, AsyncBook(fixture.book)))
    (item,) = settled(fixture, store)

    assert item.is_paid
    assert (store.balance, asyncio.run(store.has_pass(item))) == (START - COST, True)


def test_a_lost_answer_is_asked_for_again_and_charged_once(fixture):
    store = FakeStore()
    store.is_away_after = True
    sold, later = buy(fixture, store)
    store.is_away_after = False

    (item, _, _), _ = buy(fixture, store)

    assert (sold, later) == (None, fixture.accounts)
    assert item.is_paid
    assert store.balance == START - COST


def test_a_price_that_was_never_taken_is_forgotten(fixture):
    store = FakeStore()
    store.verdict, store.is_away_after = Verdict.PURSE, True
    buy(fixture, store)

    assert settled(fixture, store) == []
    assert store.balance == START


def test_a_refunded_pass_leaves_the_store(fixture):
    store = FakeStore()
    (item, _, _), _ = buy(fixture, store)

    fixture.book.passes.refund(item.id, "by mistake", NOW_MS)
    settled(fixture, store)

    assert store.passes == b""
