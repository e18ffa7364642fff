"""Whose key signs in a book's file, for who must not hold what opens a book.

What is written there, and when: metering/book/operators.py.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Final

from metering.units import AccountId

SIGNED_BY: Final = "operator"
"""Name of the book's fact: the account in hexadecimal digits."""


def operator_of(path: Path) -> AccountId | None:
    """Return whose key signs in a book's file, beside a server that runs or without one.

    None where there is no book, it cannot be read, or it is of a version that did not note it.
    """
    if not path.is_file():
        return None
    with contextlib.suppress(sqlite3.Error, ValueError, TypeError):
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as book:
            query = "SELECT value FROM meta WHERE name = ?"
            (value,) = book.execute(query, (SIGNED_BY,)).fetchone()
        return AccountId(bytes.fromhex(value))
    return None
