"""What the book knows that an account watched."""

from metering.book.records import CoveredTicks, UnbilledTicks
from metering.model.watch_history import by_show
from metering.units import Cut, CutLine, Planck, Run, shard_of
from tests.support.book_fixture import OPERATOR, PRICE, make_book

SHOW = 1_700_000_000


def test_every_second_is_there_once_before_and_after_its_cuts_are_merged() -> None:
    """Billed at the price of its time, covered, or never billed; nobody else's is among them."""
    fixture = make_book(viewers=2)
    (who, other), stream, book = fixture.accounts, fixture.stream.id, fixture.book
    for viewer, account in enumerate((who, other)):
        line = CutLine(fixture.key(viewer), (Run(SHOW + 30, 10),), 10)
        book.cuts.book([Cut(shard_of(account), 1, (line,))], 1)
    book.covered.add([CoveredTicks(who, stream, SHOW, (Run(SHOW, 30),))])
    book.unbilled.add([UnbilledTicks(who, stream, (Run(SHOW + 40, 2),))])

    (row,) = by_show(book.watch_history.of(who), {stream: [SHOW]})

    assert (row.show, row.seconds, row.covered_seconds) == (SHOW, 42, 30)
    assert row.planck == 10 * PRICE
    book.receipts.make(OPERATOR, 2)
    with book.together() as connection:
        connection.exec_driver_sql("UPDATE cuts SET is_forgotten = 1")
    book.usage.roll()
    assert book.cuts.compact() == 2
    assert by_show(book.watch_history.of(who), {stream: [SHOW]}) == [row]


def test_seconds_cost_what_the_price_of_their_time_was() -> None:
    fixture = make_book()
    (who,), book = fixture.accounts, fixture.book
    book.streams.add_price("talks", Planck(7), SHOW + 10)
    lines = (
        CutLine(fixture.key(version=1), (Run(SHOW, 10),), 10),
        CutLine(fixture.key(version=2), (Run(SHOW + 10, 5),), 5),
    )
    book.cuts.book([Cut(shard_of(who), 1, lines)], 1)

    (row,) = by_show(book.watch_history.of(who), {})

    assert (row.show, row.planck) == (None, 10 * PRICE + 35)
