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


def as_json(found: Reconciliation, *, is_store_read: bool) -> dict[str, Any]:
    """Return a report as JSON: integers that may be large are text.

    Args:
        found: What was compared.
        is_store_read: False while Redis is away: then only book and chain were.
    """
    totals = {name: sum(getattr(row, name) for row in found.rows) for name in _TOTALS}
    counted = dataclasses.asdict(found.counters)
    return {
        "is_balanced": found.is_balanced,
        "is_store_read": is_store_read,
        "is_chain_read": found.is_chain_read,
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
            for row in found.rows
        ],
        "differences": [str(one) for one in found.differences],
        "restores": [
            {
                "found_ms": one.found_ms,
                "shards": one.shards,
                "forgiven_from": one.forgiven.first,
                "forgiven_to": one.forgiven.end,
                "lost_ticks": str(one.lost_ticks),
            }
            for one in found.restores
        ],
    }
