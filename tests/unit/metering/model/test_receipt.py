"""Receipts prove what was paid, or say at which number they do not."""

import json
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metering import signing
from metering.errors import InvalidValueError, ReceiptInvalidError
from metering.model import receipt, receipt_file
from metering.model.receipt import FIRST_PREVIOUS, ReceiptLine, SignedReceipt
from metering.units import AccountId, Asset, Planck, Run
from tests.support.examples import examples

OPERATOR = signing.from_seed(b"o" * 32)
VIEWER = signing.from_seed(b"v" * 32).account
STREAM = UUID("6a1f0d3c-0b57-4cf0-9a53-2f0f8f0f7b11")
ASSET = Asset("UNIT", 12, 1)


def make_chain(count: int, operator: signing.KeyPair = OPERATOR) -> list[SignedReceipt]:
    chain = []
    previous = FIRST_PREVIOUS
    for number in range(1, count + 1):
        first = 1_700_000_000 + number * 100
        lines = [
            ReceiptLine(1, 2, Planck(10**8), (Run(first, 10), Run(first + 20, 3))),
            ReceiptLine(1, 1, Planck(7), (Run(first + 50, 1),)),
        ]
        made = receipt.make(
            STREAM, VIEWER, lines, number=number, made_ms=first * 1000, previous=previous
        )
        chain.append(receipt.sign(made, ASSET, operator))
        previous = receipt.hash_of(made, ASSET)
    return chain


FILE = receipt_file.file_bytes(ASSET, OPERATOR.account, make_chain(3))


def resigned(body: receipt.Receipt) -> bytes:
    return receipt_file.file_bytes(ASSET, OPERATOR.account, [receipt.sign(body, ASSET, OPERATOR)])


def test_a_file_verifies_without_a_server():
    """With the file and the operator's public key alone."""
    checked = receipt_file.verify(FILE, OPERATOR.account)

    assert checked.ticks == 3 * 14
    assert checked.amount == 3 * (13 * 10**8 + 7)
    assert (checked.stream, checked.account) == (STREAM, VIEWER)


@examples(200)
@given(st.integers(0, len(FILE) * 8 - 1))
def test_any_flipped_bit_is_found(bit):
    """Wherever it is: in a number, a signature, or the spelling."""
    data = bytearray(FILE)
    data[bit // 8] ^= 1 << bit % 8

    with pytest.raises(ReceiptInvalidError, match=r"receipt \d"):
        receipt_file.verify(bytes(data), OPERATOR.account)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_other_file_raises_the_named_error(data):
    """A viewer may hand over anything."""
    with pytest.raises(ReceiptInvalidError):
        receipt_file.verify(data, OPERATOR.account)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_missing_receipt_is_named(missing):
    """First, middle or last."""
    content = json.loads(FILE)
    del content["receipts"][missing]
    data = (json.dumps(content, indent=1) + "\n").encode()

    with pytest.raises(ReceiptInvalidError, match=f"receipt {min(missing + 1, 3)} "):
        receipt_file.verify(data, OPERATOR.account)


def test_two_receipts_changed_about_are_found():
    """Their order is part of what is signed."""
    first, second, third = make_chain(3)
    data = receipt_file.file_bytes(ASSET, OPERATOR.account, [first, third, second])

    with pytest.raises(ReceiptInvalidError, match="receipt 2 is missing"):
        receipt_file.verify(data, OPERATOR.account)


def test_another_operators_receipts_do_not_pass():
    """Neither under their own name nor under ours."""
    other = signing.from_seed(b"x" * 32)
    theirs = make_chain(1, other)

    for named in (other.account, OPERATOR.account):
        data = receipt_file.file_bytes(ASSET, named, theirs)
        with pytest.raises(ReceiptInvalidError):
            receipt_file.verify(data, OPERATOR.account)


def test_a_signed_receipt_with_a_wrong_sum_is_found():
    """Even the operator cannot sign an amount that its seconds do not cost."""
    body = make_chain(1)[0].receipt
    wrong = receipt.Receipt(
        STREAM, VIEWER, 1, body.made_ms, FIRST_PREVIOUS, body.lines, Planck(body.amount + 1)
    )

    with pytest.raises(ReceiptInvalidError, match="seconds cost"):
        receipt_file.verify(resigned(wrong), OPERATOR.account)


def test_a_second_charged_twice_is_found():
    """Under two price versions, too."""
    lines = [
        ReceiptLine(1, 1, Planck(1), (Run(100, 10),)),
        ReceiptLine(1, 2, Planck(2), (Run(105, 1),)),
    ]
    body = receipt.make(STREAM, VIEWER, lines, number=1, made_ms=1, previous=FIRST_PREVIOUS)

    with pytest.raises(ReceiptInvalidError, match="charges second 105 again"):
        receipt_file.verify(resigned(body), OPERATOR.account)


def test_the_signed_bytes_are_as_documented():
    """So that anybody can check a receipt with other tools."""
    lines = [ReceiptLine(1, 2, Planck(3), (Run(16, 2),))]
    body = receipt.make(
        UUID(int=1), AccountId(b"\x0a" * 32), lines, number=4, made_ms=5, previous=b"\x0b" * 32
    )

    assert receipt.canonical_bytes(body, Asset("AB", 12)).hex() == (
        "564c4b5201"
        "02"
        "4142"
        "0c"
        "01000000000000000000000000000000" + "0a" * 32 + "04000000"
        "0500000000000000" + "0b" * 32 + "0200000000000000"
        "06000000000000000000000000000000"
        "01000000"
        "01000000"
        "02000000"
        "03000000000000000000000000000000"
        "01000000"
        "1000000000000000"
        "02000000"
    )


def test_no_receipts_make_no_file():
    """An empty file would prove nothing."""
    with pytest.raises(InvalidValueError):
        receipt_file.file_bytes(ASSET, OPERATOR.account, [])


FIRST = 1_700_000_100
"""Of the seconds of receipt 1 of `make_chain`."""


def with_back(*lines: ReceiptLine, more: tuple[ReceiptLine, ...] = ()) -> bytes:
    """Return the file of a receipt, and of one behind it that gives something back."""
    [first] = make_chain(1)
    body = receipt.make(
        STREAM,
        VIEWER,
        [*lines, *more],
        number=2,
        made_ms=5,
        previous=receipt.hash_of(first.receipt, ASSET),
    )
    second = receipt.sign(body, ASSET, OPERATOR)
    return receipt_file.file_bytes(ASSET, OPERATOR.account, [first, second])


def back(first: int, count: int, version: int = 2, planck: int = 10**8) -> ReceiptLine:
    return ReceiptLine(1, version, Planck(planck), (Run(first, count),), is_back=True)


def test_what_is_given_back_counts_against_the_sum():
    """At the price at which it was charged; the receipt alone may be below zero."""
    checked = receipt_file.verify(
        with_back(back(FIRST + 1, 4), back(FIRST + 50, 1, 1, 7)), OPERATOR.account
    )

    assert checked.receipts[1].receipt.amount == -(4 * 10**8 + 7)
    assert checked.amount == (13 - 4) * 10**8
    assert (checked.ticks, checked.back_ticks) == (14, 5)


def test_a_second_is_charged_and_given_back_in_one_receipt():
    """What was bad and settled before its receipt was made."""
    fresh = ReceiptLine(1, 2, Planck(5), (Run(FIRST + 70, 2),))
    data = with_back(back(FIRST + 71, 1, 2, 5), more=(fresh,))

    assert receipt_file.verify(data, OPERATOR.account).receipts[1].receipt.amount == 5


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ((back(FIRST + 9, 2),), "gives back second 1700000110, which none charged like this"),
        ((back(FIRST, 1, 2, 10**9),), "gives back second 1700000100, which none charged"),
        ((back(FIRST, 1, 1, 7),), "gives back second 1700000100, which none charged"),
        ((back(FIRST, 3), back(FIRST + 2, 2)), "gives back second 1700000102 again"),
        (
            (ReceiptLine(0, 0, Planck(0), (Run(FIRST, 1),), is_back=True),),
            "gives back second 1700000100, which none charged",
        ),
    ],
)
def test_nothing_is_given_back_that_was_not_charged_or_twice(lines, words):
    """An operator cannot sign a sum away."""
    with pytest.raises(ReceiptInvalidError, match=words):
        receipt_file.verify(with_back(*lines), OPERATOR.account)


def test_a_file_that_gives_back_has_a_format_of_its_own_and_others_stay_as_they_are():
    """Who knows form 1 alone is told so, instead of that the signature is wrong."""
    data = with_back(back(FIRST, 1))

    assert json.loads(FILE)["format"] == "vilokanam-receipts-1"
    assert json.loads(data)["format"] == "vilokanam-receipts-2"
    for wrong in (
        data.replace(b"receipts-2", b"receipts-1"),
        FILE.replace(b"receipts-1", b"receipts-2"),
        data.replace(b'"back": true', b'"back": 1'),
    ):
        with pytest.raises(ReceiptInvalidError):
            receipt_file.verify(wrong, OPERATOR.account)
