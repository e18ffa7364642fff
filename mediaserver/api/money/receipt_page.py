"""A viewer's receipts for people: when, how long, at which price, how much; the signed file beside.

Pure: receipts in, text out. The file itself is `metering.model.receipt`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

from metering.model import ticks
from metering.model.amounts import amount_text
from metering.model.receipt import SignedReceipt
from metering.units import AccountId, Asset, Cause, account_text

FILE_QUERY: Final = "file"
"""``receipts?file`` is the signed file, for browsers too."""
_WHY: Final = {
    Cause.PREVIEW: ", free preview",
    Cause.CAP: ", above the most that a show costs",
    Cause.FREE_LIST: ", free for you",
    Cause.PASS: ", covered by your pass",
}
ROWS_MAX: Final = 500
"""The newest lines that are shown; the file holds all."""


def receipt_page(
    title: str,
    asset: Asset,
    operator: AccountId,
    receipts: Sequence[SignedReceipt],
    *,
    has_link: bool = True,
) -> tuple[str, str]:
    """Return the head and the body of the page (`notice_page.page_response`).

    Args:
        has_link: False: its address holds no token that opens the stream.
    """
    covered = sum(signed.receipt.covered_ticks for signed in receipts)
    seconds = sum(signed.receipt.ticks for signed in receipts) - covered
    amount = sum(signed.receipt.amount for signed in receipts)
    cost = escape(amount_text(amount, asset))
    cost += f"; {span_text(covered)} were free" if covered else ""
    back = sum(signed.receipt.back_ticks for signed in receipts)
    cost += f"; {span_text(back)} were bad and are given back" if back else ""
    rows = [row for signed in reversed(receipts) for row in _rows(signed, asset)]
    older = len(rows) - ROWS_MAX
    more = f"<p>{older} older lines are in the file.</p>" if older > 0 else ""
    body = (
        f"<h1>Receipts: {escape(title)}</h1>"
        f'<p class="price">{span_text(seconds)} billed, {cost}</p>'
        f'<a class="button" href="?{FILE_QUERY}">Save the signed file</a>'
        '<div class="scroll"><table><thead><tr><th>No.</th><th>From (UTC)</th><th>To</th>'
        "<th>Billed</th><th>A second</th><th>Amount</th></tr></thead>"
        f"<tbody>{''.join(rows[:ROWS_MAX])}</tbody></table></div>{more}"
        "<p>Each second is billed once. The newest come into the next receipt, some seconds "
        "later; open this page again.</p>"
        "<p>The file is signed by the operator and can be checked without this server: "
        "vilokanam receipt verify, with the operator&#39;s key from where they publish it.</p>"
        f'<p class="key">Key of the operator: {account_text(operator)}</p>'
    )
    if has_link:
        body += "<p>The address of this page holds your link: who has it watches at your cost.</p>"
    return f"<title>Receipts: {escape(title)}</title>", body


def span_text(seconds: int) -> str:
    """Return ``59 s``, ``2 min 5 s`` or ``1 h 0 min 9 s``."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h"] if hours else []
    parts += [f"{minutes} min"] if minutes or hours else []
    return " ".join([*parts, f"{rest} s"])


def _rows(signed: SignedReceipt, asset: Asset) -> list[str]:
    receipt = signed.receipt
    rows = []
    for line in receipt.lines:
        count = ticks.count(line.runs)
        why = _WHY[line.cause] if line.cause else ", given back" if line.is_back else ""
        first, last = line.runs[0].first, line.runs[-1].first + line.runs[-1].count
        cells = (
            str(receipt.number),
            f"{datetime.fromtimestamp(first, UTC):%Y-%m-%d %H:%M:%S}",
            f"{datetime.fromtimestamp(last, UTC):%H:%M:%S}",
            span_text(count),
            amount_text(line.planck_per_tick, asset) + why,
            amount_text(line.amount, asset),
        )
        rows.append(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>")
    return rows
