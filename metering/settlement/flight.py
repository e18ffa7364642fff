"""A batch under way in one turn of the settler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from metering.book.records import Attempt, BatchRecord
from metering.model.batch_state import AttemptOutcome, BatchState
from metering.ports import BatchStatus


@dataclass(slots=True)
class Flight:
    """A batch under way; the settler moves it on.

    Attributes:
        batch: Its record at the beginning of the turn.
        state: Its state by now.
        signed: Bytes that may still take effect; None without.
        attempts: How often it was signed.
        is_sent: `signed` was sent.
        outcome: Of the last act.
        reason: Why, for the book and for people.
    """

    batch: BatchRecord
    state: BatchState
    signed: bytes | None
    attempts: int
    is_sent: bool
    outcome: AttemptOutcome = AttemptOutcome.NOTHING
    reason: str | None = None


def flight_of(batch: BatchRecord, attempts: Sequence[Attempt]) -> Flight:
    """Return a batch with those of its signed bytes that may still take effect.

    Args:
        attempts: All of the batch, oldest first.
    """
    is_alive = bool(attempts) and batch.state is not BatchState.SEALED
    return Flight(
        batch,
        batch.state,
        attempts[-1].signed if is_alive else None,
        len(attempts),
        is_alive and attempts[-1].sent_ms is not None,
    )


OUTCOMES: Final = {
    BatchStatus.WAITING: AttemptOutcome.NOT_FINAL,
    BatchStatus.FINAL: AttemptOutcome.FINAL,
    BatchStatus.EXPIRED: AttemptOutcome.EXPIRED,
    BatchStatus.FAILED: AttemptOutcome.EXPIRED,
    BatchStatus.USURPED: AttemptOutcome.EXPIRED,
    BatchStatus.OTHER_CONTENT: AttemptOutcome.OTHER_CONTENT,
}
"""What the chain's status of a batch is to its state machine (model/batch_state.py)."""
