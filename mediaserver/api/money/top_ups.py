"""``/api/v1/me/top-ups``: what somebody pays in themselves, through a provider."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from aiohttp import web

from mediaserver import text
from mediaserver.api import context
from mediaserver.api.money.payment_orders import order_json, pay
from mediaserver.api.people.me import person_of
from mediaserver.api.viewers.own_account import account_of
from mediaserver.api.who import audited
from mediaserver.hls.addresses import is_slug
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.payments import orders

PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class TopUp:
    """Body of a new top-up; its ``Idempotency-Key`` is a header.

    Attributes:
        amount: In the minor unit of ``payments.currency``; none for the demo's button.
        stream: The page that the payer comes back to; none is their account's.
    """

    provider: str
    amount: int | None = None
    stream: str | None = None


def routes() -> list[web.RouteDef]:
    """Return the routes of one's own top-ups."""
    return [
        web.get("/api/v1/me/top-ups", _list),
        web.post("/api/v1/me/top-ups", _order),
    ]


async def _list(request: web.Request) -> web.Response:
    shared, person = context.of(request), person_of(request)
    before = request.query.get("before")
    found = await shared.payments.read(
        lambda connection: orders.page(connection, limit=PAGE + 1, before=before, person=person)
    )
    settings = shared.payments.settings
    return web.json_response(
        {
            "top_ups": [order_json(shared.payments, order) for order in found[:PAGE]],
            "next_before": found[PAGE - 1].id if len(found) > PAGE else None,
            "providers": shared.payments.names,
            "currency": settings.currency,
            "currency_decimals": settings.currency_decimals,
            "amount_min": settings.top_up_min,
            "amount_max": settings.top_up_max,
            "planck_per_minor_unit": settings.planck_per_minor_unit,
        }
    )


async def _order(request: web.Request) -> web.Response:
    shared, person = context.of(request), person_of(request)
    key = idempotency_key(request, "top-up")
    wanted = await request_records.read(request, TopUp)
    if wanted.stream is not None and not is_slug(wanted.stream):
        fault = f"stream: {wanted.stream[:80]} is not the public name of a stream"
        raise ApiError(422, "Invalid body", fault, faults=[fault])
    now_ms = shared.clock.now_ms()

    account = await account_of(request, person)
    draft = shared.payments.draft(wanted.provider, wanted.amount, account, person, key, now_ms)
    order = await audited(
        request,
        "top_up.order",
        f"person:{person}",
        lambda _, connection: orders.make(connection, draft),
        after=lambda made: {
            "order": made.id,
            "provider": made.provider,
            "amount": str(made.amount),
            "currency": made.currency,
        },
    )
    back = f"{shared.settings.public_url}/{wanted.stream or 'me'}/"
    order = await pay(shared, order, back)
    is_new = order.created_ms == now_ms
    return web.json_response(
        order_json(shared.payments, order), status=HTTPStatus.CREATED if is_new else HTTPStatus.OK
    )


def idempotency_key(request: web.Request, what: str) -> str:
    """Return the key by which a repeated request is the same.

    Raises:
        ApiError: 400 when there is none, or none that can be one.
    """
    key = request.headers.get("Idempotency-Key", "")
    if not 0 < len(key) <= orders.IDEMPOTENCY_KEY_MAX or text.fault(key):
        raise ApiError(
            400,
            "No idempotency key",
            f"send the header Idempotency-Key with a value of your own for each new {what}, so "
            "that a repeated request is booked once",
        )
    return key
