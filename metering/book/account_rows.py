"""Rows that are about somebody: what is shown of them to their owner, and what erasing leaves.

Each room names its own; a test holds that no table is forgotten.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Column, ColumnElement, Connection, Table, delete, select, update

from metering.book import (
    bad_seconds_schema,
    covered_schema,
    escrow_schema,
    limit_schema,
    pass_schema,
    return_schema,
    schema,
    split_schema,
    usage_schema,
)
from metering.book.streams import new_key, sha256
from metering.units import AccountId, account_text

_ACCOUNT_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class HeldRows:
    """Rows of one table that are about somebody.

    Attributes:
        where: Which those are.
        hidden: Columns that are shown to nobody: what opens something, and notes on others.
        erased: What erasing writes over; empty: nothing, they are money's; None: the rows go.
    """

    table: Table
    where: ColumnElement[bool]
    hidden: frozenset[str] = frozenset()
    erased: Mapping[str, Any] | None = field(default_factory=dict)


def of_account(account: AccountId) -> list[HeldRows]:
    """Return the book's own rows of a viewer.

    Erasing leaves the money under the account's number, which says nothing of anybody: the name
    goes, the key opens nothing any more, and so do words that staff wrote beside amounts.
    """
    name = f"erased-{secrets.token_hex(12)}"
    viewers = {"name": name, "key_sha256": sha256(new_key())}
    tables: list[tuple[Table, dict[str, Any]]] = [
        (schema.viewers, viewers),
        (schema.deposits, {"memo": ""}),
        (bad_seconds_schema.given_back, {}),
        (return_schema.deposit_returns, {"why": ""}),
        (schema.sessions, {}),
        (schema.entries, {}),
        (split_schema.split_shares, {}),
        (pass_schema.passes, {"why": "", "idempotency_key": pass_schema.passes.c.id}),
        (schema.cut_lines, {}),
        (schema.history, {}),
        (schema.unbilled, {}),
        (covered_schema.covered, {}),
        (schema.receipts, {}),
        (schema.postings, {}),
        (schema.refusals, {}),
        (usage_schema.viewer_hours, {}),
        (usage_schema.usage_backlog, {}),
        (limit_schema.viewer_limits, {}),
        (limit_schema.named_prices, {}),
        (escrow_schema.escrow_events, {}),
        (escrow_schema.frozen, {}),
        (escrow_schema.withdrawals, {}),
        (escrow_schema.joins, {}),
        (escrow_schema.held_calls, {}),
    ]
    secret = {"viewers": frozenset({"seed", "key_sha256"}), "held_calls": frozenset({"data"})}
    return [
        HeldRows(table, table.c.account == account, secret.get(table.name, frozenset()), erased)
        for table, erased in tables
    ]


def erase(connection: Connection, held: Iterable[HeldRows]) -> None:
    """Erase what is somebody's, in the caller's transaction; again is harmless."""
    for rows in held:
        if rows.erased is None:
            connection.execute(delete(rows.table).where(rows.where))
        elif rows.erased:
            connection.execute(update(rows.table).where(rows.where).values(**rows.erased))


def page(connection: Connection, rows: HeldRows, offset: int, limit: int) -> list[dict[str, Any]]:
    """Return rows as JSON has them, without what is hidden, in the order of their key."""
    columns = [column for column in rows.table.columns if column.name not in rows.hidden]
    query = select(*columns).where(rows.where).order_by(*rows.table.primary_key.columns)
    found = connection.execute(query.offset(offset).limit(limit)).mappings()
    return [{column.name: _plain(column, row[column.name]) for column in columns} for row in found]


def _plain(column: Column[Any], value: Any) -> Any:
    """Return a value as JSON has it: amounts are text, as they outgrow numbers there."""
    if value is not None and isinstance(column.type, schema.PlanckText):
        return str(value)
    if isinstance(value, bytes):
        is_account = len(value) == _ACCOUNT_BYTES
        return account_text(AccountId(value)) if is_account else value.hex()
    if isinstance(value, UUID):
        return str(value)
    return value
