"""Makes single calls for the holder of a key: read, sign, send, wait until it is final."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from metering.chain.node import storage
from metering.chain.node.scale import Codec
from metering.errors import ChainUnavailableError, ExtrinsicRejectedError
from metering.escrow.call_client import CallOutcome, ChainCalls, Reading
from metering.escrow.calls import Call
from metering.signing import KeyPair
from metering.units import AccountId

T = TypeVar("T")
POLL_S: Final = 0.5
WAIT_S: Final = 25.0
"""A chain with 6 s blocks is final after some 12 to 18 s; a client of the API waits 30 s."""


class CallSender:
    """Makes calls through a call service.

    Args:
        wait_s: How long to wait for finality.
        poll_s: Between two questions.
    """

    def __init__(
        self, service: ChainCalls, *, wait_s: float = WAIT_S, poll_s: float = POLL_S
    ) -> None:
        self.service = service
        self._wait_s = wait_s
        self._poll_s = poll_s

    async def value(self, codec: Codec[T], key: bytes) -> T | None:
        """Return a value of the finalized head, None when there is none.

        Raises:
            ChainUnavailableError: Try again.
        """
        return decoded(codec, (await self.service.read([key])).values[0])

    async def free(self, account: AccountId) -> int:
        """Return what an account may spend, planck, at the finalized head."""
        info = await self.value(storage.SYSTEM_ACCOUNT, storage.account_key(account))
        return info.free if info else 0

    async def do(
        self,
        key: KeyPair,
        call: Call,
        *,
        depends: tuple[bytes, ...] = (),
        unless: Callable[[Reading], bool] | None = None,
        must_be_final: bool = True,
    ) -> int:
        """Make a call and wait until it is final; return the number of its block.

        Args:
            depends: Storage keys that decide whether it is still to be done.
            unless: Receives the values; True when there is nothing left to do. Then 0 is returned.
            must_be_final: False: it is enough that `unless` says so at the best block.

        Raises:
            ExtrinsicRejectedError: The chain refuses it, and why.
            ChainUnavailableError: Not final in time, or no node: look again before it is repeated,
                which never does it twice when `unless` says when it is done.
        """
        # Look whether it is done already, at the best block: a repeated call is then not sent.
        reading = await self.service.read(depends, key.account, best=True)
        if unless is not None and unless(reading):
            return 0

        # Sign at the block that was read: the nonce is the next one there.
        draft = await self.service.prepare(
            key.account, call.pallet, call.name, call.data, reading.hash
        )
        sent = await self.service.send(draft, key.sign(draft.payload))

        # Ask until finality decides; the best block is enough for a call that may be undone.
        try:
            async with asyncio.timeout(self._wait_s):
                while True:
                    if not must_be_final and unless is not None:
                        seen = await self.service.read(depends, key.account, best=True)
                        if unless(seen):
                            return 0
                    verdict = await self.service.verdict(draft, sent)
                    if verdict.outcome is not CallOutcome.WAITING:
                        break
                    await asyncio.sleep(self._poll_s)
        except TimeoutError as error:
            raise ChainUnavailableError(
                f"{call} was sent as 0x{sent.hex()} and is not final after {self._wait_s:.0f} s: "
                "look again in a minute"
            ) from error

        # Failed is the chain's answer; expired means that the call never takes effect.
        if verdict.outcome is CallOutcome.FAILED:
            raise ExtrinsicRejectedError(
                f"the chain refuses {call}: {verdict.reason} (block {verdict.block})"
            )
        if verdict.outcome is CallOutcome.EXPIRED:
            raise ChainUnavailableError(
                f"{call} can not come into a block any more "
                f"({verdict.reason or 'its time is over'}): repeat it"
            )
        return verdict.block


def decoded(codec: Codec[T], raw: bytes | None) -> T | None:
    """Return the value of raw storage, None when there is none."""
    return None if raw is None else codec.decode(raw)
