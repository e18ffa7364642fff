"""Kill -9 at each step of a withdrawal, of Redis's and of the book's: whole or absent, done once.

A program of its own, ``python -m tests.simulate.withdrawal_crash FOLDER``: each is done in a fork
that dies at a step; then the store is told the book's sum, as control does at its start.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path

from mediaserver.accounting.take_out import take_out
from mediaserver.payments import inbox, orders, refunds, withdrawals
from mediaserver.payments.records import Withdrawal
from metering.book.async_book import AsyncBook
from metering.book.book import Book
from metering.store.client import Store
from metering.units import AccountId, Planck, Units
from tests.simulate.dying import Step, count_steps, die_at_any, go_on, kill_beside_redis
from tests.support.book_fixture import open_book
from tests.support.payments_fixture import PLANCK, an_order, make_payments, paid

AMOUNT = 300


def withdraw(url: str, account: AccountId, key: str, book: Book, one: Step = go_on) -> None:
    """Take an amount out, as the API does; `one` is called before and after each step in Redis."""
    asyncio.run(_withdraw(AsyncBook(book), url, account, key, one))


async def _withdraw(book: AsyncBook, url: str, account: AccountId, key: str, one: Step) -> None:
    store = await Store.connect(url, "everysec")
    count_steps(store, one)
    planck = Planck(AMOUNT * PLANCK)
    wanted = Withdrawal(orders.new_id(), account, "ab", AMOUNT, "EUR", planck, key, 5)

    def make(book: Book) -> None:
        with book.together() as connection:
            of = withdrawals.sources(connection, account, "EUR", ["webhook"])
            if withdrawals.known_by(connection, "ab", key, AMOUNT) is None:
                withdrawals.make(book, connection, wanted, withdrawals.split(of, AMOUNT))

    def not_now(_: AccountId) -> None:
        raise AssertionError("Redis is there")

    await take_out(store, book, account, planck, lambda: book.run(make), not_now)
    await store.close()


def started(book: Book, url: str, account: AccountId) -> int:
    """Tell the store the book's sum, as control does at its start; return the balance."""

    async def tell() -> int:
        store = await Store.connect(url, "everysec")
        balance = await store.set_deposits(account, Units(book.deposits.total(account)))
        await store.close()
        return int(balance)

    return asyncio.run(tell())


def is_there(book: Book, key: str, before: int, account: AccountId) -> bool:
    """Return whether a withdrawal is booked: all of it, or nothing."""
    with book.viewing() as connection:
        known = withdrawals.known_by(connection, "ab", key, AMOUNT)
        parts = [] if known is None else refunds.of_withdrawals(connection, [known.id])[known.id]
    moved = before - book.deposits.total(account)
    there = {known is not None, bool(parts), moved == AMOUNT * PLANCK}
    assert len(there) == 1, "a half was left"
    assert sum(book.ledger.balances().values()) == 0
    assert book.ledger.unbalanced() == []
    return there.pop()


def kill_at_each(book_url: str, url: str) -> tuple[int, int]:
    """Kill at every step; return how many there are, and after how many it is done."""
    fixture = make_payments(book_url)
    (account,) = fixture.accounts
    fixture.book.close()
    step, whole = 0, 0
    while True:
        step += 1
        key, book = f"k{step}", open_book(book_url)
        with book.together() as connection:
            made = an_order(account, created_ms=step * orders.HOUR_MS)
            notice = paid(orders.make(connection, made), f"e{step}", f"p{step}")
            inbox.take(book, connection, "webhook", notice, b"{}", 5, is_live=True)
        before = started(book, url, account)
        assert before == book.deposits.total(account)
        book.close()
        fate = die_at_any(book_url, partial(withdraw, url, account, key), step)
        book = open_book(book_url)
        there = is_there(book, key, before, account)
        assert started(book, url, account) == before - there * AMOUNT * PLANCK, f"step {step}"
        if not fate:
            return step - 1, whole
        whole += there
        # Asked again by the same key it is done, once; what was taken twice is there again.
        withdraw(url, account, key, book)
        assert is_there(book, key, before, account), f"step {step} is not mended"
        book.close()


if __name__ == "__main__":
    steps, whole = kill_beside_redis(Path(sys.argv[1]), kill_at_each)
    print(f"{steps} steps, {whole} after the commit")
