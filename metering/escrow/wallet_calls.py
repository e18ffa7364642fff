"""Calls that a viewer's own wallet signs: what they may ask for, what it signs, what became of it.

Nothing is signed here, and the caller chooses amounts and a stream, never bytes. What a call
depends on is read at the best block, and the nonce of that block is signed, as `call_service.py`
says: of two calls that were prepared at the same block, one takes effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from metering.chain.node import storage
from metering.chain.node.extrinsic import assembled, extrinsic_hash
from metering.chain.node.scale import Hash
from metering.errors import ExtrinsicRejectedError, InvalidValueError
from metering.escrow import calls
from metering.escrow.call_client import CallOutcome, ChainCalls, Draft
from metering.escrow.call_sender import decoded
from metering.units import AccountId

_SIGNED_EXTRINSIC: Final = 4
_METADATA_HASH: Final = "CheckMetadataHash"
_WORDS: Final = {
    "NotRegistered": "this server's operator is not registered on the chain",
    "NotActive": "this server's operator takes no deposits on the chain now",
    "ZeroAmount": "the amount is 0",
    "NoEscrow": "nothing of yours is in escrow with this server",
    "NotEnough": "less than that is in escrow: some of it was settled meanwhile",
    "NoWithdrawal": "nothing was asked back",
    "NotYet": "what was asked back may not be taken yet",
    "StreamNotFound": "the stream is not on the chain",
    "StreamClosed": "the stream is closed on the chain",
    "BadDuration": "a join may not last so long",
    "TooManyViewers": "the stream has as many viewers on the chain as it may have",
    "NotJoined": "you have no open join of the stream",
    "FundsUnavailable": "your account has too little on the chain",
}
"""What the pallet and the currency say, by the name of the error."""


@dataclass(frozen=True, slots=True)
class OwnEscrow:
    """What a wallet's account has, as of the best block; planck.

    Attributes:
        free: What it may spend on the chain, fees included.
        held: In escrow with the operator.
        asked: What of that was asked back; None: nothing.
        chain_s: The chain's clock, Unix seconds.
    """

    free: int
    held: int
    asked: storage.Withdrawal | None
    chain_s: int


class CallState(StrEnum):
    """Where a call is that was handed to a node."""

    SENT = "sent"
    IN_BLOCK = "in_block"
    """In a block that may yet be undone."""
    FINAL = "final"
    FAILED = "failed"
    """In a final block, where the chain refused it."""
    REFUSED = "refused"
    """The node did not take it."""
    EXPIRED = "expired"
    """No block can have it any more."""


@dataclass(frozen=True, slots=True)
class CallProgress:
    """What became of a call.

    Attributes:
        block: Number of the final block that has it, 0 before.
        reason: Why it has no effect, in words; empty where it may have.
    """

    state: CallState
    block: int = 0
    reason: str = ""


class WalletCalls:
    """Prepares, sends and follows calls of viewers who have their keys themselves.

    Args:
        operator: Whose escrow it is.
    """

    def __init__(self, service: ChainCalls, operator: AccountId) -> None:
        self._service = service
        self._operator = operator

    async def escrow(self, account: AccountId) -> OwnEscrow:
        """Return what an account has.

        Raises:
            ChainUnavailableError: Try again.
        """
        return (await self._look(account))[0]

    async def deposit(self, account: AccountId, planck: int) -> Draft:
        """Return the call that puts planck in escrow.

        Raises:
            InvalidValueError: It is 0, or the account has not so much.
            ChainUnavailableError: Try again.
        """
        held, at = await self._look(account)
        if not planck:
            raise InvalidValueError("planck: 0 is no deposit; give what is to go into escrow")
        if planck >= held.free:
            raise InvalidValueError(
                f"planck: {planck} is more than the account can pay: it has {held.free} on the "
                "chain, and a part of that is for the fee"
            )
        return await self._draft(account, calls.deposit(self._operator, planck), at)

    async def request(self, account: AccountId, planck: int) -> Draft:
        """Return the call that asks planck back out of escrow, in place of what was asked before.

        Args:
            planck: 0 takes back what was asked.

        Raises:
            InvalidValueError: There is not so much, or nothing to take back.
            ChainUnavailableError: Try again.
        """
        held, at = await self._look(account)
        if not planck and held.asked is None:
            raise InvalidValueError("planck: 0 takes a request back, and nothing was asked back")
        if planck > held.held:
            raise InvalidValueError(f"planck: {planck} is more than the {held.held} in escrow")
        return await self._draft(account, calls.request_withdraw(self._operator, planck), at)

    async def withdraw(self, account: AccountId) -> Draft:
        """Return the call that takes what was asked back.

        Raises:
            ExtrinsicRejectedError: Nothing was asked back, or it is not ready.
            ChainUnavailableError: Try again.
        """
        held, at = await self._look(account)
        if held.asked is None:
            raise ExtrinsicRejectedError("nothing was asked back: ask for it first")
        if (wait_s := held.asked.ready_at - held.chain_s) > 0:
            raise ExtrinsicRejectedError(
                f"what was asked back may be taken in {wait_s} s: until then it pays for what you "
                "watched"
            )
        return await self._draft(account, calls.withdraw_escrow(self._operator), at)

    async def join(
        self, account: AccountId, stream: UUID, *, max_spend: int, max_price: int, duration_s: int
    ) -> Draft:
        """Return the call that joins a stream.

        Raises:
            InvalidValueError: It lasts longer than a join may.
            ExtrinsicRejectedError: The stream is not on the chain.
            ChainUnavailableError: Try again.
        """
        longest_s = (await self._service.facts()).constants.get("MaxJoinDuration", duration_s)
        if not 0 < duration_s <= longest_s:
            raise InvalidValueError(f"duration_s: {duration_s} is not in 1 to {longest_s}")
        reading = await self._service.read([storage.stream_key(stream)], account, best=True)
        if reading.values[0] is None:
            raise ExtrinsicRejectedError(
                "the stream is not on the chain yet; its operator sees why "
                "(`vilokanam stream register`)"
            )
        call = calls.join_with_caps(stream, max_spend, max_price, duration_s)
        return await self._draft(account, call, reading.hash)

    async def leave(self, account: AccountId, stream: UUID) -> Draft:
        """Return the call that ends a join.

        Raises:
            ChainUnavailableError: Try again.
        """
        _, at = await self._look(account)
        return await self._draft(account, calls.leave_stream(stream), at)

    async def send(self, draft: Draft, signature: bytes) -> None:
        """Hand a signed call to the node; the same bytes again are harmless.

        Args:
            signature: As `metering.chain.node.extrinsic.assembled` takes it.

        Raises:
            ChainUnavailableError: It may or may not have arrived.
            ExtrinsicRejectedError: The node refuses it, and why.
        """
        await self._service.send(draft, signature)

    async def fate(self, draft: Draft, sent: Hash) -> CallProgress:
        """Return what became of a call that was sent.

        Raises:
            ChainUnavailableError: Try again.
        """
        verdict = await self._service.verdict(draft, sent)
        match verdict.outcome:
            case CallOutcome.DONE:
                return CallProgress(CallState.FINAL, verdict.block)
            case CallOutcome.FAILED:
                return CallProgress(CallState.FAILED, verdict.block, in_words(verdict.reason))
            case CallOutcome.EXPIRED:
                why = verdict.reason or "no block took it within its time"
                return CallProgress(CallState.EXPIRED, 0, f"{why}: it has no effect, begin again")
        best = await self._service.read((), draft.account, best=True)
        is_in = best.nonce > draft.terms.nonce
        return CallProgress(CallState.IN_BLOCK if is_in else CallState.SENT)

    async def _look(self, account: AccountId) -> tuple[OwnEscrow, Hash]:
        keys = [
            storage.account_key(account),
            storage.escrow_key(self._operator, account),
            storage.now_key(),
        ]
        reading = await self._service.read(keys, account, best=True)
        info = decoded(storage.SYSTEM_ACCOUNT, reading.values[0])
        escrow = decoded(storage.ESCROW, reading.values[1])
        chain_s = int.from_bytes(reading.values[2] or b"", "little") // 1000
        return (
            OwnEscrow(
                info.free if info else 0,
                escrow.held if escrow else 0,
                escrow.withdrawal if escrow else None,
                chain_s,
            ),
            reading.hash,
        )

    async def _draft(self, account: AccountId, call: calls.Call, at: Hash) -> Draft:
        return await self._service.prepare(account, call.pallet, call.name, call.data, at)


def hash_of(draft: Draft, signature: bytes) -> Hash:
    """Return what a node calls a draft that was signed."""
    return extrinsic_hash(assembled(draft.extra, draft.call, draft.account, signature))


def signer_payload(draft: Draft, address: str) -> dict[str, Any]:
    """Return a draft as wallets take it to sign: ``SignerPayloadJSON`` of polkadot-js.

    Numbers are big-endian hexadecimal digits, as wide as their type.

    Args:
        address: The account, as SS58.

    Source: @polkadot/types, ``SignerPayload``.
    """
    terms = draft.terms
    payload: dict[str, Any] = {
        "address": address,
        "blockHash": f"0x{terms.birth_hash.hex()}",
        "blockNumber": f"0x{terms.era.birth:08x}",
        "era": f"0x{terms.era.encode().hex()}",
        "genesisHash": f"0x{terms.genesis.hex()}",
        "method": f"0x{draft.call.hex()}",
        "nonce": f"0x{terms.nonce:08x}",
        "signedExtensions": list(draft.extensions),
        "specVersion": f"0x{terms.spec_version:08x}",
        "tip": f"0x{0:032x}",
        "transactionVersion": f"0x{terms.tx_version:08x}",
        "version": _SIGNED_EXTRINSIC,
    }
    if _METADATA_HASH in draft.extensions:
        payload |= {"mode": 0, "metadataHash": None}
    return payload


def in_words(reason: str) -> str:
    """Return why a call failed as a viewer reads it, the chain's own name behind it.

    >>> in_words("TickStream.NotYet")
    'what was asked back may not be taken yet (TickStream.NotYet)'
    """
    name = reason.replace(".", " ").rpartition(" ")[2]
    return f"{_WORDS.get(name, 'the chain refuses it')} ({reason})"
