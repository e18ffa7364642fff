"""What is wrong with ``[people]``, and what an operator should know of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from mediaserver.people.relying_party import relying_party
from mediaserver.settings.records import Settings

ISSUERS_MAX: Final = 8
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")


def people_faults(settings: Settings) -> Iterator[str]:
    """Yield each fault, ``people.key: value is what is wrong; remedy``."""
    people = settings.people
    if people.mail_url:
        parts = urlsplit(people.mail_url)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.password:
            # Without its text: it may hold a password.
            yield (
                "people.mail_url: is not smtp://user@host:587 or smtps://user@host; the password "
                "is in the file that people.mail_password_file names"
            )
        if "@" not in people.mail_from:
            yield (
                f'people.mail_from: "{people.mail_from}" is no sender; people.mail_url needs one, '
                'such as "live@example.org"'
            )
    names = [issuer.name for issuer in people.oidc]
    if len(names) > ISSUERS_MAX:
        yield f"people.oidc: {len(names)} issuers are over {ISSUERS_MAX}; list fewer"
    for index, issuer in enumerate(people.oidc):
        path, parts = f"people.oidc[{index}]", urlsplit(issuer.issuer)
        if not _NAME.fullmatch(issuer.name) or names.count(issuer.name) > 1:
            yield f'{path}.name: "{issuer.name}" is not one name of a-z, 0-9 and -; change it'
        is_local = parts.scheme == "http" and parts.hostname in _LOCAL
        if (parts.scheme != "https" and not is_local) or not parts.hostname:
            yield f'{path}.issuer: "{issuer.issuer}" is no https address; give the issuer\'s own'
        if not issuer.client_id:
            yield f'{path}.client_id: "" is empty; the issuer gives one where you register'


def people_notes(settings: Settings) -> Iterator[str]:
    """Yield what is no fault and changes what people can do."""
    if relying_party(settings.public_url) is None:
        yield (
            f"server.public_url: {settings.public_url}: browsers make passkeys for a name over "
            "HTTPS alone, so nobody can sign in by passkey; use https://... or http://localhost"
        )
