"""A viewer's own receipts: for people as a page, for programs and with ``?file`` as the file."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.money import ledger
from mediaserver.api.money.receipt_page import FILE_QUERY, receipt_page
from mediaserver.api.notice_page import Notice, is_person, notice_response, page_response
from mediaserver.http.problem import ApiError
from metering.book.records import StreamRecord
from metering.units import AccountId


async def answer(
    request: web.Request, account: AccountId, stream: StreamRecord, *, has_link: bool = True
) -> web.Response:
    """Return the receipts of an account and stream.

    Args:
        has_link: False: the address asked holds no token.

    Raises:
        ApiError: 404, there is none yet.
    """
    shared = context.of(request)
    chain = await ledger.receipts_of(shared, account, stream)
    if not is_person(request) or FILE_QUERY in request.query:
        return await ledger.receipt_file(shared, stream, chain)
    operator = shared.operator.account
    head, body = receipt_page(
        stream.title, shared.settings.asset, operator, chain, has_link=has_link
    )
    return page_response(HTTPStatus.OK, head, body)


def in_words(error: ApiError, cut_period_s: int) -> web.Response:
    """Return for a person why there are no receipts."""
    if error.title != ledger.NO_RECEIPT:
        return notice_response(error.status, Notice(error.title, (error.detail,)))
    lines = (
        f"What you watch is booked every {cut_period_s} seconds, and then it is here.",
        "This page opens by itself.",
    )
    notice = Notice(error.title, lines, again_s=min(cut_period_s, 30), is_link_good=True)
    return notice_response(error.status, notice, cut_period_s)
