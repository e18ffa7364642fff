"""``/api/v1/payments``: everybody's orders and the inbox, for staff; ``/hooks/payments``: in."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, TypeVar

from aiohttp import web

from mediaserver.api import context, who
from mediaserver.api.auth import HOOKS_PREFIX
from mediaserver.api.money.payment_orders import order_json, refund_json
from mediaserver.api.queries import page_limit, whole
from mediaserver.api.viewers.viewers import tell_store
from mediaserver.http.problem import ApiError
from mediaserver.payments import inbox, orders, refunds, taken_back
from mediaserver.payments.provider import UnreadableNoticeError, WrongSignatureError
from mediaserver.payments.records import KeptNotice, Order, OrderState, Outcome
from mediaserver.payments.reversals import Reversal, ReversalKind
from mediaserver.payments.service import Connection, Payments

NUMBER_MAX: Final = (1 << 53) - 1

E = TypeVar("E", bound=StrEnum)


def routes() -> list[web.RouteDef]:
    """Return the routes of payments."""
    return [
        web.get("/api/v1/payments", _list),
        web.get("/api/v1/payments/notices", _inbox),
        web.get("/api/v1/payments/notices/{notice}", _notice),
        web.get("/api/v1/payments/{order}", _show),
        web.post(f"{HOOKS_PREFIX}{{provider}}", _hear),
    ]


async def _list(request: web.Request) -> web.Response:
    shared = context.of(request)
    state, before = choice(request, "state", OrderState), request.query.get("before")
    limit = page_limit(request, orders.PAGE_MAX)
    found = await shared.payments.read(
        lambda connection: orders.page(connection, limit=limit + 1, before=before, state=state)
    )
    return web.json_response(
        {
            "payments": [_order_json(shared.payments, order) for order in found[:limit]],
            "next_before": found[limit - 1].id if len(found) > limit else None,
        }
    )


async def _inbox(request: web.Request) -> web.Response:
    shared = context.of(request)
    outcome = choice(request, "outcome", Outcome)
    limit = page_limit(request, inbox.PAGE_MAX)
    given = request.query.get("before")
    before = None if given is None else whole(given, "before", NUMBER_MAX)
    found = await shared.payments.read(
        lambda connection: inbox.page(connection, limit=limit + 1, before=before, outcome=outcome)
    )
    return web.json_response(
        {
            "notices": [_notice_json(shared.payments, kept) for kept in found[:limit]],
            "next_before": found[limit - 1].number if len(found) > limit else None,
        }
    )


async def _notice(request: web.Request) -> web.Response:
    """Return the body of a notice as it came."""
    number = whole(request.match_info["notice"], "the number of a notice", NUMBER_MAX)
    body = await context.of(request).payments.read(
        lambda connection: inbox.body_of(connection, number)
    )
    return web.Response(
        body=body,
        content_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="notice-{number}"'},
    )


async def _show(request: web.Request) -> web.Response:
    payments, order = context.of(request).payments, request.match_info["order"]

    def read(connection: Connection) -> dict[str, Any]:
        found = orders.get(connection, order)
        known: list[Reversal] = []
        if found.payment is not None:
            known = taken_back.of_payment(connection, found.provider, found.payment)
        kept = inbox.of_order(connection, order)
        asked = refunds.of_order(connection, order)
        return {
            **_order_json(payments, found),
            "given_back": str(taken_back.amount_back(found, known)),
            "given_back_planck": str(taken_back.planck_back(found, known)),
            "reversals": [
                _reversal_json(item) for item in known if item.kind is not ReversalKind.TOLD_BEFORE
            ],
            "refunds": [refund_json(item) for item in asked],
            "notices": [_notice_json(payments, notice) for notice in kept],
        }

    return web.json_response(await payments.read(read))


async def _hear(request: web.Request) -> web.Response:
    shared = context.of(request)
    name, body = request.match_info["provider"], await request.read()
    try:
        taken = await shared.payments.hear(name, body, request.headers, shared.clock.now_ms())
    except WrongSignatureError as error:
        raise who.wrong("payment webhook", str(error)) from error
    except UnreadableNoticeError as error:
        raise error.answer from error
    if taken.account is not None:
        await tell_store(shared, taken.account)
    return web.json_response({"outcome": taken.outcome.value, "detail": taken.detail})


def _order_json(payments: Payments, order: Order) -> dict[str, Any]:
    """Return an order as staff sees it; its address to pay at is its payer's."""
    shown = order_json(payments, order)
    del shown["pay_url"]
    return {**shown, "person": order.person}


def _reversal_json(known: Reversal) -> dict[str, Any]:
    return {
        "kind": known.kind.value,
        "id": known.id,
        "amount": str(known.amount),
        "currency": known.currency,
        "is_total": known.is_total,
        "is_undone": known.is_undone,
    }


def _notice_json(payments: Payments, kept: KeptNotice) -> dict[str, Any]:
    notice = kept.notice
    return {
        "number": kept.number,
        "provider": kept.provider,
        "event": notice.event,
        "received_ms": kept.received_ms,
        "kind": notice.kind,
        "status": notice.status.value,
        "order": notice.order or None,
        "payment": notice.payment or None,
        "reversal": notice.reversal or None,
        "amount": None if notice.amount is None else str(notice.amount),
        "currency": notice.currency or None,
        "currency_decimals": payments.decimals_of(kept.provider, notice.currency),
        "is_live": notice.is_live,
        "outcome": kept.outcome.value,
        "detail": kept.detail,
    }


def choice(request: web.Request, name: str, kind: type[E]) -> E | None:
    """Return the word of a query that is one of an enum's, None when it is not there.

    Raises:
        ApiError: 422, it is none of them.
    """
    given = request.query.get(name)
    if given is None:
        return None
    try:
        return kind(given)
    except ValueError as error:
        known = " or ".join(item.value for item in kind)
        raise ApiError(
            422, "Invalid query", f"{name}: {given[:40]} is not known; use {known}"
        ) from error
