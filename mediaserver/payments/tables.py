"""The tables of payments in the book's database, counted in revisions of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from metering.book.tables_beside import TablesBeside

TABLES: Final = TablesBeside(
    folder=Path(__file__).with_name("migrations"), version_table="payments_version", head="m0006"
)
"""A test compares the head with the folder."""
