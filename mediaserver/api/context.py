"""What the handlers of the API share: collaborators, handed in by control."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

from aiohttp import web

from mediaserver.api.streams.audience_count import AudienceCount
from mediaserver.clock import Clock
from mediaserver.payments.service import Payments
from mediaserver.people.countries import Countries
from mediaserver.people.service import People
from mediaserver.settings.records import Settings
from mediaserver.webhooks.decisions import Decisions
from mediaserver.webhooks.service import Webhooks
from metering.book.async_book import AsyncBook
from metering.book.records import StreamRecord, ViewerRecord, ViewerStatus
from metering.escrow.wallet_calls import WalletCalls
from metering.model.passes import Pass
from metering.signing import KeyPair
from metering.store.client import Store
from metering.units import AccountId, Planck, Units, Verdict


class EscrowPort(Protocol):
    """Money and joins of the chain, where there is one: `accounting.escrow_service.Escrow`."""

    async def viewer_status(self, account: AccountId, stream: UUID) -> ViewerStatus:
        """Return what a viewer has joined of a stream, as of the newest block."""

    async def holds(self, account: AccountId) -> bool:
        """Return whether we hold a viewer's key."""

    async def deposit(self, account: AccountId, planck: Planck, key: str) -> bool:
        """Put planck in the escrow of a viewer whose key we hold, once; False when it was there."""

    def join(
        self, account: AccountId, stream: UUID, price: Planck, max_spend: int
    ) -> asyncio.Task[None]:
        """Begin to join a stream for a viewer whose key we hold; the task ends with finality."""

    @property
    def moves(self) -> int:
        """Return how often anything that `viewer_status` says may have changed."""

    async def wait_moved(self, moves: int, timeout_s: float) -> bool:
        """Wait until `moves` is not what it was; False when it still is after `timeout_s`."""


class ChainPort(Protocol):
    """Dealings with the chain, where there is one: `accounting.onchain_service.OnChain`."""

    @property
    def wallets(self) -> WalletCalls:
        """Return the calls that viewers sign with wallets of their own."""

    async def status(self) -> dict[str, Any]:
        """Return where the chain is, what the operator has, how far settlement is."""

    async def register_operator(self) -> dict[str, Any]:
        """Put up the operator's bond, unless it is up."""

    def stream_status(self, record: StreamRecord) -> dict[str, Any]:
        """Return how a stream stood on the chain when it was last looked at."""

    async def register_stream(self, record: StreamRecord) -> dict[str, Any]:
        """Do for a stream now what is to be done; return how far that is then."""

    async def payouts(self) -> list[dict[str, Any]]:
        """Return what each creator and the platform earned and may take."""

    async def withdraw(self, record: StreamRecord | None) -> dict[str, Any]:
        """Take what a stream's creator, or the platform, may take."""

    async def escrow(self, viewer: ViewerRecord) -> dict[str, Any]:
        """Return what a viewer holds for the operator."""

    async def ask_back(self, viewer: ViewerRecord, planck: Planck) -> dict[str, Any]:
        """Request a withdrawal from escrow for a viewer whose key is here."""

    async def take_back(self, viewer: ViewerRecord) -> dict[str, Any]:
        """Take for a viewer whose key is here what was asked back and is ready."""


T = TypeVar("T")


class TakeOut(Protocol):
    """Takes money out of an account, see `mediaserver.accounting.take_out`."""

    def __call__(
        self, account: AccountId, planck: Planck, post: Callable[[], Awaitable[T]]
    ) -> Awaitable[T]:
        """Return what `post` returns, after the store let go of `planck`."""


class SellPass(Protocol):
    """Sells a pass to an account, see `mediaserver.accounting.pass_sales`."""

    def __call__(
        self,
        account: AccountId,
        ask: Callable[[], Awaitable[Pass]],
        pay: Callable[[Pass], Awaitable[Pass]],
        limits: tuple[Units, Units],
    ) -> Awaitable[tuple[Pass | None, Verdict, Units]]:
        """Return the pass, None where it was refused; why; the balance then."""


@dataclass(frozen=True, slots=True)
class Context:
    """Collaborators of the handlers.

    Attributes:
        settings: The whole tree.
        clock: For times of rows and tokens.
        book: The book of record.
        people: Who people are, in the same database.
        payments: What they pay in through providers, in the same database.
        webhooks: Who is told what happens, in the same database.
        decisions: Asks the operator's server who may publish and watch.
        countries: In which country an address is.
        store: Lends the store, which is not rebuilt meanwhile; raises StoreUnavailableError while
            it is not recovered.
        apply_deposits: Writes to a lent store what an account paid in.
        take_out: Takes an amount out of an account in the store, then calls what books that; raises
            NotEnoughError.
        sell_pass: Sells a pass: its price leaves the store, then it is posted.
        apply_later: Remembers an account whose deposits the store does not have.
        token_keys: Keys of viewers' tokens, the one that signs first.
        admin_token: Bearer of the admin API.
        operator: Signs receipts.
        newest_tick: Newest planned tick of a stream: no price may start before it.
        health: What is known of a stream's publisher, as JSON.
        workers: All workers, as JSON.
        changed: Called after a change that HTTP processes must know.
        sent: Waits until they were sent it, at most two seconds: for a key, which is used at once.
        audience: Returns who plays now.
        reconcile: Compares store, book and ledger; returns the report as JSON.
        escrow: Money and joins of the chain; None when batches go to the journal.
        chain: All other dealings with the chain; None when batches go to the journal.
    """

    settings: Settings
    clock: Clock
    book: AsyncBook
    people: People
    payments: Payments
    webhooks: Webhooks
    decisions: Decisions
    countries: Countries
    store: Callable[[], AbstractAsyncContextManager[Store]]
    apply_deposits: Callable[[Store, AccountId], Awaitable[None]]
    apply_later: Callable[[AccountId], None]
    take_out: TakeOut
    sell_pass: SellPass
    token_keys: Sequence[tuple[int, bytes]]
    admin_token: str
    operator: KeyPair
    newest_tick: Callable[[UUID], Awaitable[int]]
    health: Callable[[UUID], dict[str, Any]]
    workers: Callable[[], list[dict[str, Any]]]
    changed: Callable[[], None]
    sent: Callable[[], Awaitable[None]]
    audience: Callable[[], Awaitable[AudienceCount]]
    reconcile: Callable[[], Awaitable[dict[str, Any]]]
    escrow: EscrowPort | None = None
    chain: ChainPort | None = None


CONTEXT: Final = web.AppKey("context", Context)


def of(request: web.Request) -> Context:
    """Return the context of the application that a request came to."""
    return request.app[CONTEXT]
