"""People, how they sign in, and machines' keys, as the rest of the server sees them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from metering.units import AccountId


class Role(StrEnum):
    """What somebody is, for the whole server or for one stream."""

    OWNER = "owner"
    FINANCE = "finance"
    SUPPORT = "support"
    AUDITOR = "auditor"
    CREATOR = "creator"
    MODERATOR = "moderator"


STAFF = frozenset({Role.OWNER, Role.FINANCE, Role.SUPPORT, Role.AUDITOR})
"""Roles for the whole server that see others' things; the others are for one stream."""
SERVER_ROLES = STAFF | {Role.CREATOR}
"""All roles for the whole server: a creator may make streams where `[people]` asks for that."""
STREAM_ROLES = frozenset({Role.CREATOR, Role.MODERATOR})


class CredentialKind(StrEnum):
    """How somebody shows who they are."""

    PASSKEY = "passkey"
    WALLET = "wallet"
    OIDC = "oidc"
    MAIL = "mail"


class InvitationKind(StrEnum):
    """What an invitation hands over."""

    VIEWER = "viewer"
    STREAM = "stream"
    ROLE = "role"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody.

    Attributes:
        id: 32 hexadecimal digits; says nothing of them.
        name: As they want to be called; need not be unique.
        account: Of the viewer that they pay as; None while they have none.
        closed_ms: When they, or the operator, closed it; None while it is open.
    """

    id: str
    name: str
    account: AccountId | None
    created_ms: int
    closed_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Credential:
    """One way in.

    Attributes:
        id: 16 hexadecimal digits.
        subject: What is unique of it: a passkey's id in hexadecimal digits, a wallet's account, an
            issuer and its subject, a mail address.
        label: What its owner knows it by.
        public_key: Of a passkey (COSE) or wallet; empty for the others.
        sign_count: The newest that a passkey told; 0 where it does not count.
    """

    id: str
    person: str
    kind: CredentialKind
    subject: str
    label: str
    public_key: bytes
    sign_count: int
    created_ms: int
    used_ms: int | None


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """A browser that is signed in.

    Attributes:
        id: 16 hexadecimal digits, for its owner's list; opens nothing.
        seen_ms: Newest use, known to within `browser_sessions.TOUCH_MS`.
        expires_ms: When it ends unless it is used before.
        ends_ms: When it ends in any case.
        shown_ms: When a credential was last shown in it.
        address: Where it began.
        agent: The browser's own word, shortened.
    """

    id: str
    person: str
    created_ms: int
    seen_ms: int
    expires_ms: int
    ends_ms: int
    shown_ms: int
    address: str
    agent: str


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A machine's key; what is kept of it is its hash.

    Attributes:
        prefix: First part of the key, which names it.
        scopes: What it may be used for, see `permissions`.
        made_by: The actor who made it.
        expires_ms: None: never.
        used_ms: Newest use, known to within `api_keys.TOUCH_MS`; None: never used.
    """

    prefix: str
    sha256: bytes
    name: str
    scopes: frozenset[str]
    made_by: str
    created_ms: int
    expires_ms: int | None
    used_ms: int | None
    ended_ms: int | None


@dataclass(frozen=True, slots=True)
class Invitation:
    """Hands something over to who takes it first.

    Attributes:
        id: 16 hexadecimal digits; opens nothing.
        target: An account, a stream's id, or nothing, by `kind`.
        role: What it makes of who takes it, for a stream or the server.
    """

    id: str
    kind: InvitationKind
    target: str
    role: Role | None
    made_by: str
    created_ms: int
    expires_ms: int
    used_by: str | None
    used_ms: int | None
    ended_ms: int | None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What somebody did; see `audit`.

    Attributes:
        number: From 1, without gaps.
        actor: ``admin``, ``key:<prefix>``, ``person:<id>`` or ``nobody``.
        action: What was done, such as ``stream.price.add``.
        target: To what, such as ``stream:<id>``.
        before: What changed, as it was; JSON values without names, addresses or secrets.
        after: What changed, as it is now.
        address: From where; empty once it was erased.
        hash: Over this entry and the one before.
    """

    number: int
    at_ms: int
    actor: str
    action: str
    target: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    address: str
    hash: bytes


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes a request.

    Attributes:
        actor: As the audit log has it.
        person: Their id, None for machines and nobody.
        session: Id of the browser session, where there is one.
        roles: For the whole server.
        streams: Roles for single streams.
        scopes: Of a machine's key; None for people and the admin token, who have roles.
        shown_ms: When a credential was last shown; a key is shown with each request.
    """

    actor: str
    person: str | None = None
    session: str | None = None
    roles: frozenset[Role] = frozenset()
    streams: Mapping[UUID, frozenset[Role]] | None = None
    scopes: frozenset[str] | None = None
    shown_ms: int | None = None

    def of_stream(self, stream: UUID) -> frozenset[Role]:
        """Return what they are for a stream."""
        return (self.streams or {}).get(stream, frozenset())


NOBODY = Principal("nobody")
ADMIN = Principal("admin", roles=frozenset({Role.OWNER}))
