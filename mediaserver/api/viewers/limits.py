"""``/api/v1/me/limits``: what viewers themselves allow to be spent, beside the operator's limits.

The lower of both is what the store holds claims to. A change is in the book first and in the store
with the answer, so that the next claim of a running session knows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.context import Context
from mediaserver.api.people.me import person_of
from mediaserver.api.viewers.own_account import account_of
from mediaserver.api.who import audited
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.people import persons
from metering.errors import InvalidValueError
from metering.model.spending_limits import (
    NO_LIMIT,
    SpendingLimits,
    limit_units,
    lower,
    operator_limits,
)
from metering.store.client import Store
from metering.units import AccountId, Planck, SessionId, Units, account_text


@dataclass(frozen=True, slots=True)
class Limits:
    """Body of somebody's own limits: what is left out, or 0, is no limit."""

    session_planck: Planck = NO_LIMIT
    stream_planck: Planck = NO_LIMIT
    day_planck: Planck = NO_LIMIT


def routes() -> list[web.RouteDef]:
    """Return the routes of limits."""
    return [
        web.get("/api/v1/me/limits", _show),
        web.put("/api/v1/me/limits", _put),
    ]


async def apply_limits(shared: Context, store: Store, account: AccountId) -> SpendingLimits:
    """Set in a lent store what a stream and a day may take of a balance; return all limits."""
    limits = await limits_in_force(shared, account)
    quantum = shared.settings.asset.quantum
    await store.set_limits(
        account, limit_units(limits.stream, quantum), limit_units(limits.day, quantum)
    )
    return limits


async def hold_players(shared: Context, store: Store, account: AccountId) -> None:
    """Hold what an account's players claim from now on to the limits of the book."""
    limits, now_ms = await apply_limits(shared, store, account), shared.clock.now_ms()
    for session in await shared.book.run(lambda book: book.sessions.playing(account, now_ms)):
        units = await session_limit(shared, limits, session)
        await store.limit_session(account, session, units)


async def session_limit(shared: Context, limits: SpendingLimits, session: SessionId) -> Units:
    """Return what a session may spend: the lowest of its account's limits and its own."""
    known = await shared.book.run(lambda book: book.sessions.get(session))
    return limit_units(lower(limits.session, known.own_limit), shared.settings.asset.quantum)


async def checked_limit(shared: Context, planck: Planck | None, field: str) -> Planck | None:
    """Return a limit of a body.

    Raises:
        ApiError: 422, it is no whole, bounded number of units.
    """
    if planck is not None and (fault := await limit_fault(shared, planck, field)):
        raise ApiError(422, "Invalid body", fault, faults=[fault])
    return planck


async def _show(request: web.Request) -> web.Response:
    shared, person = context.of(request), person_of(request)
    known = await shared.people.read(lambda connection: persons.get(connection, person))
    return web.json_response(await _shown(shared, known.account))


async def _put(request: web.Request) -> web.Response:
    shared, person = context.of(request), person_of(request)
    wanted = await request_records.read(request, Limits)
    limits = SpendingLimits(wanted.session_planck, wanted.stream_planck, wanted.day_planck)
    fields = _json(limits)
    faults = [await limit_fault(shared, Planck(int(text)), field) for field, text in fields.items()]
    if faults := list(filter(None, faults)):
        raise ApiError(422, "Invalid body", "; ".join(faults), faults=faults)
    account = await account_of(request, person)
    now_ms = shared.clock.now_ms()
    # First: while it is away nothing is changed, as claims would go on under the old limits.
    async with shared.store() as store:
        await audited(
            request,
            "viewer.limits",
            f"viewer:{account_text(account)}",
            lambda book, _: book.limits.put(account, limits, now_ms),
            before=lambda book, _: _json(book.limits.get(account)),
            after=lambda _: fields,
        )
        await hold_players(shared, store, account)
    return web.json_response(await _shown(shared, account))


async def limits_in_force(shared: Context, account: AccountId) -> SpendingLimits:
    """Return what may be spent: the lower of the operator's and the viewer's own limits."""
    own = await shared.book.run(lambda book: book.limits.get(account))
    return operator_limits(shared.settings.price).within(own)


async def _shown(shared: Context, account: AccountId | None) -> dict[str, Any]:
    operator = operator_limits(shared.settings.price)
    own = SpendingLimits()
    if account is not None:
        own = await shared.book.run(lambda book: book.limits.get(account))
    return {**_json(own), "in_force": _json(operator.within(own))}


async def limit_fault(shared: Context, planck: Planck, field: str) -> str:
    """Return why an amount cannot be a limit, empty: it can."""
    try:
        await shared.book.run(lambda book: book.limits.checked(planck, f"{field}: a limit"))
    except InvalidValueError as error:
        return str(error)
    return ""


def _json(limits: SpendingLimits) -> dict[str, str]:
    return {
        "session_planck": str(limits.session),
        "stream_planck": str(limits.stream),
        "day_planck": str(limits.day),
    }
