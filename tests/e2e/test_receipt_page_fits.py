"""The receipts that a person reads, on the screens that people hold: the amounts are to be seen."""

from uuid import UUID

import pytest

from mediaserver.api.money.receipt_page import receipt_page
from mediaserver.api.notice_page import page_response
from metering.model import receipt
from metering.model.receipt import ReceiptLine, SignedReceipt
from metering.units import AccountId, Asset, Planck, Run
from tests.support.servers.vilokanam import chromium

FITS = """(width) => ({
  sideways: Math.max(0, document.documentElement.scrollWidth - width),
  amounts: [...document.querySelectorAll('td:last-child')].map(
    (cell) => [cell.textContent, cell.getBoundingClientRect().right <= width])})"""
"""A phone's `innerWidth` grows with what is too wide, so the screen's own width is given."""


@pytest.fixture(scope="module")
def browser():
    with chromium() as made:
        yield made


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("width", "height"), [(320, 568), (390, 844), (844, 390), (1280, 800)])
def test_v11_receipts_fit_the_screen(browser, width, height):
    """At 390 pixels the column of amounts lay outside, and every paragraph was cut."""
    operator = AccountId(b"\xab" * 32)
    line = ReceiptLine(1, 1, Planck(250_000_000), (Run(1_800_000_000, 3665),))
    made = receipt.make(
        UUID(int=1), operator, [line], number=1, made_ms=1, previous=receipt.FIRST_PREVIOUS
    )
    chain = [SignedReceipt(made, bytes(64))]
    head, body = receipt_page("Cam", Asset("UNIT", 12), operator, chain)
    page = browser.new_page(
        viewport={"width": width, "height": height}, is_mobile=width < 1000, has_touch=True
    )

    page.set_content(page_response(200, head, body).text or "")
    seen = page.evaluate(FITS, width)
    page.close()

    assert seen == {"sideways": 0, "amounts": [["0.91625 UNIT", True]]}
