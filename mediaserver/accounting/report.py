"""The comparison of store, book and chain as JSON: what `vilokanam reconcile` prints."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from metering.recovery.reconcile import Reconciliation
from metering.units import account_text

_TOTALS: Final = (
    "metered",
    "settled",
    "in_flight",
    "pending",
    "refused",
    "planck",
    "adopted",
    "adopted_planck",
)
"""Of the books' rows, summed in a report."""


def as_json(report: Reconciliation, *, is_store_read: bool) -> dict[str, Any]:
    """Return a report as JSON: integers that may be large are text.

    Args:
        is_store_read: False while Redis is away: only book and chain were compared.
    """
    totals = {name: sum(getattr(row, name) for row in report.rows) for name in _TOTALS}
    counted = dataclasses.asdict(report.counters)
    return {
        "is_balanced": report.is_balanced,
        "is_store_read": is_store_read,
        "is_chain_read": report.is_chain_read,
        "totals": {
            **{name: str(value) for name, value in totals.items()},
            **{name: str(value) for name, value in counted.items()},
        },
        "rows": [
            {
                **dataclasses.asdict(row),
                "stream": str(row.stream),
                "account": account_text(row.account),
                "planck": str(row.planck),
                "adopted_planck": str(row.adopted_planck),
            }
            for row in report.rows
        ],
        "covered": [
            {
                "stream": str(stream),
                "account": account_text(account),
                "ticks": str(sum(causes.values())),
                "causes": {cause: str(ticks) for cause, ticks in causes.items()},
            }
            for (stream, account), causes in report.covered.items()
        ],
        "differences": [str(difference) for difference in report.differences],
        "restores": [
            {
                "found_ms": restore.found_ms,
                "shards": restore.shards,
                "forgiven_from": restore.forgiven.first,
                "forgiven_to": restore.forgiven.end,
                "lost_ticks": str(restore.lost_ticks),
            }
            for restore in report.restores
        ],
    }
