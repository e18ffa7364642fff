"""A running server with one of each thing that the API names, and those who ask it: four callers.

An operator, the creator of the stream, a viewer, and somebody who shows nothing.
"""

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from tests.support.authenticator import Authenticator
from tests.support.route_names import NAMES
from tests.support.servers.vilokanam import Server, running
from tests.support.webhook_receiver import SECRET

PRICE_PLANCK = "1000000"
SECONDS_MAX = 20


@dataclass
class Caller:
    """Somebody who asks.

    Attributes:
        headers: What they show.
        person: Who they are; empty: no person.
    """

    name: str
    url: str
    session: requests.Session
    headers: dict[str, str] = field(default_factory=dict)
    person: str = ""
    _address: Iterator[int] = field(default_factory=lambda: itertools.count(1), repr=False)

    def ask(self, method: str, path: str, **request: Any) -> requests.Response:
        """Return an answer; from another address each time, as bounds go by it."""
        number = next(self._address)
        headers = {**(request.pop("headers", None) or {}), **self.headers}
        headers["X-Forwarded-For"] = f"198.18.{number >> 8 & 255}.{number & 255}"
        return self.session.request(
            method,
            self.url + path,
            headers=headers,
            allow_redirects=False,
            timeout=SECONDS_MAX,
            **request,
        )

    def do(self, method: str, path: str, body: Any = None, key: str = "") -> Any:
        """Return the JSON of what has to succeed."""
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        data = None if body is None else json.dumps(body)
        answer = self.ask(method, f"/api/v1/{path}", data=data, headers=headers)
        assert answer.ok, (method, path, answer.text)
        return json.loads(answer.content)

    def sign_up(self) -> None:
        """Become a person, new to this server, with a passkey shown just now."""
        self.session.cookies.clear()
        self.headers = {"Origin": self.url}
        device = Authenticator(origin=self.url)
        options = self.do("POST", "sign-up/passkey/options", {"name": self.name})
        made = self.do(
            "POST", "sign-up/passkey", {"credential": device.create(options), "label": "phone"}
        )
        self.person = made["person"]


class AskedWorld:
    """Everything that can be named, in a server of its own.

    Attributes:
        names: A value that there is, for each name of a path and field of a body.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.url = f"http://localhost:{server.port}"
        self.names: dict[str, str] = dict(NAMES)
        token = (server.data_dir / "admin.token").read_text().strip()
        self.operator = self._caller("operator", {"Authorization": f"Bearer {token}"})
        here = {"Origin": self.url}
        self.creator, self.viewer = self._caller("creator"), self._caller("viewer")
        self.callers = (self.operator, self.creator, self.viewer, self._caller("nobody", here))

    def _caller(self, name: str, headers: dict[str, str] | None = None) -> Caller:
        return Caller(name, self.url, requests.Session(), headers or {})

    def fill(self) -> None:
        """Make one of each."""
        do = self.operator.do
        do("POST", "streams", {"slug": "cam", "title": "Cam", "planck_per_s": PRICE_PLANCK})
        do("POST", "viewers", {"name": "ann"})
        do("POST", "viewers/ann/credits", {"planck": "900000000"}, key="ann 1")
        self.sign_in_again()
        order = self.viewer.do(
            "POST", "me/top-ups", {"provider": "webhook", "amount": 1000}, key="order 1"
        )
        minted = do("POST", "tokens", {"viewer": "ann", "stream": "cam"})
        do("POST", "viewers", {"name": "bea"})
        bar = do("POST", "streams/cam/bars", {"viewer": "bea", "reason": "rude"})
        key = do("POST", "keys", {"name": "bot", "scopes": ["streams:read"]})
        link = do("POST", "streams/cam/links", {"uses": 3})
        guest = do("POST", "streams/cam/guests", {"viewer": "ann"})
        do("PUT", "streams/cam/passes/month", {"planck": PRICE_PLANCK})
        report = self.viewer.ask("POST", "/cam/report", json={"text": "loud"})
        invitation = do("POST", "invitations", {"stream": "cam"})
        credential = self.viewer.do("GET", "me")["credentials"][0]
        self.names |= {
            "report": json.loads(report.content)["report"],
            "invitation": invitation["id"],
            "credential": credential["id"],
            "viewer": "ann",
            "order": order["order"],
            "token": minted["token"],
            "session": minted["session"],
            "bar": bar["bar"],
            "prefix": key["prefix"],
            "link": link["id"],
            "guest": guest["guest"],
            "person": self.viewer.person,
            "provider": "webhook",
            "kind": "month",
        }

    def sign_in_again(self) -> None:
        """Let who was signed out, or closed their account, come in anew."""
        for caller in (self.creator, self.viewer):
            if caller.person and caller.ask("GET", "/api/v1/me").ok:
                continue
            caller.sign_up()
            if caller is self.creator:
                made = self.operator.do("POST", "invitations", {"stream": "cam"})
                caller.do("POST", "me/invitations", {"code": made["code"]})


@contextmanager
def asked_world(directory: Path) -> Iterator[AskedWorld]:
    """Yield a running server with one of each thing."""
    secret = directory / "secret"
    secret.write_text(SECRET)
    server = Server(directory)
    with server.config.open("a") as config:
        config.write(
            f"""
[auth]
admin_networks = ["127.0.0.0/8", "198.18.0.0/15"]
[people]
stream_creators = "anyone"
[payments]
planck_per_minor_unit = "10000"
webhook_secret_file = "{secret}"
webhook_pay_url = "https://pay.example.org/{{order}}"
[webhooks]
allowed_networks = ["127.0.0.0/8"]
targets = [{{ name = "ops", url = "http://127.0.0.1:9/", secret_file = "{secret}" }}]
"""
        )
    server.environment["VILOKANAM_SERVER__PUBLIC_URL"] = f"http://localhost:{server.port}"
    with running(server):
        world = AskedWorld(server)
        world.fill()
        yield world
