"""``/api/v1/me/auto-top-up``: what somebody allows to be paid by itself when their balance is low.

It is money that leaves without a click, so allowing it asks for a way in that was shown within five
minutes; ending it asks for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.context import Context
from mediaserver.api.money.payment_orders import pay
from mediaserver.api.people.me import person_of
from mediaserver.api.viewers.limits import limit_fault
from mediaserver.api.viewers.own_account import account_of
from mediaserver.api.who import audited
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.payments import auto_charges, auto_rules, demo_button, orders
from mediaserver.payments.auto_records import (
    AutoState,
    AutoTopUp,
    Charge,
    Spent,
    held_by,
)
from mediaserver.payments.records import Order
from mediaserver.payments.service import Connection, Payments
from metering.book.book import Book
from metering.errors import InvalidValueError
from metering.model.amounts import amount_text
from metering.units import Asset, Planck

NOTHING: Final = Spent(0, 0)


@dataclass(frozen=True, slots=True)
class Allowed:
    """Body: what is allowed.

    Attributes:
        threshold_planck: A balance below it is filled.
        amount: Of one payment, in the unit of the provider's offer; none for the demo's.
        day_max: Most of a UTC day, in the same unit.
        month_max: Most of a UTC month, in the same unit.
    """

    provider: str
    threshold_planck: Planck
    day_max: int
    month_max: int
    amount: int | None = None


def routes() -> list[web.RouteDef]:
    """Return the routes of one's own automatic top-up."""
    return [
        web.get("/api/v1/me/auto-top-up", _show),
        web.put("/api/v1/me/auto-top-up", _put),
        web.delete("/api/v1/me/auto-top-up", _end),
    ]


async def _show(request: web.Request) -> web.Response:
    return web.json_response(await _shown(context.of(request), person_of(request)))


async def _put(request: web.Request) -> web.Response:
    shared, person = context.of(request), person_of(request)
    if shared.escrow is not None:
        raise ApiError(
            409,
            "Pay in on the chain",
            "with a chain your money is in your own escrow there: nothing is paid in from here",
        )
    wanted = await request_records.read(request, Allowed)
    fault = await limit_fault(shared, wanted.threshold_planck, "threshold_planck")
    now_ms = shared.clock.now_ms()
    account = await account_of(request, person)
    order, faults = None, [fault] if fault else []
    try:
        if wanted.provider in shared.payments.names:
            order = shared.payments.draft(
                wanted.provider, wanted.amount, account, person, None, now_ms
            )
    except InvalidValueError as error:
        faults.append(str(error))
    faults += _faults(shared, wanted, order)
    if faults or order is None:
        raise ApiError(422, "Invalid body", "; ".join(faults), faults=faults)
    draft, provider = order, shared.payments.provider(wanted.provider)

    def put(_: Book, connection: Connection) -> tuple[AutoTopUp, Order | None]:
        known = auto_rules.find(connection, person)
        means = known.means if known is not None and known.provider == wanted.provider else ""
        first = None
        if provider.needs_means and not means:
            first = orders.make(connection, draft)
        rule = AutoTopUp(
            person=person,
            account=account,
            provider=wanted.provider,
            currency=draft.currency,
            threshold=wanted.threshold_planck,
            amount=draft.amount,
            day_max=wanted.day_max,
            month_max=wanted.month_max,
            state=AutoState.ON if first is None else AutoState.SETTING_UP,
            means=means,
            setup_order=None if first is None else first.id,
            crossing=0 if known is None else known.crossing,
            changed_ms=now_ms,
        )
        auto_rules.put(connection, rule)
        return rule, first

    rule, first = await audited(
        request,
        "auto_top_up.set",
        f"person:{person}",
        put,
        before=lambda _, connection: _kept(auto_rules.find(connection, person)),
        after=lambda made: _kept(made[0]),
    )
    pay_url = None
    if first is not None:
        # The page says that its card is charged later, too; paid, it is a top-up like any other.
        back = f"{shared.settings.public_url}/me/"
        pay_url = (await pay(shared, first, back, saves=True)).pay_url or None
    return web.json_response({**await _shown(shared, rule.person), "pay_url": pay_url})


async def _end(request: web.Request) -> web.Response:
    shared, person = context.of(request), person_of(request)
    now_ms = shared.clock.now_ms()
    await audited(
        request,
        "auto_top_up.end",
        f"person:{person}",
        lambda _, connection: auto_rules.turn_off(connection, person, "", now_ms),
        before=lambda _, connection: _kept(auto_rules.find(connection, person)),
        is_change=bool,
    )
    return web.json_response(await _shown(shared, person))


def _faults(shared: Context, wanted: Allowed, order: Order | None) -> Iterator[str]:
    payments = shared.payments
    if wanted.provider not in payments.charging:
        known = ", ".join(payments.charging) or "none"
        yield (
            f"provider: {wanted.provider[:40]!r} takes no automatic payments here; those that do "
            f"are: {known}"
        )
    if not wanted.threshold_planck:
        yield "threshold_planck: 0 is never reached; choose a balance below which you pay in"
    symbol, decimals = payments.unit_of(wanted.provider)
    unit = Asset(symbol, decimals, 1)
    day, month = amount_text(wanted.day_max, unit), amount_text(wanted.month_max, unit)
    if order is not None and wanted.day_max < order.amount:
        yield f"day_max: {day} is below one payment of {amount_text(order.amount, unit)}; raise it"
    if wanted.month_max < wanted.day_max:
        yield f"month_max: {month} is below day_max, which is {day}; raise it"


async def _shown(shared: Context, person: str) -> dict[str, Any]:
    now_ms = shared.clock.now_ms()

    def read(connection: Connection) -> tuple[AutoTopUp | None, Spent, list[Charge], str]:
        rule = auto_rules.find(connection, person)
        spent, pay_url = NOTHING, ""
        if rule is not None:
            spent = auto_charges.spent(connection, rule, now_ms)
            if rule.setup_order is not None and rule.state is AutoState.SETTING_UP:
                pay_url = orders.get(connection, rule.setup_order).pay_url
        return rule, spent, auto_charges.of_person(connection, person), pay_url

    rule, spent, charges, pay_url = await shared.payments.read(read)
    payments = shared.payments
    currency, decimals = payments.settings.currency, payments.settings.currency_decimals
    state = AutoState.OFF if rule is None else rule.state
    is_on = rule is not None and state is AutoState.ON
    return {
        "state": state.value,
        "why": "" if rule is None else rule.why,
        "provider": None if rule is None else rule.provider,
        "threshold_planck": "0" if rule is None else str(rule.threshold),
        "amount": "0" if rule is None else str(rule.amount),
        "day_max": "0" if rule is None else str(rule.day_max),
        "month_max": "0" if rule is None else str(rule.month_max),
        "currency": currency if rule is None else rule.currency,
        "currency_decimals": (
            decimals if rule is None else payments.decimals_of(rule.provider, rule.currency)
        ),
        "day": str(spent.day),
        "month": str(spent.month),
        "held_by": held_by(rule, spent) or None if rule is not None and is_on else None,
        "pay_url": pay_url or None,
        "charges": [_charge_json(payments, charge) for charge in charges],
        "offers": []
        if shared.escrow is not None
        else [_offer(payments, name) for name in payments.charging],
    }


def _offer(payments: Payments, provider: str) -> dict[str, Any]:
    currency, decimals = payments.unit_of(provider)
    return {
        "provider": provider,
        "currency": currency,
        "currency_decimals": decimals,
        "amount": str(payments.demo_planck) if provider == demo_button.NAME else None,
    }


def _charge_json(payments: Payments, charge: Charge) -> dict[str, Any]:
    return {
        "order": charge.id,
        "amount": str(charge.amount),
        "currency": charge.currency,
        "currency_decimals": payments.decimals_of(charge.provider, charge.currency),
        "state": charge.state.value,
        "detail": charge.detail,
        "created_ms": charge.created_ms,
        "done_ms": charge.done_ms,
    }


def _kept(rule: AutoTopUp | None) -> dict[str, Any]:
    """Return what the audit log keeps of what is allowed: numbers, not what is charged."""
    if rule is None:
        return {}
    return {
        "state": rule.state.value,
        "provider": rule.provider,
        "threshold_planck": str(rule.threshold),
        "amount": str(rule.amount),
        "currency": rule.currency,
        "day_max": str(rule.day_max),
        "month_max": str(rule.month_max),
    }
