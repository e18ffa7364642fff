"""The book of record: who, what it costs, what was watched, what is settled. Synchronous SQL.

One writer (control); readers may be many. Every method is one transaction, durable when it returns.
Each part is a file of its own, by subject.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from metering.book.adoption import AdoptionRows
from metering.book.cuts import CutRows
from metering.book.engine import open_engine
from metering.book.escrow import EscrowRows
from metering.book.held_calls import HeldCallRows
from metering.book.joins import JoinRows
from metering.book.journal_rows import JournalRows
from metering.book.postings import PostingRows
from metering.book.receipts import ReceiptRows
from metering.book.settlements import SettlementRows
from metering.book.streams import StreamRows
from metering.book.unbilled import UnbilledRows
from metering.book.viewers import ViewerRows
from metering.units import Asset


class Book(
    StreamRows,
    ViewerRows,
    EscrowRows,
    JoinRows,
    HeldCallRows,
    CutRows,
    UnbilledRows,
    SettlementRows,
    AdoptionRows,
    ReceiptRows,
    PostingRows,
    JournalRows,
):
    """All parts of the book, over one engine."""

    @classmethod
    def open(cls, url: str, asset: Asset) -> Book:
        """Return the book at a database URL, its schema brought up to date.

        Args:
            url: ``sqlite:///<file>``, or PostgreSQL.
            asset: What everything is paid in.

        Raises:
            BookError: If it cannot be opened, or was written by a newer program; says what to do.
        """
        return cls(open_engine(url), asset)

    def close(self) -> None:
        """Give back its connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
