"""A batch's life: what to do next, given its state and the last outcome.

Only *finalized* closes a batch. What is not known is asked again and never taken for a failure.

    sealed --sign--> signed --submit--> sent --ask--> finalized (entries may be refused, each named)
                       ^                  |
                       +---- expired -----+--> rejected: a person must look; the batch stays open

Source: docs/metering.md, "Settled exactly once".
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class BatchState(Enum):
    """Where a batch is; the book keeps it."""

    SEALED = "sealed"
    """Its bytes are fixed; nothing is signed, or what was signed can never take effect."""
    SIGNED = "signed"
    """Signed bytes are kept; it is not known that they were handed over."""
    SENT = "sent"
    """The bytes were handed over at least once."""
    REJECTED = "rejected"
    """The back end refuses these bytes for good; the reason is kept with the attempt."""
    CONFLICT = "conflict"
    """Finalized state holds other content under this number."""
    FINALIZED = "finalized"
    """Finalized state holds it. The end."""


class AttemptOutcome(Enum):
    """The outcome of the last reading of finalized state, or of the last act."""

    NOTHING = "nothing"
    """Finalized state was not read yet: this process has just started."""
    SIGNED = "signed"
    ACCEPTED = "accepted"
    """The bytes were taken; whether they take effect is open."""
    REJECTED = "rejected"
    NOT_FINAL = "not_final"
    EXPIRED = "expired"
    """Finalized state proves that these bytes can never take effect any more."""
    FINAL = "final"
    OTHER_CONTENT = "other_content"
    """Finalized state has this sequence number with another hash."""


class Action(Enum):
    """What the settler does next."""

    SIGN = "sign"
    SUBMIT = "submit"
    WAIT = "wait"
    STOP = "stop"
    """An operator must act."""
    CLOSE = "close"
    """Post to the ledger and go on to the next batch."""


def advance(state: BatchState, outcome: AttemptOutcome) -> BatchState:
    """Return the state after an outcome; what is not in the table changes nothing.

    `FINAL` wins from every state: a batch that took effect is settled, whatever we thought of it.
    """
    if state is BatchState.FINALIZED or outcome is AttemptOutcome.FINAL:
        return BatchState.FINALIZED
    if outcome is AttemptOutcome.OTHER_CONTENT:
        return BatchState.CONFLICT
    return _TABLE.get((state, outcome), state)


def action(state: BatchState, outcome: AttemptOutcome) -> Action:
    """Return what to do in `state`, after `outcome` has been applied with `advance`.

    Before finalized state was read nothing is signed or sent: after a crash the chain may have more
    than the book. The same bytes are handed over again at each turn until they are final: the
    contract of a chain allows it, and a pool may drop them.
    """
    if state is BatchState.FINALIZED:
        return Action.CLOSE
    if state in (BatchState.REJECTED, BatchState.CONFLICT):
        return Action.STOP
    if outcome is AttemptOutcome.NOTHING:
        return Action.WAIT
    if state is BatchState.SEALED:
        return Action.SIGN
    return Action.WAIT if outcome is AttemptOutcome.ACCEPTED else Action.SUBMIT


_TABLE: Final = {
    (BatchState.SEALED, AttemptOutcome.SIGNED): BatchState.SIGNED,
    (BatchState.SIGNED, AttemptOutcome.ACCEPTED): BatchState.SENT,
    (BatchState.SIGNED, AttemptOutcome.REJECTED): BatchState.REJECTED,
    (BatchState.SIGNED, AttemptOutcome.EXPIRED): BatchState.SEALED,
    (BatchState.SENT, AttemptOutcome.REJECTED): BatchState.REJECTED,
    (BatchState.SENT, AttemptOutcome.EXPIRED): BatchState.SEALED,
    (BatchState.REJECTED, AttemptOutcome.EXPIRED): BatchState.SEALED,
}
