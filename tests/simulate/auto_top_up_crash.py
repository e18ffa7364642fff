"""Kill -9 at each step of an automatic top-up, of the book's and the provider's: one payment.

A program of its own, ``python -m tests.simulate.auto_top_up_crash FOLDER``: the balance is looked
at, the provider asked and its notice taken, in a fork that dies at a step; then all of it is done
again, as control does at its start.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path

from mediaserver.payments import auto_charges, auto_charging, inbox, orders
from mediaserver.payments.auto_records import ChargeState
from mediaserver.payments.records import Order, OrderState
from metering.book.book import Book
from tests.simulate.dying import Step, die_at_any, go_on
from tests.support.auto_top_up_fixture import (
    CENTS,
    NOW_MS,
    Acquirer,
    begin,
    charges_of,
    make_allowed,
    payments_of,
    watch,
)
from tests.support.book_fixture import PRICE, BookFixture, open_book
from tests.support.payments_fixture import paid

SECONDS = 20
"""Of one payment."""


class OnDisk(Acquirer):
    """A provider whose memory outlives us, and whose answer we may not live to hear."""

    def __init__(self, folder: Path, one: Step) -> None:
        super().__init__()
        self._file, self._one = folder / "taken", one
        self._file.touch()

    async def charge(self, order: Order, means: str, now_ms: int, *, is_late: bool) -> str | None:
        del means, now_ms, is_late
        self._one()
        known = self._file.read_text().split()
        if order.id not in known:
            with self._file.open("a") as file:
                file.write(f"{order.id}\n")
        self._one()
        return f"p {order.id}"


def fill(folder: Path, book: Book, one: Step = go_on) -> None:
    """Do what control does, as far as there is something to do."""
    payments = payments_of(book, OnDisk(folder, one))
    begin(book, payments)
    with book.viewing() as connection:
        due = auto_charges.due(connection, NOW_MS, 9)
    for charge in due:
        asyncio.run(auto_charging.ask(payments, charge, NOW_MS))
    # Only the newest is told: the steps are those of one payment.
    for name in (folder / "taken").read_text().split()[-1:]:
        with book.viewing() as connection:
            is_new = orders.get(connection, name).state is OrderState.OPEN
        if not is_new:
            continue
        with book.together() as connection:
            order = orders.get(connection, name)
            notice = paid(order, f"e {name}", f"p {name}")
            inbox.take(book, connection, "webhook", notice, b"", NOW_MS, is_live=True)


def main(folder: Path) -> None:
    """Kill at every step, and print how many there are."""
    url = f"sqlite:///{folder}/book.sqlite3"
    fixture = make_allowed(url, day_max=10**9, month_max=10**9)
    watch(fixture.book, fixture, 1, 91)
    fixture.book.close()
    step = 0
    while True:
        step += 1
        fate = die_at_any(url, partial(fill, folder), step)
        if not mended(folder, url, fixture, step):
            raise AssertionError(f"step {step}: more or less than one payment")
        if not fate:
            break
    print(f"{step - 1} steps, {step} payments")


def mended(folder: Path, url: str, fixture: BookFixture, step: int) -> bool:
    """Go on after a death; return whether each crossing has one payment, and cross again."""
    book = open_book(url)
    fill(folder, book)
    begin(book, payments_of(book))
    charges = charges_of(book)
    names = (folder / "taken").read_text().split()
    deposits = book.deposits.with_keys(inbox.KEY_PREFIX)
    is_one = (
        len(names) == len(set(names)) == len(deposits) == step
        and {charge.state for charge in charges} == {ChargeState.PAID}
        and sum(planck for _, planck in deposits.values()) == step * SECONDS * PRICE
        and {charge.amount for charge in charges} == {SECONDS * CENTS}
        and book.ledger.unbalanced() == []
    )
    watch(book, fixture, step + 1, SECONDS)
    book.close()
    return is_one


if __name__ == "__main__":
    main(Path(sys.argv[1]))
