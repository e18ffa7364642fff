"""Kill -9 at each step of a payment's notice: whole or absent, and booked once by the next try.

A program of its own, ``python -m tests.simulate.payment_crash FOLDER``: each notice is taken in a
fork that dies before or after one of its statements, or of its commit.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from sqlalchemy import event

from mediaserver.payments import inbox, orders
from mediaserver.payments.inbox import Taken
from mediaserver.payments.records import Order, OrderState, Outcome
from metering.book.book import Book
from tests.support.book_fixture import open_book
from tests.support.payments_fixture import PLANCK, an_order, make_payments, paid

PLACES = ("begin", "before_cursor_execute", "after_cursor_execute", "commit")
"""Before and after the statements; where the last transaction commits, and just after that."""


def take(book: Book, order: Order) -> Taken:
    """Take the notice that an order is paid."""
    notice = paid(order, f"e {order.id}", f"p {order.id}")
    with book.together() as connection:
        return inbox.take(book, connection, "webhook", notice, b"{}", 5, is_live=True)


def die_at(url: str, order: Order, step: int) -> int:
    """Take the notice in a fork that dies at a step; return the signal, 0: it had fewer steps."""
    child = os.fork()
    if child:
        return os.WTERMSIG(os.waitpid(child, 0)[1])
    book, count = open_book(url), 0

    def one(*_: object) -> None:
        nonlocal count
        count += 1
        if count == step:
            os.kill(os.getpid(), signal.SIGKILL)

    for place in PLACES:
        event.listen(book._engine, place, one)
    take(book, order)
    one()
    os._exit(0)


def parts(book: Book, order: Order, before: int) -> set[bool]:
    """Return whether each part of a payment is there."""
    with book.viewing() as connection:
        now, kept = orders.get(connection, order.id), inbox.of_order(connection, order.id)
    assert sum(book.ledger.balances().values()) == 0
    assert book.ledger.unbalanced() == []
    return {
        now.state is OrderState.PAID,
        bool(kept),
        book.deposits.total(order.account) == before + 1000 * PLANCK,
    }


def main(folder: Path) -> None:
    """Kill at every step, and print how many there are."""
    url = f"sqlite:///{folder}/book.sqlite3"
    fixture = make_payments(url)
    account = fixture.accounts[0]
    fixture.book.close()
    step, whole = 0, 0
    while True:
        step += 1
        book = open_book(url)
        before = book.deposits.total(account)
        with book.together() as connection:
            order = orders.make(connection, an_order(account, created_ms=step * orders.HOUR_MS))
        book.close()
        fate = die_at(url, order, step)
        book = open_book(url)
        there = parts(book, order, before)
        assert len(there) == 1, f"step {step} left a half"
        if not fate:
            break
        whole += there == {True}
        again = take(book, order)
        assert again.outcome is Outcome.BOOKED
        assert again.account == account
        assert parts(book, order, before) == {True}, f"step {step} is not mended"
        book.close()
    print(f"{step - 1} steps, {whole} after the commit")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
