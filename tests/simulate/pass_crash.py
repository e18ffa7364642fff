"""Kill -9 at each step of the purchase of a pass, of Redis's and of the book's: whole or absent.

A program of its own, ``python -m tests.simulate.pass_crash FOLDER``: each is bought in a fork that
dies at a step; then control's start settles what was asked for.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path
from typing import Any

from mediaserver.accounting.pass_sales import sell, settle_all
from metering.book.async_book import AsyncBook
from metering.book.book import Book
from metering.model.passes import Pass, PassKind, PassOffer, covers_until
from metering.store import keys
from metering.store.client import Store
from metering.units import AccountId, Planck, Units
from tests.simulate.dying import Step, count_steps, die_at_any, go_on, kill_beside_redis
from tests.support.book_fixture import make_book, open_book

COST, NOW = 300, 1_800_000_000


def buy(url: str, account: AccountId, key: str, book: Book, one: Step = go_on) -> None:
    """Buy a pass, as the API does; `one` is called before and after each step in Redis."""
    asyncio.run(_buy(AsyncBook(book), url, account, key, one))


async def _buy(book: AsyncBook, url: str, account: AccountId, key: str, one: Step) -> None:
    store = await Store.connect(url, "everysec")
    count_steps(store, one)
    offer = PassOffer(PassKind.MONTH, 0, Planck(COST))

    def write(book: Book) -> Pass:
        with book.together():
            stream = book.streams.get("talks")
            return book.passes.ask(
                account, stream, offer, show=0, idempotency_key=key, now_ms=NOW * 1000
            )

    async def ask() -> Pass:
        return await book.run(write)

    async def pay(asked: Pass) -> Pass:
        return await book.run(lambda book: book.passes.pay(asked.id, NOW * 1000))

    def not_now(_: AccountId) -> None:
        raise AssertionError("Redis is there")

    await sell(store, book, account, ask, pay, (Units(0), Units(0)), not_now)
    await store.close()


def started(book: Book, url: str, account: AccountId) -> tuple[int, bool]:
    """Settle what was asked for, as control's start does; return balance and whether it covers."""

    async def tell() -> tuple[int, bool]:
        store = await Store.connect(url, "everysec")
        await settle_all(store, AsyncBook(book))
        key = keys.balance(account)
        balance = await store.set_deposits(account, Units(book.deposits.total(account)))
        stream = book.streams.get("talks").id.bytes
        entries: Any = await store._redis.hget(key, "q") or b""  # type: ignore[misc]  # redis-py
        await store.close()
        return int(balance), covers_until(entries, stream, NOW, 0) is not None

    return asyncio.run(tell())


def is_there(book: Book, account: AccountId, key: str) -> bool:
    """Return whether a pass is booked: all of it, or nothing."""
    known = book.passes.known(account, key)
    assert known is None or known.is_paid, "it is still asked for"
    spent = book.cuts.spent(account)
    assert spent == (COST if known else 0), "a half was left"
    assert sum(book.ledger.balances().values()) == 0
    assert book.ledger.unbalanced() == []
    return known is not None


def kill_at_each(book_url: str, url: str) -> tuple[int, int]:
    """Kill at every step; return how many there are, and after how many it is bought."""
    fixture = make_book(book_url, viewers=100, deposit=10**6)
    fixture.book.close()
    whole = 0
    for step, account in enumerate(fixture.accounts, 1):
        key, book = f"k{step}", open_book(book_url)
        before, _ = started(book, url, account)
        book.close()
        fate = die_at_any(book_url, partial(buy, url, account, key), step)
        book = open_book(book_url)
        balance, is_covered = started(book, url, account)
        there = is_there(book, account, key)
        assert (balance, is_covered) == (before - there * COST, there), f"step {step}"
        if not fate:
            return step - 1, whole
        whole += there
        # Asked again by the same key it is bought, once.
        buy(url, account, key, book)
        assert is_there(book, account, key), f"step {step} is not mended"
        assert started(book, url, account) == (before - COST, True), f"step {step}"
        book.close()
    raise AssertionError("more steps than accounts")


if __name__ == "__main__":
    steps, whole = kill_beside_redis(Path(sys.argv[1]), kill_at_each)
    print(f"{steps} steps, {whole} after the store had it")
