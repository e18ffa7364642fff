"""The table ``[people]`` of the configuration. Why each default: config/mediaserver.toml."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")
"""Of words and tokens of issuers: none has a secret that both sides know, and `none` is none."""


@dataclass(frozen=True, slots=True)
class OidcIssuer:
    """Somebody who vouches for people, ``[[people.oidc]]``: OpenID Connect Core 1.0."""

    name: str = field(default="", metadata={"about": "What it is called here: a-z, 0-9 and -."})
    issuer: str = field(default="", metadata={"about": "Its own address, to the letter."})
    client_id: str = field(default="", metadata={"about": "What it knows this server by."})
    client_secret_file: str = field(
        default="", metadata={"about": "File with the secret that it gave; empty: it gave none."}
    )


@dataclass(frozen=True, slots=True)
class WatchIssuer:
    """Somebody whose signed tokens let viewers in, ``[[watch.issuers]]``: JSON Web Tokens."""

    issuer: str = field(default="", metadata={"about": "What its tokens say in `iss`."})
    audience: str = field(default="", metadata={"about": "What its tokens for us say in `aud`."})
    jwks_url: str = field(default="", metadata={"about": "Where its keys are (RFC 7517); or:"})
    jwks_file: str = field(default="", metadata={"about": "The file that its keys are in."})
    algorithms: tuple[str, ...] = field(
        default=ALGORITHMS,
        metadata={"about": "What it signs with: none that need a shared secret."},
    )
    stream_claim: str = field(
        default="stream", metadata={"about": "The claim with a stream's name, or a list of them."}
    )
    limit_claim: str = field(
        default="limit",
        metadata={"about": "The claim with the planck that the token's player may spend, if any."},
    )


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """Who else lets viewers in."""

    issuers: tuple[WatchIssuer, ...] = ()
    country_file: str = ""
    country_failure: str = field(default="closed", metadata={"choices": ("closed", "open")})


@dataclass(frozen=True, slots=True)
class PeopleSettings:
    """Who may come, how, and what newcomers may do."""

    sign_up: bool = True
    guest_days: int = field(default=30, metadata={"low": 0, "high": 3650})
    stream_creators: str = field(
        default="invited", metadata={"choices": ("nobody", "invited", "anyone")}
    )
    streams_per_person_max: int = field(default=3, metadata={"low": 1, "high": 10000})
    mail_url: str = ""
    mail_password_file: str = ""
    mail_from: str = ""
    oidc: tuple[OidcIssuer, ...] = ()
