"""Who may see a stream: one decision over what is known. Pure.

A public stream is everybody's. An unlisted one is in no list, and known to who has its address; to
watch it somebody is asked who they are. One by invitation is not there for who may not see it.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum

from mediaserver.people.records import STAFF, STREAM_ROLES, Role


class Visibility(StrEnum):
    """Who a stream is for."""

    PUBLIC = "public"
    UNLISTED = "unlisted"
    INVITED = "invited"


class Way(StrEnum):
    """How somebody became a guest."""

    LISTED = "listed"
    """Its creator, or the operator, named them."""
    LINK = "link"
    PASSWORD = "password"  # noqa: S105 -- a way in, not a secret
    MINTED = "minted"
    """The operator made a link to the stream for them."""


@dataclass(frozen=True, slots=True)
class Guest:
    """Somebody who may see a stream by invitation.

    Attributes:
        name: ``person:<id>`` or ``account:0x…``.
        link: Id of the guest link that they came by; empty when by none.
    """

    name: str
    way: Way
    link: str
    since_ms: int


@dataclass(frozen=True, slots=True)
class GuestLink:
    """Makes guests of those who have it; what is kept of it is its hash.

    Attributes:
        id: 16 hexadecimal digits; opens nothing.
        uses: How many it made guests.
        ended_ms: When it was taken back; None while it was not.
    """

    id: str
    uses_max: int
    uses: int
    made_by: str
    created_ms: int
    expires_ms: int
    ended_ms: int | None

    def is_open(self, now_ms: int) -> bool:
        """Return whether it makes one more guest."""
        return self.ended_ms is None and now_ms < self.expires_ms and self.uses < self.uses_max


def may_see(
    visibility: Visibility,
    roles: AbstractSet[Role],
    on_stream: AbstractSet[Role],
    *,
    is_guest: bool,
) -> bool:
    """Return whether somebody who knows a stream's address may see the stream.

    Args:
        roles: What they are for the server; who makes streams there is none of others'.
        on_stream: What they are for this stream.
    """
    if visibility is not Visibility.INVITED:
        return True
    return is_guest or bool(roles & STAFF) or bool(on_stream & STREAM_ROLES)
