"""No table is forgotten when somebody is erased, and none when they ask what is held of them."""

import pytest
from sqlalchemy import MetaData, Table

from mediaserver.payments import personal_rows as payment_rows
from mediaserver.payments.schema import metadata as payments
from mediaserver.people import personal_rows
from mediaserver.people.schema import metadata as people
from mediaserver.webhooks import personal_rows as webhook_rows
from mediaserver.webhooks.schema import metadata as webhooks
from metering.book import account_rows
from metering.book.schema import metadata as book
from metering.units import AccountId

ACCOUNT = AccountId(b"a" * 32)
NOBODY = {
    "meta": "the book's own facts",
    "streams": "what is public of a stream; its creator's account is a number",
    "prices": "of streams",
    "cuts": "numbers of cuts",
    "floors": "of shards",
    "stream_floors": "of streams",
    "true_runs": "of media",
    "batches": "entries by account, as they were settled and signed",
    "attempts": "signed bytes of batches",
    "transfers": "kinds and references of postings",
    "counters": "of the store",
    "journal": "signed batches",
    "bad_seconds": "of streams, and why they were bad",
    "show_caps": "of streams",
    "pass_offers": "of streams",
    "split_tables": "of streams",
    "counted_shows": "of streams",
    "creator_payouts": "what was paid of a stream's earnings, by the creator's account",
    "stream_minutes": "counts",
    "chain_cursor": "where the chain is",
    "stream_visibility": "of streams",
    "people_stream_rules": "of streams: countries, networks, pages",
    "people_reports": "what anybody, who is not asked who they are, wrote of a stream",
    "people_takedowns": "of streams; who made one by number",
    "stream_archive": "of streams",
    "stream_old_names": "of streams",
    "stream_shows": "of streams",
    "payment_reversals": "a provider's ids and amounts",
    "webhook_events": "numbers of streams, accounts and sessions, for some days",
    "webhook_deliveries": "which server took which event",
    "webhook_live": "of streams",
    "webhook_bad": "of streams",
}
"""Tables without a word of anybody, and what they hold."""


def known() -> list[account_rows.HeldRows]:
    return [
        *personal_rows.of_person("ab" * 16, ACCOUNT),
        *payment_rows.of_person("ab" * 16, ACCOUNT),
        *webhook_rows.of_account(ACCOUNT),
        *account_rows.of_account(ACCOUNT),
    ]


@pytest.mark.parametrize("metadata", [book, people, payments, webhooks])
def test_every_table_is_somebodys_or_nobodys_by_name(metadata: MetaData) -> None:
    """A new table is put in one of the lists by who makes it."""
    listed = {rows.table.name for rows in known()} | set(NOBODY)
    assert sorted(set(metadata.tables) - listed) == []


def test_no_table_is_in_both_lists_and_none_in_a_list_alone() -> None:
    tables = {name for room in (book, people, payments, webhooks) for name in room.tables}
    held = {rows.table.name for rows in known()}
    assert held & set(NOBODY) == set()
    assert (held | set(NOBODY)) - tables == set()


WORDS = {
    *("name", "label", "subject", "address", "agent", "reason", "memo", "why", "detail", "body"),
    *("payee", "bank_account", "pay_url", "idempotency_key"),
}
"""Columns for what somebody wrote."""
KEPT = {
    ("sessions", "reason"): "a word of ours",
    ("refusals", "reason"): "a word of the chain's",
    ("held_calls", "name"): "a call's",
    ("deposits", "idempotency_key"): "the key of the money; docs/people.md",
    ("payment_refunds", "idempotency_key"): "staff's, or made of the withdrawal's id",
}


def test_every_column_for_words_is_written_over() -> None:
    def has_gone(table: Table, column: str) -> bool:
        (rows,) = [rows for rows in known() if rows.table is table]
        return rows.erased is None or column in rows.erased or (table.name, column) in KEPT

    left = [
        f"{rows.table.name}.{column.name}"
        for rows in known()
        for column in rows.table.columns
        if column.name in WORDS and not has_gone(rows.table, column.name)
    ]
    assert left == []


def test_what_opens_something_is_shown_to_nobody() -> None:
    """An export is on somebody's disk."""
    secret = {"sha256", "seed", "key_sha256", "salt", "password"}
    shown = [
        f"{rows.table.name}.{column.name}"
        for rows in known()
        for column in rows.table.columns
        if column.name in secret - rows.hidden
    ]
    assert shown == []
