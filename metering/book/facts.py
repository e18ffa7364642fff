"""What others may write down with a fact of the book, in its own transaction.

The book knows nothing of their tables: it hands them the connection and the fact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection

from metering.units import AccountId, Planck, SessionId


@dataclass(frozen=True, slots=True)
class SessionBegan:
    """A player's session was written.

    Attributes:
        follows: The session whose player came back.
    """

    session: SessionId
    account: AccountId
    stream: UUID
    at_ms: int
    follows: SessionId | None = None


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """A player's session is over."""

    session: SessionId
    account: AccountId
    stream: UUID
    at_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class BatchFinal:
    """A settlement batch is final.

    Attributes:
        settled_planck: What it moved from viewers to creators and the platform.
        refused: How many of its entries the chain refused.
    """

    seq: int
    hash: bytes
    at_ms: int
    entries: int
    refused: int
    settled_planck: Planck


@dataclass(frozen=True, slots=True)
class DepositBooked:
    """Money came in.

    Attributes:
        key: Idempotency key of the deposit.
    """

    account: AccountId
    key: str
    planck: Planck
    memo: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class MoneyReturned:
    """Money of a deposit went back, or is here again.

    Attributes:
        kind: ``refund``, ``withdrawal``, ``chargeback``; ``refund_failed``, ``chargeback_won``.
        reference: Unique below its kind.
        deposit: Idempotency key of the deposit.
        planck: Positive went back, negative is here again.
    """

    account: AccountId
    kind: str
    reference: str
    deposit: str
    planck: Planck
    at_ms: int


@dataclass(frozen=True, slots=True)
class PayoutChanged:
    """A payout of a stream's earnings was asked for, approved, refused or paid.

    Attributes:
        amount: What the bank pays, in minor units of `currency`.
        account: The payee whose earnings it is of; None: the stream's creator.
    """

    payout: str
    stream: UUID
    state: str
    planck: Planck
    amount: int
    currency: str
    at_ms: int
    account: AccountId | None = None


Fact = SessionBegan | SessionEnded | BatchFinal | DepositBooked | MoneyReturned | PayoutChanged
Participant = Callable[[Connection, Fact], None]


class Facts:
    """Who takes part in the transactions of facts."""

    def __init__(self) -> None:
        self._participants: list[Participant] = []

    def join(self, participant: Participant) -> None:
        """Have `participant` called with each fact from now on, in its transaction and thread.

        What it raises takes the fact back.
        """
        self._participants.append(participant)

    def tell(self, connection: Connection, fact: Fact) -> None:
        """Call the participants."""
        for participant in self._participants:
            participant(connection, fact)
