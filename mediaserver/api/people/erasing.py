"""Erasing a person, in a transaction of the caller, who holds first that nothing is left behind.

Closing does it for who asks (`closing`), the sweep for guests who do not come any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from mediaserver.api.viewers.sessions import OWNER
from mediaserver.payments import personal_rows as payment_rows
from mediaserver.people import api_keys, personal_rows, persons
from mediaserver.people.service import Connection
from mediaserver.webhooks import personal_rows as webhook_rows
from metering.book import account_rows
from metering.book.account_rows import HeldRows
from metering.book.book import Book
from metering.units import AccountId, SessionId


class Entry(Protocol):
    """Writes into the audit log."""

    def __call__(self, action: str, target: str, after: Mapping[str, Any]) -> None:
        """Write that `action` was done to `target`."""


def erase(  # noqa: PLR0917 -- a transaction's parts
    book: Book,
    connection: Connection,
    person: str,
    account: AccountId | None,
    now_ms: int,
    entry: Entry,
    action: str,
    after: Callable[[int], Mapping[str, Any]],
) -> list[SessionId]:
    """Close a person and erase what is theirs; return their sessions, which the store may have.

    Args:
        action: What the audit log calls it.
        after: Returns what the audit log has of it, by how many sessions ended.
    """
    ended = list[SessionId]()
    if account is not None:
        _, ended = book.sessions.end_account(account, OWNER, now_ms)
    for prefix in api_keys.end_of(connection, f"person:{person}", now_ms):
        entry("key.end", f"key:{prefix}", {"because": action})
    persons.close(connection, person, now_ms)
    # Before the addresses go: its own is among them.
    entry(action, f"person:{person}", after(len(ended)))
    account_rows.erase(connection, held_rows(person, account))
    return ended


def held_rows(person: str, account: AccountId | None) -> list[HeldRows]:
    """Return all rows about a person, in the order in which they can go."""
    own = [] if account is None else account_rows.of_account(account)
    return [
        *personal_rows.of_person(person, account),
        *payment_rows.of_person(person, account),
        *([] if account is None else webhook_rows.of_account(account)),
        *own,
    ]
