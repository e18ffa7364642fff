"""Rows of the tables of people that are about one person; see `metering.book.account_rows`."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, or_

from mediaserver.people import guests
from mediaserver.people.schema import (
    api_keys,
    audit,
    balance_letters,
    bars,
    browser_sessions,
    credentials,
    guest_links,
    invitations,
    people,
    player_settings,
    players,
    recovery_codes,
    roles,
    stream_roles,
)
from mediaserver.people.schema import guests as stream_guests
from metering.book.account_rows import HeldRows
from metering.units import AccountId

ERASED: Final = "erased"
"""What is read where a name was."""
_SECRET: Final = frozenset({"sha256"})


def of_person(person: str, account: AccountId | None) -> list[HeldRows]:
    """Return the rows of a person, those that go before those that they hang on.

    What stays names the person by an id that says nothing of them: who made which key or
    invitation, who was barred, and the audit log. That is a chain over its rows, so it keeps no
    name in them; where somebody was is beside the chain, and goes.
    """
    actor = f"person:{person}"
    own = audit.c.actor == actor
    unsigned = (audit.c.target == actor) & (audit.c.actor == "nobody")
    names = [guests.of_person(person)]
    held = [
        HeldRows(balance_letters, balance_letters.c.person == person, erased=None),
        HeldRows(credentials, credentials.c.person == person, erased=None),
        HeldRows(recovery_codes, recovery_codes.c.person == person, _SECRET, None),
        HeldRows(browser_sessions, browser_sessions.c.person == person, _SECRET, None),
        HeldRows(roles, roles.c.person == person, erased=None),
        HeldRows(stream_roles, stream_roles.c.person == person, erased=None),
        HeldRows(people, people.c.id == person, erased={"name": ERASED}),
        HeldRows(
            invitations,
            or_(invitations.c.used_by == person, invitations.c.made_by == actor),
            _SECRET,
        ),
        HeldRows(api_keys, api_keys.c.made_by == actor, _SECRET, {"name": ERASED}),
        HeldRows(guest_links, guest_links.c.made_by == actor, _SECRET),
        HeldRows(
            audit,
            or_(own, unsigned),
            frozenset({"salt", "address_sha256"}),
            {"address": "", "salt": b""},
        ),
    ]
    if account is not None:
        names.append(guests.of_account(account))
        held += [
            HeldRows(players, players.c.account == bytes(account), erased=None),
            HeldRows(player_settings, player_settings.c.account == bytes(account), erased=None),
            HeldRows(
                bars,
                bars.c.account == bytes(account),
                frozenset({"made_by"}),
                {"reason": ERASED},
            ),
        ]
    is_guest: ColumnElement[bool] = stream_guests.c.guest.in_(names)
    return [HeldRows(stream_guests, is_guest, erased=None), *held]
