"""Kill -9 at each step of money that comes or goes back: whole or absent, once by the next try.

A program of its own, ``python -m tests.simulate.payment_crash FOLDER``: each act is done in a fork
that dies before or after one of its statements, or of its commit.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from mediaserver.payments import inbox, orders, refunding, refunds, taken_back
from mediaserver.payments.records import Notice, Order, OrderState, PaymentStatus
from metering.book.book import Book
from metering.units import AccountId
from tests.simulate.dying import die_at
from tests.support.book_fixture import open_book
from tests.support.payments_fixture import (
    PLANCK,
    a_refund,
    an_order,
    back,
    make_payments,
    paid,
)

T = TypeVar("T")


def take(book: Book, order: Order) -> None:
    """Take the notice that an order is paid."""
    _hear(book, paid(order, f"e {order.id}", f"p {order.id}"))


def take_back(book: Book, order: Order) -> None:
    """Take the notice that a part of it was given back."""
    _hear(book, back(f"p {order.id}", PaymentStatus.REFUNDED, 300, f"re {order.id}"))


def give_back(book: Book, order: Order) -> None:
    """Give back a part of it ourselves."""
    wanted = a_refund(order.id, idempotency_key=order.id, account=order.account)
    with book.together() as connection:
        refunding.make(book, connection, wanted)


def _hear(book: Book, notice: Notice) -> None:
    with book.together() as connection:
        inbox.take(book, connection, "webhook", notice, b"{}", 5, is_live=True)


def _of(act: Callable[[Book, T], None], order: T, book: Book) -> None:
    act(book, order)


ACTS = (take, take_back, give_back)


def parts(book: Book, act: object, order: Order, before: int) -> set[bool]:
    """Return whether each part of an act is there."""
    with book.viewing() as connection:
        now, asked = orders.get(connection, order.id), refunds.of_order(connection, order.id)
        known = taken_back.of_payment(connection, "webhook", f"p {order.id}")
        heard = [kept.notice.event for kept in inbox.page(connection, limit=1)]
    assert sum(book.ledger.balances().values()) == 0
    assert book.ledger.unbalanced() == []
    moved = book.deposits.total(order.account) - before
    if act is take:
        return {now.state is OrderState.PAID, heard == [f"e {order.id}"], moved == 1000 * PLANCK}
    gone = book.returns.of_deposit(inbox.deposit_key("webhook", f"p {order.id}"))
    by = {bool(asked) if act is give_back else f"re {order.id}" in str(heard)}
    return {bool(known), gone == 300 * PLANCK, moved == -300 * PLANCK} | by


def main(folder: Path) -> None:
    """Kill at every step of each act, and print how many there are."""
    url = f"sqlite:///{folder}/book.sqlite3"
    fixture = make_payments(url)
    account = fixture.accounts[0]
    fixture.book.close()
    for act in ACTS:
        steps, whole = kill_at_each(url, act, account)
        print(f"{act.__name__}: {steps} steps, {whole} after the commit")


def kill_at_each(
    url: str, act: Callable[[Book, Order], None], account: AccountId
) -> tuple[int, int]:
    """Kill at every step of an act; return how many there are, and after how many it is done."""
    step, whole = 0, 0
    while True:
        step += 1
        book = open_book(url)
        with book.together() as connection:
            order = orders.make(connection, an_order(account, created_ms=step * orders.HOUR_MS))
        if act is not take:
            take(book, order)
        before = book.deposits.total(account)
        book.close()
        fate = die_at(url, partial(_of, act, order), step)
        book = open_book(url)
        there = parts(book, act, order, before)
        assert len(there) == 1, f"{act.__name__}: step {step} left a half"
        if not fate:
            return step - 1, whole
        whole += there == {True}
        act(book, order)
        assert parts(book, act, order, before) == {True}, f"step {step} is not mended"
        book.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
