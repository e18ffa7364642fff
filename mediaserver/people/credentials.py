"""The ways in of a person, of every kind; recovery codes beside them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from mediaserver.people import persons, tokens
from mediaserver.people.records import Credential, CredentialKind
from mediaserver.people.schema import credentials, recovery_codes
from metering.errors import InvalidValueError, UnknownNameError

CREDENTIALS_MAX: Final = 20
"""Of one person: a phone, a computer, a key, two wallets, and as many again."""
LABEL_CHARACTERS_MAX: Final = 80
CODES: Final = 10
_CODE_GROUPS: Final = 4
_CODE_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without the letters and digits that are taken for one another."""


@dataclass(frozen=True, slots=True)
class NewCredential:
    """What a person showed that they have; see `Credential`."""

    kind: CredentialKind
    subject: str
    label: str
    public_key: bytes = b""
    sign_count: int = 0


def add(connection: Connection, person: str, shown: NewCredential, now_ms: int) -> Credential:
    """Give a person one more way in.

    Raises:
        InvalidValueError: Somebody has it already, or the person has too many.
    """
    persons.require_open(connection, person)
    if len(of_person(connection, person)) >= CREDENTIALS_MAX:
        raise InvalidValueError(
            f"you have {CREDENTIALS_MAX} ways to sign in already; remove one that you do not use"
        )
    label = shown.label.strip()[:LABEL_CHARACTERS_MAX] or shown.kind.value
    made = Credential(
        tokens.new_id(),
        person,
        shown.kind,
        shown.subject,
        label,
        shown.public_key,
        shown.sign_count,
        now_ms,
        None,
    )
    try:
        with connection.begin_nested():
            connection.execute(
                insert(credentials).values(
                    id=made.id,
                    person=person,
                    kind=made.kind.value,
                    subject=made.subject,
                    label=label,
                    public_key=made.public_key,
                    sign_count=made.sign_count,
                    created_ms=now_ms,
                )
            )
    except IntegrityError as error:
        raise InvalidValueError(
            f"this {shown.kind.value} signs somebody in already: sign in with it, or use another"
        ) from error
    return made


def by_subject(connection: Connection, kind: CredentialKind, subject: str) -> Credential | None:
    """Return a credential by what is unique of it, None when nobody has it."""
    row = connection.execute(
        select(credentials).where(
            credentials.c.kind == kind.value, credentials.c.subject == subject
        )
    ).one_or_none()
    return None if row is None else _credential(row)


def of_person(connection: Connection, person: str) -> list[Credential]:
    """Return a person's ways in, oldest first."""
    rows = connection.execute(
        select(credentials)
        .where(credentials.c.person == person)
        .order_by(credentials.c.created_ms, credentials.c.id)
    )
    return [_credential(row) for row in rows]


def used(connection: Connection, credential: str, sign_count: int, now_ms: int) -> None:
    """Note that a credential was shown.

    Args:
        sign_count: What it told; 0 for kinds that do not count.
    """
    connection.execute(
        update(credentials)
        .where(credentials.c.id == credential)
        .values(used_ms=now_ms, sign_count=sign_count)
    )


def remove(connection: Connection, person: str, credential: str) -> Credential:
    """Take a way in from a person.

    Raises:
        UnknownNameError: They have no such one.
        InvalidValueError: It is the last one.
    """
    held = {item.id: item for item in of_person(connection, person)}
    if credential not in held:
        raise UnknownNameError(f"you have no way to sign in {credential[:32]!r}")
    if len(held) == 1:
        raise InvalidValueError(
            "this is your last way to sign in, and without it nobody could get at your account: "
            "add another one first"
        )
    connection.execute(delete(credentials).where(credentials.c.id == credential))
    return held[credential]


def new_codes(connection: Connection, person: str, now_ms: int) -> list[str]:
    """Return new recovery codes, shown this once; the old ones open nothing any more."""
    persons.require_open(connection, person)
    connection.execute(delete(recovery_codes).where(recovery_codes.c.person == person))
    made = [_new_code() for _ in range(CODES)]
    connection.execute(
        insert(recovery_codes),
        [
            {"sha256": tokens.sha256(plain(code)), "person": person, "created_ms": now_ms}
            for code in made
        ],
    )
    return made


def codes_left(connection: Connection, person: str) -> int:
    """Return how many recovery codes of a person are unused."""
    unused = connection.execute(
        select(recovery_codes.c.sha256).where(
            recovery_codes.c.person == person, recovery_codes.c.used_ms.is_(None)
        )
    )
    return len(unused.all())


def use_code(connection: Connection, code: str, now_ms: int) -> str | None:
    """Return whose unused recovery code this is, and use it up; None when it is nobody's."""
    digest = tokens.sha256(plain(code))
    person: str | None = connection.execute(
        select(recovery_codes.c.person).where(
            recovery_codes.c.sha256 == digest, recovery_codes.c.used_ms.is_(None)
        )
    ).scalar_one_or_none()
    if person is not None:
        connection.execute(
            update(recovery_codes).where(recovery_codes.c.sha256 == digest).values(used_ms=now_ms)
        )
    return person


def plain(code: str) -> str:
    """Return a recovery code as it is hashed: without what people add when they copy it."""
    return "".join(character for character in code.lower() if character in _CODE_ALPHABET)


def _new_code() -> str:
    """Return 24 letters and digits in groups of six: 118 random bits."""
    groups = (
        "".join(secrets.choice(_CODE_ALPHABET) for _ in range(6)) for _ in range(_CODE_GROUPS)
    )
    return "-".join(groups)


def _credential(row: Row[Any]) -> Credential:
    return Credential(
        row.id,
        row.person,
        CredentialKind(row.kind),
        row.subject,
        row.label,
        bytes(row.public_key),
        row.sign_count,
        row.created_ms,
        row.used_ms,
    )
