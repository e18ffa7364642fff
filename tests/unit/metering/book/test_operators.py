"""Whose key signs a book: the first one's, until an operator takes another."""

import json

import pytest

from metering import signing
from metering.errors import ReceiptInvalidError
from metering.model import receipt_file
from metering.units import Asset, Cut, CutLine, Run, account_text, shard_of
from tests.support.book_fixture import OPERATOR, make_book

OTHER = signing.from_seed(b"o" * 32)
OLD, NEW = account_text(OPERATOR.account), account_text(OTHER.account)


def cut(fixture, number, run, cumulative):
    key = fixture.key(0, version=1)
    return Cut(shard_of(key.account), number, (CutLine(key, (run,), cumulative),))


def receipts_of(signers):
    """Return a book with one receipt by each signer, and its file as the server gives it."""
    fixture = make_book()
    book, account = fixture.book, fixture.accounts[0]
    for number, signer in enumerate(signers, 1):
        book.cuts.book(
            [cut(fixture, number, Run(number * 100, 10), cumulative=number * 10)], number
        )
        book.receipts.make(signer, number)
        book.operators.accept(signer.account, number)
    now, *earlier = book.operators.accounts()
    chain = book.receipts.of(account, fixture.stream.id)
    return book, receipt_file.file_bytes(Asset(), now, chain, earlier)


def test_the_first_key_is_the_books_and_another_is_not():
    """Also after a restart; `accept` changes it."""
    fixture = make_book()
    operators = fixture.book.operators

    assert operators.is_ours(OPERATOR.account, 1)
    assert operators.is_ours(OPERATOR.account, 2)
    assert not operators.is_ours(OTHER.account, 3)

    assert operators.accept(OTHER.account, 4) == OPERATOR.account
    assert operators.is_ours(OTHER.account, 5)
    assert not operators.is_ours(OPERATOR.account, 6)


def test_a_book_of_before_is_judged_by_its_newest_receipt():
    """The upgrade itself must not be the moment at which another key slips in."""
    fixture = make_book()
    fixture.book.cuts.book([cut(fixture, 1, Run(100, 10), cumulative=10)], 1)
    fixture.book.receipts.make(OPERATOR, 1)

    assert not fixture.book.operators.is_ours(OTHER.account, 2)
    assert fixture.book.operators.is_ours(OPERATOR.account, 3)


def test_receipts_of_two_keys_verify_with_both_and_name_who_signed():
    """A chain goes on under the new key, and each receipt is checked with its own."""
    _, data = receipts_of([OPERATOR, OTHER])

    assert receipt_file.verify(data, OPERATOR.account, OTHER.account).ticks == 20
    with pytest.raises(ReceiptInvalidError, match=f"receipt 1 is signed by {OLD}, it says"):
        receipt_file.verify(data, OTHER.account)
    with pytest.raises(ReceiptInvalidError, match=f"signed by {NEW}"):
        receipt_file.verify(data, OPERATOR.account)


def test_receipts_of_before_stay_verifiable_with_the_old_account_alone():
    """Nothing new was watched since the key is another one."""
    book, data = receipts_of([OPERATOR])
    book.operators.accept(OTHER.account, 9)
    [old] = json.loads(data)["receipts"]
    account, stream = (json.loads(data)[name] for name in ("account", "stream"))
    chain = receipt_file.verify(data, OPERATOR.account).receipts

    again = receipt_file.file_bytes(Asset(), OTHER.account, chain, [OPERATOR.account])

    assert again == data
    assert receipt_file.verify(again, OPERATOR.account).ticks == 10
    assert (old["number"], len(account), len(stream)) == (1, 66, 36)


def test_a_receipt_that_says_another_signer_is_not_taken_for_it():
    """Who gives both keys is told of a signature by neither, and by the wrong one."""
    _, data = receipts_of([OPERATOR, OTHER])
    content = json.loads(data)
    content["receipts"][0].pop("operator")
    stripped = (json.dumps(content, indent=1) + "\n").encode()

    with pytest.raises(ReceiptInvalidError, match="receipt 1 is not signed by this operator"):
        receipt_file.verify(stripped, OPERATOR.account, OTHER.account)
