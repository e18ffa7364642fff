"""The account that somebody who is signed in pays from."""

from __future__ import annotations

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.who import audited
from mediaserver.people import persons
from mediaserver.people.service import Connection
from metering.book.book import Book
from metering.units import AccountId, account_text


async def known_account(request: web.Request, person: str) -> AccountId | None:
    """Return the account that somebody pays from, None while they have none."""
    shared = context.of(request)
    return (await shared.people.read(lambda connection: persons.get(connection, person))).account


async def account_of(request: web.Request, person: str) -> AccountId:
    """Return the account that somebody pays from; who has none is given one, once."""
    shared = context.of(request)
    known = await known_account(request, person)
    if known is not None:
        return known
    now_ms = shared.clock.now_ms()

    def give(book: Book, connection: Connection) -> AccountId:
        # Another request of theirs may have made it meanwhile.
        held = persons.get(connection, person).account
        if held is not None:
            return held
        # Named by what says nothing of them: their own name need not be unique, nor stay.
        made, _ = book.viewers.create(f"person-{person}", None, now_ms)
        persons.give_account(connection, person, made.account)
        return made.account

    return await audited(
        request,
        "viewer.create",
        lambda account: f"viewer:{account_text(account)}",
        give,
        after=lambda _: {"person": person},
    )
