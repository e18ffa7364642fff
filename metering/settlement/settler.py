"""Drives batches, a few in flight: book -> chain -> book. model/batch_state.py has the transitions.

sealer.py makes them, exposure.py adds up what is not final.

Every act may be cut off by a crash; the next turn looks at finalized state first and repeats.
Order: sealed bytes are written, then signed bytes are written, then they are sent; the outcome is
written with its ledger postings in one transaction; only then does Redis forget.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from metering.book.async_book import AsyncBook
from metering.book.records import BatchRecord
from metering.errors import (
    BatchTooLargeError,
    ChainUnavailableError,
    ExtrinsicRejectedError,
    InvalidValueError,
    MeteringError,
    OperatorNotReadyError,
    OutcomeUnknownError,
    RuntimeUnsupportedError,
)
from metering.log_throttle import LogThrottle
from metering.model.batch_state import Action, AttemptOutcome, BatchState, action, advance
from metering.ports import Chain, ChainSnapshot, Finding, InFlight
from metering.settings import ChainSettings
from metering.settlement.chain_compare import adopt_chain
from metering.settlement.exposure import Exposure
from metering.settlement.flight import OUTCOMES, Flight, flight_of
from metering.settlement.progress import Progress
from metering.settlement.sealer import Sealer
from metering.settlement.submitter_lease import NoSubmitterLease, SubmitterLease
from metering.signing import KeyPair
from metering.units import AccountId, Planck

RECEIPT_WAIT_MS: Final = 600_000
"""One receipt per viewer and stream in ten minutes: each is kept indefinitely, some 400 bytes."""

IDLE_LOOK_MS: Final = 10_000
"""So often a chain is looked at of which nothing is asked: whether it is there."""

UNCHANGED_MS_MAX: Final = 60_000
"""A book that did not change is read again after this: receipts come due by time alone."""

_log = structlog.get_logger(room="settlement")


class Settler:
    """Has batches sealed, signs, sends and closes them.

    Args:
        forget: Lets the store forget the cuts that are final (`Cutter.forget_final`).
        poll_s: How long to wait between questions.
        idle_s: How long after a turn that found nothing open; None: `poll_s`.
        receipt_wait_ms: How long a viewer's ticks wait for a receipt, unless they ask for one.
        lease: The right to submit; its token goes with every write to the outbox.
        adopted: Called when balances are lower by what the chain settled for a book that was lost.
        gave_back: Called with each account that has more again, with the batch that was closed.

    Attributes:
        progress: For metrics.
    """

    def __init__(
        self,
        book: AsyncBook,
        chain: Chain,
        *,
        settings: ChainSettings,
        now_ms: Callable[[], int],
        operator: KeyPair,
        forget: Callable[[], Awaitable[int]],
        poll_s: float = 1.0,
        idle_s: float | None = None,
        receipt_wait_ms: int = RECEIPT_WAIT_MS,
        lease: SubmitterLease | None = None,
        adopted: Callable[[], Awaitable[None]] | None = None,
        gave_back: Callable[[AccountId], None] = lambda _: None,
    ) -> None:
        self._book = book
        self._chain = chain
        self._now_ms = now_ms
        self._operator = operator
        self._forget = forget
        self._poll_s = poll_s
        self._idle_s = poll_s if idle_s is None else idle_s
        self._is_idle = False
        self._idle_changes: int | None = None
        self._read_ms = 0
        self._receipt_wait_ms = receipt_wait_ms
        self._lease: SubmitterLease = lease or NoSubmitterLease()
        self._adopted, self._gave_back = adopted, gave_back
        self._token = 0
        self._looked_ms = 0
        self._tidied_ms = 0
        alarm = Planck(int(settings.exposure_alarm_planck))
        self._exposure = Exposure(book, alarm)
        self._sealer = Sealer(book, chain, settings, now_ms)
        self._away = LogThrottle()
        self._failing = LogThrottle()
        self.progress = Progress()

    async def run(self) -> None:
        """Make turns until cancelled. A failure is logged and the turn repeated later."""
        throttle = LogThrottle()
        while True:
            act = Action.WAIT
            try:
                act = await self.turn()
                throttle.succeeded()
            except MeteringError as error:
                if count := throttle.failed(str(error)):
                    _log.error("settlement.turn.failed", error=str(error), times=count)
            if act is not Action.CLOSE:
                await asyncio.sleep(self._idle_s if self._is_idle else self._poll_s)

    async def turn(self, *, is_due: bool | None = None) -> Action:
        """Carry the open batches as far as they go now.

        Args:
            is_due: Seal a new batch when there is room in flight; None: when `batch_period_s` is
                over.

        Returns:
            CLOSE after a batch was closed; STOP when an operator must act; else WAIT.

        Raises:
            BookError: The book does not answer.
            LedgerImbalanceError: The books differ: an operator must act.
            StoreUnavailableError: Redis could not forget; the next turn repeats it.
            SubmitterLostError: Another settler holds the operator's key.
        """
        # Only the holder of the lock goes on; what others did is in the book and on the chain.
        was_idle, self._is_idle = self._is_idle, False
        await self._hold()
        changes = self._book.changes
        if was_idle and is_due is None and self._is_unchanged(changes):
            await self._ask_limits()
            await self._idle()
            self._is_idle = True
            return Action.WAIT
        self._idle_changes, self._read_ms = None, self._now_ms()
        await self._exposure.look(self._now_ms())
        self.progress.exposure_planck = self._exposure.planck
        await self._ask_limits()

        # Fill the room in flight: the open batches, and a new one when it is due.
        room = self._sealer.limits.in_flight_max
        batches = await self._book.run(lambda book: book.outbox.open(room))
        is_tidy = was_idle and 0 <= self._now_ms() - self._tidied_ms < IDLE_LOOK_MS
        if not batches and not is_tidy:
            await self._tidy()
        if len(batches) < room and await self._sealer.seal(is_due=is_due):
            batches = await self._book.run(lambda book: book.outbox.open(room))
        self.progress.lag_ms = self._now_ms() - batches[0].sealed_ms if batches else 0
        if not batches:
            await self._idle()
            self._is_idle = True
            self._idle_changes = changes if self._sealer.has_found_none else None
            return Action.WAIT

        # Finalized state first: it closes batches, and decides what of the signed bytes is dead.
        flights = [await self._flight(batch) for batch in batches]
        look = await self._look(flights)
        if look is None:
            return Action.WAIT
        has_closed = await self._judge(flights, look)

        # A number with another content: the chain knows batches of a book that was lost.
        if any(flight.state is BatchState.CONFLICT for flight in flights) and await self._adopt():
            return Action.WAIT

        # Then sign and send what is still open, and release what the closed ones held.
        act = await self._go_on(
            [flight for flight in flights if flight.outcome is not AttemptOutcome.FINAL]
        )
        if has_closed:
            await self._tidy()
            return Action.CLOSE
        return act

    def _is_unchanged(self, changes: int | None) -> bool:
        """Return whether the last turn read this very book, and found nothing to do in it."""
        is_recent = 0 <= self._now_ms() - self._read_ms < UNCHANGED_MS_MAX
        return changes is not None and changes == self._idle_changes and is_recent

    async def _hold(self) -> None:
        """Hold the lease; a new token goes into the book before anything else is done with it."""
        token = await self._lease.hold()
        if token != self._token:
            await self._book.run(lambda book: book.outbox.fence(token))
            self._token = token

    async def _ask_limits(self) -> None:
        try:
            await self._sealer.learn()
        except _UNFIT as error:
            self._log_away(error, None)

    async def _flight(self, batch: BatchRecord) -> Flight:
        return flight_of(batch, await self._book.run(lambda book: book.outbox.attempts(batch.seq)))

    async def _idle(self) -> None:
        now_ms = self._now_ms()
        if not 0 <= now_ms - self._looked_ms < IDLE_LOOK_MS:
            self._looked_ms = now_ms
            look = await self._look(())
            given = await self._book.run(lambda book: book.outbox.last_seq())
            if look is not None and look.last_settled > given:
                # This book is older than the chain: it is adopted before the next batch.
                await self._adopt()

    async def _look(self, flights: Sequence[Flight]) -> ChainSnapshot | None:
        """Read finalized state: it alone decides. None when the chain is away."""
        asked = [InFlight(flight.batch.seq, flight.batch.hash, flight.signed) for flight in flights]
        try:
            look = await self._chain.look(asked)
            last = await self._book.run(lambda book: book.outbox.last_final_seq())
            if look.last_settled < last:
                raise OutcomeUnknownError(
                    f"the chain has settled up to batch {look.last_settled} and the book up to "
                    f"{last}: it is another chain, or one that went back; settlement waits"
                )
        except _UNFIT as error:
            self._log_away(error, flights[0].batch.seq if flights else None)
            return None
        self._away.succeeded()
        self.progress.finalized, self.progress.best = look.finalized, look.best
        self.progress.in_flight = sum(flight.signed is not None for flight in flights)
        self.progress.in_block = sum(finding.is_in_block for finding in look.findings)
        return look

    async def _judge(self, flights: Sequence[Flight], look: ChainSnapshot) -> bool:
        """Apply what finalized state has of each batch; return True when one was closed."""
        has_closed = False
        for flight, finding in zip(flights, look.findings, strict=True):
            flight.outcome = OUTCOMES[finding.status]
            if finding.is_in_block:
                flight.outcome = AttemptOutcome.ACCEPTED
            flight.reason = finding.reason or None
            if flight.outcome is AttemptOutcome.EXPIRED:
                flight.signed, flight.is_sent = None, False
                _log.warning(
                    "settlement.attempt.dead",
                    batch_id=flight.batch.seq,
                    fate=finding.status.value,
                    reason=finding.reason,
                )
            elif flight.outcome is AttemptOutcome.OTHER_CONTENT:
                self._log_failed(flight, finding.reason)
            after = advance(flight.state, flight.outcome)
            if after is BatchState.FINALIZED:
                await self._close(flight, finding)
                has_closed = True
            elif after is not flight.state:
                await self._note(flight, after)
            flight.state = after
        return has_closed

    async def _adopt(self) -> bool:
        """Adopt what the chain has settled beyond this book; return True when it was done."""
        try:
            is_done = await adopt_chain(self._book, self._chain, self._now_ms, self._token)
        except (*_UNFIT, InvalidValueError) as error:
            self._log_away(error, None)
            return False
        if is_done and self._adopted is not None:
            await self._adopted()
        return is_done

    async def _go_on(self, flights: Sequence[Flight]) -> Action:
        """Sign what has no living bytes and send what has, in order of the sequence."""
        for place, flight in enumerate(flights):
            act = action(flight.state, flight.outcome)
            if act is Action.STOP:
                # Those behind it would leave a gap: they wait with it.
                return Action.STOP
            try:
                if act is Action.SIGN:
                    alive = [other.signed for other in flights if other.signed is not None]
                    await self._sign(flight, alive)
                    act = action(flight.state, flight.outcome)
                if act is Action.SUBMIT:
                    await self._submit(flight)
            except BatchTooLargeError as error:
                await self._split(flights[place:], error)
                return Action.WAIT
            except _UNFIT as error:
                self._log_away(error, flight.batch.seq)
                return Action.WAIT
            except ExtrinsicRejectedError as error:
                flight.reason = str(error)
                self._log_failed(flight, str(error))
                await self._note(flight, advance(flight.state, AttemptOutcome.REJECTED))
                return Action.STOP
        return Action.WAIT

    async def _sign(self, flight: Flight, alive: Sequence[bytes]) -> None:
        """Sign, and keep the bytes before they are sent."""
        batch = flight.batch
        signed = await self._chain.sign(batch.seq, batch.hash, batch.entries, alive)
        now_ms, token = self._now_ms(), self._token
        await self._book.run(lambda book: book.outbox.add_attempt(batch.seq, signed, now_ms, token))
        flight.outcome = AttemptOutcome.SIGNED
        flight.state = advance(flight.state, AttemptOutcome.SIGNED)
        flight.signed = signed
        self.progress.signed += 1
        self.progress.resigned += flight.attempts > 0
        flight.attempts += 1

    async def _submit(self, flight: Flight) -> None:
        """Send the bytes that were kept, the same each time."""
        assert flight.signed is not None
        await self._chain.submit(flight.signed)
        flight.outcome = AttemptOutcome.ACCEPTED
        if not flight.is_sent:
            await self._note(flight, advance(flight.state, AttemptOutcome.ACCEPTED))
            seq, attempt = flight.batch.seq, flight.attempts
            _log.info("settlement.batch.submitted", batch_id=seq, attempt=attempt)

    async def _split(self, flights: Sequence[Flight], error: BatchTooLargeError) -> None:
        """Seal what no block takes in smaller batches, once nothing behind it is alive."""
        self._sealer.narrow(error)
        first = flights[0].batch.seq
        if any(flight.signed is not None for flight in flights):
            # They leave a gap behind this one, so they fail or expire; their numbers are needed.
            self._log_away(error, first)
            return
        await self._sealer.split(first, self._token, str(error))

    async def _note(self, flight: Flight, state: BatchState) -> None:
        seq, now_ms, reason, token = flight.batch.seq, self._now_ms(), flight.reason, self._token
        await self._book.run(lambda book: book.outbox.set_state(seq, state, now_ms, reason, token))
        flight.state = state

    async def _close(self, flight: Flight, finding: Finding) -> None:
        """Write the outcome with its postings."""
        outcome, batch = finding.outcome, flight.batch
        assert outcome is not None
        now_ms, token = self._now_ms(), self._token
        await self._book.run(lambda book: book.settlements.finalize(outcome, now_ms, token))
        for account in await self._book.run(lambda book: book.given_back.accounts(seq=batch.seq)):
            self._gave_back(account)
        self._failing.succeeded()
        self.progress.settled += 1
        self.progress.refused += len(outcome.refused)
        _log.info(
            "settlement.batch.finalized",
            batch_id=batch.seq,
            entries=batch.entry_count,
            refused=len(outcome.refused),
            finalized_at=outcome.finalized_at,
        )

    async def _tidy(self) -> None:
        """Make receipts, let Redis forget, merge what is final into history: all repeatable."""
        now_ms = self._now_ms()
        await self._book.run(
            lambda book: book.receipts.make(self._operator, now_ms, waited_ms=self._receipt_wait_ms)
        )
        await self._forget()
        await self._book.run(lambda book: book.cuts.compact())
        self._tidied_ms = now_ms

    def _log_away(self, error: Exception, seq: int | None) -> None:
        """Log that the chain cannot be asked or used now, not each second."""
        if not (count := self._away.failed(str(error))):
            return
        if isinstance(error, ChainUnavailableError):
            _log.warning(
                "settlement.chain.unavailable", batch_id=seq, error=str(error), times=count
            )
        else:
            _log.error("settlement.chain.unfit", batch_id=seq, error=str(error), times=count)

    def _log_failed(self, flight: Flight, reason: str) -> None:
        if count := self._failing.failed(reason):
            seq = flight.batch.seq
            _log.error("settlement.batch.failed", batch_id=seq, error=reason, times=count)


_UNFIT: Final = (
    ChainUnavailableError,
    OutcomeUnknownError,
    OperatorNotReadyError,
    RuntimeUnsupportedError,
)
"""Nothing is lost: the same turn is made again later."""
