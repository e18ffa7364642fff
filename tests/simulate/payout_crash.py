"""Kill -9 at each step of a payout asked for, approved and paid: whole or absent, once by the next.

A program of its own, ``python -m tests.simulate.payout_crash FOLDER``: each act is done in a fork
that dies before or after one of its statements, or of its commit.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mediaserver.payments import comparison, orders, payouts
from mediaserver.payments.payouts import Currency
from mediaserver.payments.records import Payout, PayoutState
from metering.book.book import Book
from metering.book.postings import post
from metering.book.records import StreamRecord
from metering.model.ledger import Settled, settlement_postings
from metering.units import Planck
from tests.simulate.dying import die_at
from tests.support.book_fixture import open_book
from tests.support.payments_fixture import PLANCK, make_payments

AMOUNT = 300
SETTLED_MS = 1000
EURO = Currency("EUR", 2, PLANCK)


def request(book: Book, payout: Payout) -> None:
    """Ask for it."""
    with book.together() as connection:
        payouts.ask(book, connection, of_stream(book), payout, EURO, SETTLED_MS)


def approve(book: Book, payout: Payout) -> None:
    """Say that a bank is to pay it."""
    with book.together() as connection:
        payouts.approve(book, connection, payout.id, SETTLED_MS, 6)


def pay(book: Book, payout: Payout) -> None:
    """Say that it has."""
    with book.together() as connection:
        payouts.pay(book, connection, payout.id, f"bank {payout.id}", 7)


ACTS: dict[PayoutState, Callable[[Book, Payout], None]] = {
    PayoutState.REQUESTED: request,
    PayoutState.APPROVED: approve,
    PayoutState.PAID: pay,
}


def of_stream(book: Book) -> StreamRecord:
    """Return the stream whose earnings they are of."""
    return book.streams.all()[0]


def a_payout(stream: StreamRecord, key: str) -> Payout:
    """Return a payout of some cents, not asked for."""
    planck = Planck(AMOUNT * PLANCK)
    bank = ("Ann Creator", "DE89 3704 0044 0532 0130 00", PayoutState.REQUESTED, None, "")
    made_by = ("person:ann", key, 5, None, None)
    return Payout(orders.new_id(), stream.id, planck, 0, "EUR", 2, *bank, *made_by)


def state_of(book: Book, key: str, paid_before: Planck) -> PayoutState | None:
    """Return how far a payout is, None when it is not there; the book must say the same of it."""
    with book.together() as connection:
        known = [
            item for item in payouts.page(connection, limit=200) if item.idempotency_key == key
        ]
        asked = payouts.asked_for(connection, of_stream(book).id)
        earnings = book.payouts.earnings(of_stream(book), asked, SETTLED_MS)
        differences = comparison.compare(book, connection).differences
    state = known[0].state if known else None
    planck = AMOUNT * PLANCK
    assert len(known) < 2
    assert differences == ()
    assert (earnings.paid_out - paid_before) == (planck if state is PayoutState.PAID else 0)
    assert asked == (planck if state in payouts.OPEN else 0)
    assert sum(book.ledger.balances().values()) == 0
    assert book.ledger.unbalanced() == []
    return state


def main(folder: Path) -> None:
    """Kill at every step of each act, and print how many there are."""
    url = f"sqlite:///{folder}/book.sqlite3"
    fixture = make_payments(url)
    stream = fixture.stream
    item = Settled(fixture.key(), 0, 1, Planck(10**12), stream.platform_fee_ppm, stream.creator)
    with fixture.book.together() as connection:
        post(connection, "settlement", "1", SETTLED_MS, settlement_postings([item]))
    fixture.book.close()
    for state in ACTS:
        steps, whole = kill_at_each(url, state)
        print(f"{state}: {steps} steps, {whole} after the commit")


def _of(act: Callable[[Book, Payout], None], payout: Payout, book: Book) -> None:
    act(book, payout)


def kill_at_each(url: str, wanted: PayoutState) -> tuple[int, int]:
    """Kill at every step of an act; return how many there are, and after how many it is done."""
    states = list(ACTS)
    place, step, whole = states.index(wanted), 0, 0
    while True:
        step += 1
        book, key = open_book(url), f"{wanted} {step}"
        payout = a_payout(of_stream(book), key)
        paid_before = book.payouts.earnings(of_stream(book), Planck(0), SETTLED_MS).paid_out
        for before in states[:place]:
            ACTS[before](book, payout)
        book.close()
        fate = die_at(url, partial(_of, ACTS[wanted], payout), step)
        book = open_book(url)
        there = state_of(book, key, paid_before)
        assert there in {wanted, states[place - 1] if place else None}, f"step {step}: {there}"
        assert fate or there is wanted
        whole += there is wanted
        # Done again it is done, once; then it goes its way, so that the next one may be asked for.
        for _ in range(2):
            ACTS[wanted](book, payout)
            assert state_of(book, key, paid_before) is wanted, f"step {step} is not mended"
        for after in states[place + 1 :]:
            ACTS[after](book, payout)
        assert state_of(book, key, paid_before) is PayoutState.PAID
        book.close()
        if not fate:
            return step - 1, whole - 1


if __name__ == "__main__":
    main(Path(sys.argv[1]))
