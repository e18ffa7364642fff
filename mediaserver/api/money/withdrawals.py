"""``/api/v1/me/withdrawals``: what somebody takes out, to the payments that it came from.

It leaves the store first, then it is booked, then the providers are asked: nobody watches for money
that is on its way out.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.money.top_ups import idempotency_key
from mediaserver.api.people.me import person_of
from mediaserver.api.viewers.viewers import tell_store
from mediaserver.api.who import audited
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.payments import orders, refunding, refunds, withdrawals
from mediaserver.payments.records import Refund, RefundState, Withdrawal
from mediaserver.payments.service import Connection
from mediaserver.people import persons
from metering.book.book import Book
from metering.errors import NotEnoughError
from metering.units import AccountId

PAGE: Final = 100
ASK_MS: Final = 10_000
"""So long providers are asked before the answer; the rest is asked after it, within a minute."""


@dataclass(frozen=True, slots=True)
class WithdrawalBody:
    """Body of a withdrawal; its ``Idempotency-Key`` is a header.

    Attributes:
        amount: In the minor unit of ``payments.currency``.
    """

    amount: int


def routes() -> list[web.RouteDef]:
    """Return the routes of one's own withdrawals."""
    return [
        web.get("/api/v1/me/withdrawals", _list),
        web.post("/api/v1/me/withdrawals", _withdraw),
    ]


async def _list(request: web.Request) -> web.Response:
    shared, person = context.of(request), person_of(request)
    currency, names = shared.payments.settings.currency, shared.payments.names
    before = request.query.get("before")

    def read(connection: Connection) -> dict[str, Any]:
        found = withdrawals.of_person(connection, person, limit=PAGE + 1, before=before)
        account, of = persons.get(connection, person).account, []
        if account is not None and shared.escrow is None:
            of = withdrawals.sources(connection, account, currency, names)
        return {
            "withdrawals": [_json(item, parts) for item, parts in found[:PAGE]],
            "next_before": found[PAGE - 1][0].id if len(found) > PAGE else None,
            "amount_max": str(sum(left for _, left in of)),
            "planck_max": str(withdrawals.planck_of(of)),
        }

    shown = await shared.payments.read(read)
    decimals = shared.payments.settings.currency_decimals
    return web.json_response({**shown, "currency": currency, "currency_decimals": decimals})


async def _withdraw(request: web.Request) -> web.Response:
    shared, person = context.of(request), person_of(request)
    if shared.escrow is not None:
        raise ApiError(
            409,
            "Withdraw on the chain",
            "with a chain your money is in your own escrow there: take it back with your wallet; "
            "where this server holds your key, its operator does it (`vilokanam escrow`)",
        )
    key = idempotency_key(request, "withdrawal")
    wanted = await request_records.read(request, WithdrawalBody)
    account = (await shared.people.read(lambda connection: persons.get(connection, person))).account
    known = await shared.payments.read(
        lambda connection: _known(connection, person, key, wanted.amount)
    )
    is_new = known is None
    if known is None:
        known = await _take(request, person, account, wanted.amount, key)

    # Asked again after a crash, it goes on where it was; a part that is refused is back at once.
    withdrawal, parts = known
    sent, begun_ms = [], shared.clock.now_ms()
    for part in parts:
        now_ms = shared.clock.now_ms()
        is_late = now_ms - begun_ms >= ASK_MS
        sent.append(part if is_late else await refunding.send(shared.payments, part, now_ms))
    if any(part.state is RefundState.REFUSED for part in sent):
        await tell_store(shared, withdrawal.account)
    return web.json_response(
        _json(withdrawal, sent), status=HTTPStatus.CREATED if is_new else HTTPStatus.OK
    )


async def _take(
    request: web.Request, person: str, account: AccountId | None, amount: int, key: str
) -> tuple[Withdrawal, list[Refund]]:
    """Take an amount out of the store and book that."""
    shared = context.of(request)
    currency, names = shared.payments.settings.currency, shared.payments.names
    now_ms = shared.clock.now_ms()

    def plan(connection: Connection) -> list[tuple[Any, int]]:
        of = [] if account is None else withdrawals.sources(connection, account, currency, names)
        return withdrawals.split(of, amount)

    parts = await shared.payments.read(plan)
    assert account is not None  # nothing is there to split without one
    wanted = Withdrawal(
        id=orders.new_id(),
        account=account,
        person=person,
        amount=amount,
        currency=currency,
        planck=withdrawals.planck_of(parts),
        idempotency_key=key,
        created_ms=now_ms,
    )

    def make(book: Book, connection: Connection) -> tuple[Withdrawal, list[Refund]]:
        # The same may have been asked for at the same time: what was taken for it comes back.
        known = _known(connection, person, key, amount)
        return known or (wanted, withdrawals.make(book, connection, wanted, parts))

    async def post() -> tuple[Withdrawal, list[Refund]]:
        return await audited(
            request,
            "withdrawal.make",
            f"person:{person}",
            make,
            is_change=lambda made: made[0] is wanted,
            after=lambda _: {
                "withdrawal": wanted.id,
                "amount": str(amount),
                "currency": currency,
                "planck": str(wanted.planck),
            },
        )

    try:
        return await shared.take_out(account, wanted.planck, post)
    except NotEnoughError as error:
        raise ApiError(
            409,
            "Not enough",
            f"{error}: what you watch meanwhile is paid from it; ask for less",
            balance=str(error.balance),
        ) from error


def _known(
    connection: Connection, person: str, key: str, amount: int
) -> tuple[Withdrawal, list[Refund]] | None:
    """Return what somebody asked for by a key before, with its parts."""
    known = withdrawals.known_by(connection, person, key, amount)
    if known is None:
        return None
    return known, refunds.of_withdrawals(connection, [known.id])[known.id]


def _json(item: Withdrawal, parts: list[Refund]) -> dict[str, Any]:
    return {
        "withdrawal": item.id,
        "amount": str(item.amount),
        "currency": item.currency,
        "planck": str(item.planck),
        "created_ms": item.created_ms,
        "state": _state(parts),
        "parts": [
            {
                "order": part.order,
                "amount": str(part.amount),
                "state": part.state.value,
                "reference": part.reference,
                "done_ms": part.done_ms,
            }
            for part in parts
        ],
    }


def _state(parts: list[Refund]) -> str:
    """Return the state that is furthest from done among the parts."""
    states = {part.state for part in parts}
    for state in (RefundState.ASKED, RefundState.REFUSED):
        if state in states:
            return state.value
    return RefundState.DONE.value
