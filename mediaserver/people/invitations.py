"""Invitations: an existing viewer, a stream or a role, for the first who takes it."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Row, func, insert, select, tuple_, update

from mediaserver.people import api_keys, persons, tokens
from mediaserver.people.records import Invitation, InvitationKind, Role
from mediaserver.people.schema import invitations
from metering.errors import InvalidValueError, UnknownNameError

LIFE_MS: Final = 7 * 86_400_000
OPEN_MAX: Final = 10_000
OPEN_OF_PERSON_MAX: Final = 100
"""Of one person: who may make some does not keep others from it."""
SHOWN_MAX: Final = 500


def may_make(
    kind: InvitationKind,
    roles: AbstractSet[Role],
    on_stream: AbstractSet[Role],
    *,
    is_machine: bool = False,
) -> bool:
    """Return whether somebody may make an invitation.

    Roles for the server are an owner's alone to hand out: a key has none, so it gives none.

    Args:
        roles: What they are for the server. A creator there makes streams, and is none of others'.
        on_stream: What they are for the stream that it is to.
        is_machine: Whether they are a key with the scope for it.
    """
    if Role.OWNER in roles:
        return True
    return (is_machine and kind is not InvitationKind.ROLE) or (
        kind is InvitationKind.STREAM and Role.CREATOR in on_stream
    )


def is_standing(connection: Connection, invitation: Invitation, now_ms: int) -> bool:
    """Return whether who made an invitation may still: who lost a right kept no way back to it."""
    kind, (actor, _, name) = invitation.kind, invitation.made_by.partition(":")
    if actor == "key":
        living = {key.prefix for key in api_keys.living(connection, now_ms)}
        return may_make(kind, frozenset(), frozenset(), is_machine=name in living)
    if actor != "person":
        return True
    held: AbstractSet[Role] = frozenset()
    if kind is InvitationKind.STREAM:
        held = persons.streams_of(connection, name).get(UUID(invitation.target), frozenset())
    is_open = persons.get(connection, name).closed_ms is None
    return is_open and may_make(kind, persons.roles_of(connection, name), held)


def make(  # noqa: PLR0917 -- one row
    connection: Connection,
    kind: InvitationKind,
    target: str,
    role: Role | None,
    made_by: str,
    now_ms: int,
) -> tuple[str, Invitation]:
    """Return the code of a new invitation, shown this once, and its row.

    Raises:
        InvalidValueError: Too many are open, or too many of theirs.
    """
    if len(open_ones(connection, now_ms, OPEN_MAX)) >= OPEN_MAX:
        raise InvalidValueError(f"{OPEN_MAX} invitations are open: take some back first")
    if made_by.startswith("person:") and _open_of(connection, made_by, now_ms) >= (
        OPEN_OF_PERSON_MAX
    ):
        raise InvalidValueError(
            f"{OPEN_OF_PERSON_MAX} invitations of yours are open: each ends after a week"
        )
    code = tokens.new_secret()
    made = Invitation(
        tokens.new_id(), kind, target, role, made_by, now_ms, now_ms + LIFE_MS, None, None, None
    )
    connection.execute(
        insert(invitations).values(
            sha256=tokens.sha256(code),
            id=made.id,
            kind=kind.value,
            target=target,
            role=role,
            made_by=made_by,
            created_ms=now_ms,
            expires_ms=made.expires_ms,
        )
    )
    return code, made


def find(connection: Connection, code: str, now_ms: int) -> Invitation | None:
    """Return the invitation of a code while it may be taken, and its maker may make it."""
    row = connection.execute(
        select(invitations).where(
            invitations.c.sha256 == tokens.sha256(code),
            invitations.c.used_ms.is_(None),
            invitations.c.ended_ms.is_(None),
            invitations.c.expires_ms > now_ms,
        )
    ).one_or_none()
    found = None if row is None else _invitation(row)
    return found if found is not None and is_standing(connection, found, now_ms) else None


def take(connection: Connection, invitation: str, person: str, now_ms: int) -> None:
    """Note who took an invitation."""
    connection.execute(
        update(invitations)
        .where(invitations.c.id == invitation)
        .values(used_by=person, used_ms=now_ms)
    )


def open_ones(
    connection: Connection,
    now_ms: int,
    limit: int = SHOWN_MAX,
    *,
    made_by: str = "",
    before: tuple[int, str] | None = None,
) -> list[Invitation]:
    """Return the invitations that may be taken, the newest first.

    Args:
        before: When the one was made, Unix ms, behind which the page begins, and its id.
        made_by: Those of one maker; empty: of all.
    """
    rows = connection.execute(
        select(invitations)
        .where(
            invitations.c.used_ms.is_(None),
            invitations.c.ended_ms.is_(None),
            invitations.c.expires_ms > now_ms,
            *([invitations.c.made_by == made_by] if made_by else []),
            *([tuple_(invitations.c.created_ms, invitations.c.id) < before] if before else []),
        )
        .order_by(invitations.c.created_ms.desc(), invitations.c.id.desc())
        .limit(limit)
    )
    return [_invitation(row) for row in rows]


def _open_of(connection: Connection, made_by: str, now_ms: int) -> int:
    """Return how many invitations of somebody may be taken."""
    query = select(func.count()).where(
        invitations.c.made_by == made_by,
        invitations.c.used_ms.is_(None),
        invitations.c.ended_ms.is_(None),
        invitations.c.expires_ms > now_ms,
    )
    return int(connection.execute(query).scalar_one())


def take_back(
    connection: Connection, invitation: str, now_ms: int, made_by: str = ""
) -> Invitation:
    """End an invitation that nobody took.

    Args:
        made_by: Only one of theirs; empty: anybody's.

    Raises:
        UnknownNameError: There is none that may be taken.
    """
    row = connection.execute(
        select(invitations).where(
            invitations.c.id == invitation,
            invitations.c.used_ms.is_(None),
            invitations.c.ended_ms.is_(None),
            *([invitations.c.made_by == made_by] if made_by else []),
        )
    ).one_or_none()
    if row is None:
        raise UnknownNameError(f"no open invitation {invitation[:32]!r}")
    connection.execute(
        update(invitations).where(invitations.c.id == invitation).values(ended_ms=now_ms)
    )
    return _invitation(row)


def _invitation(row: Row[Any]) -> Invitation:
    return Invitation(
        row.id,
        InvitationKind(row.kind),
        row.target,
        None if row.role is None else Role(row.role),
        row.made_by,
        row.created_ms,
        row.expires_ms,
        row.used_by,
        row.used_ms,
        row.ended_ms,
    )
