"""What `vilokanam reconcile` says of numbers that are not all there is."""

import json
import subprocess
from typing import Any

import pytest

from mediaserver.cli.ledger import report_lines
from metering.units import Asset
from tests.support.audience import settled

TOTALS = ("metered", "settled", "in_flight", "pending", "refused", "planck", "adopted")
WITHOUT = (
    "Redis is away or being rebuilt: seconds that only it has are not in these numbers; "
    "run this again"
)


def report(**changes: Any) -> dict[str, Any]:
    totals = dict.fromkeys((*TOTALS, "adopted_planck", "forgiven_ticks"), "0")
    whole = {
        "is_balanced": True,
        "is_store_read": True,
        "totals": totals,
        "rows": [],
        "differences": [],
        "restores": [],
        "payments": {"paid": 0, "planck": "0", "back": "0", "losses": []},
    }
    return whole | changes


@pytest.mark.parametrize("is_store_read", [True, False])
def test_who_reconciles_while_redis_is_rebuilt_learns_what_is_left_out(is_store_read: bool) -> None:
    """After an older book was put back above all: lost seconds are still being counted then."""
    restore = {"lost_ticks": "12", "forgiven_from": 5, "forgiven_to": 9}

    lines = report_lines(report(is_store_read=is_store_read, restores=[restore]), Asset())

    sentence = "an older book was restored: at least 12 seconds billed after it are lost, "
    assert f"{sentence}5 to 9 are forgiven" in lines
    assert (WITHOUT in lines) is not is_store_read
    assert lines[-1] == "the books balance"


def test_what_providers_brought_is_told_where_there_is_any() -> None:
    lines = report_lines(
        report(
            payments={
                "paid": 2,
                "planck": "15000000",
                "back": "3000000",
                "losses": ["order 5c0f: payment p1"],
            }
        ),
        Asset("EUR", 6),
    )

    assert "paid through providers: 2 orders, 15 EUR (15000000 planck)" in lines
    assert "went back of that: 3 EUR (3000000 planck)" in lines


def test_books_without_redis_are_not_settled() -> None:
    """`make chaos` took a rebuild under way for books in which nothing is pending."""
    restored = [{"lost_ticks": "40"}]
    answers = [report(is_store_read=False), report(restores=restored)]

    class Server:
        def run(self, *words: str, check: bool) -> subprocess.CompletedProcess[str]:
            assert (words, check) == (("reconcile", "--json"), False)
            return subprocess.CompletedProcess(words, 0, json.dumps(answers.pop(0)), "")

    books = settled(Server())  # type: ignore[arg-type]  # as much of it as is asked

    assert books["restores"] == restored
    assert not answers
