"""Control's other dealings with the chain: registering, following streams, earnings, withdrawals.

What is settled and how is not here (settlement.py), nor what viewers pay in (escrow.py). Calls are
signed here, as the keys are here: the operator's, and those of creators and viewers that the server
made. The settler process has the node.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from typing import Any

from mediaserver.accounting.remote_escrow import RemoteCallService
from mediaserver.accounting.settlement_service import SUBSTRATE, Settlement
from mediaserver.settings.records import Settings
from metering import signing
from metering.book.async_book import AsyncBook
from metering.book.records import StreamRecord, ViewerRecord
from metering.chain.node import storage
from metering.errors import ExtrinsicRejectedError, InvalidValueError
from metering.escrow import calls
from metering.escrow.call_sender import CallSender, decoded
from metering.escrow.stream_registrar import StreamRegistrar, StreamStatus
from metering.escrow.wallet_calls import WalletCalls
from metering.model.credits import Payout, rolled
from metering.model.splits import table_at
from metering.signing import KeyPair
from metering.units import AccountId, Planck, account_text


def open_on_chain(
    settings: Settings,
    book: AsyncBook,
    settlement: Settlement,
    operator: KeyPair,
) -> OnChain | None:
    """Return the dealings with the chain, None when batches go to the journal."""
    if settings.chain.backend != SUBSTRATE:
        return None
    return OnChain(settings, book, settlement, operator)


class OnChain:
    """The dealings of one operator.

    Args:
        operator: Signs for the operator, and is the platform's account on the chain.

    Attributes:
        registrar: Registers the streams on the chain; the owner of this runs it.
        wallets: Calls that viewers sign with wallets of their own.
    """

    def __init__(
        self,
        settings: Settings,
        book: AsyncBook,
        settlement: Settlement,
        operator: KeyPair,
    ) -> None:
        self._settings = settings.chain
        self._book = book
        self._settlement = settlement
        self._operator = operator
        self._sender = CallSender(RemoteCallService(settlement.remote))
        self.registrar = StreamRegistrar(
            self._sender, book, operator, int(settings.chain.creator_float_planck)
        )
        self.wallets = WalletCalls(self._sender.service, operator.account)

    async def status(self) -> dict[str, Any]:
        """Return where the chain is, the status of the operator on it, and how far settlement is.

        Raises:
            ChainError: The node or the settler is away, or cannot be used.
        """
        account = self._operator.account
        facts = await self._sender.service.facts()
        reading = await self._sender.service.read(
            [storage.operator_key(account), storage.account_key(account)]
        )
        ours = decoded(storage.OPERATOR, reading.values[0])
        holdings = decoded(storage.SYSTEM_ACCOUNT, reading.values[1])
        progress = dataclasses.asdict(self._settlement.progress)
        return {
            "url": self._settings.url,
            "spec": f"{facts.spec_name} {facts.spec_version}",
            "genesis": f"0x{facts.genesis.hex()}",
            "finalized": facts.finalized,
            "best": facts.best,
            "chain_time_s": facts.time_s,
            "operator": {
                "account": account_text(account),
                "is_registered": ours is not None and ours.bond > 0,
                "is_active": ours is not None and ours.active,
                "bond": str(ours.bond if ours else 0),
                "last_seq": ours.last_seq if ours else 0,
                "nonce": holdings.nonce if holdings else 0,
                "free": str(holdings.free if holdings else 0),
            },
            "settlement": {
                "in_flight": progress["in_flight"],
                "in_block": progress["in_block"],
                "exposure": str(progress["exposure_planck"]),
                "lag_ms": progress["lag_ms"],
            },
        }

    async def register_operator(self) -> dict[str, Any]:
        """Put up the operator's bond, unless it is up; return its account and the block.

        Raises:
            ExtrinsicRejectedError: It cannot, and why.
            ChainError: The node or the settler is away, or cannot be used.
        """
        account = self._operator.account
        facts = await self._sender.service.facts()
        bond = facts.constants.get("OperatorBond", 0)
        key = storage.operator_key(account)
        ours = await self._sender.value(storage.OPERATOR, key)
        free = await self._sender.free(account)
        if (ours is None or not ours.bond) and free <= bond:
            raise ExtrinsicRejectedError(
                f"the operator {account_text(account)} has {free} planck on the chain and its "
                f"bond alone is {bond}: send it more (`vilokanam chain fund` on a development "
                "chain), then repeat this"
            )
        block = await self._sender.do(
            self._operator,
            calls.register_operator(),
            depends=(key,),
            unless=lambda read: _has_bond(read.values[0]),
        )
        self.registrar.wake()
        return {
            "account": account_text(account),
            "bond": str(bond),
            "is_new": block > 0,
            "block": block,
        }

    def stream_status(self, record: StreamRecord) -> dict[str, Any]:
        """Return how a stream stood on the chain when it was last looked at."""
        return _status(record, self.registrar.status(record.id))

    async def register_stream(self, record: StreamRecord) -> dict[str, Any]:
        """Do for a stream now what is to be done, and return its status then.

        Raises:
            ExtrinsicRejectedError: The chain refuses it, and why.
            ChainError: The node or the settler is away, or cannot be used.
        """
        return _status(record, await self.registrar.look(record))

    async def payouts(self) -> list[dict[str, Any]]:
        """Return what each creator and the platform earned and may take.

        Raises:
            ChainError: The node or the settler is away, or cannot be used.
        """
        streams = await self._book.run(lambda book: book.streams.all())
        slugs: dict[AccountId, list[str]] = {self._operator.account: []}
        creators, shared = set[AccountId](), await self._book.run(lambda book: book.splits.some())
        for stream in streams:
            slugs.setdefault(stream.creator, []).append(stream.slug)
            creators.add(stream.creator)
            for share in table_at(shared.get(stream.id, ()), 0).shares:
                slugs.setdefault(share.account, []).append(stream.slug)
        credits_ = await self._credits(list(slugs))
        return [
            {
                "account": account_text(account),
                "role": self._role(account, creators),
                "streams": slugs[account],
                **_payout(payout),
            }
            for account, payout in credits_.items()
        ]

    def _role(self, account: AccountId, creators: Collection[AccountId]) -> str:
        if account == self._operator.account:
            return "platform"
        return "creator" if account in creators else "payee"

    async def withdraw(self, record: StreamRecord | None) -> dict[str, Any]:
        """Take what a stream's creator, or the platform, may take; return how much.

        Raises:
            InvalidValueError: There is nothing to take yet, or the creator has a wallet.
            ExtrinsicRejectedError: The chain refuses it, and why.
            ChainError: The node or the settler is away, or cannot be used.
        """
        signer = self._operator
        if record is not None:
            seed = await self._book.run(lambda book: book.streams.creator_seed(record.slug))
            if seed is None:
                raise InvalidValueError(
                    f"the creator {account_text(record.creator)} signs with a wallet of their own: "
                    "they call TickStream.withdraw_credit themselves"
                )
            signer = signing.from_seed(seed)
        payout = (await self._credits([signer.account]))[signer.account]
        if not payout.available:
            raise InvalidValueError(
                f"{account_text(signer.account)} may take nothing yet: {payout.maturing} planck "
                f"mature within {payout.notice_s} s, {payout.pending} within "
                f"{2 * payout.notice_s} s"
            )
        key = storage.credit_key(signer.account)
        block = await self._sender.do(signer, calls.withdraw_credit(), depends=(key,))
        return {
            "account": account_text(signer.account),
            "planck": str(payout.available),
            "block": block,
        }

    async def escrow(self, viewer: ViewerRecord) -> dict[str, Any]:
        """Return what a viewer holds for the operator.

        Raises:
            ChainError: The node or the settler is away, or cannot be used.
        """
        key = storage.escrow_key(self._operator.account, viewer.account)
        escrow = await self._sender.value(storage.ESCROW, key)
        asked = escrow.withdrawal if escrow else None
        return {
            "account": account_text(viewer.account),
            "operator": account_text(self._operator.account),
            "held": str(escrow.held if escrow else 0),
            "free": str(await self._sender.free(viewer.account)),
            "asked_back": str(asked.amount) if asked else None,
            "ready_at": asked.ready_at if asked else None,
        }

    async def ask_back(self, viewer: ViewerRecord, planck: Planck) -> dict[str, Any]:
        """Request a withdrawal from escrow for a viewer whose key is here; 0 cancels the request.

        Raises:
            InvalidValueError: The viewer has a wallet.
            ExtrinsicRejectedError: The chain refuses it, and why.
            ChainError: The node or the settler is away, or cannot be used.
        """
        call = calls.request_withdraw(self._operator.account, int(planck))
        return await self._for_viewer(
            viewer,
            call,
            lambda escrow: escrow.withdrawal is not None and escrow.withdrawal.amount == planck,
        )

    async def take_back(self, viewer: ViewerRecord) -> dict[str, Any]:
        """Take for a viewer whose key is here what was asked back and is ready.

        Raises:
            InvalidValueError: The viewer has a wallet.
            ExtrinsicRejectedError: The chain refuses it, and why.
            ChainError: The node or the settler is away, or cannot be used.
        """
        return await self._for_viewer(viewer, calls.withdraw_escrow(self._operator.account))

    async def _for_viewer(
        self,
        viewer: ViewerRecord,
        call: calls.Call,
        is_done: Callable[[storage.Escrow], bool] = lambda _: False,
    ) -> dict[str, Any]:
        seed = await self._book.run(lambda book: book.viewers.seed(viewer.account))
        if seed is None:
            raise InvalidValueError(
                f"{viewer.name} signs with a wallet of their own: they call {call} themselves"
            )
        key = storage.escrow_key(self._operator.account, viewer.account)

        def is_over(raw: bytes | None) -> bool:
            escrow = decoded(storage.ESCROW, raw)
            return escrow is not None and is_done(escrow)

        block = await self._sender.do(
            signing.from_seed(seed),
            call,
            depends=(key,),
            unless=lambda read: is_over(read.values[0]),
        )
        return {**await self.escrow(viewer), "block": block}

    async def _credits(self, accounts: list[AccountId]) -> dict[AccountId, Payout]:
        facts = await self._sender.service.facts()
        notice_s = facts.constants.get("CreditNotice", 1)
        payouts = {}
        for start in range(0, len(accounts), 200):
            some = accounts[start : start + 200]
            reading = await self._sender.service.read(
                [storage.credit_key(account) for account in some]
            )
            for account, raw in zip(some, reading.values, strict=True):
                payouts[account] = rolled(decoded(storage.CREDIT, raw), facts.time_s, notice_s)
        return payouts


def _has_bond(raw: bytes | None) -> bool:
    info = decoded(storage.OPERATOR, raw)
    return info is not None and info.bond > 0


def _status(record: StreamRecord, status: StreamStatus) -> dict[str, Any]:
    return {
        "state": status.state.value,
        "reason": status.reason or None,
        "stream_id": str(record.id.int),
        "price": status.price,
        "call": f"0x{status.call.hex()}" if status.call else None,
    }


def _payout(payout: Payout) -> dict[str, Any]:
    return {
        "available": str(payout.available),
        "maturing": str(payout.maturing),
        "pending": str(payout.pending),
    }
