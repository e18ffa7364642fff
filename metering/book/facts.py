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


Fact = SessionBegan | SessionEnded | BatchFinal
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
