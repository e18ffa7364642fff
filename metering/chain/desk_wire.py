"""A desk over the settler's socket: its operations there, and the other end of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from metering.chain.link import Operation, Remote, to_bytes, to_text
from metering.chain.node.extrinsic import Era, Terms
from metering.chain.node.scale import Hash
from metering.escrow.call_client import ChainFacts, Counter, Draft, Reading, Verdict, Was
from metering.units import AccountId


def desk_operations(desk: Counter) -> dict[str, Operation]:
    """Return the operations of a desk, by name, for a `RemoteServer`."""

    async def facts() -> Any:
        found = await desk.facts()
        return [
            found.spec_name,
            found.spec_version,
            to_text(found.genesis),
            found.finalized,
            found.best,
            found.time_s,
            found.constants,
        ]

    async def read(keys: list[str], account: str | None, best: bool) -> Any:
        who = None if account is None else AccountId(to_bytes(account))
        found = await desk.read([to_bytes(one) for one in keys], who, best=best)
        values = [None if one is None else to_text(one) for one in found.values]
        return [found.number, to_text(found.hash), found.nonce, values]

    async def prepare(account: str, pallet: str, name: str, data: str, at: str) -> Any:
        made = await desk.prepare(
            AccountId(to_bytes(account)), pallet, name, to_bytes(data), Hash(to_bytes(at))
        )
        return _draft_wire(made)

    async def send(draft: list[Any], signature: str) -> Any:
        return to_text(await desk.send(_draft(draft), to_bytes(signature)))

    async def verdict(draft: list[Any], sent: str) -> Any:
        found = await desk.verdict(_draft(draft), Hash(to_bytes(sent)))
        return [found.was.value, found.block, found.reason]

    return {
        "desk.facts": facts,
        "desk.read": read,
        "desk.prepare": prepare,
        "desk.send": send,
        "desk.verdict": verdict,
    }


class RemoteDesk:
    """A `metering.chain.desk.Counter` at the other end of a `Remote`."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    async def facts(self) -> ChainFacts:
        """Return where the chain is, and what it runs."""
        name, version, genesis, finalized, best, time_s, constants = await self._remote.call(
            "desk.facts"
        )
        return ChainFacts(
            name, version, Hash(to_bytes(genesis)), finalized, best, time_s, constants
        )

    async def read(
        self, keys: Sequence[bytes], account: AccountId | None = None, *, best: bool = False
    ) -> Reading:
        """Return what lies under keys, all at one block."""
        who = None if account is None else to_text(account)
        number, at, nonce, values = await self._remote.call(
            "desk.read", [to_text(one) for one in keys], who, best
        )
        read = tuple(None if one is None else to_bytes(one) for one in values)
        return Reading(number, Hash(to_bytes(at)), nonce, read)

    async def prepare(
        self, account: AccountId, pallet: str, name: str, data: bytes, at: Hash
    ) -> Draft:
        """Return a call to sign, as of a block that was read."""
        return _draft(
            await self._remote.call(
                "desk.prepare", to_text(account), pallet, name, to_text(data), to_text(at)
            )
        )

    async def send(self, draft: Draft, signature: bytes) -> Hash:
        """Hand a signed call over; return its hash."""
        sent = await self._remote.call("desk.send", _draft_wire(draft), to_text(signature))
        return Hash(to_bytes(sent))

    async def verdict(self, draft: Draft, sent: Hash) -> Verdict:
        """Return what finalized state says of it."""
        was, block, reason = await self._remote.call(
            "desk.verdict", _draft_wire(draft), to_text(sent)
        )
        return Verdict(Was(was), block, reason)


def _draft_wire(draft: Draft) -> list[Any]:
    terms = draft.terms
    return [
        to_text(draft.account),
        to_text(draft.call),
        to_text(draft.payload),
        terms.nonce,
        terms.era.period,
        terms.era.birth,
        to_text(terms.birth_hash),
        terms.spec_version,
        terms.tx_version,
        to_text(terms.genesis),
    ]


def _draft(wire: list[Any]) -> Draft:
    account, call, payload, nonce, period, birth, birth_hash, spec, tx, genesis = wire
    terms = Terms(
        nonce, Era(period, birth), Hash(to_bytes(birth_hash)), spec, tx, Hash(to_bytes(genesis))
    )
    return Draft(AccountId(to_bytes(account)), to_bytes(call), terms, to_bytes(payload))
