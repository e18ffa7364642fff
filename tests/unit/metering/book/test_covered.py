"""What is covered is kept once, found again by show, and named in the next receipt."""

from metering import signing
from metering.book.records import CoveredTicks
from metering.model import receipt, receipt_file
from metering.units import Asset, Cause, Cut, CutLine, Run, shard_of
from tests.support.book_fixture import OPERATOR, PRICE, make_book

SHOW = 1_700_000_000


def test_covered_ticks_that_come_twice_are_kept_once():
    """Two rounds of cuts may bring the same words; an hour has a row of its own."""
    fixture = make_book()
    (who,), stream = fixture.accounts, fixture.stream.id
    for runs in ((Run(SHOW, 20),), (Run(SHOW + 10, 5_000),), (Run(SHOW, 1),)):
        fixture.book.covered.add([CoveredTicks(who, stream, SHOW, runs)])

    lines = fixture.book.covered.all()

    assert len(lines) == 2
    assert sum(run.count for line in lines for run in line.runs) == 5_010


def test_shows_that_ended_before_the_watched_hours_are_left_out_of_a_rebuild():
    """Of the shows that began before them the newest one may go on still."""
    fixture = make_book()
    (who,), stream = fixture.accounts, fixture.stream.id
    shows = (SHOW, SHOW + 5_000, SHOW + 200_000)
    fixture.book.covered.add([CoveredTicks(who, stream, show, (Run(show, 2),)) for show in shows])

    def found(oldest: int) -> list[int]:
        return [line.show for line in fixture.book.covered.of_shard(shard_of(who), oldest)]

    assert found(SHOW + 4_999) == list(shows)
    assert found(SHOW + 5_000) == [SHOW + 5_000, SHOW + 200_000]
    assert found(SHOW + 200_001) == [SHOW + 200_000]


def test_a_second_is_kept_by_why_it_is_covered():
    """A receipt says it too, and who verifies it is told."""
    fixture = make_book()
    (who,), stream, book = fixture.accounts, fixture.stream.id, fixture.book
    book.covered.add([CoveredTicks(who, stream, SHOW, (Run(SHOW, 30),))])
    book.covered.add([CoveredTicks(who, stream, SHOW, (Run(SHOW + 40, 12),), Cause.CAP)])
    runs = (Run(SHOW + 30, 10),)
    book.cuts.book([Cut(shard_of(who), 1, (CutLine(fixture.key(), runs, 10),))], 1)
    book.receipts.make(OPERATOR, 1)

    chain = book.receipts.of(who, stream)
    proof = receipt_file.verify(
        receipt_file.file_bytes(Asset(), OPERATOR.account, chain), OPERATOR.account
    )

    assert {line.cause for line in book.covered.all()} == {Cause.PREVIEW, Cause.CAP}
    assert proof.covered_by_cause == {Cause.PREVIEW: 30, Cause.CAP: 12}
    assert (proof.covered_ticks, proof.amount) == (42, 10 * PRICE)


def test_a_receipt_names_what_was_covered_once_at_no_cost():
    """The file proves it: covered seconds are in one receipt, and add nothing to its amount."""
    fixture = make_book()
    (who,), stream, book = fixture.accounts, fixture.stream.id, fixture.book
    line = CoveredTicks(who, stream, SHOW, (Run(SHOW, 30),))
    for number in (1, 2):
        book.covered.add([line])
        runs = (Run(SHOW + 30 * number, 10),)
        cut = Cut(shard_of(who), number, (CutLine(fixture.key(), runs, 10 * number),))
        book.cuts.book([cut], number)
        assert book.receipts.make(OPERATOR, number) == 1

    chain = book.receipts.of(who, stream)
    proof = receipt_file.verify(
        receipt_file.file_bytes(Asset(), OPERATOR.account, chain), OPERATOR.account
    )

    assert [signed.receipt.covered_ticks for signed in chain] == [30, 0]
    assert (proof.ticks, proof.covered_ticks, proof.amount) == (50, 30, 20 * PRICE)
    assert signing.is_signed(
        OPERATOR.account, receipt.canonical_bytes(chain[0].receipt, Asset()), chain[0].signature
    )


def test_a_stream_has_its_own_preview_or_the_operators():
    """What the creator has set counts, 0 too."""
    fixture = make_book()
    book = fixture.book

    assert book.streams.get("talks").preview_of(30) == 30
    assert book.streams.set_preview("talks", 0).preview_of(30) == 0
    assert book.streams.set_preview("talks", 5).preview_of(30) == 5
