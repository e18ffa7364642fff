"""Passes in the book: asked for, paid, given back; each once."""

import pytest

from metering.book.records import CoveredTicks
from metering.errors import IdempotencyConflictError, InvalidValueError, UnknownNameError
from metering.model.passes import PassKind, PassOffer
from metering.units import AccountId, Cause, Planck, Run
from tests.support.book_fixture import make_book

NOW_MS = 1_800_000_000_000
MONTH = PassOffer(PassKind.MONTH, 0, Planck(300))


def ask(fixture, key="k", offer=MONTH, viewer=0, show=5):
    account = fixture.accounts[viewer]
    return fixture.book.passes.ask(
        account, fixture.stream, offer, show=show, idempotency_key=key, now_ms=NOW_MS
    )


def test_a_pass_is_posted_once_with_its_shares():
    fixture = make_book(fee_ppm=100_000)
    book, (ann,) = fixture.book, fixture.accounts

    asked = ask(fixture)
    assert book.cuts.spent(ann) == 0
    paid = book.passes.pay(asked.id, NOW_MS)
    again = book.passes.pay(asked.id, NOW_MS)

    assert (asked.is_paid, paid, again) == (False, again, paid)
    assert ask(fixture) == paid
    assert book.cuts.spent(ann) == 300
    assert book.ledger.earned(fixture.stream.creator) == {fixture.stream.id: 270}
    assert sum(book.ledger.balances().values()) == 0
    assert book.passes.of_shard(0) + book.passes.asked() in ([], [paid])
    assert book.passes.page(account=ann, limit=5) == book.passes.all() == [paid]


def test_what_was_asked_for_and_not_taken_is_gone():
    fixture = make_book()
    book, asked = fixture.book, ask(fixture)

    assert book.passes.asked() == [asked]
    book.passes.drop(asked.id)
    paid = book.passes.pay(ask(fixture).id, NOW_MS)
    book.passes.drop(paid.id)

    assert book.passes.of_account(fixture.accounts[0]) == [paid]


def test_a_key_names_one_pass():
    fixture = make_book(viewers=2)
    ask(fixture)

    with pytest.raises(IdempotencyConflictError, match="another pass"):
        ask(fixture, offer=PassOffer(PassKind.SHOW, 0, Planck(300)))
    with pytest.raises(InvalidValueError, match="idempotency key"):
        ask(fixture, key="")
    assert ask(fixture, viewer=1).account == fixture.accounts[1]
    fixture.accounts.append(AccountId(b"\x09" * 32))
    with pytest.raises(UnknownNameError):
        ask(fixture, viewer=2)


def test_a_refund_is_beside_what_was_paid_in():
    """In the store the price stays spent, so what came in is more by it."""
    fixture = make_book(deposit=1000)
    book, (ann,) = fixture.book, fixture.accounts
    paid = book.passes.pay(ask(fixture).id, NOW_MS)

    back, is_new = book.passes.refund(paid.id, "by mistake", NOW_MS)
    again, is_new_again = book.passes.refund(paid.id, "by mistake", NOW_MS + 1)

    assert (back, is_new, is_new_again) == (again, True, False)
    assert (book.deposits.total(ann), book.cuts.spent(ann)) == (1300, 0)
    assert set(book.ledger.earned(fixture.stream.creator).values()) == {0}
    with pytest.raises(UnknownNameError):
        book.passes.refund("0" * 32, "", NOW_MS)
    with pytest.raises(UnknownNameError):
        book.passes.refund(ask(fixture, key="k2").id, "", NOW_MS)


def test_a_later_offer_gives_way_to_a_change():
    fixture = make_book()
    book, stream = fixture.book, fixture.stream.id
    first = book.passes.offer(stream, PassKind.MONTH, Planck(5), 10)
    book.passes.offer(stream, PassKind.MONTH, Planck(7), 70)
    show = book.passes.offer(stream, PassKind.SHOW, Planck(1), 70)

    last = book.passes.offer(stream, PassKind.MONTH, Planck(0), 65)

    assert book.passes.offers(stream) == (first, last, show)
    with pytest.raises(InvalidValueError):
        book.passes.offer(stream, PassKind.MONTH, Planck(-1), 99)


@pytest.mark.parametrize("is_covered", [True, False])
def test_a_show_is_over_when_a_later_one_was_watched(is_covered):
    """By anybody: of it a second was covered, or its cost is counted."""
    fixture = make_book(viewers=2)
    book, (ann, bea), stream = fixture.book, fixture.accounts, fixture.stream.id
    show = PassOffer(PassKind.SHOW, 0, Planck(300))
    paid = book.passes.pay(ask(fixture, offer=show, show=500).id, NOW_MS)
    month = book.passes.pay(ask(fixture, key="k2").id, NOW_MS)

    assert book.passes.that_may_cover(ann, 900) == [paid, month]
    if is_covered:
        book.covered.add([CoveredTicks(bea, stream, 800, (Run(801, 2),), Cause.PREVIEW)])
    else:
        book.show_caps.add_shows([(stream, 800)])

    assert book.passes.that_may_cover(ann, 799) == [paid, month]
    assert book.passes.that_may_cover(ann, 800) == [month]
    assert book.passes.last_shows([paid], 900) == {stream: 800}
