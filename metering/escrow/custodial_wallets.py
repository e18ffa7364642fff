"""Makes the chain's calls for viewers whose keys we hold: deposits into escrow, and joins.

Each call is written in the book before it is signed, with the one nonce that all its copies bear;
the next call of the account waits until that nonce is used in finalized state. No other process has
the key, so the nonce is used by this call alone, and a deposit that is repeated after a crash, a
time-out or a lost answer is made once. What the account lacks comes from the operator's.

Source: docs/metering.md, "Viewers whose key we hold".
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Final
from uuid import UUID
from weakref import WeakValueDictionary

from metering import signing
from metering.book.async_book import AsyncBook
from metering.book.records import HeldCall
from metering.chain.node import storage
from metering.chain.node.runtime_info import PALLET
from metering.errors import ChainUnavailableError, ExtrinsicRejectedError, InvalidValueError
from metering.escrow import calls
from metering.escrow.call_sender import CallSender
from metering.signing import KeyPair
from metering.units import AccountId, Planck, account_text

JOIN_S: Final = 7 * 86_400
"""As long as the longest token: a viewer who still watches then is joined again."""
SPEND_MAX: Final = 2**128 - 1
PRICE_FACTOR: Final = 2
"""A price may double before a viewer whose key we hold is joined anew."""
_FUND_TRIES: Final = 5
"""Each ends at once when the operator's nonce was another's; a wait for finality is long."""
_FINAL_POLLS: Final = 50
_POLL_S: Final = 0.5


class CustodialWallets:
    """Signs for viewers whose seeds are in the book.

    Args:
        operator: Pays what an account lacks, and is the escrow's.
        float_planck: What an account is given for its fees and its existence; half of it must do
            for one call.
    """

    def __init__(
        self,
        sender: CallSender,
        book: AsyncBook,
        *,
        operator: KeyPair,
        float_planck: int,
        now_ms: Callable[[], int],
    ) -> None:
        self._sender = sender
        self._book = book
        self._operator = operator
        self._float = float_planck
        self._now_ms = now_ms
        self._locks: WeakValueDictionary[AccountId, asyncio.Lock] = WeakValueDictionary()

    async def holds(self, account: AccountId) -> bool:
        """Return whether we hold a viewer's key."""
        return await self._book.run(lambda book: book.viewers.seed(account)) is not None

    async def deposit(self, account: AccountId, planck: Planck, key: str) -> bool:
        """Put planck in a viewer's escrow with us, once; return when it is final.

        Args:
            key: Idempotency key: repeated, the deposit is not made again.

        Returns:
            False when it had been made before.

        Raises:
            InvalidValueError: The amount is 0 or less, or we do not hold the viewer's key.
            IdempotencyConflictError: The key was used with other content.
            ChainUnavailableError: Not final in time, or no node: repeat it with the same key.
            ExtrinsicRejectedError: The chain refuses it, and why.
        """
        if planck <= 0:
            raise InvalidValueError(f"deposit of {planck} planck: it must be above 0")
        call = calls.deposit(self._operator.account, planck)
        return await self._make(HeldCall(key, account, call.name, call.data, planck))

    async def join(self, account: AccountId, stream: UUID, price: Planck, max_spend: int) -> None:
        """Join a stream for a viewer; return when it is final.

        Args:
            price: Present price of a tick.
            max_spend: What it may cost in all; 0 is no bound but the escrow.

        Raises:
            InvalidValueError: We do not hold the viewer's key.
            ChainUnavailableError: Not final in time, or no node: look, then repeat it.
            ExtrinsicRejectedError: The chain refuses it, and why.
        """
        call = calls.join_with_caps(stream, max_spend or SPEND_MAX, price * PRICE_FACTOR, JOIN_S)
        key = f"join-{secrets.token_hex(16)}"
        await self._make(HeldCall(key, account, call.name, call.data, Planck(0)))

    async def _make(self, wanted: HeldCall) -> bool:
        seed = await self._book.run(lambda book: book.viewers.seed(wanted.account))
        if seed is None:
            raise InvalidValueError(
                f"the key of {account_text(wanted.account)} is in the viewer's own wallet: they "
                "sign for themselves"
            )
        signer = signing.from_seed(seed)
        lock = self._locks.setdefault(wanted.account, asyncio.Lock())
        async with lock:
            now_ms = self._now_ms()
            known = await self._book.run(lambda book: book.calls.add(wanted, now_ms))
            if known.is_done and known.reason:
                raise ExtrinsicRejectedError(known.reason)
            if known.is_done:
                return False
            # Those before it first: each has a nonce of its own, in their order.
            while open_ := await self._book.run(lambda book: book.calls.next(wanted.account)):
                await self._drive(signer, open_, is_wanted=open_.key == wanted.key)
                if open_.key == wanted.key:
                    break
        return True

    async def _drive(self, signer: KeyPair, call: HeldCall, *, is_wanted: bool) -> None:
        """Make one call, and write that it is done."""
        nonce = call.nonce
        if nonce is None:
            nonce = (await self._sender.service.read((), signer.account)).nonce
            await self._book.run(lambda book: book.calls.set_nonce(call.key, nonce))
        try:
            if not await self._is_used(signer.account, nonce):
                await self._fund_patiently(signer.account, call.planck)
                await self._sender.do(
                    signer,
                    calls.Call(PALLET, call.name, call.data),
                    unless=lambda reading: reading.nonce != nonce,
                )
                await self._until_used(signer.account, nonce)
        except ExtrinsicRejectedError as error:
            # In a finalized block the nonce is used, and the call is over; refused by the pool, it
            # may become good, and blocks later ones until then.
            if not await self._is_used(signer.account, nonce):
                raise
            await self._close(call, str(error))
            if is_wanted:
                raise
        else:
            await self._close(call)

    async def _fund_patiently(self, account: AccountId, planck: Planck) -> None:
        """Give an account what it lacks; others spend the operator's nonces too, so try again."""
        for left in range(_FUND_TRIES - 1, -1, -1):
            try:
                await self._fund(account, planck)
            except ChainUnavailableError:
                if not left:
                    raise
                await asyncio.sleep(_POLL_S)
            else:
                return

    async def _fund(self, account: AccountId, planck: Planck) -> None:
        """Give an account what it lacks, from the operator's.

        A viewer waits, so what is in the best block is enough, and it is given for several calls:
        it is filled up only when half of its float is gone.
        """
        key = storage.account_key(account)
        reading = await self._sender.service.read([key], best=True)
        free = _free(reading.values[0])
        if free >= planck + self._float // 2:
            return
        need = planck + self._float
        await self._sender.do(
            self._operator,
            calls.transfer(account, need - free),
            depends=(key,),
            unless=lambda reading: _free(reading.values[0]) >= need,
            must_be_final=False,
        )

    async def _is_used(self, account: AccountId, nonce: int) -> bool:
        return (await self._sender.service.read((), account)).nonce > nonce

    async def _until_used(self, account: AccountId, nonce: int) -> None:
        for _ in range(_FINAL_POLLS):
            if await self._is_used(account, nonce):
                return
            await asyncio.sleep(_POLL_S)
        raise ChainUnavailableError("the call is in a block that is not final yet: repeat it")

    async def _close(self, call: HeldCall, reason: str = "") -> None:
        now_ms = self._now_ms()
        await self._book.run(lambda book: book.calls.close(call.key, reason, now_ms))


def _free(raw: bytes | None) -> int:
    return storage.SYSTEM_ACCOUNT.decode(raw).free if raw else 0
