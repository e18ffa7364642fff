"""Single calls to a chain, and reads: registering, pricing, withdrawing; everything but settlement.

A call is made by compare-and-swap: what it depends on is read at one block, together with the
account's nonce, and exactly that nonce is signed. Whatever was sent before under the same nonce
excludes ours and is excluded by it, so a call that is repeated never acts twice.
A batch of the operator's that loses its nonce this way is found usurped and signed again.

Who keeps the keys is another matter: `prepare` says what to sign, `send` takes the signature.
`CallSender` does both for the holder of a key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from metering.chain.node import extrinsic, storage
from metering.chain.node.client import Head, Node
from metering.chain.node.extrinsic import Terms, era_at
from metering.chain.node.runtime_info import PALLET
from metering.chain.node.scale import Hash
from metering.chain.node.substrate import INVALID_TRANSACTION, RpcError
from metering.errors import ChainUnavailableError, ExtrinsicRejectedError
from metering.escrow.call_client import CallOutcome, ChainFacts, Draft, Reading, Verdict
from metering.units import AccountId, account_text

ERA_BLOCKS: Final = 64
"""Six minutes of 6 s blocks: a longer wait is a new call."""
_KNOWN: Final = 1013
_REFUSED_FOR_NOW: Final = frozenset({1012, 1014, 1016, 1018})
"""Banned, priority too low, pool full, unactionable: the same may be taken in a moment."""


class CallService:
    """A `ChainCalls` at a node.

    Args:
        node: The node; its owner closes it.
    """

    def __init__(self, node: Node) -> None:
        self._node = node

    async def facts(self) -> ChainFacts:
        """Return where the chain is, and what it runs.

        Raises:
            ChainUnavailableError: Try again.
            RuntimeUnsupportedError: The runtime lacks what we need; says what.
        """
        final, best = await self._node.finalized(), await self._node.best()
        facts = (await self._node.runtime(final.hash)).facts
        now = await self._node.raw(storage.now_key(), final.hash)
        return ChainFacts(
            facts.spec_name,
            facts.spec_version,
            facts.genesis,
            final.number,
            best.number,
            int.from_bytes(now or b"", "little") // 1000,
            dict(facts.constants),
        )

    async def read(
        self, keys: Sequence[bytes], account: AccountId | None = None, *, best: bool = False
    ) -> Reading:
        """Return the values under keys, all at one block.

        Args:
            account: Its nonce is read beside them; None: no nonce.
            best: Read the best block, which may yet be undone, not the finalized one.

        Raises:
            ChainUnavailableError: Try again.
        """
        head = await (self._node.best() if best else self._node.finalized())
        values = await self._node.raws(keys, head.hash)
        nonce = 0
        if account is not None:
            nonce = await self._nonce(account, head)
        return Reading(head.number, head.hash, nonce, tuple(values))

    async def prepare(
        self, account: AccountId, pallet: str, name: str, data: bytes, at: Hash
    ) -> Draft:
        """Return a call to sign under the nonce that the account has at block `at`.

        Args:
            data: Its arguments, SCALE.
            at: The block at which was read what the call depends on.

        Raises:
            ChainUnavailableError: Try again.
            RuntimeUnsupportedError: The runtime has no such call, or what we cannot sign for.
        """
        head = await self._node.head(at)
        runtime = await self._node.runtime(at)
        facts = runtime.facts
        final = await self._node.finalized()
        era = era_at(final.number, ERA_BLOCKS)
        terms = Terms(
            await self._nonce(account, head),
            era,
            final.hash,
            facts.spec_version,
            facts.tx_version,
            facts.genesis,
        )
        if pallet == PALLET:
            call = extrinsic.call(facts, name, data)
        else:
            call = bytes(runtime.metadata.call(pallet, name)) + data
        return Draft(
            account,
            call,
            terms,
            extrinsic.signing_payload(facts, call, terms),
            extrinsic.extra_of(facts, terms),
            tuple(extension.name for extension in facts.extensions),
        )

    async def send(self, draft: Draft, signature: bytes) -> Hash:
        """Hand a signed call over; return what a node calls it.

        Whether it takes effect is not known then: `verdict` does.

        Raises:
            ChainUnavailableError: It may or may not have arrived; or the pool has no room now.
            ExtrinsicRejectedError: The node refuses it as invalid, and why.
        """
        runtime = await self._node.runtime((await self._node.best()).hash)
        signed = extrinsic.signed_extrinsic(
            runtime.facts, draft.call, draft.terms, draft.account, signature
        )
        try:
            await self._node.request("author_submitExtrinsic", [f"0x{signed.hex()}"])
        except RpcError as error:
            if error.code in _REFUSED_FOR_NOW:
                raise ChainUnavailableError(f"the node does not take it now: {error}") from error
            if "payment" in error.text.lower() or "pay some fees" in error.text:
                raise ExtrinsicRejectedError(
                    f"the account {account_text(draft.account)} cannot pay the fee of the "
                    "transaction: send it some planck on the chain"
                ) from error
            if error.code == INVALID_TRANSACTION:
                self._node.forget_genesis()
            if "bad signature" in error.text.lower():
                raise ExtrinsicRejectedError(_bad_proof(draft, error)) from error
            if error.code != _KNOWN:
                raise ExtrinsicRejectedError(
                    f"the node refuses the transaction: {error}"
                ) from error
        return extrinsic.extrinsic_hash(signed)

    async def verdict(self, draft: Draft, sent: Hash) -> Verdict:
        """Return the finalized outcome of a call that was sent.

        Raises:
            ChainUnavailableError: Try again.
        """
        final = await self._node.finalized()
        era = draft.terms.era
        if await self._nonce(draft.account, final) <= draft.terms.nonce:
            return Verdict(
                CallOutcome.EXPIRED if final.number >= era.death else CallOutcome.WAITING
            )
        for number in range(era.birth, min(final.number, era.death - 1) + 1):
            block_hash = await self._node.block_hash(number)
            inside = None if block_hash is None else await self._node.extrinsics(block_hash)
            if block_hash is None or inside is None:
                continue
            for index, signed in enumerate(inside):
                if extrinsic.extrinsic_hash(signed) == sent:
                    return await self._judge(await self._node.head(block_hash), index)
        return Verdict(CallOutcome.EXPIRED, reason="another transaction of the key took its nonce")

    async def _judge(self, block: Head, index: int) -> Verdict:
        for event in await self._node.events(block):
            if event.extrinsic == index and event.pallet == "System":
                if event.name == "ExtrinsicSuccess":
                    return Verdict(CallOutcome.DONE, block.number)
                if event.name == "ExtrinsicFailed":
                    runtime = await self._node.runtime(block.parent)
                    reason = runtime.metadata.error(event.fields["dispatch_error"])
                    return Verdict(CallOutcome.FAILED, block.number, reason)
        return Verdict(CallOutcome.FAILED, block.number, "the block does not say why")

    async def _nonce(self, account: AccountId, head: Head) -> int:
        info = await self._node.value(
            storage.SYSTEM_ACCOUNT, storage.account_key(account), head.hash
        )
        return info.nonce if info else 0


def _bad_proof(draft: Draft, error: RpcError) -> str:
    """Return what a bad proof may mean: what was signed differs from what the node checks."""
    terms = draft.terms
    return (
        f"the node refuses the transaction: {error}. It was signed by "
        f"{account_text(draft.account)} for the chain with genesis 0x{terms.genesis.hex()} and "
        f"runtime version {terms.spec_version} (transactions {terms.tx_version}); the node is on "
        "another chain (check chain.url), its runtime was just upgraded, or the key is not this "
        "account's. The chain is read anew: try again"
    )
