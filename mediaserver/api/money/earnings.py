"""``/api/v1/streams/{slug}/earnings``: what creator and payees earned, by state."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.context import Context
from mediaserver.http.problem import ApiError
from mediaserver.payments import payouts
from metering.book.book import Book
from metering.book.records import StreamRecord
from metering.model.earnings import DAY_MS
from metering.units import AccountId, account_text


def routes() -> list[web.RouteDef]:
    """Return the route of earnings."""
    return [web.get("/api/v1/streams/{slug}/earnings", _earnings)]


async def _earnings(request: web.Request) -> web.Response:
    shared, slug = context.of(request), request.match_info["slug"]
    hold_no_chain(shared)
    matured_ms = earned_before_ms(shared)

    def read(book: Book) -> dict[str, Any]:
        stream = book.streams.get(slug)
        return {
            "stream": stream.slug,
            "title": stream.title,
            "account": account_text(stream.creator),
            **states_json(book, stream, None, matured_ms),
            "payees": [
                {
                    "account": account_text(payee),
                    **states_json(book, stream, payee, matured_ms),
                }
                for payee in book.splits.payees(stream.id)
            ],
            "maturing_days": shared.settings.payout.maturing_days,
        }

    # Every posting of the stream is read: not in the book's only thread, where others wait.
    return web.json_response(await shared.book.view(read))


def states_json(
    book: Book, stream: StreamRecord, account: AccountId | None, matured_ms: int
) -> dict[str, str]:
    """Return what a creator (None) or payee earned with a stream, by state, in planck."""
    with book.viewing() as connection:
        asked = payouts.asked_for(connection, stream.id, account)
    state = book.payouts.earnings(stream, asked, matured_ms, account)
    return {
        "pending": str(state.pending),
        "maturing": str(state.maturing),
        "available": str(state.available),
        "debt": str(state.debt),
        "asked": str(state.asked),
        "paid_out": str(state.paid_out),
    }


def hold_no_chain(shared: Context) -> None:
    """Refuse in words where a chain has the earnings.

    Raises:
        ApiError: 409.
    """
    if shared.chain is not None:
        raise ApiError(
            409,
            "Paid out by the chain",
            "with a chain earnings are the creator's credit there: they take it out with their "
            "wallet (`TickStream.withdraw_credit`); where this server holds their key, its "
            "operator does it (`vilokanam withdraw SLUG`)",
        )


def earned_before_ms(shared: Context) -> int:
    """Return before when what was earned has matured by now, Unix ms."""
    return shared.clock.now_ms() - shared.settings.payout.maturing_days * DAY_MS
