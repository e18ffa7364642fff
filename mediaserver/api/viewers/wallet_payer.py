"""``PUT /api/v1/me/account``: on a chain somebody pays from a wallet's own account.

Left alone, a server-held key is made at the first join. Who shows a wallet as a way in owns its
account: they deposit and join on the chain by themselves, and this server signs nothing for them.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.people.me import person_of
from mediaserver.api.who import audited
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.people import credentials, persons
from mediaserver.people.records import CredentialKind
from mediaserver.people.service import Connection
from metering.book.book import Book
from metering.errors import InvalidValueError, UnknownNameError
from metering.units import AccountId, account_text


@dataclass(frozen=True, slots=True)
class Payer:
    """Body with the way in, a wallet's, whose account is to pay."""

    credential: str


def routes() -> list[web.RouteDef]:
    """Return the route of the payer."""
    return [web.put("/api/v1/me/account", _choose)]


async def _choose(request: web.Request) -> web.Response:
    shared, person = context.of(request), person_of(request)
    wanted = await request_records.read(request, Payer)
    if shared.escrow is None:
        raise ApiError(
            409,
            "No chain",
            "a wallet's account pays on a chain alone, from its own escrow; here the server keeps "
            "a key for you, and you pay in",
        )
    now_ms = shared.clock.now_ms()

    def choose(book: Book, connection: Connection) -> tuple[AccountId, bool]:
        persons.require_open(connection, person)
        account = _wallet(connection, person, wanted.credential)
        if persons.get(connection, person).account == account:
            return account, False
        _hold_own_key(book, account)
        # Who closed their account and comes again is another person, with the same key.
        is_again = persons.take_from_closed(connection, account)
        persons.give_account(connection, person, account)
        if is_again:
            book.viewers.rename(account, f"person-{person}")
        try:
            book.viewers.get(account)
        except UnknownNameError:
            book.viewers.create(f"person-{person}", account, now_ms)
        return account, True

    account, _ = await audited(
        request,
        "viewer.payer.set",
        lambda made: f"viewer:{account_text(made[0])}",
        choose,
        after=lambda _: {"person": person},
        is_change=lambda made: made[1],
    )
    return web.json_response({"account": account_text(account)})


def _hold_own_key(book: Book, account: AccountId) -> None:
    """Hold that an account's balance is its key's own, in escrow: never one that is kept here.

    Raises:
        InvalidValueError: The server has its key.
    """
    if book.viewers.seed(account) is not None:
        raise InvalidValueError(
            f"the server keeps the key of account {account_text(account)}: it is no wallet's own"
        )


def _wallet(connection: Connection, person: str, credential: str) -> AccountId:
    """Return the account of somebody's wallet.

    Raises:
        UnknownNameError: They have no wallet of this id.
    """
    for item in credentials.of_person(connection, person):
        if item.id == credential and item.kind is CredentialKind.WALLET:
            return AccountId(item.public_key)
    raise UnknownNameError(f"you have no wallet {credential[:32]!r}: sign in with it, or add it")
