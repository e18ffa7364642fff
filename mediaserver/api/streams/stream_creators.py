"""Who may make streams: the operator, and whom ``[people]`` lets; and how many of them."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.who import principal
from mediaserver.http.problem import ApiError
from mediaserver.people import audit
from mediaserver.people.records import Role
from mediaserver.people.service import Connection

MADE: Final = "stream.create"
"""What the audit log calls it."""


def check_creator(request: web.Request, *, is_all_theirs: bool) -> None:
    """Hold that somebody may make a stream, and set of it what is theirs to set.

    Args:
        is_all_theirs: Whether they leave out what the operator sets.

    Raises:
        ApiError: 403, with what `[people]` says of it.
    """
    who, people = principal(request), context.of(request).settings.people
    if who.person is None or Role.OWNER in who.roles:
        return
    is_invited = people.stream_creators == "invited" and Role.CREATOR in who.roles
    if people.stream_creators != "anyone" and not is_invited:
        raise ApiError(
            403,
            "Not allowed",
            f"people.stream_creators is {people.stream_creators}: ask the operator for an "
            "invitation to be a creator, or to a stream that they make for you",
        )
    if not is_all_theirs:
        raise ApiError(
            403,
            "Not allowed",
            "platform_fee_ppm and creator are the operator's to set: leave them out",
        )


def check_count(request: web.Request, connection: Connection) -> None:
    """Hold that somebody makes no more streams than `[people]` lets, in the stream's transaction.

    Those count that they made, by the log: who gives one away, or up, made it all the same.

    Raises:
        ApiError: 403 when it is one too many.
    """
    who, people = principal(request), context.of(request).settings.people
    if who.person is None or Role.OWNER in who.roles:
        return
    made, most = audit.count(connection, who.actor, MADE), people.streams_per_person_max
    if made >= most:
        raise ApiError(
            403,
            "Enough streams",
            f"you made {made} streams, and people.streams_per_person_max is {most}",
        )
