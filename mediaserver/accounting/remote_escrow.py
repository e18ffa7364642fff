"""The settler's call service over the wire: `metering.escrow.call_client.ChainCalls`.

Control prepares, signs and follows calls of the operator, of creators and of viewers with it; the
settler process has the node.
"""

from __future__ import annotations

from collections.abc import Sequence

from mediaserver.ipc.client import CallClient
from mediaserver.ipc.operations import Handlers, served
from metering.chain.node.scale import Hash
from metering.escrow.call_client import ChainCalls, ChainFacts, Draft, Reading, Verdict
from metering.units import AccountId


def call_handlers(service: ChainCalls) -> Handlers:
    """Return what serves a call service."""
    return served(
        service,
        ChainCalls.facts,
        ChainCalls.read,
        ChainCalls.prepare,
        ChainCalls.send,
        ChainCalls.verdict,
    )


class RemoteCallService:
    """A `ChainCalls` at the other end of a `CallClient`."""

    def __init__(self, calls: CallClient) -> None:
        self._calls = calls

    async def facts(self) -> ChainFacts:
        """Return where the chain is, and what it runs."""
        return await self._calls.call(ChainCalls.facts)

    async def read(
        self, keys: Sequence[bytes], account: AccountId | None = None, *, best: bool = False
    ) -> Reading:
        """Return what is stored under keys, all at one block."""
        return await self._calls.call(ChainCalls.read, keys, account, best=best)

    async def prepare(
        self, account: AccountId, pallet: str, name: str, data: bytes, at: Hash
    ) -> Draft:
        """Return a call to sign, as of a block that was read."""
        return await self._calls.call(ChainCalls.prepare, account, pallet, name, data, at)

    async def send(self, draft: Draft, signature: bytes) -> Hash:
        """Hand a signed call over; return its hash."""
        return await self._calls.call(ChainCalls.send, draft, signature)

    async def verdict(self, draft: Draft, sent: Hash) -> Verdict:
        """Return what finalized state says of it."""
        return await self._calls.call(ChainCalls.verdict, draft, sent)
