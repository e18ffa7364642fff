"""An operator's own issuer of viewers' tokens: keys at an address, tokens of any kind."""

import asyncio
import base64
import hmac
import json
import time
from typing import Any, Self

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

AUDIENCE = "https://live.example.org"
ISSUER = "https://members.example.org"


class JwtIssuer:
    """Signs with `key`; the address of its keys tells `published`, after `may_answer` is set."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "first"})
        self.published: list[Any] = [self.key]
        self.padding = 0
        self.requests = 0
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/keys", self._keys)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/keys"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.may_answer.set()
        await self._runner.cleanup()

    def jwks(self) -> dict[str, Any]:
        """Return the published keys as JSON has them."""
        return {"keys": [key.as_dict(private=False) for key in self.published]}

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Return claims that let ann watch cam for an hour; None takes one away."""
        now_s = int(time.time())
        plain = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "stream": "cam"}
        made = {**plain, "iat": now_s, "exp": now_s + 3600, **changed}
        return {name: value for name, value in made.items() if value is not None}

    def token(self, key: Any = None, header: dict[str, Any] | None = None, **changed: Any) -> str:
        """Return a token that is signed."""
        key = key or self.key
        algorithm = "ES256" if isinstance(key, ECKey) else "RS256"
        head = {"alg": algorithm, "kid": key.kid, **(header or {})}
        return jwt.encode(head, self.claims(**changed), key, [head["alg"]])

    def forged(self, algorithm: str, secret: bytes = b"", **header: Any) -> str:
        """Return a token signed with a shared secret, or not at all."""
        head = {"alg": algorithm, "kid": self.key.kid, **header}
        parts = [
            base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
            for part in (head, self.claims())
        ]
        digest = hmac.digest(secret, b".".join(parts), "sha256") if secret else b""
        return b".".join((*parts, base64.urlsafe_b64encode(digest).rstrip(b"="))).decode()

    async def _keys(self, _: web.Request) -> web.Response:
        self.requests += 1
        self.asked.set()
        await self.may_answer.wait()
        return web.json_response({**self.jwks(), "padding": "x" * self.padding})
