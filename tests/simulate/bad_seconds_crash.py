"""Kill -9 at each step of giving bad seconds back: whole or absent, and done once when repeated.

A program of its own, ``python -m tests.simulate.bad_seconds_crash FOLDER``: a rule that finds
settled ticks, a batch that settles ticks of a rule, and the receipt that names them. Each is done
in a fork that dies at a step; after each the books agree, and Redis is told the book's sum as
control does at its start.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from metering.book.book import Book
from metering.model import receipt_file
from metering.model.audit import audit
from metering.ports import BatchOutcome
from metering.recovery.reconcile import read
from metering.units import AccountId, Asset, Planck, Run
from tests.simulate.dying import die_at_any
from tests.support.bad_seconds_fixture import DEPOSIT, FIRST, BadSecondsFixture, rule
from tests.support.book_fixture import OPERATOR, make_book, open_book

PRICE = Planck(3)
BACK = 5 * PRICE
"""What each of two viewers has again."""


def prepared(url: str, *, is_settled: bool, has_rule: bool, is_given: bool) -> list[AccountId]:
    """Make a book in which two viewers watched ten seconds, five of which are bad."""
    fixture = make_book(url, 2, price=PRICE, deposit=DEPOSIT)
    life = BadSecondsFixture(fixture)
    if has_rule and not is_given:
        life.give_back(FIRST + 5, FIRST + 20, "k")
    for viewer, account in enumerate(fixture.accounts):
        life.watch(account, Run(FIRST, 10), fixture.key(viewer), PRICE)
    if is_settled:
        life.settle()
    if is_given:
        fixture.book.receipts.make(OPERATOR, 50)
        life.give_back(FIRST + 5, FIRST + 20, "k")
    fixture.book.close()
    return fixture.accounts


def make_rule(book: Book) -> None:
    """Give five seconds back that are settled."""
    stream = book.streams.get("talks").id
    book.bad_seconds.add(rule(stream, FIRST + 5, FIRST + 20, "k"), 100)


def settle(book: Book) -> None:
    """Close the batch of what is booked, as the settler does after a start."""
    book.settlements.seal(100, 10)
    while (batch := book.outbox.oldest()) is not None:
        book.settlements.finalize(BatchOutcome(batch.seq, batch.hash, (), 1), 100)


def receipts(book: Book) -> None:
    """Make the receipts that name what was given back."""
    book.receipts.make(OPERATOR, 100)


def back_of(book: Book, accounts: list[AccountId]) -> set[int]:
    """Return what each viewer has again, after the books were found to agree."""
    assert audit(read(book, [], has_journal=False)[0])[1] == ()
    rules = book.bad_seconds.page(book.streams.get("talks").id, 9)
    sums = {book.deposits.total(account) - DEPOSIT for account in accounts}
    known = sum(item.planck for item, _ in rules)
    assert known == sum(book.deposits.total(account) - DEPOSIT for account in accounts)
    return sums


def named(book: Book, accounts: list[AccountId]) -> set[int]:
    """Return how many seconds the receipts of each viewer give back."""
    stream, counts = book.streams.get("talks").id, set()
    for account in accounts:
        chain = book.receipts.of(account, stream)
        data = receipt_file.file_bytes(Asset(), OPERATOR.account, chain)
        counts.add(receipt_file.verify(data, OPERATOR.account).back_ticks)
    return counts


def kill_at_each(
    folder: Path,
    name: str,
    work: Callable[[Book], None],
    found: Callable[[Book, list[AccountId]], set[int]],
    done: int,
    **start: bool,
) -> None:
    """Kill at every step; print how many there are, and after how many it is done."""
    first = folder / f"{name}.sqlite3"
    accounts = prepared(f"sqlite:///{first}", **start)
    step = whole = 0
    while True:
        step += 1
        path = folder / f"{name}-{step}.sqlite3"
        shutil.copy(first, path)
        url = f"sqlite:///{path}"
        fate = die_at_any(url, lambda book, _: work(book), step)
        book = open_book(url)
        state = found(book, accounts)
        assert state in ({0}, {done}), f"{name} step {step}: a half was left"
        if not fate:
            print(f"{name}: {step - 1} steps, {whole} after the commit")
            return
        whole += state == {done}
        for _ in range(2):
            work(book)
            assert found(book, accounts) == {done}, f"{name} step {step} is not mended"
        book.close()


def main(folder: Path) -> None:
    """Kill at every step of each."""
    nothing = {"is_settled": False, "has_rule": False, "is_given": False}
    rules = {**nothing, "is_settled": True}
    kill_at_each(folder, "rule", make_rule, back_of, BACK, **rules)
    late = {**nothing, "has_rule": True}
    kill_at_each(folder, "batch", settle, back_of, BACK, **late)
    given = {**rules, "is_given": True}
    kill_at_each(folder, "receipt", receipts, named, 5, **given)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
