"""The account that somebody who is signed in pays from."""

from __future__ import annotations

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.who import audited
from mediaserver.people import credentials, persons
from mediaserver.people.records import CredentialKind
from mediaserver.people.service import Connection
from metering.book.book import Book
from metering.units import ACCOUNT_BYTES, AccountId, account_text


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

    return await audited(
        request,
        "viewer.create",
        lambda account: f"viewer:{account_text(account)}",
        lambda book, connection: give_account(book, connection, person, now_ms),
        after=lambda _: {"person": person},
    )


def give_account(book: Book, connection: Connection, person: str, now_ms: int) -> AccountId:
    """Return the account of somebody, made in the caller's transaction where they have none.

    Raises:
        UnknownNameError: There is nobody of this id.
    """
    held = persons.get(connection, person).account
    if held is not None:
        return held
    # Named by what says nothing of them: their own name need not be unique, nor stay.
    made, _ = book.viewers.create(f"person-{person}", None, now_ms)
    persons.give_account(connection, person, made.account)
    return made.account


async def own_accounts(request: web.Request, person: str) -> list[AccountId]:
    """Return whose earnings are somebody's: the account they pay from, and those of wallets."""

    def read(connection: Connection) -> list[AccountId]:
        account = persons.get(connection, person).account
        wallets = [
            AccountId(item.public_key)
            for item in credentials.of_person(connection, person)
            if item.kind is CredentialKind.WALLET and len(item.public_key) == ACCOUNT_BYTES
        ]
        return list(dict.fromkeys([*([] if account is None else [account]), *wallets]))

    return await context.of(request).people.read(read)
