"""Who plays a stream, as one HTTP process tells control: its bytes.

JSON, as all that our processes say; ids are packed, so that 10,000 players are half a megabyte.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from mediaserver.errors import LinkError
from metering.units import ACCOUNT_BYTES, AccountId, SessionId

AUDIENCE_PATH: Final = "/internal/audience"
"""Where control asks an HTTP process, on its unix socket."""
SESSION_BYTES: Final = 8
EDGES_MAX: Final = 255
"""Edges of one stream that are told apart: those above it are told as the origin."""


class StreamAudience(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The players of a stream.

    Attributes:
        accounts: Of each player with a token, 32 bytes; who plays twice is there twice.
        sessions: Of the same players, 8 bytes, big-endian.
        places: Of the same players, a byte: 0 is the origin, else a number of `edges`, from 1.
        edges: Addresses of the edges that ask for them.
        estimate: How many players play without a token.
    """

    stream: UUID
    accounts: bytes
    sessions: bytes
    places: bytes
    edges: tuple[str, ...]
    estimate: int

    @classmethod
    def of(
        cls, stream: UUID, players: Sequence[tuple[AccountId, SessionId, str]], estimate: int
    ) -> StreamAudience:
        """Pack players: account, session, and the edge's address or nothing."""
        edges = sorted({edge for _, _, edge in players if edge})[:EDGES_MAX]
        numbers = {edge: number for number, edge in enumerate(edges, 1)}
        return cls(
            stream,
            b"".join(account for account, _, _ in players),
            b"".join(session.to_bytes(SESSION_BYTES, "big") for _, session, _ in players),
            bytes(numbers.get(edge, 0) for _, _, edge in players),
            tuple(edges),
            estimate,
        )

    def players(self) -> Iterator[tuple[AccountId, SessionId, str]]:
        """Yield account, session, and the edge's address or nothing, of each player."""
        names = ("", *self.edges)
        for at, place in enumerate(self.places):
            account = self.accounts[at * ACCOUNT_BYTES : (at + 1) * ACCOUNT_BYTES]
            session = self.sessions[at * SESSION_BYTES : (at + 1) * SESSION_BYTES]
            yield AccountId(account), SessionId(int.from_bytes(session, "big")), names[place]


_DECODER: Final = msgspec.json.Decoder(tuple[StreamAudience, ...])


def encode(audience: Sequence[StreamAudience]) -> bytes:
    """Return what an HTTP process answers."""
    return msgspec.json.encode(audience)


def decode(data: bytes) -> tuple[StreamAudience, ...]:
    """Return what an HTTP process answered.

    Raises:
        LinkError: It is not of this program.
    """
    try:
        return _DECODER.decode(data)
    except (msgspec.MsgspecError, ValueError) as error:
        raise LinkError(f"an audience that cannot be read: {error}") from error
