"""Earnings on their way out: ``.../payouts``, ``/payout-requests``.

A creator asks, or a payee (`own_earnings`), finance approves or refuses, a bank pays, finance says
so. Nothing here moves money: the bank does, by the file that it is given.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.context import Context
from mediaserver.api.money.earnings import earned_before_ms, hold_no_chain
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
from mediaserver.people.records import Principal, Role
from metering.book.book import Book
from metering.book.records import StreamRecord
from metering.units import AccountId, Planck, account_text, parse_account

BANK_COLUMNS: Final = (
    *("payout", "payee", "bank_account", "amount", "currency", "remittance", "approved_ms"),
)

_MONEY_READERS: Final = frozenset({Role.OWNER, Role.FINANCE, Role.AUDITOR})
_MAY_NAME: Final = frozenset({Role.OWNER, Role.FINANCE})


@dataclass(frozen=True, slots=True)
class PayoutBody:
    """Body of a request to be paid; its ``Idempotency-Key`` is a header.

    Attributes:
        payee: The name on the bank account.
        planck: How much; left out: all that is available.
        account: Whose earnings; left out: the creator's. Finance names a payee.
    """

    payee: str
    bank_account: str
    planck: Planck | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Body of a refusal."""

    why: str


@dataclass(frozen=True, slots=True)
class Paid:
    """Body of word that a bank paid; `reference` is the bank's."""

    reference: str


def routes() -> list[web.RouteDef]:
    """Return the routes of payouts."""
    return [
        web.get("/api/v1/streams/{slug}/payouts", _of_stream),
        web.post("/api/v1/streams/{slug}/payouts", _ask),
        web.get("/api/v1/payout-requests", _list),
        web.get("/api/v1/payout-requests/bank-file", _bank_file),
        web.post("/api/v1/payout-requests/{payout}/approve", _approve),
        web.post("/api/v1/payout-requests/{payout}/refuse", _refuse),
        web.post("/api/v1/payout-requests/{payout}/paid", _paid),
    ]


async def _of_stream(request: web.Request) -> web.Response:
    shared, slug = context.of(request), request.match_info["slug"]
    stream = await shared.book.run(lambda book: book.streams.get(slug))
    # Where a payee is paid is no matter of who shares with them.
    return await payouts_page(request, stream, is_creators=not reads_all_money(principal(request)))


def reads_all_money(by: Principal) -> bool:
    """Return whether somebody reads of everybody's money, not of their own streams' alone."""
    return by.scopes is not None or bool(by.roles & _MONEY_READERS)


async def _list(request: web.Request) -> web.Response:
    return await payouts_page(request, None)


async def payouts_page(
    request: web.Request,
    stream: StreamRecord | None,
    *,
    accounts: Sequence[AccountId] | None = None,
    is_creators: bool = False,
) -> web.Response:
    """Return a page of payouts, as `payouts.page` takes whose."""
    shared = context.of(request)
    state, before = choice(request, "state", PayoutState), request.query.get("before")
    limit = page_limit(request, payouts.PAGE_MAX)
    of = None if stream is None else stream.id
    found = await shared.payments.read(
        lambda connection: payouts.page(
            connection,
            limit=limit + 1,
            before=before,
            state=state,
            stream=of,
            accounts=accounts,
            is_creators=is_creators,
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
    wanted = await request_records.read(request, PayoutBody)
    stream = await shared.book.run(lambda book: book.streams.get(slug))
    payee = None
    if wanted.account is not None:
        payee = await _payee_of(request, stream, wanted.account)
    return await ask(request, stream, payee, wanted.payee, wanted.bank_account, wanted.planck)


async def _payee_of(request: web.Request, stream: StreamRecord, name: str) -> AccountId | None:
    """Return the payee that finance names; None for the creator.

    Raises:
        ApiError: 403 for who may not say where a payee is paid, 422 when there is no such payee.
    """
    by = principal(request)
    if by.scopes is None and not by.roles & _MAY_NAME:
        raise ApiError(
            403,
            "Not allowed",
            "where a payee is paid they say themselves (`me/payouts`), or finance for them: leave "
            "`account` out for the creator's own earnings",
        )
    try:
        whose = parse_account(name)
    except ValueError as error:
        raise ApiError(422, "Invalid body", f"account: {error}") from error
    if whose == stream.creator:
        return None
    known = await context.of(request).book.run(lambda book: book.splits.payees(stream.id))
    if whose not in known:
        fault = f"account: {name} is no payee of {stream.slug}, and never was"
        raise ApiError(422, "Invalid body", fault, faults=[fault])
    return whose


async def ask(  # noqa: PLR0917 -- a request's parts
    request: web.Request,
    stream: StreamRecord,
    account: AccountId | None,
    payee: str,
    bank_account: str,
    planck: Planck | None,
) -> web.Response:
    """Ask that a creator (None) or payee is paid; return the answer.

    Raises:
        ApiError: 422 for what a bank cannot use, 409 while another one is under way.
    """
    shared = context.of(request)
    key = idempotency_key(request, "payout")
    faults = payouts.bank_faults(payee, bank_account)
    if planck == 0:
        faults.append("planck: 0 is not above 0; leave it out for all that is available")
    if faults:
        raise ApiError(422, "Invalid body", "; ".join(faults), faults=faults)
    currency = payouts.currency_of(shared.payments.settings, shared.settings.asset)
    draft = Payout(
        id=orders.new_id(),
        stream=stream.id,
        planck=planck or Planck(0),
        amount=0,
        currency=currency.code,
        currency_decimals=currency.decimals,
        payee=payee,
        bank_account=bank_account,
        state=PayoutState.REQUESTED,
        reference=None,
        why="",
        made_by=principal(request).actor,
        idempotency_key=key if account is None else payouts.payee_key(account, key),
        created_ms=shared.clock.now_ms(),
        decided_ms=None,
        paid_ms=None,
        account=account,
    )
    matured_ms = earned_before_ms(shared)
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
    now_ms, matured_ms = shared.clock.now_ms(), earned_before_ms(shared)
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
                "account": _whose(item[0]),
                "state": item[0].state.value,
                "planck": str(item[0].planck),
                "amount": str(item[0].amount),
                "currency": item[0].currency,
            },
            is_change=lambda item: item[1],
        )
    except PayoutStateError as error:
        raise ApiError(409, "Not now", str(error)) from error


def _hold_length(name: str, value: str, most: int) -> None:
    if not 0 < len(value) <= most:
        fault = f"{name}: has 1 to {most} characters: it is kept with the payout"
        raise ApiError(422, "Invalid body", fault, faults=[fault])


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
        "account": _whose(item),
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


def _whose(item: Payout) -> str | None:
    """Return the payee whose earnings a payout is of; None: the creator's."""
    return None if item.account is None else account_text(item.account)
