"""``/api/v1/me/letters``: whether one is written to when one's balance runs down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.context import Context
from mediaserver.api.people.me import person_of
from mediaserver.api.viewers.limits import checked_limit
from mediaserver.api.viewers.own_account import account_of
from mediaserver.api.who import audited
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.people import balance_letters, credentials
from mediaserver.people.balance_crossing import Crossed, look
from mediaserver.people.records import CredentialKind
from mediaserver.people.service import Connection
from metering.book.book import Book
from metering.model.ledger import balance_and_debt
from metering.units import Planck

NONE: Final = Planck(0)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Body: a letter when the balance is below this; left out, or 0, none.

    Attributes:
        address: Of one's ways in; None: the only one.
    """

    low_balance_planck: Planck = NONE
    address: str | None = None


def routes() -> list[web.RouteDef]:
    """Return the routes of letters."""
    return [
        web.get("/api/v1/me/letters", _show),
        web.put("/api/v1/me/letters", _put),
    ]


async def _show(request: web.Request) -> web.Response:
    shared = context.of(request)
    return web.json_response(await _shown(shared, person_of(request)))


async def _put(request: web.Request) -> web.Response:
    shared, person = context.of(request), person_of(request)
    wanted = await request_records.read(request, Wanted)
    threshold = await checked_limit(shared, wanted.low_balance_planck, "low_balance_planck")
    threshold = threshold or NONE
    credential = await _credential(shared, person, wanted.address) if threshold else ""
    account = await account_of(request, person)

    def put(book: Book, connection: Connection) -> None:
        balance_letters.drop(connection, person)
        if threshold:
            viewer = book.viewers.get(account)
            stayed = viewer.stayed
            balance, _ = balance_and_debt(stayed, book.cuts.spent(account))
            # What is below already was not crossed.
            crossed, _ = look(Crossed(threshold), balance, NONE)
            balance_letters.put(connection, person, credential, crossed)

    await audited(
        request,
        "person.letters",
        f"person:{person}",
        put,
        after=lambda _: {"low_balance_planck": str(threshold)},
    )
    return web.json_response(await _shown(shared, person))


async def _credential(shared: Context, person: str, address: str | None) -> str:
    """Return the way in whose address letters go to.

    Raises:
        ApiError: 409 where the server sends none, 422 where it is not clear which address.
    """
    if not shared.settings.people.mail_url:
        raise ApiError(409, "No letters", "this server sends none: people.mail_url is not set")
    known = await _addresses(shared, person)
    if address is None and len(known) == 1:
        return next(iter(known.values()))
    if address not in known:
        fault = (
            f"address: {'none' if address is None else repr(address[:80])} is not one of your ways "
            f"in; those are {', '.join(known) or 'none: add an e-mail address first'}"
        )
        raise ApiError(422, "Invalid body", fault, faults=[fault])
    return known[address]


async def _addresses(shared: Context, person: str) -> dict[str, str]:
    """Return the ids of a person's ways in by mail, by their addresses."""
    held = await shared.people.read(lambda connection: credentials.of_person(connection, person))
    return {item.subject: item.id for item in held if item.kind is CredentialKind.MAIL}


async def _shown(shared: Context, person: str) -> dict[str, Any]:
    known = await _addresses(shared, person)
    asked = await shared.people.read(
        lambda connection: balance_letters.of_person(connection, person)
    )
    return {
        "low_balance_planck": "0" if asked is None else str(asked.crossed.threshold),
        "address": next(
            (address for address, id_ in known.items() if asked and id_ == asked.credential), None
        ),
        "addresses": list(known),
        "can_send": bool(shared.settings.people.mail_url),
    }
