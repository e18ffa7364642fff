"""``POST /api/v1/streams/{slug}/join``: who is signed in mints a link for themselves.

Who pays has a viewer's account; one is made here for who has none yet, with a key that the server
keeps. Whether they may is decided in `mediaserver.people.stream_access`, and on a chain by their
join there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.context import Context
from mediaserver.api.people.me import person_of
from mediaserver.api.streams.rules import hold_place
from mediaserver.api.viewers.limits import checked_limit
from mediaserver.api.viewers.own_account import account_of
from mediaserver.api.viewers.players import keep_agent
from mediaserver.api.viewers.tokens import mint_again, open_session, token_json
from mediaserver.api.viewers.viewer_self_service import Allowance
from mediaserver.api.who import address, principal
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.people import guests
from mediaserver.people.stream_access import Access, Visitor, may_join
from metering.book.records import SessionRecord, StreamRecord
from metering.errors import UnknownNameError
from metering.model import price
from metering.model.ledger import balance_and_debt
from metering.model.named_prices import prices_of
from metering.model.show_caps import cap_of
from metering.units import (
    AccountId,
    Planck,
    SessionId,
    account_text,
    top_up_address,
)

JOINS: Final = web.AppKey("joins", Allowance)
"""Requests of each person in the current minute: each may write a session."""
_SESSION: Final = re.compile("[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Join:
    """Body of a join.

    Attributes:
        session: The session that a page goes on with, of an earlier join.
        limit_planck: What this player may spend in all, 0 for no limit of its own; None: as before,
            or no limit.
    """

    session: str | None = None
    limit_planck: Planck | None = None


def routes() -> list[web.RouteDef]:
    """Return the route of joining."""
    return [web.post("/api/v1/streams/{slug}/join", _join)]


async def _join(request: web.Request) -> web.Response:
    shared, person = context.of(request), person_of(request)
    wanted = await request_records.read(request, Join)
    followed = _session_id(wanted.session)
    own_limit = await checked_limit(shared, wanted.limit_planck, "limit_planck")
    request.app[JOINS].hold(person, shared.clock.now_ms())
    slug = request.match_info["slug"]
    who = principal(request)
    stream = await shared.people.write(
        lambda book, connection: guests.seen_stream(book, connection, slug, who)
    )
    referrer = await hold_place(request, stream)
    account = await account_of(request, person)
    await hold_access(shared, account, stream)

    known = None if followed is None else await _known(shared, followed, account, stream)
    if known is None:
        auth = shared.settings.auth
        ttl_s, life_s = auth.token_ttl_s, auth.session_life_s
        made, token = await open_session(
            request,
            "viewer.join",
            account,
            stream,
            ttl_s=ttl_s,
            life_s=life_s,
            own_limit=own_limit,
        )
    else:
        made, token = await mint_again(shared, known, stream, address(request), own_limit)
    await keep_agent(request, made, referrer)
    return web.json_response(
        {
            **token_json(shared, made, token, stream),
            "account": account_text(account),
            "stream": stream.slug,
        },
        status=HTTPStatus.CREATED,
    )


async def hold_access(shared: Context, account: AccountId, stream: StreamRecord) -> None:
    """Hold that an account may join a stream.

    Raises:
        ApiError: 402 or 409, with the remedy.
    """
    named = await shared.book.run(lambda book: book.named_prices.of(stream.id))
    prices = prices_of(stream.prices, named.get(account, ()))
    in_force = price.in_force(prices, shared.clock.now_ms() // 1000)
    planck = Planck(0) if in_force is None else in_force.planck_per_tick
    balance, debt = None, Planck(0)
    if shared.escrow is None:
        balance, debt = await _money(shared, account)
    preview_s = stream.preview_of(shared.settings.price.preview_s)
    # Who owes for what was paid has not paid it.
    is_paid = (
        balance == 0
        and not debt
        and (
            await _has_pass(shared, account, stream)
            or await _is_show_paid(shared, account, stream, planck)
        )
    )
    match may_join(Visitor(stream.is_enabled, planck, balance, preview_s, is_paid)):
        case Access.CLOSED:
            raise ApiError(
                409,
                "Stream closed",
                f"{stream.slug} is closed to viewers; its operator may open it again",
                reason=Access.CLOSED,
            )
        case Access.PURSE:
            owes = f", and you owe {debt} planck for what went back" if debt else ""
            raise ApiError(
                402,
                "Nothing to pay with",
                f"{stream.slug} costs {planck} planck a second, and your balance is empty{owes}: "
                f"top up the account {account_text(account)}, then join again",
                reason=Access.PURSE,
                account=account_text(account),
                balance=str(balance),
                debt=str(debt),
                planck_per_s=str(planck),
                top_up_url=top_up_address(shared.settings.price.top_up_url, account),
            )


async def _has_pass(shared: Context, account: AccountId, stream: StreamRecord) -> bool:
    """Return whether a pass of an account covers what it would watch."""
    show, now_s = shared.health(stream.id)["show"] or 0, shared.clock.now_ms() // 1000
    held = await shared.book.run(lambda book: book.passes.of_account(account))
    return any(item.stream == stream.id and item.holds(now_s, show) for item in held)


async def _is_show_paid(
    shared: Context, account: AccountId, stream: StreamRecord, planck: Planck
) -> bool:
    """Return whether no second of the show on air costs an account anything more."""
    show = shared.health(stream.id)["show"]
    cap = cap_of(stream.caps, show) if show else None
    if cap is None or not cap.planck:
        return False
    async with shared.store() as store:
        left = await store.show_left(account, stream.id.bytes, show)
    return left is not None and left * shared.settings.asset.quantum < planck


async def _money(shared: Context, account: AccountId) -> tuple[Planck, Planck]:
    """Return what somebody may spend, and what they owe."""
    viewer, spent = await shared.book.run(
        lambda book: (book.viewers.get(account), book.cuts.spent(account))
    )
    return balance_and_debt(viewer.stayed, spent)


async def _known(
    shared: Context, session: SessionId, account: AccountId, stream: StreamRecord
) -> SessionRecord | None:
    """Return the session that a page goes on with, None where it needs a new one."""
    try:
        known = await shared.book.run(lambda book: book.sessions.get(session))
    except UnknownNameError:
        return None
    is_theirs = (known.account, known.stream) == (account, stream.id)
    return known if is_theirs and known.may_return(shared.clock.now_ms()) else None


def _session_id(text: str | None) -> SessionId | None:
    if text is None:
        return None
    if not _SESSION.fullmatch(text):
        fault = f"session: {text[:32]!r} is not 16 hexadecimal digits, as a join answered them"
        raise ApiError(422, "Invalid body", fault, faults=[fault])
    return SessionId(int(text, 16))
