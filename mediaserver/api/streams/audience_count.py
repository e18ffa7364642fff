"""Who plays now, as the API's handlers get it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from metering.units import AccountId, SessionId


class Player(NamedTuple):
    """A player with a token; `edge` is the address of the edge that asks for it, or empty."""

    account: AccountId
    session: SessionId
    edge: str


@dataclass(frozen=True, slots=True)
class AudienceCount:
    """Players of all streams.

    Attributes:
        players: With a token, each session once.
        estimates: How many play without one.
        is_complete: False when a process did not answer: its players are missing.
    """

    players: Mapping[UUID, tuple[Player, ...]]
    estimates: Mapping[UUID, int]
    is_complete: bool

    def viewers(self, stream: UUID) -> int:
        """Return how many accounts play a stream, in however many players."""
        return len({player.account for player in self.players.get(stream, ())})
