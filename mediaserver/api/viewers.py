"""``/api/v1/viewers``: create, list, show, credit."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from mediaserver import text
from mediaserver.api import context, streams
from mediaserver.api.context import Context, EscrowPort
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from metering.book.book import Book
from metering.book.records import Deposit, ViewerRecord
from metering.errors import StoreUnavailableError
from metering.units import AccountId, Planck, Units, account_text

BOOKED_MS: Final = 5000
"""A deposit that is final is in the book within a second or two."""
PAGE_VIEWERS: Final = 500
"""Viewers in one answer: the rest come with ``?after=<name>``."""


@dataclass(frozen=True, slots=True)
class NewViewer:
    """Body of a new viewer; without an account the server makes a key for them."""

    name: str
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Credit:
    """Body of a credit; its ``Idempotency-Key`` is a header."""

    planck: Planck
    memo: str = ""


def routes() -> list[web.RouteDef]:
    """Return the routes of viewers."""
    return [
        web.get("/api/v1/viewers", _list),
        web.post("/api/v1/viewers", _create),
        web.get("/api/v1/viewers/{viewer}", _show),
        web.post("/api/v1/viewers/{viewer}/credits", _credit),
    ]


async def _list(request: web.Request) -> web.Response:
    shared = context.of(request)
    after = request.query.get("after", "")

    def page(book: Book) -> list[tuple[ViewerRecord, Planck]]:
        viewers = [viewer for viewer in book.viewers.all() if viewer.name > after]
        return [(item, book.cuts.spent(item.account)) for item in viewers[: PAGE_VIEWERS + 1]]

    viewers = await shared.book.run(page)
    shown = [_shown(viewer, spent) for viewer, spent in viewers[:PAGE_VIEWERS]]
    return web.json_response(
        {
            "viewers": shown,
            "next_after": shown[-1]["name"] if len(viewers) > PAGE_VIEWERS else None,
        }
    )


async def _create(request: web.Request) -> web.Response:
    shared = context.of(request)
    wanted = await request_records.read(request, NewViewer)
    account = None if wanted.account is None else streams.account(wanted.account, "account")
    now_ms = shared.clock.now_ms()
    record, key = await shared.book.run(
        lambda book: book.viewers.create(wanted.name, account, now_ms)
    )
    return web.json_response(
        {**_shown(record, Planck(0)), "viewer_key": key}, status=HTTPStatus.CREATED
    )


async def _show(request: web.Request) -> web.Response:
    shared = context.of(request)
    name = request.match_info["viewer"]

    record, spent = await shared.book.run(
        lambda book: (book.viewers.get(name), book.cuts.spent(book.viewers.get(name).account))
    )
    return web.json_response(_shown(record, spent))


async def _credit(request: web.Request) -> web.Response:
    shared = context.of(request)
    name = request.match_info["viewer"]
    key = request.headers.get("Idempotency-Key", "")
    if not key or text.fault(key):
        raise ApiError(
            400,
            "No idempotency key",
            "send the header Idempotency-Key with a value of your own for each new credit, so that "
            "a repeated request is booked once",
        )
    wanted = await request_records.read(request, Credit)
    record = await shared.book.run(lambda book: book.viewers.get(name))
    booked, applied = await deposit(shared, record.account, wanted.planck, key, wanted.memo)
    return web.json_response(
        {
            "account": account_text(record.account),
            "name": record.name,
            "is_new": booked.is_new,
            "deposited": str(booked.total_planck),
            "is_applied": applied,
        },
        status=HTTPStatus.CREATED if booked.is_new else HTTPStatus.OK,
    )


async def deposit(
    shared: Context, account: AccountId, planck: Planck, key: str, memo: str
) -> tuple[Deposit, bool]:
    """Book a deposit and tell the store; return it, and whether the store has it already.

    A store that is away learns of it as soon as it is back. On a chain the deposit is made there,
    into the escrow of a viewer whose key we hold, and booked when it is final.

    Raises:
        ApiError: 409 on a chain, for a viewer who signs for themselves.
    """
    if shared.escrow is not None:
        return await _deposit_on_chain(shared, shared.escrow, account, planck, key)
    now_ms = shared.clock.now_ms()
    booked = await shared.book.run(
        lambda book: book.deposits.add(account, planck, key, memo, now_ms)
    )
    try:
        async with shared.store() as store:
            await shared.apply_deposits(store, account)
    except StoreUnavailableError:
        shared.apply_later(account)
        return booked, False
    return booked, True


async def _deposit_on_chain(
    shared: Context, escrow: EscrowPort, account: AccountId, planck: Planck, key: str
) -> tuple[Deposit, bool]:
    if not await escrow.holds(account):
        raise ApiError(
            409,
            "Deposit on the chain",
            "this viewer signs with their own wallet: they deposit into the escrow of the operator "
            f"{account_text(shared.operator.account)}, and it is booked here by itself",
            operator=account_text(shared.operator.account),
        )
    before = await shared.book.run(lambda book: book.deposits.total(account))
    is_new = await escrow.deposit(account, planck, key)
    total = await shared.book.run(lambda book: book.deposits.total(account))
    deadline_ms = shared.clock.now_ms() + BOOKED_MS
    while is_new and total == before and (left_ms := deadline_ms - shared.clock.now_ms()) > 0:
        moves = escrow.moves
        total = await shared.book.run(lambda book: book.deposits.total(account))
        if total == before:
            await escrow.wait_moved(moves, left_ms / 1000)
        total = await shared.book.run(lambda book: book.deposits.total(account))
    return Deposit(is_new=is_new, total_planck=total), total > before or not is_new


def units(shared: Context, planck: int) -> Units:
    """Return planck as the store counts it."""
    return Units(planck // int(shared.settings.price.quantum_planck))


def _shown(record: ViewerRecord, spent: Planck) -> dict[str, Any]:
    return {
        "account": account_text(record.account),
        "name": record.name,
        "created_ms": record.created_ms,
        "has_wallet": record.has_wallet,
        "deposited": str(record.deposited),
        "withdrawn": str(record.withdrawn),
        "spent": str(spent),
        "balance": str(record.deposited - record.withdrawn - spent),
    }
