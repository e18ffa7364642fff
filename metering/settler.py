"""Drives one batch at a time: book -> chain -> book. What comes next is settlement.py's to say.

Every act may be cut off by a crash; the next turn asks finalized state first and repeats. Order:
sealed bytes are written, then signed bytes are written, then they are sent; the outcome is written
with its ledger postings in one transaction; only then is Redis told to forget.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from metering.book.book import Book
from metering.book.records import BatchRecord
from metering.book.thread import OffLoop
from metering.errors import (
    ChainUnavailableError,
    ExtrinsicExpiredError,
    ExtrinsicRejectedError,
    MeteringError,
    OutcomeUnknownError,
)
from metering.keys import KeyPair
from metering.ports import BatchOutcome, Chain
from metering.settings import ChainSettings
from metering.settlement import Action, BatchState, Said, action, advance
from metering.trouble import Trouble

_TURN_ACTS_MAX: Final = 8
"""Acts in one turn: ask, sign, submit, and once more after an expiry, is the longest."""

RECEIPT_WAIT_MS: Final = 600_000
"""One receipt per viewer and stream in ten minutes: each is kept for ever, some 400 bytes."""

_log = structlog.get_logger(room="settlement")


class Settler:
    """Seals, signs, sends and closes batches.

    Args:
        book: The book.
        off_loop: The thread of the book.
        chain: Where batches are settled.
        settings: [chain].
        now_ms: Unix time.
        operator: Who signs receipts.
        forget: Tells the store which cuts are final (`Cutter.forget_final`).
        poll_s: How long to wait between questions.
        receipt_wait_ms: How long a viewer's ticks wait for a receipt, unless they ask for one.
    """

    def __init__(
        self,
        book: Book,
        off_loop: OffLoop,
        chain: Chain,
        *,
        settings: ChainSettings,
        now_ms: Callable[[], int],
        operator: KeyPair,
        forget: Callable[[], Awaitable[int]],
        poll_s: float = 1.0,
        receipt_wait_ms: int = RECEIPT_WAIT_MS,
    ) -> None:
        self._book = book
        self._off_loop = off_loop
        self._chain = chain
        self._settings = settings
        self._now_ms = now_ms
        self._operator = operator
        self._forget = forget
        self._poll_s = poll_s
        self._receipt_wait_ms = receipt_wait_ms
        self._outcome: BatchOutcome | None = None
        self._trouble: str | None = None
        self._away = Trouble()

    async def run(self) -> None:
        """Make turns until cancelled. Trouble is logged and the turn repeated later."""
        trouble = Trouble()
        while True:
            act = Action.WAIT
            try:
                act = await self.turn()
                trouble.over()
            except MeteringError as error:
                if count := trouble.met(str(error)):
                    _log.error("settlement.turn.failed", error=str(error), times=count)
            if act is not Action.CLOSE:
                await asyncio.sleep(self._poll_s)

    async def turn(self, *, is_due: bool | None = None) -> Action:
        """Carry the oldest open batch as far as it goes now.

        Args:
            is_due: Seal a new batch when there is none open; None: when `batch_period_s` is over.

        Returns:
            CLOSE after a batch was closed; WAIT or STOP when nothing can be done now.

        Raises:
            BookError: The book does not answer.
            LedgerImbalanceError: The books differ: a person must look.
            StoreUnavailableError: Redis could not be told to forget; the next turn tells it.
        """
        batch = await self._off_loop(self._book.open_batch)
        if batch is None:
            await self._tidy()
            batch = await self._seal(is_due=is_due)
        if batch is None:
            return Action.WAIT
        state, said = batch.state, Said.NOTHING
        for _ in range(_TURN_ACTS_MAX):
            act = action(state, said)
            if act in (Action.WAIT, Action.STOP):
                return act
            if act is Action.CLOSE:
                await self._close(batch)
                return act
            said = await self._act(act, batch)
            after = advance(state, said)
            # SIGNED is written with the signed bytes, FINALIZED with the postings.
            if after not in (state, BatchState.SIGNED, BatchState.FINALIZED):
                await self._note(batch.seq, after)
            state = after
        return Action.WAIT

    async def _seal(self, *, is_due: bool | None) -> BatchRecord | None:
        """Return the batch to work on next, if anything waits and it is time."""
        now_ms = self._now_ms()
        if is_due is None:
            last_ms = await self._off_loop(self._book.last_sealed_ms)
            is_due = now_ms - last_ms >= self._settings.batch_period_s * 1000
        if not is_due:
            return None
        entries_max = self._settings.batch_entries_max
        sealed = await self._off_loop(lambda: self._book.seal(now_ms, entries_max))
        for batch in sealed:
            _log.info("settlement.batch.sealed", batch_id=batch.seq, entries=batch.entry_count)
        return sealed[0] if sealed else None

    async def _act(self, act: Action, batch: BatchRecord) -> Said:
        self._trouble = None
        try:
            if act is Action.ASK:
                return await self._ask(batch)
            if act is Action.SIGN:
                return await self._sign(batch)
            return await self._submit(batch)
        except (ChainUnavailableError, OutcomeUnknownError) as error:
            self._trouble = str(error)
            if count := self._away.met(str(error)):
                _log.warning(
                    "settlement.chain.unavailable",
                    batch_id=batch.seq,
                    error=str(error),
                    times=count,
                )
            return Said.UNAVAILABLE
        except ExtrinsicExpiredError as error:
            self._trouble = str(error)
            return Said.EXPIRED
        except ExtrinsicRejectedError as error:
            self._trouble = str(error)
            _log.error("settlement.batch.failed", batch_id=batch.seq, error=str(error))
            return Said.REJECTED

    async def _ask(self, batch: BatchRecord) -> Said:
        """Read finalized state: it alone decides."""
        outcome = await self._chain.outcome(batch.seq)
        if outcome is None:
            return Said.NOT_FINAL
        if outcome.hash != batch.hash:
            self._trouble = f"batch {batch.seq} is final with other content"
            _log.error("settlement.batch.failed", batch_id=batch.seq, error=self._trouble)
            return Said.OTHER_CONTENT
        self._outcome = outcome
        return Said.FINAL

    async def _sign(self, batch: BatchRecord) -> Said:
        """Sign, and keep the bytes before anybody sees them."""
        signed = await self._chain.sign(batch.seq, batch.hash, batch.entries)
        now_ms = self._now_ms()
        await self._off_loop(lambda: self._book.add_attempt(batch.seq, signed, now_ms))
        return Said.SIGNED

    async def _submit(self, batch: BatchRecord) -> Said:
        """Send the bytes that were kept, the same each time."""
        attempts = await self._off_loop(lambda: self._book.attempts(batch.seq))
        await self._chain.submit(attempts[-1].signed)
        if attempts[-1].sent_ms is None:
            _log.info("settlement.batch.submitted", batch_id=batch.seq, attempt=attempts[-1].number)
        return Said.ACCEPTED

    async def _note(self, seq: int, state: BatchState) -> None:
        now_ms, trouble = self._now_ms(), self._trouble
        await self._off_loop(lambda: self._book.set_batch_state(seq, state, now_ms, trouble))

    async def _close(self, batch: BatchRecord) -> None:
        """Write the outcome with its postings, then let go of what is final."""
        outcome = self._outcome
        assert outcome is not None
        now_ms = self._now_ms()
        await self._off_loop(lambda: self._book.finalize(outcome, now_ms))
        _log.info(
            "settlement.batch.finalized",
            batch_id=batch.seq,
            entries=batch.entry_count,
            refused=len(outcome.refused),
            finalized_at=outcome.finalized_at,
        )
        await self._tidy()

    async def _tidy(self) -> None:
        """Make receipts, let Redis forget, merge what is final into history: all repeatable."""
        now_ms = self._now_ms()
        await self._off_loop(
            lambda: self._book.make_receipts(
                self._operator, now_ms, waited_ms=self._receipt_wait_ms
            )
        )
        await self._forget()
        await self._off_loop(self._book.compact)
