"""``/api/v1/me/earnings``, ``/me/payouts``: what somebody earns as a payee, and its way to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.money import payouts
from mediaserver.api.money.earnings import earned_before_ms, hold_no_chain, states_json
from mediaserver.api.money.statements import stated
from mediaserver.api.people.me import person_of
from mediaserver.api.viewers.own_account import own_accounts
from mediaserver.http import request_records
from metering.book.book import Book
from metering.book.records import StreamRecord
from metering.book.stream_rows import no_stream
from metering.model.splits import part_to_come, ppm_of, table_at
from metering.units import AccountId, Planck, account_text


@dataclass(frozen=True, slots=True)
class OwnPayout:
    """Body of a payee's request to be paid; its ``Idempotency-Key`` is a header.

    Attributes:
        stream: The one with whose earnings.
        payee: The name on the bank account.
        planck: How much; left out: all that is available.
        account: Which of one's own, where the stream has more than one of them.
    """

    stream: str
    payee: str
    bank_account: str
    planck: Planck | None = None
    account: str | None = None


def routes() -> list[web.RouteDef]:
    """Return the routes of one's own earnings."""
    return [
        web.get("/api/v1/me/earnings", _earnings),
        web.get("/api/v1/me/earnings/{stream}/statements/{month}", _statement),
        web.get("/api/v1/me/payouts", _payouts),
        web.post("/api/v1/me/payouts", _ask),
    ]


async def _earnings(request: web.Request) -> web.Response:
    shared = context.of(request)
    is_on_chain = shared.chain is not None
    accounts = await own_accounts(request, person_of(request))
    matured_ms, tick = earned_before_ms(shared), shared.clock.now_ms() // 1000

    def read(book: Book) -> list[dict[str, Any]]:
        if is_on_chain:
            return []
        return [
            _json(book, stream, account, matured_ms, tick)
            for account in accounts
            for stream in book.streams.some(book.splits.streams_of(account))
        ]

    # Every posting of the streams is read: not in the book's only thread, where others wait.
    found = await shared.book.view(read)
    return web.json_response(
        {
            "accounts": [account_text(account) for account in accounts],
            "is_on_chain": is_on_chain,
            "maturing_days": shared.settings.payout.maturing_days,
            "earnings": found,
        }
    )


async def _statement(request: web.Request) -> web.Response:
    slug, account = request.match_info["stream"], request.query.get("account")
    stream, whose = await _shared_with(request, slug, account)
    return await stated(request, stream.slug, whose)


async def _payouts(request: web.Request) -> web.Response:
    return await payouts.payouts_page(
        request, None, accounts=await own_accounts(request, person_of(request))
    )


async def _ask(request: web.Request) -> web.Response:
    hold_no_chain(context.of(request))
    wanted = await request_records.read(request, OwnPayout)
    stream, account = await _shared_with(request, wanted.stream, wanted.account)
    return await payouts.ask(
        request, stream, account, wanted.payee, wanted.bank_account, wanted.planck
    )


async def _shared_with(
    request: web.Request, slug: str, name: str | None
) -> tuple[StreamRecord, AccountId]:
    """Return a stream that has, or had, somebody for a payee, and which account of theirs.

    Args:
        name: The account, where they name one.

    Raises:
        UnknownNameError: There is none of this name for them.
    """
    accounts = await own_accounts(request, person_of(request))

    def find(book: Book) -> tuple[StreamRecord, AccountId]:
        stream = book.streams.get(slug)
        payees = book.splits.payees(stream.id)
        for account in accounts:
            if account in payees and name in {None, account_text(account)}:
                return stream, account
        raise no_stream(slug)

    return await context.of(request).book.run(find)


def _json(
    book: Book, stream: StreamRecord, account: AccountId, matured_ms: int, tick: int
) -> dict[str, Any]:
    tables = book.splits.of(stream.id)
    coming = part_to_come(tables, account, tick)
    return {
        "stream": stream.slug,
        "title": stream.title,
        "account": account_text(account),
        "ppm": ppm_of(table_at(tables, tick), account),
        "to_come": None if coming is None else {"ppm": coming[0], "from_ms": coming[1] * 1000},
        **states_json(book, stream, account, matured_ms),
    }
