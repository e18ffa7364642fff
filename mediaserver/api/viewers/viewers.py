"""``/api/v1/viewers``: create, list, show, credit."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from mediaserver import text
from mediaserver.api import context
from mediaserver.api.context import Context, EscrowPort
from mediaserver.api.queries import number
from mediaserver.api.streams import streams
from mediaserver.api.who import asked_of_the_chain, audited
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.payments import inbox
from metering.book.book import Book
from metering.book.records import Deposit, ViewerRecord
from metering.errors import StoreUnavailableError
from metering.model.ledger import balance_and_debt
from metering.units import AccountId, Planck, account_text

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
    limit = number(request, "limit", PAGE_VIEWERS, PAGE_VIEWERS)
    viewers = await shared.book.run(lambda book: page(book, after, limit + 1))
    page_of = [shown(viewer, spent) for viewer, spent in viewers[:limit]]
    return web.json_response(
        {
            "viewers": page_of,
            "next_after": page_of[-1]["name"] if len(viewers) > limit else None,
        }
    )


def page(book: Book, after: str, limit: int) -> list[tuple[ViewerRecord, Planck]]:
    """Return viewers behind a name, each with what they spent."""
    viewers = book.viewers.page(after, limit)
    spent = book.cuts.spent_by([viewer.account for viewer in viewers])
    return [(viewer, spent[viewer.account]) for viewer in viewers]


async def _create(request: web.Request) -> web.Response:
    shared = context.of(request)
    wanted = await request_records.read(request, NewViewer)
    account = None if wanted.account is None else streams.account(wanted.account, "account")
    now_ms = shared.clock.now_ms()
    record, key = await audited(
        request,
        "viewer.create",
        lambda made: f"viewer:{account_text(made[0].account)}",
        lambda book, _: book.viewers.create(wanted.name, account, now_ms),
    )
    return web.json_response(
        {**shown(record, Planck(0)), "viewer_key": key}, status=HTTPStatus.CREATED
    )


async def _show(request: web.Request) -> web.Response:
    shared = context.of(request)
    name = request.match_info["viewer"]

    record, spent = await shared.book.run(
        lambda book: (book.viewers.get(name), book.cuts.spent(book.viewers.get(name).account))
    )
    return web.json_response(shown(record, spent))


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
    if key.startswith(inbox.KEY_PREFIX):
        raise ApiError(
            422,
            "Invalid value",
            f"Idempotency-Key: {key[:80]!r} begins with {inbox.KEY_PREFIX!r}, as those of "
            "providers' payments do; give one of your own",
        )
    wanted = await request_records.read(request, Credit)
    record = await shared.book.run(lambda book: book.viewers.get(name))
    if wanted.memo and shared.escrow is not None:
        fault = (
            "memo: with a chain a deposit is booked from the chain's own event, which has no room "
            "for it; leave it out, and find the payment by its Idempotency-Key"
        )
        raise ApiError(422, "Invalid body", fault, faults=[fault])
    booked, applied = await _booked(request, record.account, wanted, key)
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


async def _booked(
    request: web.Request, account: AccountId, wanted: Credit, key: str
) -> tuple[Deposit, bool]:
    """Book a credit with its entry in the audit log; else as `deposit`."""
    shared = context.of(request)
    action, target = "viewer.credit", f"viewer:{account_text(account)}"
    after = {"planck": str(wanted.planck)}
    if shared.escrow is not None:
        return await asked_of_the_chain(
            request, action, target, lambda: deposit(shared, account, wanted.planck, key, ""), after
        )
    now_ms = shared.clock.now_ms()
    booked = await audited(
        request,
        action,
        target,
        lambda book, _: book.deposits.add(account, wanted.planck, key, wanted.memo, now_ms),
        after=lambda _: after,
        is_change=lambda made: made.is_new,
    )
    return booked, await tell_store(shared, account)


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
    return booked, await tell_store(shared, account)


async def tell_store(shared: Context, account: AccountId) -> bool:
    """Write what an account paid in to the store; False: it is away, and learns of it later."""
    try:
        async with shared.store() as store:
            await shared.apply_deposits(store, account)
    except StoreUnavailableError:
        shared.apply_later(account)
        return False
    return True


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


def shown(record: ViewerRecord, spent: Planck) -> dict[str, Any]:
    """Return a viewer as staff sees them."""
    balance, debt = balance_and_debt(record.stayed, spent)
    return {
        "account": account_text(record.account),
        "name": record.name,
        "created_ms": record.created_ms,
        "has_wallet": record.has_wallet,
        "deposited": str(record.deposited),
        "withdrawn": str(record.withdrawn),
        "given_back": str(record.given_back),
        "spent": str(spent),
        "balance": str(balance),
        "debt": str(debt),
    }
