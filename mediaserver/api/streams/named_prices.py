"""``/api/v1/streams/{slug}/viewer-prices``: what a stream costs viewers who are named."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.streams.policy_room import hold_price_room
from mediaserver.api.streams.price_times import from_tick_fault
from mediaserver.api.streams.streams import check_price
from mediaserver.api.streams.viewer_names import viewer_of
from mediaserver.api.who import audited, principal
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from metering.book.book import Book
from metering.book.records import StreamRecord, ViewerRecord
from metering.errors import InvalidValueError
from metering.model.named_prices import NamedPrice
from metering.units import AccountId, Planck, account_text


@dataclass(frozen=True, slots=True)
class ViewerPrice:
    """Body of a viewer's price; `from_tick` left out is the earliest that is allowed."""

    planck_per_s: Planck
    from_tick: int | None = None


def routes() -> list[web.RouteDef]:
    """Return the routes of viewers' prices."""
    path = "/api/v1/streams/{slug}/viewer-prices"
    return [
        web.get(path, _list),
        web.put(f"{path}/{{viewer}}", _set),
        web.delete(f"{path}/{{viewer}}", _remove),
    ]


async def _list(request: web.Request) -> web.Response:
    shared, slug = context.of(request), request.match_info["slug"]

    def read(book: Book) -> list[dict[str, Any]]:
        named = book.named_prices.of(book.streams.get(slug).id)
        return [
            _json(account, book.viewers.get(account).name, change)
            for account, changes in named.items()
            for change in changes
        ]

    return web.json_response({"viewer_prices": await shared.book.run(read)})


async def _set(request: web.Request) -> web.Response:
    wanted = await request_records.read(request, ViewerPrice)
    check_price(context.of(request), wanted.planck_per_s)
    if context.of(request).chain is not None:
        raise ApiError(
            409,
            "The chain keeps prices",
            "with a chain every viewer pays the stream's price: its pallet keeps one price of a "
            "second for all, and lets nobody watch without a join at that price; give the viewer a "
            "credit instead",
        )
    return await _change(request, wanted.planck_per_s, wanted.from_tick)


async def _remove(request: web.Request) -> web.Response:
    return await _change(request, None, None)


async def _change(
    request: web.Request, planck: Planck | None, from_tick: int | None
) -> web.Response:
    """Let a viewer pay something else, from a second on that nobody can have claimed yet."""
    shared = context.of(request)
    slug, name = request.match_info["slug"], request.match_info["viewer"]
    who = principal(request)

    def find(book: Book) -> tuple[StreamRecord, ViewerRecord]:
        stream = book.streams.get(slug)
        return stream, viewer_of(book, who, stream.id, name)

    record, viewer = await shared.book.run(find)
    notice_s = shared.settings.price.change_notice_s
    earliest = await shared.newest_tick(record.id) + notice_s
    first = earliest if from_tick is None else from_tick
    if fault := from_tick_fault(first, earliest, notice_s):
        raise InvalidValueError(fault)
    await hold_price_room(shared, record)
    made = await audited(
        request,
        "stream.viewer_price.set",
        f"stream:{record.id}",
        lambda book, _: book.named_prices.add(record.id, viewer.account, planck, first),
        after=lambda change: _json(viewer.account, viewer.name, change),
    )
    shared.changed()
    shown = _json(viewer.account, viewer.name, made)
    return web.json_response(shown, status=HTTPStatus.CREATED)


def _json(account: AccountId, name: str, change: NamedPrice) -> dict[str, Any]:
    """Return a viewer's price; `planck_per_s` is null where it is everybody's again."""
    planck = None if change.version is None else str(change.planck_per_tick)
    return {
        "account": account_text(account),
        "name": name,
        "from_tick": change.from_tick,
        "number": change.version,
        "planck_per_s": planck,
    }
