"""What the chain's own storage says of what the book holds, read at one finalized block.

The block is the newest one that the book has taken, so both speak of the same deposits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, TypeVar
from uuid import UUID

from metering.chain.node import storage
from metering.chain.node.scale import Codec
from metering.model.audit import ChainState, Records
from metering.units import AccountId, EntryKey

READ_AT_ONCE: Final = 200
"""Values in one question to the settler process: some tenths of a second of the node."""
OUTCOMES_READ: Final = 20

T = TypeVar("T")


class ChainReads(Protocol):
    """Reads storage at a block of one's choice."""

    async def values(self, keys: Sequence[bytes], at: bytes) -> list[bytes | None]:
        """Return what lies under each key, None where nothing does.

        Raises:
            ChainUnavailableError: Ask again; the node may have forgotten the block.
        """


async def read_chain_state(
    chain: ChainReads, records: Records, at: bytes, operator: AccountId
) -> ChainState:
    """Return what the chain says of the streams, viewers and entries of the book.

    Args:
        chain: What is read.
        records: Of the book.
        at: Hash of the block.
        operator: Whose batches and escrows.

    Raises:
        ChainUnavailableError: Ask again.
    """
    joins = sorted(
        {(key.stream, key.account, key.join) for key in records.entries},
        key=lambda one: (one[0].int, one[1], one[2]),
    )
    sessions = await _read(chain, storage.SESSION, [storage.session_key(*one) for one in joins], at)
    settled: dict[EntryKey, int] = {}
    for (stream, account, join), session in zip(joins, sessions, strict=True):
        for version, count in session.by_price if session else ():
            settled[EntryKey(stream, account, join, version)] = count
    viewers = sorted(records.deposits)
    escrows = await _read(
        chain, storage.ESCROW, [storage.escrow_key(operator, one) for one in viewers], at
    )
    streams: list[UUID] = sorted(records.earners, key=lambda one: one.int)
    infos = await _read(
        chain, storage.STREAM_INFO, [storage.stream_key(one) for one in streams], at
    )
    payees = sorted({operator, *(earner.creator for earner in records.earners.values())})
    credits_ = await _read(chain, storage.CREDIT, [storage.credit_key(one) for one in payees], at)
    [own] = await _read(chain, storage.OPERATOR, [storage.operator_key(operator)], at)
    seqs = sorted(records.batches)[-OUTCOMES_READ:]
    outcomes = await _read(
        chain, storage.OUTCOME, [storage.outcome_key(operator, seq) for seq in seqs], at
    )
    return ChainState(
        own.last_seq if own else 0,
        settled,
        frozenset(one for one, found in zip(joins, sessions, strict=True) if found),
        {one: found.held if found else 0 for one, found in zip(viewers, escrows, strict=True)},
        {
            one: (found.total_ticks, found.total_amount)
            for one, found in zip(streams, infos, strict=True)
            if found
        },
        {
            one: found.available + found.pending + found.maturing if found else 0
            for one, found in zip(payees, credits_, strict=True)
        },
        {
            seq: (bytes(found.hash), tuple(index for index, _ in found.refused))
            for seq, found in zip(seqs, outcomes, strict=True)
            if found
        },
    )


async def _read(
    chain: ChainReads, codec: Codec[T], keys: Sequence[bytes], at: bytes
) -> list[T | None]:
    found: list[T | None] = []
    for start in range(0, len(keys), READ_AT_ONCE):
        raw = await chain.values(keys[start : start + READ_AT_ONCE], at)
        found += [None if one is None else codec.decode(one) for one in raw]
    return found
