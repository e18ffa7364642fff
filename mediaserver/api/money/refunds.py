"""``/api/v1/payments/.../refunds``, ``/api/v1/viewers/{viewer}/refunds``: what finance gives back.

It is in the book with the answer; what was spent of it already is a debt of the account. The
provider is asked after that, and again until it says how it ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from mediaserver import text
from mediaserver.api import context
from mediaserver.api.context import Context
from mediaserver.api.money.payment_orders import refund_json
from mediaserver.api.money.payments import choice
from mediaserver.api.money.top_ups import idempotency_key
from mediaserver.api.queries import page_limit
from mediaserver.api.viewers.viewers import shown, tell_store
from mediaserver.api.who import audited, principal
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.payments import inbox, orders, refunding, refunds
from mediaserver.payments.records import Refund, RefundState
from metering.book.returns import Return, ReturnKind
from metering.errors import InvalidValueError
from metering.units import AccountId, Planck, account_text

OWN_PREFIX: Final = "own:"
"""Of the references of refunds that no provider knows of."""


@dataclass(frozen=True, slots=True)
class OrderRefund:
    """Body of a refund of an order's payment; its ``Idempotency-Key`` is a header.

    Attributes:
        amount: In minor units.
        reference: It was given back by hand already: the provider's id of that.
    """

    amount: int
    why: str
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class DepositRefund:
    """Body of a refund of a deposit that no provider brought; its ``Idempotency-Key`` is a header.

    Attributes:
        deposit: The ``Idempotency-Key`` of its credit.
    """

    deposit: str
    planck: Planck
    why: str


@dataclass(frozen=True, slots=True)
class Done:
    """Body of word that a refund was made; `reference` is the provider's id of it."""

    reference: str


def routes() -> list[web.RouteDef]:
    """Return the routes of refunds; before those of orders, whose ids they are not."""
    return [
        web.get("/api/v1/payments/refunds", _list),
        web.post("/api/v1/payments/refunds/{refund}/done", _done),
        web.post("/api/v1/payments/{order}/refunds", _refund),
        web.post("/api/v1/viewers/{viewer}/refunds", _refund_deposit),
    ]


async def _list(request: web.Request) -> web.Response:
    state, before = choice(request, "state", RefundState), request.query.get("before")
    limit = page_limit(request, refunds.PAGE_MAX)
    found = await context.of(request).payments.read(
        lambda connection: refunds.page(connection, limit=limit + 1, before=before, state=state)
    )
    return web.json_response(
        {
            "refunds": [refund_json(item) for item in found[:limit]],
            "next_before": found[limit - 1].id if len(found) > limit else None,
        }
    )


async def _refund(request: web.Request) -> web.Response:
    shared = context.of(request)
    _hold_no_chain(shared)
    key = idempotency_key(request, "refund")
    wanted = await request_records.read(request, OrderRefund)
    faults = _why_faults(wanted.why)
    if wanted.reference is not None:
        faults += _reference_faults(wanted.reference)
    _hold(faults)
    order_id, by, now_ms = request.match_info["order"], principal(request).actor, _now(shared)
    order = await shared.payments.read(lambda connection: orders.get(connection, order_id))
    draft = refunding.draft(order, wanted.amount, wanted.why, by, key, now_ms, wanted.reference)
    made, is_new = await audited(
        request,
        "payment.refund",
        f"order:{order.id}",
        lambda book, connection: refunding.make(book, connection, draft),
        after=lambda item: {
            "refund": item[0].id,
            "amount": str(item[0].amount),
            "planck": str(item[0].planck),
        },
        is_change=lambda item: item[1],
    )
    await tell_store(shared, made.account)
    return await answer(shared, made, is_new=is_new)


async def answer(shared: Context, made: Refund, *, is_new: bool) -> web.Response:
    """Return a refund that is in the book, after its provider was asked for it."""
    sent = await refunding.send(shared.payments, made, _now(shared))
    if sent.state is RefundState.REFUSED:
        await tell_store(shared, made.account)
    return web.json_response(
        refund_json(sent), status=HTTPStatus.CREATED if is_new else HTTPStatus.OK
    )


async def _done(request: web.Request) -> web.Response:
    """Note that somebody gave back by hand what was asked."""
    shared, refund = context.of(request), request.match_info["refund"]
    wanted = await request_records.read(request, Done)
    _hold(_reference_faults(wanted.reference))
    now_ms = _now(shared)
    known = await shared.payments.read(lambda connection: refunds.get(connection, refund))
    is_changed = await audited(
        request,
        "payment.refund.done",
        f"order:{known.order}",
        lambda book, connection: refunding.done(book, connection, known, wanted.reference, now_ms),
        after=lambda _: {"refund": refund, "reference": wanted.reference},
        is_change=bool,
    )
    if is_changed:
        await tell_store(shared, known.account)
    ended = await shared.payments.read(lambda connection: refunds.get(connection, refund))
    if ended.state is not RefundState.DONE:
        raise ApiError(409, "Refused already", f"refund {refund} was refused: {ended.detail}")
    return web.json_response(refund_json(ended))


async def _refund_deposit(request: web.Request) -> web.Response:
    shared, name = context.of(request), request.match_info["viewer"]
    _hold_no_chain(shared)
    key = idempotency_key(request, "refund")
    wanted = await request_records.read(request, DepositRefund)
    faults = _why_faults(wanted.why)
    if wanted.deposit.startswith(inbox.KEY_PREFIX):
        faults.append(
            f"deposit: {wanted.deposit[:80]!r} is of a provider's payment: refund its order, by "
            "`vilokanam payments refund`"
        )
    reference = f"{OWN_PREFIX}{key}"
    if len(reference) > orders.IDEMPOTENCY_KEY_MAX:
        faults.append(f"Idempotency-Key: has {len(key)} characters; use at most 190")
    if wanted.planck <= 0:
        faults.append(f"planck: {wanted.planck} is not above 0")
    _hold(faults)
    record = await shared.book.run(lambda book: book.viewers.get(name))
    now_ms = _now(shared)
    back = Return(ReturnKind.REFUND, reference, wanted.deposit, wanted.planck, wanted.why)

    def give(book: Any, _: Any) -> bool:
        deposits = book.deposits.with_keys(wanted.deposit)
        if deposits.get(wanted.deposit, (None,))[0] != record.account:
            raise InvalidValueError(
                f"deposit: {record.name} has no deposit {wanted.deposit[:80]!r}; give the "
                "--key of its credit"
            )
        return book.returns.add(back, now_ms) is not None

    is_new = await audited(
        request,
        "viewer.refund",
        f"viewer:{account_text(record.account)}",
        give,
        after=lambda _: {"deposit": wanted.deposit, "planck": str(wanted.planck)},
        is_change=bool,
    )
    is_applied = await tell_store(shared, record.account)
    return web.json_response(
        {**await _money(shared, record.account), "is_new": is_new, "is_applied": is_applied},
        status=HTTPStatus.CREATED if is_new else HTTPStatus.OK,
    )


async def _money(shared: Context, account: AccountId) -> dict[str, Any]:
    viewer, spent = await shared.book.run(
        lambda book: (book.viewers.get(account), book.cuts.spent(account))
    )
    return shown(viewer, spent)


def _hold_no_chain(shared: Context) -> None:
    if shared.escrow is not None:
        raise ApiError(
            409,
            "Nothing to refund here",
            "with a chain a deposit is in the viewer's own escrow: they take back there what they "
            "did not spend, or `POST /api/v1/viewers/{viewer}/escrow/request` does it for a viewer "
            "whose key the server made; what was spent is the creator's",
        )


def _hold(faults: list[str]) -> None:
    if faults:
        raise ApiError(422, "Invalid body", "; ".join(faults), faults=faults)


def _why_faults(why: str) -> list[str]:
    if not 0 < len(why) <= refunds.WHY_MAX or text.fault(why):
        return [f"why: has 1 to {refunds.WHY_MAX} printable characters: it is kept with it"]
    return []


def _reference_faults(reference: str) -> list[str]:
    if not 0 < len(reference) <= refunds.REFERENCE_MAX or text.fault(reference):
        return [f"reference: has 1 to {refunds.REFERENCE_MAX} printable characters"]
    return []


def _now(shared: Context) -> int:
    return shared.clock.now_ms()
