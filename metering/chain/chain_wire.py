"""The chain's port over the link: its operations at the settler, and the other end of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from metering.chain.link import Operation, Remote, to_bytes, to_text
from metering.ports import (
    BatchOutcome,
    Chain,
    ChainLimits,
    ChainSettled,
    Fate,
    Finding,
    InFlight,
    Look,
)
from metering.units import AccountId, EntryKey


def chain_operations(chain: Chain) -> dict[str, Operation]:
    """Return the operations of a chain, by name."""

    async def limits() -> Any:
        found = await chain.limits()
        return [found.entries_max, found.in_flight_max]

    async def sign(seq: int, batch_hash: str, entries: str, alive: list[str]) -> Any:
        signed = await chain.sign(
            seq, to_bytes(batch_hash), to_bytes(entries), [to_bytes(one) for one in alive]
        )
        return to_text(signed)

    async def submit(signed: str) -> Any:
        await chain.submit(to_bytes(signed))

    async def look(flights: list[list[Any]]) -> Any:
        asked = [
            InFlight(seq, to_bytes(hashed), None if signed is None else to_bytes(signed))
            for seq, hashed, signed in flights
        ]
        return _look_wire(await chain.look(asked))

    async def last_settled() -> Any:
        return await chain.last_settled()

    async def settled(keys: list[Any], at: str | None) -> Any:
        asked = [_key(one) for one in keys]
        found = await chain.settled(asked, None if at is None else to_bytes(at))
        if found is None:
            return None
        ticks = [[index, found.ticks[key]] for index, key in enumerate(asked) if key in found.ticks]
        return [to_text(found.at), found.last_seq, ticks]

    return {
        "limits": limits,
        "sign": sign,
        "submit": submit,
        "look": look,
        "last_settled": last_settled,
        "settled": settled,
    }


class RemoteChain:
    """A `metering.ports.Chain` at the other end of a `Remote`."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    async def limits(self) -> ChainLimits:
        """Return what the chain takes."""
        return ChainLimits(*await self._remote.call("limits"))

    async def sign(
        self, seq: int, batch_hash: bytes, entries: bytes, alive: Sequence[bytes] = ()
    ) -> bytes:
        """Return the bytes to submit. No effect outside."""
        signed = await self._remote.call(
            "sign", seq, to_text(batch_hash), to_text(entries), [to_text(one) for one in alive]
        )
        return to_bytes(signed)

    async def submit(self, signed: bytes) -> None:
        """Hand the bytes over."""
        await self._remote.call("submit", to_text(signed))

    async def look(self, flights: Sequence[InFlight]) -> Look:
        """Return what finalized state says of batches, all read at one finalized block."""
        asked = [
            [one.seq, to_text(one.hash), None if one.signed is None else to_text(one.signed)]
            for one in flights
        ]
        return _look(await self._remote.call("look", asked))

    async def last_settled(self) -> int:
        """Return the highest finalized sequence number of this operator, 0 before the first."""
        return int(await self._remote.call("last_settled"))

    async def settled(
        self, keys: Sequence[EntryKey], at: bytes | None = None
    ) -> ChainSettled | None:
        """Return what the chain itself keeps of entries."""
        asked = [[one.stream.hex, one.account.hex(), one.join, one.version] for one in keys]
        found = await self._remote.call("settled", asked, None if at is None else to_text(at))
        if found is None:
            return None
        block, last_seq, ticks = found
        return ChainSettled(
            to_bytes(block), last_seq, {keys[index]: count for index, count in ticks}
        )


def _key(wire: list[Any]) -> EntryKey:
    stream, account, join, version = wire
    return EntryKey(UUID(hex=stream), AccountId(bytes.fromhex(account)), join, version)


def _look_wire(look: Look) -> list[Any]:
    return [
        look.finalized,
        look.best,
        look.last_settled,
        [
            [
                one.seq,
                one.fate.value,
                None
                if one.outcome is None
                else [
                    one.outcome.seq,
                    to_text(one.outcome.hash),
                    one.outcome.refused,
                    one.outcome.finalized_at,
                ],
                one.reason,
                one.is_in_block,
            ]
            for one in look.findings
        ],
    ]


def _look(wire: Any) -> Look:
    finalized, best, last_settled, findings = wire
    return Look(finalized, best, last_settled, tuple(_finding(*one) for one in findings))


def _finding(seq: int, fate: str, outcome: Any, reason: str, is_in_block: bool) -> Finding:
    said = None
    if outcome is not None:
        number, hashed, refused, finalized_at = outcome
        pairs = tuple((index, why) for index, why in refused)
        said = BatchOutcome(number, to_bytes(hashed), pairs, finalized_at)
    return Finding(seq, Fate(fate), said, reason, is_in_block)
