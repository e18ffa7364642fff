"""Creators' earnings, and their way out: ``.../earnings``, ``.../payouts``, ``/payout-requests``.

A creator asks, finance approves or refuses, a bank pays, finance says so. Nothing here moves money:
the bank does, by the file that it is given.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.context import Context
from mediaserver.api.money.payments import choice
from mediaserver.api.money.top_ups import idempotency_key
from mediaserver.api.queries import page_limit
from mediaserver.api.who import audited, principal
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.payments import orders, payouts
from mediaserver.payments.payouts import PayoutStateError
from mediaserver.payments.records import Payout, PayoutState
from mediaserver.payments.service import Connection
from metering.book.book import Book
from metering.book.records import StreamRecord
from metering.model.earnings import DAY_MS
from metering.units import Planck, account_text

BANK_COLUMNS: Final = (
    *("payout", "payee", "bank_account", "amount", "currency", "remittance", "approved_ms"),
)


@dataclass(frozen=True, slots=True)
class PayoutBody:
    """Body of a request to be paid; its ``Idempotency-Key`` is a header.

    Attributes:
        payee: The name on the bank account.
        planck: How much; left out: all that is available.
    """

    payee: str
    bank_account: str
    planck: Planck | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Body of a refusal."""

    why: str


@dataclass(frozen=True, slots=True)
class Paid:
    """Body of word that a bank paid; `reference` is the bank's."""

    reference: str


def routes() -> list[web.RouteDef]:
    """Return the routes of earnings and payouts."""
    return [
        web.get("/api/v1/streams/{slug}/earnings", _earnings),
        web.get("/api/v1/streams/{slug}/payouts", _of_stream),
        web.post("/api/v1/streams/{slug}/payouts", _ask),
        web.get("/api/v1/payout-requests", _list),
        web.get("/api/v1/payout-requests/bank-file", _bank_file),
        web.post("/api/v1/payout-requests/{payout}/approve", _approve),
        web.post("/api/v1/payout-requests/{payout}/refuse", _refuse),
        web.post("/api/v1/payout-requests/{payout}/paid", _paid),
    ]


async def _earnings(request: web.Request) -> web.Response:
    shared, slug = context.of(request), request.match_info["slug"]
    hold_no_chain(shared)
    matured_ms = _matured_ms(shared)

    def read(book: Book) -> dict[str, Any]:
        stream = book.streams.get(slug)
        with book.viewing() as connection:
            asked = payouts.asked_for(connection, stream.id)
        state = book.payouts.earnings(stream, asked, matured_ms)
        return {
            "stream": stream.slug,
            "title": stream.title,
            "account": account_text(stream.creator),
            "pending": str(state.pending),
            "maturing": str(state.maturing),
            "available": str(state.available),
            "debt": str(state.debt),
            "asked": str(state.asked),
            "paid_out": str(state.paid_out),
            "maturing_days": shared.settings.payout.maturing_days,
        }

    # Every posting of the stream is read: not in the book's only thread, where others wait.
    return web.json_response(await shared.book.view(read))


async def _of_stream(request: web.Request) -> web.Response:
    shared, slug = context.of(request), request.match_info["slug"]
    stream = await shared.book.run(lambda book: book.streams.get(slug))
    return await _page(request, stream)


async def _list(request: web.Request) -> web.Response:
    return await _page(request, None)


async def _page(request: web.Request, stream: StreamRecord | None) -> web.Response:
    shared = context.of(request)
    state, before = choice(request, "state", PayoutState), request.query.get("before")
    limit = page_limit(request, payouts.PAGE_MAX)
    of = None if stream is None else stream.id
    found = await shared.payments.read(
        lambda connection: payouts.page(
            connection, limit=limit + 1, before=before, state=state, stream=of
        )
    )
    return web.json_response(
        {
            "payouts": await _shown(shared, found[:limit]),
            "next_before": found[limit - 1].id if len(found) > limit else None,
        }
    )


async def _ask(request: web.Request) -> web.Response:
    shared, slug = context.of(request), request.match_info["slug"]
    hold_no_chain(shared)
    key = idempotency_key(request, "payout")
    wanted = await request_records.read(request, PayoutBody)
    faults = payouts.bank_faults(wanted.payee, wanted.bank_account)
    if wanted.planck == 0:
        faults.append("planck: 0 is not above 0; leave it out for all that is available")
    if faults:
        raise ApiError(422, "Invalid body", "; ".join(faults), faults=faults)
    stream = await shared.book.run(lambda book: book.streams.get(slug))
    currency = payouts.currency_of(shared.payments.settings, shared.settings.asset)
    draft = Payout(
        id=orders.new_id(),
        stream=stream.id,
        planck=wanted.planck or Planck(0),
        amount=0,
        currency=currency.code,
        currency_decimals=currency.decimals,
        payee=wanted.payee,
        bank_account=wanted.bank_account,
        state=PayoutState.REQUESTED,
        reference=None,
        why="",
        made_by=principal(request).actor,
        idempotency_key=key,
        created_ms=shared.clock.now_ms(),
        decided_ms=None,
        paid_ms=None,
    )
    matured_ms = _matured_ms(shared)
    made, is_new = await _change(
        request,
        "payout.request",
        f"stream:{stream.id}",
        lambda book, connection: payouts.ask(book, connection, stream, draft, currency, matured_ms),
    )
    status = HTTPStatus.CREATED if is_new else HTTPStatus.OK
    return web.json_response(_json(made, stream.slug), status=status)


async def _approve(request: web.Request) -> web.Response:
    shared, payout = context.of(request), request.match_info["payout"]
    now_ms, matured_ms = shared.clock.now_ms(), _matured_ms(shared)
    return await _decide(
        request,
        "payout.approve",
        lambda book, connection: payouts.approve(book, connection, payout, matured_ms, now_ms),
    )


async def _refuse(request: web.Request) -> web.Response:
    payout, now_ms = request.match_info["payout"], context.of(request).clock.now_ms()
    wanted = await request_records.read(request, Refusal)
    _hold_length("why", wanted.why, payouts.WHY_MAX)
    return await _decide(
        request,
        "payout.refuse",
        lambda book, connection: payouts.refuse(book, connection, payout, wanted.why, now_ms),
    )


async def _paid(request: web.Request) -> web.Response:
    payout, now_ms = request.match_info["payout"], context.of(request).clock.now_ms()
    wanted = await request_records.read(request, Paid)
    _hold_length("reference", wanted.reference, payouts.REFERENCE_MAX)
    return await _decide(
        request,
        "payout.paid",
        lambda book, connection: payouts.pay(book, connection, payout, wanted.reference, now_ms),
    )


async def _bank_file(request: web.Request) -> web.Response:
    """Return what a bank is to pay as CSV; asked again it holds what is not said to be paid yet."""
    shared = context.of(request)
    found = await shared.payments.read(payouts.approved)
    slugs = await _slugs(shared, found)
    rows: list[tuple[Any, ...]] = [BANK_COLUMNS]
    for item in found:
        amount = payouts.decimal_text(item.amount, item.currency_decimals)
        remittance = f"{slugs[item.stream]} {item.id}"
        line = (item.id, item.payee, item.bank_account, amount, item.currency, remittance)
        rows.append((*line, item.decided_ms))
    return csv_response(rows, "payouts.csv")


def csv_response(rows: Iterable[tuple[Any, ...]], name: str) -> web.Response:
    """Return rows as a CSV file to keep under a name."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return web.Response(
        text=text.getvalue(),
        content_type="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _decide(
    request: web.Request,
    action: str,
    work: Callable[[Book, Connection], tuple[Payout, bool]],
) -> web.Response:
    shared, payout = context.of(request), request.match_info["payout"]
    made, _ = await _change(request, action, f"payout:{payout[:32]}", work)
    return web.json_response((await _shown(shared, [made]))[0])


async def _change(
    request: web.Request,
    action: str,
    target: str,
    work: Callable[[Book, Connection], tuple[Payout, bool]],
) -> tuple[Payout, bool]:
    try:
        return await audited(
            request,
            action,
            target,
            work,
            after=lambda item: {
                "payout": item[0].id,
                "state": item[0].state.value,
                "planck": str(item[0].planck),
                "amount": str(item[0].amount),
                "currency": item[0].currency,
            },
            is_change=lambda item: item[1],
        )
    except PayoutStateError as error:
        raise ApiError(409, "Not now", str(error)) from error


def hold_no_chain(shared: Context) -> None:
    """Refuse in words where a chain has the earnings.

    Raises:
        ApiError: 409.
    """
    if shared.chain is not None:
        raise ApiError(
            409,
            "Paid out by the chain",
            "with a chain earnings are the creator's credit there: they take it out with their "
            "wallet (`TickStream.withdraw_credit`); where this server holds their key, its "
            "operator does it (`vilokanam withdraw SLUG`)",
        )


def _hold_length(name: str, value: str, most: int) -> None:
    if not 0 < len(value) <= most:
        fault = f"{name}: has 1 to {most} characters: it is kept with the payout"
        raise ApiError(422, "Invalid body", fault, faults=[fault])


def _matured_ms(shared: Context) -> int:
    return shared.clock.now_ms() - shared.settings.payout.maturing_days * DAY_MS


async def _slugs(shared: Context, found: list[Payout]) -> dict[Any, str]:
    streams = {item.stream for item in found}
    return await shared.book.run(lambda book: book.streams.slugs(streams))


async def _shown(shared: Context, found: list[Payout]) -> list[dict[str, Any]]:
    slugs = await _slugs(shared, found)
    return [_json(item, slugs[item.stream]) for item in found]


def _json(item: Payout, slug: str) -> dict[str, Any]:
    return {
        "payout": item.id,
        "stream": slug,
        "state": item.state.value,
        "planck": str(item.planck),
        "amount": str(item.amount),
        "currency": item.currency,
        "currency_decimals": item.currency_decimals,
        "payee": item.payee,
        "bank_account": item.bank_account,
        "reference": item.reference,
        "why": item.why,
        "created_ms": item.created_ms,
        "decided_ms": item.decided_ms,
        "paid_ms": item.paid_ms,
    }
