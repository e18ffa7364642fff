"""Keys of machines, see `key_format`: the prefix names a key, its hash is kept."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, tuple_, update

from mediaserver import text
from mediaserver.people import persons, tokens
from mediaserver.people.key_format import MARK, prefix_of
from mediaserver.people.permissions import SCOPES
from mediaserver.people.records import ApiKey, Role
from mediaserver.people.schema import api_keys
from metering.errors import InvalidValueError, UnknownNameError

TOUCH_MS: Final = 60_000
"""A use is written when the newest that is written is older than this."""
KEYS_MAX: Final = 1000
_NAME_MAX: Final = 200


def make(  # noqa: PLR0917 -- one row
    connection: Connection,
    name: str,
    scopes: Iterable[str],
    made_by: str,
    now_ms: int,
    expires_ms: int | None,
) -> tuple[str, ApiKey]:
    """Return a new key, shown this once, and its row.

    Raises:
        InvalidValueError: A scope is none, there is no scope, or the end is past.
    """
    chosen = frozenset(scopes)
    if unknown := sorted(chosen - SCOPES):
        raise InvalidValueError(
            f"scope {unknown[0][:64]!r} is none; scopes are {', '.join(sorted(SCOPES))}"
        )
    if not chosen:
        raise InvalidValueError(f"a key needs a scope; scopes are {', '.join(sorted(SCOPES))}")
    if fault := text.fault(name):
        raise InvalidValueError(f"a key's name {fault}; leave it out")
    if not 0 < len(name) <= _NAME_MAX:
        raise InvalidValueError(f"a key's name has 1 to {_NAME_MAX} characters: say what uses it")
    if expires_ms is not None and expires_ms <= now_ms:
        raise InvalidValueError(f"expires_ms {expires_ms} is past; leave it out for no end")
    if len(living(connection, now_ms)) >= KEYS_MAX:
        raise InvalidValueError(f"there are {KEYS_MAX} keys; end those that nothing uses")
    prefix = secrets.token_hex(6)
    key = f"{MARK}{prefix}_{tokens.new_secret()}"
    made = ApiKey(prefix, tokens.sha256(key), name, chosen, made_by, now_ms, expires_ms, None, None)
    connection.execute(
        insert(api_keys).values(
            prefix=prefix,
            sha256=made.sha256,
            name=name,
            scopes=" ".join(sorted(chosen)),
            made_by=made_by,
            created_ms=now_ms,
            expires_ms=expires_ms,
        )
    )
    return key, made


def find(connection: Connection, key: str, now_ms: int) -> ApiKey | None:
    """Return the row of a key that may be used, None when there is none."""
    row = connection.execute(
        select(api_keys).where(
            api_keys.c.prefix == prefix_of(key), api_keys.c.sha256 == tokens.sha256(key)
        )
    ).one_or_none()
    known = None if row is None else _key(row)
    if known is None or not is_living(known, now_ms):
        return None
    return known if _is_makers(connection, known) else None


def is_living(key: ApiKey, now_ms: int) -> bool:
    """Return whether a key has not ended; who made it may have lost the right to it."""
    return key.ended_ms is None and (key.expires_ms is None or now_ms < key.expires_ms)


def all_keys(connection: Connection) -> list[ApiKey]:
    """Return every key there was, the newest first."""
    rows = connection.execute(
        select(api_keys).order_by(api_keys.c.created_ms.desc(), api_keys.c.prefix)
    )
    return [_key(row) for row in rows]


def page(connection: Connection, limit: int, before: tuple[int, str] | None = None) -> list[ApiKey]:
    """Return keys, the newest first.

    Args:
        before: When the one was made, Unix ms, behind which the page begins, and its prefix.
    """
    query = select(api_keys).order_by(api_keys.c.created_ms.desc(), api_keys.c.prefix.desc())
    if before is not None:
        query = query.where(tuple_(api_keys.c.created_ms, api_keys.c.prefix) < before)
    return [_key(row) for row in connection.execute(query.limit(limit))]


def living(connection: Connection, now_ms: int) -> list[ApiKey]:
    """Return the keys that may be used."""
    kept = [key for key in all_keys(connection) if is_living(key, now_ms)]
    return [key for key in kept if _is_makers(connection, key)]


def end_of(connection: Connection, made_by: str, now_ms: int) -> list[str]:
    """End the keys that somebody made; return their prefixes."""
    theirs = [key for key in all_keys(connection) if key.made_by == made_by]
    return [end(connection, key.prefix, now_ms).prefix for key in theirs if key.ended_ms is None]


def needs_touch(key: ApiKey, now_ms: int) -> bool:
    """Return whether the use of a key is to be written now."""
    return key.used_ms is None or now_ms - key.used_ms >= TOUCH_MS


def touch(connection: Connection, prefix: str, now_ms: int) -> None:
    """Note that a key is used."""
    connection.execute(update(api_keys).where(api_keys.c.prefix == prefix).values(used_ms=now_ms))


def end(connection: Connection, prefix: str, now_ms: int) -> ApiKey:
    """End a key for good; again is harmless.

    Raises:
        UnknownNameError: There is no such key.
    """
    row = connection.execute(select(api_keys).where(api_keys.c.prefix == prefix)).one_or_none()
    if row is None:
        raise UnknownNameError(f"there is no key {prefix[:32]!r}")
    if row.ended_ms is None:
        connection.execute(
            update(api_keys).where(api_keys.c.prefix == prefix).values(ended_ms=now_ms)
        )
    return _key(row)


def _is_makers(connection: Connection, key: ApiKey) -> bool:
    """Return whether who made a key may make keys still: nobody keeps by a key what they lost."""
    actor, _, person = key.made_by.partition(":")
    if actor != "person":
        return True
    is_open = persons.get(connection, person).closed_ms is None
    return is_open and Role.OWNER in persons.roles_of(connection, person)


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        row.prefix,
        bytes(row.sha256),
        row.name,
        frozenset(row.scopes.split()),
        row.made_by,
        row.created_ms,
        row.expires_ms,
        row.used_ms,
        row.ended_ms,
    )
