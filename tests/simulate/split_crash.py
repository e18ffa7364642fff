"""Kill -9 at each step of a shared stream: a table set, a batch settled, a payee paid.

A program of its own, ``python -m tests.simulate.split_crash FOLDER``: each is done in a fork that
dies at a step. After it a table is there with the version of every price that begins with it, or
none of them; a batch has given each payee their part, or nobody; done again it is done once.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from metering.book.book import Book
from metering.model.audit import audit
from metering.model.ledger import Holder, Role, Share
from metering.ports import BatchOutcome
from metering.recovery.reconcile import read
from metering.units import AccountId, Planck, Run
from tests.simulate.dying import die_at_any
from tests.support.bad_seconds_fixture import FIRST, BadSecondsFixture
from tests.support.book_fixture import make_book, open_book

PRICE = Planck(1_000_000)
LATER = FIRST + 1000
PAYEES = tuple(AccountId(bytes([number]) * 32) for number in (7, 8))
SHARES = (Share(PAYEES[0], 300_000), Share(PAYEES[1], 333_333))
EARNED = 10 * PRICE


def prepared(url: str, *, is_booked: bool, is_settled: bool) -> None:
    """Make a book of a shared stream with a price of its own for each of two viewers."""
    fixture = make_book(url, 2, price=PRICE, deposit=10**12)
    book, stream = fixture.book, fixture.stream.id
    book.splits.put("talks", SHARES, 0, 1)
    for account in fixture.accounts:
        book.named_prices.add(stream, account, Planck(2 * PRICE), FIRST + 500)
    life = BadSecondsFixture(fixture)
    if is_booked:
        life.watch(fixture.accounts[0], Run(FIRST, 10), fixture.key(), PRICE)
    if is_settled:
        life.settle()
    book.close()


def put(book: Book) -> None:
    """Share the stream otherwise from a later second on."""
    book.splits.put("talks", SHARES[:1], LATER, 100)


def settle(book: Book) -> None:
    """Close the batch of what is booked, as the settler does after a start."""
    book.settlements.seal(100, 10)
    while (batch := book.outbox.oldest()) is not None:
        book.settlements.finalize(BatchOutcome(batch.seq, batch.hash, (), 1), 100)


def pay(book: Book) -> None:
    """Note that a bank has paid a payee all that they earned."""
    stream = book.streams.get("talks")
    planck = Planck(EARNED * SHARES[0].ppm // 1_000_000)
    book.payouts.add("p1", stream, planck, 100, PAYEES[0])


def is_put(book: Book) -> bool:
    """Return whether the table is there; with it a version of each price is, or none."""
    stream = book.streams.get("talks")
    begun = [table.from_tick for table in book.splits.of(stream.id)]
    prices = [price for price in stream.prices if price.from_tick == LATER]
    named = [
        item
        for changes in book.named_prices.of(stream.id).values()
        for item in changes
        if item.from_tick == LATER
    ]
    found = (begun.count(LATER), len(prices), len(named))
    assert found in {(0, 0, 0), (1, 1, 2)}, found
    return bool(prices)


def is_settled(book: Book) -> bool:
    """Return whether each payee has their part: all of them have, or none."""
    stream, balances = book.streams.get("talks").id, book.ledger.balances()
    parts = [balances.get(Holder(Role.CREATOR, payee, stream), 0) for payee in PAYEES]
    want = [EARNED * share.ppm // 1_000_000 for share in SHARES]
    assert parts in ([0, 0], want), parts
    return parts == want


def is_paid(book: Book) -> bool:
    """Return whether the payee's earnings have left: with their row, or neither."""
    stream, balances = book.streams.get("talks").id, book.ledger.balances()
    left = balances[Holder(Role.CREATOR, PAYEES[0], stream)]
    assert (not left) == bool(book.payouts.all())
    return not left


def kill_at_each(
    folder: Path,
    name: str,
    work: Callable[[Book], None],
    is_done: Callable[[Book], bool],
    **start: bool,
) -> None:
    """Kill at every step; print how many there are, and after how many it is done."""
    first = folder / f"{name}.sqlite3"
    prepared(f"sqlite:///{first}", **start)
    step = whole = 0
    while True:
        step += 1
        path = folder / f"{name}-{step}.sqlite3"
        shutil.copy(first, path)
        url = f"sqlite:///{path}"
        fate = die_at_any(url, lambda book, _: work(book), step)
        book = open_book(url)
        there = is_done(book)
        assert audit(read(book, [], has_journal=False)[0])[1] == ()
        if not fate:
            print(f"{name}: {step - 1} steps, {whole} after the commit")
            return
        whole += there
        for _ in range(2):
            work(book)
            assert is_done(book), f"{name} step {step} is not mended"
            assert audit(read(book, [], has_journal=False)[0])[1] == ()
        book.close()


def main(folder: Path) -> None:
    """Kill at every step of each."""
    kill_at_each(folder, "table", put, is_put, is_booked=False, is_settled=False)
    kill_at_each(folder, "batch", settle, is_settled, is_booked=True, is_settled=False)
    kill_at_each(folder, "payout", pay, is_paid, is_booked=True, is_settled=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
