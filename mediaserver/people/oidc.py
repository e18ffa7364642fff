"""OpenID Connect: somebody elsewhere vouches for a person.

Authorisation code with PKCE (RFC 7636), state and nonce; the ID token is checked as OpenID Connect
Core 1.0, 3.1.3.7 says, with algorithms from a list of ours, never the token's word for it.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp

from mediaserver.clock import Clock
from mediaserver.people.jwks import LIFE_S, IssuerError, Jwks, ask
from mediaserver.people.settings import ALGORITHMS, OidcIssuer
from metering.errors import InvalidValueError

LEEWAY_S: Final = 60
SUBJECT_CHARACTERS_MAX: Final = 255
"""OpenID Connect Core 1.0, 2: a subject has at most 255 ASCII characters."""


@dataclass(frozen=True, slots=True)
class Vouched:
    """Whom an issuer vouches for: `subject` is unique below the issuer; `name` may be empty."""

    subject: str
    name: str


class Issuer:
    """One issuer: its addresses and keys, each looked up when needed and kept for a while."""

    def __init__(self, settings: OidcIssuer, clock: Clock) -> None:
        self.name = settings.name
        self._settings = settings
        self._clock = clock
        self._found: dict[str, Any] = {}
        self._found_s = 0.0
        self._jwks = Jwks(clock)

    async def address(self, redirect: str, state: str, nonce: str, verifier: str) -> str:
        """Return where a browser is sent.

        Args:
            redirect: Where it comes back to.
            verifier: PKCE's secret, told when the code is exchanged.

        Raises:
            IssuerError: The issuer does not answer.
        """
        found = await self._discover()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
        query = {
            "response_type": "code",
            "scope": "openid profile",
            "client_id": self._settings.client_id,
            "redirect_uri": redirect,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge.rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        base = str(found["authorization_endpoint"])
        return f"{base}{'&' if '?' in base else '?'}{urlencode(query)}"

    async def vouched(self, code: str, redirect: str, nonce: str, verifier: str) -> Vouched:
        """Return whom the issuer vouches for with a code.

        Raises:
            IssuerError: The issuer does not answer, or refuses the code.
            InvalidValueError: Its word does not hold: another issuer's, ours not, old, replayed.
        """
        found = await self._discover()
        secret = self._secret()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect,
            "client_id": self._settings.client_id,
            "code_verifier": verifier,
        }
        auth = aiohttp.BasicAuth(self._settings.client_id, secret) if secret else None
        answer = await ask("POST", str(found["token_endpoint"]), form, auth)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise IssuerError(f"{self.name} gave no id_token: {str(answer.get('error'))[:80]}")
        claims = await self._verified(token, str(found["jwks_uri"]))
        return self._judged(claims, nonce)

    def _judged(self, claims: dict[str, Any], nonce: str) -> Vouched:
        audience, client = claims.get("aud"), self._settings.client_id
        audiences = audience if isinstance(audience, list) else [audience]
        now_s = self._clock.now_ms() / 1000
        expires_s, issued_s = claims.get("exp"), claims.get("iat")
        faults = {
            "another issuer's": claims.get("iss") != self._settings.issuer,
            "for somebody else": client not in audiences,
            "for several, and not asked by us": len(audiences) > 1 and claims.get("azp") != client,
            "asked by somebody else": claims.get("azp", client) != client,
            "old": not isinstance(expires_s, int | float) or now_s >= expires_s + LEEWAY_S,
            "from the future": not isinstance(issued_s, int | float) or issued_s > now_s + LEEWAY_S,
            "of another sign-in": claims.get("nonce") != nonce,
        }
        wrong = [fault for fault, is_so in faults.items() if is_so]
        if wrong:
            raise InvalidValueError(f"the word of {self.name} does not hold: it is {wrong[0]}")
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_CHARACTERS_MAX:
            raise InvalidValueError(f"the word of {self.name} does not hold: it names nobody")
        name = claims.get("name") or claims.get("preferred_username") or ""
        return Vouched(subject, str(name)[:80])

    async def _verified(self, token: str, keys_url: str) -> dict[str, Any]:
        try:
            return await self._jwks.claims(token, ALGORITHMS, keys_url)
        except InvalidValueError as error:
            raise InvalidValueError(f"the word of {self.name} {error}") from error

    async def _discover(self) -> dict[str, Any]:
        now_s = self._clock.monotonic()
        if not self._found or now_s - self._found_s > LIFE_S:
            base = self._settings.issuer.rstrip("/")
            found = await ask("GET", f"{base}/.well-known/openid-configuration")
            needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
            if found.get("issuer") != self._settings.issuer:
                raise IssuerError(
                    f"{base} calls itself {str(found.get('issuer'))[:200]}: set "
                    "people.oidc.issuer to that, to the letter"
                )
            if missing := [name for name in needed if not isinstance(found.get(name), str)]:
                raise IssuerError(f"{base} does not tell its {missing[0]}")
            self._found, self._found_s = found, now_s
        return self._found

    def _secret(self) -> str:
        file = self._settings.client_secret_file
        try:
            return Path(file).read_text().strip() if file else ""
        except (OSError, UnicodeDecodeError) as error:
            raise IssuerError(f"people.oidc.client_secret_file: {file}: {error}") from error
