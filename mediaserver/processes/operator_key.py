"""The operator's key of a server, and whether it is the one that the book's receipts are signed by.

Another key is never taken without a word: every receipt that viewers hold would no longer be one of
the operator that the server names, and on a chain the escrow is the old account's. Who has lost the
key says so by a command (accepted_key.py). Nothing here opens the book: the settler has none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mediaserver.processes import secret_files
from mediaserver.processes.bootstrap import StartRefusedError
from mediaserver.settings.records import Settings
from metering import key_file
from metering.book.signed_by import operator_of
from metering.errors import InvalidValueError
from metering.signing import KeyPair
from metering.units import AccountId, account_text

BOOK: Final = "book.sqlite3"
NEW: Final = "new"
"""In place of an account: the server makes a key, where no file is there."""


def of_server(settings: Settings, data_dir: Path) -> KeyPair:
    """Return the operator's key; a missing one is made where no book was signed before.

    Raises:
        StartRefusedError: It is no key, or the book's receipts are signed by another.
    """
    path = secret_files.paths(settings, data_dir).operator_key
    if told := fault(settings, data_dir):
        raise StartRefusedError(told)
    try:
        return key_file.read_or_make(path)
    except InvalidValueError as error:
        raise StartRefusedError(str(error)) from error


def fault(settings: Settings, data_dir: Path) -> str:
    """Return what is wrong with the key, in words with the remedy; empty: it can be used.

    Nothing is made. A key that is not there is no fault where no book was signed yet.
    """
    path = secret_files.paths(settings, data_dir).operator_key
    known = operator_of(data_dir / BOOK)
    try:
        path.stat()
    except FileNotFoundError:
        return "" if known is None else _missing(path, known)
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}; give the server's user the right to"
    try:
        account = key_file.read(path).account
    except InvalidValueError as error:
        return str(error)
    return another(path, account, known) if known not in {None, account} else ""


def another(path: Path, account: AccountId, known: AccountId | None) -> str:
    """Return what is said of a key that is not the book's; `known` is, where that is known."""
    theirs = "another account" if known is None else account_text(known)
    ours = account_text(account)
    return (
        f"{path} is the key of {ours}, and this book's receipts are signed by {theirs}: put the "
        "old key back from the backup; where it is lost, `vilokanam receipt accept-key "
        f"{ours}` lets the server go on with this one"
    )


def _missing(path: Path, known: AccountId) -> str:
    return (
        f"{path} is not there, and this book's receipts are signed by {account_text(known)}: put "
        "it back from the backup; where it is lost, `vilokanam receipt accept-key "
        f"{NEW}` makes another and lets the server go on with it"
    )
