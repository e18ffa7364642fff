"""The audit log: who did what to what, before and after, from where.

Rows are only ever added (triggers of the database hold that), each with a hash over itself and the
hash before it, so that a row changed, left out or put in between later is found by `verify`. The
address is a person's data and can be erased: the chain holds a salted hash of it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, func, insert, select

from mediaserver.people.records import AuditEntry
from mediaserver.people.schema import audit

GENESIS: Final = b"\0" * 32
"""What the first entry follows."""
SALT_BYTES: Final = 16
PAGE_MAX: Final = 1000


def add(
    connection: Connection,
    *,
    at_ms: int,
    actor: str,
    action: str,
    target: str,
    address: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> AuditEntry:
    """Write an entry in the transaction of what it is about.

    Args:
        before: What changed, as it was; ids and numbers, no names, addresses or secrets.
        after: What changed, as it is now.
    """
    newest = connection.execute(
        select(audit.c.number, audit.c.hash).order_by(audit.c.number.desc()).limit(1)
    ).one_or_none()
    number, previous = (1, GENESIS) if newest is None else (newest.number + 1, newest.hash)
    salt = secrets.token_bytes(SALT_BYTES)
    address_sha256 = hashlib.sha256(salt + address.encode()).digest()
    texts = _json(before or {}), _json(after or {})
    digest = entry_hash(previous, number, at_ms, actor, action, target, *texts, address_sha256)
    connection.execute(
        insert(audit).values(
            number=number,
            at_ms=at_ms,
            actor=actor,
            action=action,
            target=target,
            before=texts[0],
            after=texts[1],
            address=address,
            salt=salt,
            address_sha256=address_sha256,
            hash=digest,
        )
    )
    return AuditEntry(
        number, at_ms, actor, action, target, before or {}, after or {}, address, digest
    )


def entry_hash(  # noqa: PLR0917 -- the order is the one that is hashed
    previous: bytes,
    number: int,
    at_ms: int,
    actor: str,
    action: str,
    target: str,
    before: str,
    after: str,
    address_sha256: bytes,
) -> bytes:
    """Return the SHA-256 of a compact JSON array of an entry, all bytes as hexadecimal digits."""
    fields = [
        previous.hex(),
        number,
        at_ms,
        actor,
        action,
        target,
        before,
        after,
        address_sha256.hex(),
    ]
    return hashlib.sha256(_json(fields).encode()).digest()


def page(
    connection: Connection, after: int = 0, limit: int = PAGE_MAX, target: str = ""
) -> list[AuditEntry]:
    """Return the entries behind number `after`, oldest first.

    Args:
        target: Only of this one; empty: of all.
    """
    query = select(audit).where(audit.c.number > after)
    if target:
        query = query.where(audit.c.target == target)
    rows = connection.execute(query.order_by(audit.c.number).limit(min(limit, PAGE_MAX)))
    return [_entry(row) for row in rows]


def count(connection: Connection, actor: str, action: str) -> int:
    """Return how often somebody did something."""
    query = select(func.count()).where(audit.c.actor == actor, audit.c.action == action)
    return int(connection.execute(query).scalar_one())


@dataclass(frozen=True, slots=True)
class Link:
    """Where in the chain somebody is: the next entry's number, and the hash that it follows."""

    number: int
    previous: bytes


FIRST: Final = Link(1, GENESIS)


def verify(connection: Connection, link: Link = FIRST) -> tuple[str, Link | None]:
    """Return what is wrong with a page of the log, and where the next page begins.

    Returns:
        Nothing, where the page is whole; None where no page follows, or one is not whole.
    """
    previous, expected = link.previous, link.number
    rows = connection.execute(
        select(audit).where(audit.c.number >= expected).order_by(audit.c.number).limit(PAGE_MAX)
    ).all()
    for row in rows:
        if row.number != expected:
            return f"entry {expected} is missing: {row.number} follows {expected - 1}", None
        digest = entry_hash(
            previous,
            row.number,
            row.at_ms,
            row.actor,
            row.action,
            row.target,
            row.before,
            row.after,
            row.address_sha256,
        )
        if digest != row.hash:
            return f"entry {row.number} is not the one that was written", None
        has_address = bool(row.address)
        if has_address and _address_hash(row) != row.address_sha256:
            return f"entry {row.number} has another address than the one that was written", None
        previous, expected = digest, expected + 1
    return "", Link(expected, previous) if len(rows) == PAGE_MAX else None


def _address_hash(row: Row[Any]) -> bytes:
    return hashlib.sha256(row.salt + row.address.encode()).digest()


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry(
        row.number,
        row.at_ms,
        row.actor,
        row.action,
        row.target,
        json.loads(row.before),
        json.loads(row.after),
        row.address,
        row.hash,
    )


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=True)
