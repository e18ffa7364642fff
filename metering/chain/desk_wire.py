"""A desk over the settler's socket: its operations there, and the other end of them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from metering.chain.counter import ChainFacts, Counter, Draft, Reading, Verdict, Was
from metering.chain.extrinsic import Era, Terms
from metering.chain.remote import Operation, Remote
from metering.chain.scale import Hash
from metering.units import AccountId


def desk_operations(desk: Counter) -> dict[str, Operation]:
    """Return the operations of a desk, by name, for a `RemoteServer`."""

    async def facts() -> Any:
        found = await desk.facts()
        return [
            found.spec_name,
            found.spec_version,
            _text(found.genesis),
            found.finalized,
            found.best,
            found.time_s,
            found.constants,
        ]

    async def read(keys: list[str], account: str | None, best: bool) -> Any:
        who = None if account is None else AccountId(_bytes(account))
        found = await desk.read([_bytes(one) for one in keys], who, best=best)
        values = [None if one is None else _text(one) for one in found.values]
        return [found.number, _text(found.hash), found.nonce, values]

    async def prepare(account: str, pallet: str, name: str, data: str, at: str) -> Any:
        made = await desk.prepare(
            AccountId(_bytes(account)), pallet, name, _bytes(data), Hash(_bytes(at))
        )
        return _draft_wire(made)

    async def send(draft: list[Any], signature: str) -> Any:
        return _text(await desk.send(_draft(draft), _bytes(signature)))

    async def verdict(draft: list[Any], sent: str) -> Any:
        found = await desk.verdict(_draft(draft), Hash(_bytes(sent)))
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
        return ChainFacts(name, version, Hash(_bytes(genesis)), finalized, best, time_s, constants)

    async def read(
        self, keys: Sequence[bytes], account: AccountId | None = None, *, best: bool = False
    ) -> Reading:
        """Return what lies under keys, all at one block."""
        who = None if account is None else _text(account)
        number, at, nonce, values = await self._remote.call(
            "desk.read", [_text(one) for one in keys], who, best
        )
        read = tuple(None if one is None else _bytes(one) for one in values)
        return Reading(number, Hash(_bytes(at)), nonce, read)

    async def prepare(
        self, account: AccountId, pallet: str, name: str, data: bytes, at: Hash
    ) -> Draft:
        """Return a call to sign, as of a block that was read."""
        return _draft(
            await self._remote.call(
                "desk.prepare", _text(account), pallet, name, _text(data), _text(at)
            )
        )

    async def send(self, draft: Draft, signature: bytes) -> Hash:
        """Hand a signed call over; return its hash."""
        sent = await self._remote.call("desk.send", _draft_wire(draft), _text(signature))
        return Hash(_bytes(sent))

    async def verdict(self, draft: Draft, sent: Hash) -> Verdict:
        """Return what finalized state says of it."""
        was, block, reason = await self._remote.call(
            "desk.verdict", _draft_wire(draft), _text(sent)
        )
        return Verdict(Was(was), block, reason)


def _draft_wire(draft: Draft) -> list[Any]:
    terms = draft.terms
    return [
        _text(draft.account),
        _text(draft.call),
        _text(draft.payload),
        terms.nonce,
        terms.era.period,
        terms.era.birth,
        _text(terms.birth_hash),
        terms.spec_version,
        terms.tx_version,
        _text(terms.genesis),
    ]


def _draft(wire: list[Any]) -> Draft:
    account, call, payload, nonce, period, birth, birth_hash, spec, tx, genesis = wire
    terms = Terms(
        nonce, Era(period, birth), Hash(_bytes(birth_hash)), spec, tx, Hash(_bytes(genesis))
    )
    return Draft(AccountId(_bytes(account)), _bytes(call), terms, _bytes(payload))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
