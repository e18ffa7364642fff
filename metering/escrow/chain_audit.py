"""The chain's own storage, for comparing with the book, read at one finalized block.

The block is the newest one that the book has taken, so both speak of the same deposits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, TypeVar
from uuid import UUID

from metering.chain.node import storage
from metering.chain.node.scale import Codec
from metering.model.audit_records import ChainState, Records
from metering.units import AccountId, EntryKey

READ_AT_ONCE: Final = 200
"""Values in one question to the settler process: some tenths of a second of the node."""
OUTCOMES_READ: Final = 20

T = TypeVar("T")


class ChainReads(Protocol):
    """Reads storage at a block of one's choice."""

    async def values(self, keys: Sequence[bytes], at: bytes) -> list[bytes | None]:
        """Return the value under each key, None where there is none.

        Raises:
            ChainUnavailableError: Ask again; the node may have forgotten the block.
        """


async def read_chain_state(
    chain: ChainReads, records: Records, at: bytes, operator: AccountId
) -> ChainState:
    """Return the chain's state of the streams, viewers and entries of the book.

    Args:
        at: Hash of the block.

    Raises:
        ChainUnavailableError: Ask again.
    """
    # What each viewer has settled, by join and price.
    joins = sorted(
        {(key.stream, key.account, key.join) for key in records.entries},
        key=lambda join: (join[0].int, join[1], join[2]),
    )
    sessions = await _read(
        chain, storage.SESSION, [storage.session_key(*join) for join in joins], at
    )
    settled: dict[EntryKey, int] = {}
    for (stream, account, join), session in zip(joins, sessions, strict=True):
        for version, count in session.by_price if session else ():
            settled[EntryKey(stream, account, join, version)] = count

    # What the operator holds for each viewer.
    viewers = sorted(records.deposits)
    escrows = await _read(
        chain, storage.ESCROW, [storage.escrow_key(operator, viewer) for viewer in viewers], at
    )

    # What each stream has earned, and each payee has to receive or has received as credit.
    streams: list[UUID] = sorted(records.earners, key=lambda stream: stream.int)
    infos = await _read(
        chain, storage.STREAM_INFO, [storage.stream_key(stream) for stream in streams], at
    )
    creators = {earner.creator for earner in records.earners.values()}
    shared = {share.account for shares in records.shares.values() for share in shares}
    payees = sorted({operator} | creators | shared)
    credits_ = await _read(
        chain, storage.CREDIT, [storage.credit_key(payee) for payee in payees], at
    )

    # How far the operator's batches are, and the outcomes of the newest: the chain keeps few.
    [own] = await _read(chain, storage.OPERATOR, [storage.operator_key(operator)], at)
    seqs = sorted(records.batches)[-OUTCOMES_READ:]
    outcomes = await _read(
        chain, storage.OUTCOME, [storage.outcome_key(operator, seq) for seq in seqs], at
    )
    return ChainState(
        own.last_seq if own else 0,
        settled,
        frozenset(join for join, session in zip(joins, sessions, strict=True) if session),
        {
            viewer: escrow.held if escrow else 0
            for viewer, escrow in zip(viewers, escrows, strict=True)
        },
        {
            stream: (info.total_ticks, info.total_amount)
            for stream, info in zip(streams, infos, strict=True)
            if info
        },
        {
            payee: credit.available + credit.pending + credit.maturing if credit else 0
            for payee, credit in zip(payees, credits_, strict=True)
        },
        {
            seq: (bytes(outcome.hash), tuple(index for index, _ in outcome.refused))
            for seq, outcome in zip(seqs, outcomes, strict=True)
            if outcome
        },
    )


async def _read(
    chain: ChainReads, codec: Codec[T], keys: Sequence[bytes], at: bytes
) -> list[T | None]:
    values: list[T | None] = []
    for start in range(0, len(keys), READ_AT_ONCE):
        raw = await chain.values(keys[start : start + READ_AT_ONCE], at)
        values += [None if value is None else codec.decode(value) for value in raw]
    return values
