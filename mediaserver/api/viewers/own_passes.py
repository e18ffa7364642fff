"""``/api/v1/me/passes``: passes that somebody buys and has."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import NoReturn
from uuid import UUID

from aiohttp import web

from mediaserver.api import context, queries
from mediaserver.api.context import Context
from mediaserver.api.money.top_ups import idempotency_key
from mediaserver.api.people.me import person_of
from mediaserver.api.streams.bars import check_unbarred
from mediaserver.api.streams.passes import no_pass_on_chain, pass_json, pass_kind, show_on_air
from mediaserver.api.streams.rules import hold_place
from mediaserver.api.streams.takedowns import check_up
from mediaserver.api.viewers.join_stream import JOINS
from mediaserver.api.viewers.limits import limits_in_force
from mediaserver.api.viewers.own_account import account_of, known_account
from mediaserver.api.who import audited, principal
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.people import guests, persons
from mediaserver.people.service import Connection
from metering.book.book import Book
from metering.book.records import StreamRecord
from metering.book.stream_rows import no_stream
from metering.model.passes import KEPT_MAX, Pass, PassKind, PassOffer, in_force
from metering.model.spending_limits import limit_units
from metering.units import AccountId, Planck, Units, Verdict, account_text, top_up_address


@dataclass(frozen=True, slots=True)
class Purchase:
    """Body of a purchase; its ``Idempotency-Key`` is a header.

    Attributes:
        stream: Its public name.
        kind: ``show`` or ``month``.
        planck: The price that was shown: another one is refused.
    """

    stream: str
    kind: str
    planck: Planck


def routes() -> list[web.RouteDef]:
    """Return the routes of one's own passes."""
    return [
        web.get("/api/v1/me/passes", _list),
        web.post("/api/v1/me/passes", _buy),
    ]


async def _list(request: web.Request) -> web.Response:
    shared, person = context.of(request), person_of(request)
    limit, before = queries.page_limit(request, queries.LIMIT), request.query.get("before")
    account = await known_account(request, person)

    def read(book: Book) -> tuple[list[Pass], dict[UUID, str]]:
        page = book.passes.page(account=account, limit=limit + 1, before=before)
        return page, book.streams.slugs({item.stream for item in page})

    found, slugs = ([], {}) if account is None else await shared.book.run(read)
    return web.json_response(
        {
            "passes": [pass_json(item, slugs[item.stream]) for item in found[:limit]],
            "next_before": found[limit - 1].id if len(found) > limit else None,
        }
    )


async def _buy(request: web.Request) -> web.Response:
    shared, person = context.of(request), person_of(request)
    no_pass_on_chain(shared)
    key = idempotency_key(request, "pass")
    wanted, who = await request_records.read(request, Purchase), principal(request)
    kind = pass_kind(wanted.kind)
    request.app[JOINS].hold(person, shared.clock.now_ms())
    stream = await shared.people.write(
        lambda book, connection: guests.seen_stream(book, connection, wanted.stream, who)
    )
    await hold_place(request, stream)
    account = await account_of(request, person)
    show, now_ms = show_on_air(shared, stream), shared.clock.now_ms()
    is_known = False

    def write(book: Book, connection: Connection) -> Pass:
        nonlocal is_known
        known = book.passes.known(account, key)
        is_known = known is not None
        offer = PassOffer(kind, 0, wanted.planck)
        if not is_known:
            # Together, so that who is made no guest or barred, or who closes, at this moment has
            # bought nothing; nor is what is taken down sold.
            persons.require_open(connection, person)
            if not guests.may_watch(connection, stream.id, account):
                raise no_stream(stream.slug)
            check_up(connection, stream.id)
            check_unbarred(connection, account, stream.id, now_ms)
            offer = _offer_of(book, stream, account, wanted, kind, show, now_ms)
            _hold_room(shared, book, account, now_ms)
        return book.passes.ask(
            account, stream, offer, show=show, idempotency_key=key, now_ms=now_ms
        )

    async def ask() -> Pass:
        return await shared.people.write(write)

    async def pay(asked: Pass) -> Pass:
        return await audited(
            request,
            "pass.buy",
            f"viewer:{account_text(account)}",
            lambda book, _: book.passes.pay(asked.id, now_ms),
            after=lambda item: {
                "pass": item.id,
                "stream": str(item.stream),
                "kind": item.kind.value,
                "planck": str(item.planck),
            },
        )

    limits, quantum = await limits_in_force(shared, account), shared.settings.asset.quantum
    most = limit_units(limits.stream, quantum), limit_units(limits.day, quantum)
    item, verdict, balance = await shared.sell_pass(account, ask, pay, most)
    if item is None:
        _refuse(shared, account, wanted.planck, verdict, balance)
    status = HTTPStatus.OK if is_known else HTTPStatus.CREATED
    return web.json_response(pass_json(item, stream.slug), status=status)


def _offer_of(  # noqa: PLR0917 -- all that a purchase is judged by
    book: Book,
    stream: StreamRecord,
    account: AccountId,
    wanted: Purchase,
    kind: PassKind,
    show: int,
    now_ms: int,
) -> PassOffer:
    """Return what a pass costs, when it may be bought.

    Raises:
        ApiError: 409, with the remedy.
    """
    now_s = now_ms // 1000
    offer = in_force(book.passes.offers(stream.id), kind, now_s)
    if offer is None or not book.streams.get(stream.slug).is_enabled:
        raise ApiError(
            409, "No pass", f"{stream.slug} sells no pass for a {kind}", reason="not_sold"
        )
    if offer.planck != wanted.planck:
        raise ApiError(
            409,
            "Another price",
            f"a pass for a {kind} of {stream.slug} costs {offer.planck} planck, not "
            f"{wanted.planck}: look at the new price, then ask for it",
            reason="price",
            planck=str(offer.planck),
        )
    if kind is PassKind.SHOW and not show:
        raise ApiError(
            409,
            "No show",
            f"{stream.slug} is not on air: a pass for a show is sold while it is",
            reason="no_show",
        )
    # A month is more than a show: who has one for the show may still buy it.
    held = [
        item
        for item in book.passes.of_account(account)
        if item.stream == stream.id
        and item.holds(now_s, show)
        and kind in {item.kind, PassKind.SHOW}
    ]
    if held:
        raise ApiError(
            409,
            "You have a pass",
            f"your pass for a {held[0].kind} covers {stream.slug} already: nothing was charged",
            reason="held",
        )
    return offer


def _hold_room(shared: Context, book: Book, account: AccountId, now_ms: int) -> None:
    """Hold that a pass more would cover: a claim looks at so many.

    Raises:
        ApiError: 409, with the remedy.
    """
    oldest = now_ms // 1000 - shared.settings.metering.watched_hours * 3600
    if len(book.passes.that_may_cover(account, oldest)) >= KEPT_MAX:
        raise ApiError(
            409,
            "Too many passes",
            f"{KEPT_MAX} passes of yours may still cover, and no more are sold to one account: "
            "buy another when a month, or a show, of one is over",
            reason="many",
        )


def _refuse(
    shared: Context, account: AccountId, planck: Planck, verdict: Verdict, balance: Units
) -> NoReturn:
    if verdict is Verdict.LIMIT:
        raise ApiError(
            409,
            "Above your limit",
            f"a pass of {planck} planck would pass what may be spent on this stream, or in a day: "
            "change your limits, or wait for tomorrow",
            reason="limit",
        )
    left = balance * shared.settings.asset.quantum
    raise ApiError(
        402,
        "Not enough",
        f"the pass costs {planck} planck, and your balance is {left}: top up the account "
        f"{account_text(account)}, then buy it",
        reason="purse",
        account=account_text(account),
        balance=str(left),
        top_up_url=top_up_address(shared.settings.price.top_up_url, account),
    )
