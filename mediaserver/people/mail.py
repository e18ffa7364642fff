"""Letters over the operator's mail server: the only importer of `aiosmtplib`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from mediaserver.people.settings import PeopleSettings
from metering.errors import InvalidValueError

TIMEOUT_S: Final = 10.0
ADDRESS_CHARACTERS_MAX: Final = 254
"""RFC 5321, 4.5.3.1.3, less the brackets."""
_ADDRESS: Final = re.compile(r"[^\s@<>\"(),:;\[\]\\]{1,64}@[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+")
_PORTS: Final = {"smtp": 587, "smtps": 465}


class MailError(Exception):
    """The mail server did not take a letter; says why."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where letters are given.

    Attributes:
        is_tls: TLS from the first byte; else STARTTLS, which this machine alone goes without.
    """

    host: str
    port: int
    is_tls: bool
    user: str
    password: str
    sender: str


def mail_server(settings: PeopleSettings) -> MailServer | None:
    """Return the mail server that the settings name, None when they name none.

    Raises:
        InvalidValueError: The password's file cannot be read.
    """
    if not settings.mail_url:
        return None
    parts, password = urlsplit(settings.mail_url), ""
    if settings.mail_password_file:
        try:
            password = Path(settings.mail_password_file).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidValueError(
                f"people.mail_password_file: {settings.mail_password_file} cannot be read: {error}"
            ) from error
    return MailServer(
        parts.hostname or "",
        parts.port or _PORTS[parts.scheme],
        parts.scheme == "smtps",
        unquote(parts.username or ""),
        password,
        settings.mail_from,
    )


def mail_address(text: str) -> str:
    """Return a mail address as it is kept: its domain, and what is before it, in small letters.

    Raises:
        InvalidValueError: It is none.
    """
    address = text.strip().lower()
    if len(address) > ADDRESS_CHARACTERS_MAX or not _ADDRESS.fullmatch(address):
        raise InvalidValueError(
            f"address {text[:80]!r} is no mail address, such as ann@example.org"
        )
    return address


async def send(server: MailServer, to: str, subject: str, text: str) -> None:
    """Give a letter to the mail server.

    Raises:
        MailError: It was not taken.
    """
    from email.message import EmailMessage  # noqa: PLC0415 -- most servers send none

    import aiosmtplib  # noqa: PLC0415

    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = server.sender, to, subject
    letter["Auto-Submitted"] = "auto-generated"  # RFC 3834, 5: no holiday answers
    letter.set_content(text)
    is_here = server.host in ("localhost", "127.0.0.1", "::1")
    try:
        await aiosmtplib.send(
            letter,
            hostname=server.host,
            port=server.port,
            username=server.user or None,
            password=server.password or None,
            use_tls=server.is_tls,
            start_tls=None if server.is_tls or is_here else True,
            timeout=TIMEOUT_S,
        )
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        raise MailError(f"{server.host}:{server.port}: {error}") from error
