"""Receipts prove what was paid, or say at which number they do not."""

import json
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metering import signing
from metering.errors import InvalidValueError, ReceiptInvalidError
from metering.model import receipt
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


FILE = receipt.file_bytes(ASSET, OPERATOR.account, make_chain(3))


def resigned(body: receipt.Receipt) -> bytes:
    return receipt.file_bytes(ASSET, OPERATOR.account, [receipt.sign(body, ASSET, OPERATOR)])


def test_a_file_verifies_without_a_server():
    """With the file and the operator's public key alone."""
    checked = receipt.verify(FILE, OPERATOR.account)

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
        receipt.verify(bytes(data), OPERATOR.account)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_other_file_raises_the_named_error(data):
    """A viewer may hand over anything."""
    with pytest.raises(ReceiptInvalidError):
        receipt.verify(data, OPERATOR.account)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_missing_receipt_is_named(missing):
    """First, middle or last."""
    content = json.loads(FILE)
    del content["receipts"][missing]
    data = (json.dumps(content, indent=1) + "\n").encode()

    with pytest.raises(ReceiptInvalidError, match=f"receipt {min(missing + 1, 3)} "):
        receipt.verify(data, OPERATOR.account)


def test_two_receipts_changed_about_are_found():
    """Their order is part of what is signed."""
    first, second, third = make_chain(3)
    data = receipt.file_bytes(ASSET, OPERATOR.account, [first, third, second])

    with pytest.raises(ReceiptInvalidError, match="receipt 2 is missing"):
        receipt.verify(data, OPERATOR.account)


def test_another_operators_receipts_do_not_pass():
    """Neither under their own name nor under ours."""
    other = signing.from_seed(b"x" * 32)
    theirs = make_chain(1, other)

    for named in (other.account, OPERATOR.account):
        data = receipt.file_bytes(ASSET, named, theirs)
        with pytest.raises(ReceiptInvalidError):
            receipt.verify(data, OPERATOR.account)


def test_a_signed_receipt_with_a_wrong_sum_is_found():
    """Even the operator cannot sign an amount that its seconds do not cost."""
    body = make_chain(1)[0].receipt
    wrong = receipt.Receipt(
        STREAM, VIEWER, 1, body.made_ms, FIRST_PREVIOUS, body.lines, Planck(body.amount + 1)
    )

    with pytest.raises(ReceiptInvalidError, match="seconds cost"):
        receipt.verify(resigned(wrong), OPERATOR.account)


def test_a_second_charged_twice_is_found():
    """Under two price versions, too."""
    lines = [
        ReceiptLine(1, 1, Planck(1), (Run(100, 10),)),
        ReceiptLine(1, 2, Planck(2), (Run(105, 1),)),
    ]
    body = receipt.make(STREAM, VIEWER, lines, number=1, made_ms=1, previous=FIRST_PREVIOUS)

    with pytest.raises(ReceiptInvalidError, match="charges second 105 again"):
        receipt.verify(resigned(body), OPERATOR.account)


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
        receipt.file_bytes(ASSET, OPERATOR.account, [])
