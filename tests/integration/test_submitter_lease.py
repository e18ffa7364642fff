"""One submitter per operator key, on real servers."""

import asyncio

import pytest

from metering.book.book import Book
from metering.errors import SubmitterLostError
from metering.model.batch_state import BatchState
from metering.settlement.submitter_lease import RedisSubmitterLease
from metering.store.client import Store
from metering.units import Asset
from tests.support.book_fixture import OPERATOR, InlineBook
from tests.support.metering_kit import account, opened


def make(store: Store, book: Book, ttl_ms: int = 10_000) -> RedisSubmitterLease:
    return RedisSubmitterLease(store, InlineBook(book), OPERATOR.account, ttl_ms)


async def test_one_holds_it_and_the_other_waits(redis_any):
    """Until it is given back; the next token is higher."""
    with Book.open("sqlite://", Asset()) as book:
        async with opened(redis_any.url) as (store, _):
            first, second = make(store, book), make(store, book)

            token = await first.hold()

            assert await first.hold() == token
            with pytest.raises(SubmitterLostError, match="another settler"):
                await second.hold()
            await first.give_back()
            assert await second.hold() == token + 1
            with pytest.raises(SubmitterLostError):
                await first.hold()


async def test_a_submitter_that_sleeps_past_its_lease_writes_nothing(redis_any):
    """The book has seen a higher token: what the sleeper signed is not kept, so never sent."""
    with Book.open("sqlite://", Asset()) as book:
        async with opened(redis_any.url) as (store, _):
            sleeper, other = make(store, book, ttl_ms=30), make(store, book)
            old = await sleeper.hold()
            book.outbox.fence(old)
            async with asyncio.timeout(10):
                while True:
                    try:
                        new = await other.hold()
                        break
                    except SubmitterLostError:
                        await asyncio.sleep(0.01)
            book.outbox.fence(new)

            for write in (
                lambda: book.outbox.add_attempt(1, b"late", 1, old),
                lambda: book.outbox.set_state(1, BatchState.SENT, 1, None, old),
                lambda: book.outbox.split(1, 1, 1, old),
            ):
                with pytest.raises(SubmitterLostError, match=f"token is {new}, ours is {old}"):
                    write()


async def test_an_emptied_redis_never_gives_an_old_token(redis_any):
    """The book's newest token is the floor."""
    with Book.open("sqlite://", Asset()) as book:
        book.outbox.fence(41)
        async with opened(redis_any.url) as (store, _):
            assert await make(store, book).hold() == 42


async def test_keys_of_two_operators_do_not_meet(redis_any):
    """A submitter's lease belongs to one key."""
    with Book.open("sqlite://", Asset()) as book:
        async with opened(redis_any.url) as (store, _):
            await make(store, book).hold()
            other = RedisSubmitterLease(store, InlineBook(book), account(9))

            assert await other.hold() == 1
