"""The operator's key beside the open book: is it the one that signs, and how another one does.

Another is taken by a command alone, and the audit log keeps whose it was before.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from mediaserver.people import audit
from mediaserver.people.tables import TABLES as PEOPLE
from mediaserver.processes import secret_files
from mediaserver.processes.bootstrap import Start, StartRefusedError
from mediaserver.processes.operator_key import BOOK, NEW, another
from metering import key_file
from metering.book.book import Book
from metering.errors import InvalidValueError
from metering.signing import KeyPair
from metering.units import AccountId, account_text

ACTION: Final = "operator.accept_key"


def require_ours(book: Book, operator: KeyPair, path: Path, now_ms: int) -> None:
    """Let a key sign for an open book, if it is the one that signs.

    Raises:
        StartRefusedError: Another one does; a book of before is judged by its newest receipt.
    """
    if not book.operators.is_ours(operator.account, now_ms):
        known = book.operators.accounts()
        raise StartRefusedError(another(path, operator.account, known[0] if known else None))


def accept(start: Start, named: str) -> tuple[AccountId | None, AccountId]:
    """Let the key in the operator's file sign from now on; return whose did, and whose does.

    The caller holds the data directory.

    Args:
        named: The account of that key, or `NEW`.

    Raises:
        StartRefusedError: The file has another account's key, or one where a new one is wanted.
    """
    path = secret_files.paths(start.settings, start.data_dir).operator_key
    if not (start.data_dir / BOOK).is_file():
        raise StartRefusedError(f"there is no book in {start.data_dir}: nothing was signed yet")
    if named == NEW and path.exists():
        raise StartRefusedError(
            f"{path} is there: name its account instead, or move the file away first"
        )
    try:
        operator = key_file.read_or_make(path) if named == NEW else key_file.read(path)
    except InvalidValueError as error:
        raise StartRefusedError(str(error)) from error
    account = operator.account
    if named not in {NEW, account_text(account)}:
        raise StartRefusedError(f"{path} is the key of {account_text(account)}, not of {named}")
    now_ms = time.time_ns() // 1_000_000
    with Book.open(f"sqlite:///{start.data_dir / BOOK}", start.settings.asset) as book:
        PEOPLE.bring_up(book)
        with book.together() as connection:
            before = book.operators.accept(account, now_ms)
            audit.add(
                connection,
                at_ms=now_ms,
                actor="admin",
                action=ACTION,
                target="operator.key",
                address="local",
                before={"account": before and account_text(before)},
                after={"account": account_text(account)},
            )
    return before, account
