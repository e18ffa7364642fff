"""An OpenID Connect issuer that says what a test wants it to."""

import base64
import hashlib
import time
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT = "vilokanam"


class OidcIssuer:
    """Answers discovery, keys and token requests; `claims` and `header` change its word."""

    def __init__(self) -> None:
        self.padding = 0
        self.key = RSAKey.generate_key(2048, {"kid": "first"})
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {}
        self.signs_with: Any = None
        self.asked: dict[str, str] = {}
        self.key_requests = 0
        self.token = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self._discovery)
        app.router.add_get("/keys", self._keys)
        app.router.add_post("/token", self._token)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def visit(self, url: str) -> str:
        """Say yes as somebody's browser; return the query that it comes back with."""
        self.asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        return f"code=c0de&state={self.asked['state']}"

    async def _discovery(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys",
                "claims_supported": ["x" * self.padding],
            }
        )

    async def _keys(self, _: web.Request) -> web.Response:
        self.key_requests += 1
        keys = [key.as_dict(private=False) for key in (self.key,)]
        return web.json_response({"keys": keys})

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if form["code"] != "c0de" or challenge != self.asked["code_challenge"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        if self.token:
            return web.json_response({"id_token": self.token})
        now_s = int(time.time())
        claims = {
            "iss": self.url,
            "sub": "1234",
            "aud": CLIENT,
            "nonce": self.asked["nonce"],
            "iat": now_s,
            "exp": now_s + 300,
            "name": "Ann Example",
        } | self.claims
        header = {"alg": "RS256", "kid": self.key.kid} | self.header
        claims = {name: value for name, value in claims.items() if value is not None}
        signed = jwt.encode(header, claims, self.signs_with or self.key, [header["alg"]])
        return web.json_response({"id_token": signed})
