"""``/api/v1/streams/{slug}/passes``: what a pass for a show or a month costs, and who has one."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from mediaserver.api import context, queries
from mediaserver.api.context import Context
from mediaserver.api.viewers.own_account import known_account
from mediaserver.api.viewers.viewers import tell_store
from mediaserver.api.who import audited, principal
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.payments import refunds
from mediaserver.people import guests
from mediaserver.text import fault as text_fault
from metering.book.book import Book
from metering.book.records import StreamRecord
from metering.errors import InvalidValueError
from metering.model.passes import Pass, PassKind, PassOffer, in_force
from metering.units import AccountId, Planck, account_text

AHEAD_MAX_S: Final = 366 * 86_400


@dataclass(frozen=True, slots=True)
class Offer:
    """Body of an offer; `from_s` left out is the earliest that is allowed."""

    planck: Planck
    from_s: int | None = None


@dataclass(frozen=True, slots=True)
class PassRefund:
    """Body of a refund."""

    why: str


def routes() -> list[web.RouteDef]:
    """Return the routes of passes of a stream."""
    path = "/api/v1/streams/{slug}/passes"
    return [
        web.get(path, _list),
        web.get(f"{path}/sold", _sold),
        web.put(f"{path}/{{kind}}", _offer),
        web.delete(f"{path}/{{kind}}", _end),
        web.post("/api/v1/passes/{pass}/refund", _refund),
    ]


def no_pass_on_chain(shared: Context) -> None:
    """Hold that batches go to the journal.

    Raises:
        ApiError: 409: the chain's pallet knows seconds alone.
    """
    if shared.chain is not None or shared.escrow is not None:
        raise ApiError(
            409,
            "The chain sells seconds alone",
            "with a chain there are no passes: money moves there only by seconds that were watched "
            "under a join, and its pallet has no call that takes a price for a show or a month; "
            "set a cap for a show instead (`show_cap_planck`)",
        )


def pass_kind(text: str) -> PassKind:
    """Return the kind of a pass by its name.

    Raises:
        ApiError: 404: there is none.
    """
    try:
        return PassKind(text)
    except ValueError as error:
        kinds = " or ".join(PassKind)
        raise ApiError(404, "Unknown name", f"there is no pass {text[:16]!r}: {kinds}") from error


async def passes_json(
    shared: Context, record: StreamRecord, account: AccountId | None
) -> dict[str, Any]:
    """Return what passes of a stream cost, and the one that an account holds.

    `until_ms` of a pass for a show is null: it ends with the show.
    """
    now_s, show = shared.clock.now_ms() // 1000, show_on_air(shared, record)

    def read(book: Book) -> tuple[tuple[PassOffer, ...], list[Pass]]:
        of_account = [] if account is None else book.passes.of_account(account)
        return book.passes.offers(record.id), of_account

    offers, held = await shared.book.run(read)
    # A show is sold while it is on air.
    kinds = PassKind if show else (PassKind.MONTH,)
    sold = [found for kind in kinds if (found := in_force(offers, kind, now_s)) is not None]
    ours = [item for item in held if item.stream == record.id and item.holds(now_s, show)]
    newest = max(ours, key=lambda item: item.until_tick, default=None)
    return {
        "sold": [_offer_json(offer) for offer in sold if shared.escrow is None],
        "to_come": [_offer_json(offer) for offer in offers if offer.from_s > now_s],
        "held": None if newest is None else pass_json(newest, record.slug),
    }


def show_on_air(shared: Context, record: StreamRecord) -> int:
    """Return the show that is on air; 0 for none."""
    health = shared.health(record.id)
    return int(health["show"] or 0) if health["state"] != "offline" else 0


def pass_json(item: Pass, slug: str) -> dict[str, Any]:
    """Return a pass that was bought."""
    is_show = item.kind is PassKind.SHOW
    return {
        "pass": item.id,
        "stream": slug,
        "kind": item.kind.value,
        "show": item.show or None,
        "planck": str(item.planck),
        "from_tick": item.from_tick,
        "until_ms": None if is_show else item.until_tick * 1000,
        "created_ms": item.created_ms,
        "refunded_ms": item.refunded_ms,
    }


async def _list(request: web.Request) -> web.Response:
    shared, slug, asks = context.of(request), request.match_info["slug"], principal(request)
    record = await shared.people.write(
        lambda book, connection: guests.seen_stream(book, connection, slug, asks)
    )
    account = None if asks.person is None else await known_account(request, asks.person)
    return web.json_response(await passes_json(shared, record, account))


async def _sold(request: web.Request) -> web.Response:
    shared, slug = context.of(request), request.match_info["slug"]
    limit, before = queries.page_limit(request, queries.LIMIT), request.query.get("before")

    def read(book: Book) -> list[Pass]:
        stream = book.streams.get(slug).id
        return book.passes.page(stream=stream, limit=limit + 1, before=before)

    found = await shared.book.run(read)
    return web.json_response(
        {
            "sold": [
                {**pass_json(item, slug), "account": account_text(item.account)}
                for item in found[:limit]
            ],
            "next_before": found[limit - 1].id if len(found) > limit else None,
        }
    )


async def _offer(request: web.Request) -> web.Response:
    wanted = await request_records.read(request, Offer)
    if wanted.planck <= 0:
        fault = f"planck: {wanted.planck} is not above 0; take the offer back to sell no more"
        raise ApiError(422, "Invalid body", fault, faults=[fault])
    return await _change(request, wanted.planck, wanted.from_s)


async def _end(request: web.Request) -> web.Response:
    return await _change(request, Planck(0), None)


async def _change(request: web.Request, planck: Planck, from_s: int | None) -> web.Response:
    """Let a pass cost something else; at once where none is sold, else with a price's notice."""
    shared = context.of(request)
    no_pass_on_chain(shared)
    slug, kind = request.match_info["slug"], pass_kind(request.match_info["kind"])
    record = await shared.book.run(lambda book: book.streams.get(slug))
    now_s = shared.clock.now_ms() // 1000
    known = await shared.book.run(lambda book: book.passes.offers(record.id))
    is_sold = in_force(known, kind, now_s) is not None
    notice_s = shared.settings.price.change_notice_s if is_sold else 0
    first = now_s + notice_s if from_s is None else from_s
    if not now_s + notice_s <= first <= now_s + AHEAD_MAX_S:
        raise InvalidValueError(
            f"from_s {first}: a pass changes its price at least {notice_s} s ahead "
            "(price.change_notice_s) and at most a year; "
            f"use {now_s + notice_s} or later, or leave it out"
        )
    made = await audited(
        request,
        "stream.pass.offer",
        f"stream:{record.id}",
        lambda book, _: book.passes.offer(record.id, kind, planck, first),
        after=_offer_json,
    )
    return web.json_response(_offer_json(made), status=HTTPStatus.CREATED)


async def _refund(request: web.Request) -> web.Response:
    """Give the whole price of a pass back, from who had it; it covers nothing any more."""
    shared, identity = context.of(request), request.match_info["pass"]
    wanted = await request_records.read(request, PassRefund)
    if not 0 < len(wanted.why) <= refunds.WHY_MAX or text_fault(wanted.why):
        fault = f"why: has 1 to {refunds.WHY_MAX} printable characters: it is kept with it"
        raise ApiError(422, "Invalid body", fault, faults=[fault])
    now_ms = shared.clock.now_ms()
    item, is_new = await audited(
        request,
        "pass.refund",
        lambda made: f"viewer:{account_text(made[0].account)}",
        lambda book, _: book.passes.refund(identity, wanted.why, now_ms),
        after=lambda made: {"pass": identity, "planck": str(made[0].planck)},
        is_change=lambda made: made[1],
    )
    is_applied = await tell_store(shared, item.account)
    slugs = await shared.book.run(lambda book: book.streams.slugs([item.stream]))
    shown = {**pass_json(item, slugs[item.stream]), "is_new": is_new, "is_applied": is_applied}
    return web.json_response(shown, status=HTTPStatus.CREATED if is_new else HTTPStatus.OK)


def _offer_json(offer: PassOffer) -> dict[str, Any]:
    """Return an offer; `planck` ``"0"`` is no longer sold."""
    return {"kind": offer.kind.value, "planck": str(offer.planck), "from_s": offer.from_s}
