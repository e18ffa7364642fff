"""Somebody's browser before the API: a cookie jar, the origin of our page, a passkey's device."""

import json
from collections.abc import Mapping
from typing import Any

import aiohttp

from tests.support import declared
from tests.support.authenticator import Authenticator
from tests.support.control_server import Server

ORIGIN = "http://localhost:8080"
JSON = {"Origin": ORIGIN, "Content-Type": "application/json"}


class Browser:
    """One browser; `answer_headers` are those of its newest answer."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.jar: dict[str, str] = {}
        self.person = ""
        self.answer_headers: Mapping[str, str] = {}

    async def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] = JSON
    ) -> tuple[int, Any]:
        """Return status and JSON of an answer of ``/api/v1/``; its cookies are kept."""
        cookies = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        sent = {**headers, **({"Cookie": cookies} if cookies else {})}
        data = None if body is None else json.dumps(body)
        connector = aiohttp.UnixConnector(str(self.server.run_dir / "control.sock"))
        async with (
            aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as http,
            http.request(
                method, f"http://c/api/v1/{path}", data=data, headers=sent, allow_redirects=False
            ) as answer,
        ):
            self.answer_headers = answer.headers
            for name, morsel in answer.cookies.items():
                self.morsel = morsel
                self.jar[name] = morsel.value
                if not morsel.value:
                    del self.jar[name]
            text = await answer.text()
            declared.hold(method, f"/api/v1/{path}", answer.status, answer.content_type, text)
            is_json = answer.content_type.endswith("json")
            return answer.status, json.loads(text) if is_json and text else None

    async def sign_up(self, name: str) -> Authenticator:
        """Make an account by a passkey; return the device that has it."""
        device = Authenticator()
        status, options = await self.ask("POST", "sign-up/passkey/options", {"name": name})
        assert status == 200, options
        status, made = await self.ask(
            "POST", "sign-up/passkey", {"credential": device.create(options), "label": "phone"}
        )
        assert status == 201, made
        self.person = made["person"]
        return device

    async def sign_in(self, device: Authenticator) -> tuple[int, Any]:
        """Show a passkey."""
        _, options = await self.ask("POST", "sign-in/passkey/options", {})
        return await self.ask("POST", "sign-in/passkey", {"credential": device.get(options)})
