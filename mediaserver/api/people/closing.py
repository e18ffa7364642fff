"""Closing an account, and all that we hold of it: ``me/close``, ``me/export``, and staff's of both.

Closing erases. What stays are money's rows, under numbers that say nothing of anybody, so that the
books, statements and receipts stay whole (docs/people.md, "Closed accounts").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.context import Context
from mediaserver.api.cookies import SESSION, drop_cookie
from mediaserver.api.people import erasing
from mediaserver.api.people.me import person_of
from mediaserver.api.streams import splits
from mediaserver.api.viewers.sessions import OWNER
from mediaserver.api.who import add_entry, principal
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.payments import payouts, withdrawals
from mediaserver.payments import personal_rows as payment_rows
from mediaserver.people import persons, stream_archive
from mediaserver.people.records import STAFF, Role
from mediaserver.people.service import Connection
from metering.book import account_rows
from metering.book.account_rows import HeldRows
from metering.book.book import Book
from metering.errors import StoreUnavailableError
from metering.model.amounts import amount_text
from metering.model.ledger import balance_and_debt
from metering.units import AccountId, Planck, SessionId, account_text

PAGE_ROWS: Final = 500
_NOTHING: Final = Planck(0)
_CURSOR: Final = re.compile(r"(\d{1,3})-(\d{1,12})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Close:
    """Body of closing an account.

    Attributes:
        forfeit_planck: What of the balance may be lost with it: as much as there is, or more.
        forfeit_shares: Whether what they earn as a payee, and was not paid out, may be lost.
    """

    forfeit_planck: Planck = _NOTHING
    forfeit_shares: bool = False


def routes() -> list[web.RouteDef]:
    """Return the routes."""
    return [
        web.post("/api/v1/me/close", _close_own),
        web.get("/api/v1/me/export", _export_own),
        web.post("/api/v1/people/{person}/erase", _close),
        web.get("/api/v1/people/{person}/export", _export),
    ]


async def _close_own(request: web.Request) -> web.Response:
    shared = context.of(request)
    answer = await _erase(request, person_of(request))
    response = web.json_response(answer)
    drop_cookie(response, SESSION, shared.settings)
    return response


async def _close(request: web.Request) -> web.Response:
    return web.json_response(await _erase(request, request.match_info["person"]))


async def _erase(request: web.Request, person: str) -> dict[str, Any]:
    """Close a person and erase what is theirs; return what stayed. Again is harmless."""
    shared = context.of(request)
    wanted = await request_records.read(request, Close)
    now_ms = shared.clock.now_ms()
    payer = await shared.people.read(lambda connection: persons.get(connection, person).account)
    firsts = {} if payer is None else await splits.shared_with(shared, payer)

    def work(book: Book, connection: Connection) -> tuple[AccountId | None, list[SessionId]]:
        known = persons.get(connection, person)
        _hold_rank(request, connection, person)
        account = known.account
        _hold_no_stream(shared, book, connection, person)
        _hold_nothing_on_its_way(connection, person, account)
        left = _NOTHING
        if account is not None:
            if not wanted.forfeit_shares:
                _hold_no_share(shared, book, connection, account)
            left = _hold_forfeit(shared, book, connection, account, wanted.forfeit_planck)

        def entry(action: str, target: str, after: Mapping[str, Any]) -> None:
            add_entry(request, connection, action, target, after=after)

        if account is not None:
            for stream, first in firsts.items():
                table = splits.leave(book, stream, account, first, now_ms)
                entry("stream.split.set", f"stream:{stream}", {"from_tick": table.from_tick})
        ended = erasing.erase(
            book,
            connection,
            person,
            account,
            now_ms,
            entry,
            "person.erase",
            lambda ended: {"forfeited_planck": str(left), "ended": ended},
        )
        return account, ended

    account, ended = await shared.people.write(work)
    await shared.book.run(lambda book: book.leave_no_trace())
    shared.changed()
    await _tell_store(shared, account, ended)
    return {
        "person": person,
        "account": None if account is None else account_text(account),
        "closed_ms": now_ms,
    }


def _hold_rank(request: web.Request, connection: Connection, person: str) -> None:
    """Hold that staff is erased by an owner alone, or by themselves, and the last owner by neither.

    Raises:
        ApiError: 403; 409 for the last owner, whom only the admin token closes.
    """
    by = principal(request)
    roles = persons.roles_of(connection, person)
    if (
        Role.OWNER in roles
        and by.person == person
        and not persons.has_other_owner(connection, person)
    ):
        raise ApiError(
            409,
            "Last owner",
            "nobody else is an owner of this server: make another person one first. Who has its "
            "admin token may close this account too, with `vilokanam people erase`",
        )
    is_staff = roles & STAFF
    if is_staff and by.person != person and Role.OWNER not in by.roles:
        raise ApiError(403, "Not allowed", "this person is staff: an owner may do this")


def _hold_no_stream(shared: Context, book: Book, connection: Connection, person: str) -> None:
    """Hold that no stream is left that nobody could look after, nor earnings of one.

    Raises:
        ApiError: 409 naming them.
    """
    held = persons.streams_of(connection, person)
    archived = stream_archive.since(connection, list(held))
    alone = [
        stream
        for stream, roles in held.items()
        if Role.CREATOR in roles
        and not any(
            Role.CREATOR in theirs
            for other, theirs in persons.of_stream(connection, stream).items()
            if other != person
        )
    ]
    slugs = book.streams.slugs(alone)
    if shared.escrow is None:  # on a chain who has the key takes them, a person here or not
        currency = payouts.currency_of(shared.payments.settings, shared.settings.asset)
        for stream in alone:
            left = payouts.left_of(book, connection, slugs[stream])
            if left >= currency.planck_per_minor_unit:
                raise ApiError(
                    409,
                    "Earnings are left",
                    f"{slugs[stream]} has earned {left} planck that were not paid out: ask for "
                    "them when they are available, or invite another creator, first",
                    streams=[str(stream)],
                )
    alone = [stream for stream in alone if stream not in archived]
    if alone:
        names = ", ".join(sorted(slugs[stream] for stream in alone))
        raise ApiError(
            409,
            "Creator of streams",
            f"nobody else is a creator of {names}: archive it, or invite another creator, first",
            streams=sorted(map(str, alone)),
        )


def _hold_no_share(shared: Context, book: Book, connection: Connection, account: AccountId) -> None:
    """Hold that a payee has no earnings left, which nobody could ask for then.

    Raises:
        ApiError: 409 naming the streams.
    """
    if shared.escrow is not None:
        return
    currency = payouts.currency_of(shared.payments.settings, shared.settings.asset)
    for stream in book.streams.some(book.splits.streams_of(account)):
        left = payouts.left_of(book, connection, stream.slug, account)
        if left >= currency.planck_per_minor_unit:
            raise ApiError(
                409,
                "Earnings are left",
                f"of your share of {stream.slug}, {amount_text(left, shared.settings.asset)} was "
                "not paid out: ask for it when it is available, or agree to lose it, and what your "
                "share earns until it ends (forfeit_shares)",
                streams=[str(stream.id)],
                earnings_planck=str(left),
            )


def _hold_nothing_on_its_way(
    connection: Connection, person: str, account: AccountId | None
) -> None:
    """Hold that no money of theirs is on its way: who could not take it would send it back.

    Raises:
        ApiError: 409.
    """
    for rows in payment_rows.undecided(person, account):
        if account_rows.page(connection, rows, 0, 1):
            whats = {"payment_payouts": "payout", "payment_auto_charges": "automatic top-up"}
            what = whats.get(rows.table.name, "withdrawal or refund")
            raise ApiError(
                409,
                "Money on its way",
                f"a {what} is not done yet: wait until it is, then close the account",
            )


def _hold_forfeit(
    shared: Context, book: Book, connection: Connection, account: AccountId, forfeit: Planck
) -> Planck:
    """Return the balance that is lost, at most `forfeit`.

    Raises:
        ApiError: 409 with what is left, and how much of it may be taken out first.
    """
    viewer = book.viewers.get(account)
    balance, _ = balance_and_debt(viewer.stayed, book.cuts.spent(account))
    if balance <= forfeit:
        return balance
    settings, of = shared.payments.settings, []
    if shared.escrow is None:
        of = withdrawals.sources(connection, account, settings.currency, shared.payments.names)
    withdrawable = min(withdrawals.planck_of(of), balance)
    raise ApiError(
        409,
        "Money is left",
        f"{balance} planck are left, and {withdrawable} of them may be taken out: take them out "
        f'first; what stays is lost with the account, and "forfeit_planck": "{balance}" agrees to '
        "that",
        balance=str(balance),
        withdrawable_planck=str(withdrawable),
    )


async def _tell_store(shared: Context, account: AccountId | None, ended: list[SessionId]) -> None:
    """End sessions there too; one that is away is rebuilt of the book, which has them ended."""
    if account is None:
        return
    try:
        async with shared.store() as store:
            for session in ended:
                await store.end_session(account, session, OWNER)
    except StoreUnavailableError:
        return


async def _export_own(request: web.Request) -> web.Response:
    return await _exported(request, person_of(request))


async def _export(request: web.Request) -> web.Response:
    return await _exported(request, request.match_info["person"])


async def _exported(request: web.Request, person: str) -> web.Response:
    """Return a page of all rows about a person, each with the name of its table."""
    shared = context.of(request)
    begin = _begin(request.query.get("after"))

    def read(book: Book) -> tuple[list[dict[str, Any]], str | None]:
        with book.viewing() as connection:
            held = erasing.held_rows(person, persons.get(connection, person).account)
            return _page(connection, held, *begin)

    # Beside the book's thread: there may be much.
    rows, after = await shared.book.view(read)
    return web.json_response({"rows": rows, "next_after": after})


def _page(
    connection: Connection, held: list[HeldRows], first: int, offset: int
) -> tuple[list[dict[str, Any]], str | None]:
    """Return at most `PAGE_ROWS` rows, and where the next page begins."""
    found: list[dict[str, Any]] = []
    for index in range(first, len(held)):
        room = PAGE_ROWS - len(found)
        rows = account_rows.page(connection, held[index], offset, room + 1)
        found += ({"table": held[index].table.name, "row": row} for row in rows[:room])
        if len(rows) > room:
            return found, f"{index}-{offset + room}"
        offset = 0
    return found, None


def _begin(text: str | None) -> tuple[int, int]:
    """Return table and row at which a page begins.

    Raises:
        ApiError: 422: it is not what a page answered.
    """
    if text is None:
        return 0, 0
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise ApiError(
            422, "Invalid query", f"after: {text[:40]} is not what a page answered as next_after"
        )
    return int(match[1]), int(match[2])
