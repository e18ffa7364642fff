"""``/api/v1/streams/{slug}/statements/{month}``: what a stream earned, as a file that is kept."""

from __future__ import annotations

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.money.earnings import hold_no_chain
from mediaserver.api.money.payouts import csv_response, reads_all_money
from mediaserver.api.who import principal
from mediaserver.http.problem import ApiError
from mediaserver.payments import payouts
from metering.book.book import Book
from metering.errors import UnknownNameError
from metering.model import statement
from metering.model.statement import Statement
from metering.units import AccountId, account_text, parse_account


def routes() -> list[web.RouteDef]:
    """Return the route of statements."""
    return [web.get("/api/v1/streams/{slug}/statements/{month}", _statement)]


async def _statement(request: web.Request) -> web.Response:
    """Return a month as the signed file, or as CSV."""
    payee, slug = request.query.get("account"), request.match_info["slug"]
    account = None
    if payee is not None:
        if not reads_all_money(principal(request)):
            raise ApiError(
                403, "Not allowed", "a payee's statement is for them (`me/earnings`), and for staff"
            )
        try:
            account = parse_account(payee)
        except ValueError as error:
            raise ApiError(422, "Invalid query", f"account: {error}") from error
    return await stated(request, slug, account)


async def stated(request: web.Request, slug: str, account: AccountId | None) -> web.Response:
    """Return a month of what a creator (None) or payee earned with a stream.

    Raises:
        ApiError: 422 for a month that is none or has not begun, 409 with a chain.
        UnknownNameError: The stream never had such a payee.
    """
    shared, month = context.of(request), request.match_info["month"]
    form = request.query.get("form", "json")
    if form not in ("json", "csv"):
        raise ApiError(422, "Invalid query", f"form: {form[:20]!r} is neither json nor csv")
    hold_no_chain(shared)
    first_ms, end_ms = statement.bounds_of(month)
    now_ms = shared.clock.now_ms()
    if first_ms > now_ms:
        raise ApiError(422, "Invalid month", f"{month} has not begun: there is nothing to state")

    def read(book: Book) -> Statement:
        stream = book.streams.get(slug)
        payee = None if account == stream.creator else account
        if payee is not None and payee not in book.splits.payees(stream.id):
            raise UnknownNameError(f"{account_text(payee)} is no payee of {slug}, and never was")
        with book.viewing() as connection:
            notes = payouts.bank_references(connection, stream.id)
        moves = book.payouts.moves(stream, end_ms, payee)
        notes |= book.bad_seconds.notes(stream.id, moves)
        opening, lines, closing = statement.sums_of(moves, month, notes)
        return Statement(
            stream=stream.id,
            slug=stream.slug,
            title=stream.title,
            creator=stream.creator,
            month=month,
            made_ms=now_ms,
            is_closed=end_ms <= now_ms,
            opening=opening,
            lines=lines,
            closing=closing,
            payee=payee,
        )

    # Every posting of the stream is read: not in the book's only thread, where others wait.
    made, asset = await shared.book.view(read), shared.settings.asset
    name = f"statement-{made.slug}-{month}.{form}"
    if form == "csv":
        return csv_response(statement.table(made, asset), name)
    return web.Response(
        body=statement.file_bytes(made, asset, shared.operator),
        content_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
