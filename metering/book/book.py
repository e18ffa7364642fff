"""The book of record: streams, viewers, prices, booked ticks and settlements. Synchronous SQL.

One writer (control); readers may be many. `Book` is a composition of repositories over one engine,
each with its own subject and file. Every method of a repository is one transaction, durable when it
returns, but for those within `Book.together`. Asynchronous code goes through
`metering.book.async_book.AsyncBook`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, Engine

from metering.book.adoption import AdoptionRepository
from metering.book.bad_seconds import BadSecondsRepository
from metering.book.change_count import ChangeCount
from metering.book.covered import CoveredRepository
from metering.book.cuts import CutRepository
from metering.book.deposits import DepositRepository
from metering.book.engine import leave_no_trace, open_engine, reading
from metering.book.escrow import EscrowRepository
from metering.book.facts import Facts
from metering.book.given_back import GivenBackRepository
from metering.book.held_calls import HeldCallRepository
from metering.book.joins import JoinRepository
from metering.book.journal_rows import JournalRepository
from metering.book.limits import LimitRepository
from metering.book.named_prices import NamedPriceRepository
from metering.book.operators import OperatorRepository
from metering.book.outbox import OutboxRepository
from metering.book.passes import PassRepository
from metering.book.payouts import PayoutRepository
from metering.book.postings import LedgerRepository
from metering.book.receipts import ReceiptRepository
from metering.book.recoveries import RecoveryRepository
from metering.book.returns import ReturnRepository
from metering.book.rows import database_errors, together
from metering.book.sessions import SessionRepository
from metering.book.settlements import SettlementRepository
from metering.book.show_caps import ShowCapRepository
from metering.book.splits import SplitRepository
from metering.book.streams import StreamRepository
from metering.book.touched import Touched
from metering.book.true_runs import TrueRunRepository
from metering.book.unbilled import UnbilledRepository
from metering.book.usage import UsageRepository
from metering.book.viewers import ViewerRepository
from metering.book.watch_history import WatchHistoryRepository
from metering.units import Asset


class Book:
    """All repositories, over one engine.

    Attributes:
        asset: What everything is paid in.
        facts: Who writes down something of their own with a fact of the book.
        touched: Streams that were changed, for who keeps what HTTP processes must know of them.
    """

    def __init__(self, engine: Engine, asset: Asset) -> None:
        self.asset = asset
        self._engine = engine
        self._changes = ChangeCount(engine)
        self.touched = Touched(engine)
        self.facts = Facts()
        self.streams = StreamRepository(engine, asset)
        self.viewers = ViewerRepository(engine, asset)
        self.deposits = DepositRepository(engine, asset, self.facts)
        self.returns = ReturnRepository(engine, asset, self.facts)
        self.limits = LimitRepository(engine, asset)
        self.sessions = SessionRepository(engine, asset, self.facts)
        self.escrow = EscrowRepository(engine, asset)
        self.joins = JoinRepository(engine, asset)
        self.calls = HeldCallRepository(engine, asset)
        self.cuts = CutRepository(engine, asset)
        self.unbilled = UnbilledRepository(engine, asset)
        self.covered = CoveredRepository(engine, asset)
        self.named_prices = NamedPriceRepository(engine, asset)
        self.show_caps = ShowCapRepository(engine, asset)
        self.watch_history = WatchHistoryRepository(engine, asset)
        self.usage = UsageRepository(engine, asset)
        self.true_runs = TrueRunRepository(engine, asset)
        self.recoveries = RecoveryRepository(engine, asset)
        self.operators = OperatorRepository(engine, asset)
        self.outbox = OutboxRepository(engine, asset)
        self.settlements = SettlementRepository(engine, asset, self.facts)
        self.adoption = AdoptionRepository(engine, asset)
        self.receipts = ReceiptRepository(engine, asset)
        self.ledger = LedgerRepository(engine, asset)
        self.passes = PassRepository(engine, asset)
        self.payouts = PayoutRepository(engine, asset)
        self.splits = SplitRepository(engine, asset)
        self.bad_seconds = BadSecondsRepository(engine, asset)
        self.given_back = GivenBackRepository(engine, asset)
        self.journal = JournalRepository(engine, asset)

    @classmethod
    def open(cls, url: str, asset: Asset) -> Book:
        """Return the book at a database URL, its schema brought up to date.

        Args:
            url: ``sqlite:///<file>``, or PostgreSQL.

        Raises:
            BookError: If it cannot be opened, or was written by a newer program; says what to do.
        """
        return cls(open_engine(url), asset)

    @property
    def changes(self) -> int | None:
        """Return the count of rows changed by this object, None if unknown; any thread may ask."""
        return self._changes.value

    @contextmanager
    def together(self) -> Iterator[Connection]:
        """Make what the repositories do meanwhile one transaction, with others' tables in it.

        See `metering.book.rows.together`.
        """
        with together(self._engine) as connection:
            yield connection

    @contextmanager
    def viewing(self) -> Iterator[Connection]:
        """Hold one consistent view for tables of others.

        Raises:
            BookError: If the database does not answer.
        """
        with database_errors(), reading(self._engine) as connection:
            yield connection

    def leave_no_trace(self) -> bool:
        """Let nothing of what was erased be left in the database's log; see `engine`."""
        with database_errors():
            return leave_no_trace(self._engine)

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
