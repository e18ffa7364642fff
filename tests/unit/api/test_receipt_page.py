"""The receipts that a person reads."""

from __future__ import annotations

from uuid import UUID

import pytest

from mediaserver.api.money.receipt_page import ROWS_MAX, receipt_page, span_text
from metering.model import receipt
from metering.model.receipt import ReceiptLine, SignedReceipt
from metering.units import AccountId, Asset, Planck, Run

ASSET = Asset("UNIT", 12)
OPERATOR = AccountId(b"\x01" * 32)


def signed(number: int, *lines: ReceiptLine) -> SignedReceipt:
    made = receipt.make(
        UUID(int=1), OPERATOR, lines, number=number, made_ms=1, previous=receipt.FIRST_PREVIOUS
    )
    return SignedReceipt(made, bytes(64))


def test_v11_receipts_can_be_read_by_a_person():
    """Days, times, seconds and amounts with their unit, and the sum; no hash to understand."""
    first = 1_800_000_000
    chain = [
        signed(1, ReceiptLine(1, 1, Planck(250_000_000), (Run(first, 60), Run(first + 70, 5)))),
        signed(2, ReceiptLine(1, 2, Planck(10**9), (Run(first + 80, 3600),))),
    ]

    head, body = receipt_page('<b>"Cam"</b>', ASSET, OPERATOR, chain)

    assert "<title>Receipts: &lt;b&gt;&quot;Cam&quot;&lt;/b&gt;</title>" in head
    assert "1 h 1 min 5 s billed, 3.61625 UNIT" in body
    assert (
        "<tr><td>1</td><td>2027-01-15 08:00:00</td><td>08:01:15</td><td>1 min 5 s</td>"
        "<td>0.00025 UNIT</td><td>0.01625 UNIT</td></tr>"
    ) in body
    assert body.index("<td>2</td>") < body.index("<td>1</td>")
    assert 'href="?file"' in body
    assert "holds your link" in body
    assert "holds your link" not in receipt_page("Cam", ASSET, OPERATOR, chain, has_link=False)[1]
    assert f"0x{OPERATOR.hex()}" in body
    assert "<b>" not in body


def test_v11_a_long_history_is_bounded_on_the_page():
    """The file holds all; the page the newest."""
    line = ReceiptLine(1, 1, Planck(1), (Run(1_800_000_000, 1),))

    _, body = receipt_page("Cam", ASSET, OPERATOR, [signed(n, line) for n in range(1, 700)])

    assert body.count("<tr>") == ROWS_MAX + 1
    assert "199 older lines are in the file" in body


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59, "59 s"), (125, "2 min 5 s"), (3609, "1 h 0 min 9 s")]
)
def test_spans_are_told_in_hours_minutes_and_seconds(seconds, text):
    """As people say them."""
    assert span_text(seconds) == text
