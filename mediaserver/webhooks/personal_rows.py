"""Rows of webhooks that are about one person; see `metering.book.account_rows`.

What is in events says so in numbers, and is forgotten within days (`webhooks.keep_days`).
"""

from __future__ import annotations

from mediaserver.webhooks.schema import low
from metering.book.account_rows import HeldRows
from metering.units import AccountId


def of_account(account: AccountId) -> list[HeldRows]:
    """Return the rows of an account."""
    return [HeldRows(low, low.c.account == account)]
