"""Bad seconds in the book: what no random life asks for."""

import pytest

from metering.errors import IdempotencyConflictError, InvalidValueError, UnknownNameError
from metering.model import bad_seconds, receipt_file
from metering.units import Asset, Planck, Run
from tests.support.bad_seconds_fixture import DEPOSIT, FIRST, BadSecondsFixture, rule
from tests.support.book_fixture import OPERATOR, PRICE, make_book


@pytest.fixture
def life() -> BadSecondsFixture:
    """Ten settled seconds of one viewer."""
    made = BadSecondsFixture(make_book(deposit=DEPOSIT))
    who = made.fixture.accounts[0]
    for second in range(0, 10, 5):
        made.watch(who, Run(FIRST + second, 5), made.fixture.key(), PRICE)
    made.settle()
    return made


def test_nothing_is_in_a_receipt_as_given_back_before_it_is_charged(life) -> None:
    """However few lines are taken at once: each file in between is good."""
    book, who = life.fixture.book, life.fixture.accounts[0]
    life.give_back(FIRST, FIRST + 9, "k")

    made = 0
    while book.receipts.make(OPERATOR, 5, lines_max=1):
        made += 1
        chain = book.receipts.of(who, life.fixture.stream.id)
        data = receipt_file.file_bytes(Asset(), OPERATOR.account, chain)
        proof = receipt_file.verify(data, OPERATOR.account)

    assert made == 3
    assert (proof.back_ticks, proof.amount) == (10, 0)


def test_what_is_given_back_waits_for_the_next_receipt_as_seconds_do(life) -> None:
    """Receipts stay few; alone it comes when it has waited as long."""
    book, stream = life.fixture.book, life.fixture.stream.id
    book.receipts.make(OPERATOR, 2000)
    life.give_back(FIRST, FIRST + 3, "k")

    assert book.receipts.make(OPERATOR, life.at_ms + 99, waited_ms=100) == 0
    assert book.receipts.make(OPERATOR, life.at_ms + 100, waited_ms=100) == 1
    [_, last] = book.receipts.of(life.fixture.accounts[0], stream)
    assert (last.receipt.amount, last.receipt.ticks) == (-4 * PRICE, 0)


def test_a_creator_gives_back_no_more_than_is_left_of_what_they_earned(life) -> None:
    """Nothing is done then; finance may, and it is a debt."""
    book, stream = life.fixture.book, life.fixture.stream
    share = 10 * PRICE - 10 * PRICE // 10
    book.payouts.add("p", stream, Planck(share // 2), 1)
    wanted = rule(stream.id, FIRST, FIRST + 9, "k")

    with pytest.raises(InvalidValueError, match="finance may give these seconds back"):
        book.bad_seconds.add(wanted, 5, keeps={})
    assert book.bad_seconds.page(stream.id, 9) == []
    assert life.differences() == ()
    half = rule(stream.id, FIRST, FIRST + 4, "k")
    assert book.bad_seconds.add(half, 5, keeps={})[1]
    assert book.bad_seconds.add(rule(stream.id, FIRST, FIRST + 9, "k2"), 5)[1]
    assert book.payouts.earnings(stream, Planck(0), 10**9).debt == share // 2


def test_a_rule_that_cannot_be_is_refused(life, monkeypatch) -> None:
    book, stream = life.fixture.book, life.fixture.stream.id
    life.give_back(FIRST, FIRST, "k")
    with pytest.raises(IdempotencyConflictError, match="another range"):
        life.give_back(FIRST, FIRST + 1, "k")
    with pytest.raises(InvalidValueError, match="a range has 1 to 86400"):
        life.give_back(FIRST, FIRST + 86_400, "k2")
    with pytest.raises(InvalidValueError, match="a range has 1 to 86400"):
        life.give_back(FIRST, FIRST - 1, "k2")
    with pytest.raises(UnknownNameError, match="there is no stream"):
        book.bad_seconds.add(rule(type(stream)(int=5), FIRST, FIRST, "k"), 5)
    with pytest.raises(UnknownNameError, match="no bad seconds 2"):
        book.bad_seconds.get(stream, 2)
    monkeypatch.setattr("metering.book.bad_seconds.RULES_MAX", 1)
    with pytest.raises(InvalidValueError, match="no more than 1 ranges"):
        life.give_back(FIRST, FIRST, "k2")
    assert bad_seconds.RULES_MAX == 1000
