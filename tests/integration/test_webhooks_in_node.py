"""Webhooks, out and in, with the library that receivers and providers have in Node."""

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest

from mediaserver.webhooks.settings import WebhooksSettings, WebhookTarget
from tests.support.control_server import Server, settings
from tests.support.payments_fixture import PLANCK
from tests.support.people_browser import JSON, ORIGIN, Browser
from tests.support.webhook_receiver import SECRET
from tests.support.worker_report import report

PROGRAM = Path(__file__).parents[1] / "publishers" / "webhooks.mjs"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(
    NODE is None or not (PROGRAM.parent / "node_modules" / "standardwebhooks").exists(),
    reason="npm standardwebhooks is missing: make publishers",
)


class NodeReceiver:
    """A server in Node that checks each webhook with npm's library."""

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            str(NODE), str(PROGRAM), "receive", SECRET,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self.port = int(await self._line())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        async with asyncio.timeout(10):
            await self._process.wait()

    async def _line(self) -> bytes:
        assert self._process.stdout is not None
        async with asyncio.timeout(15):
            return await self._process.stdout.readline()

    async def take(self) -> dict[str, Any]:
        """Return the next webhook: id, body, and what the library says of it."""
        came: dict[str, Any] = json.loads(await self._line())
        return came


@pytest.fixture
async def receiver() -> AsyncIterator[NodeReceiver]:
    async with NodeReceiver() as running:
        yield running


@pytest.fixture
async def server(tmp_path, receiver) -> AsyncIterator[Server]:
    made = settings()
    old = "whsec_" + "b2xk" * 11
    (tmp_path / "hook.secret").write_text(f"{old}\n{SECRET}\n")  # while one replaces another
    (tmp_path / "payments.secret").write_text(SECRET)
    target = WebhookTarget(
        "node", f"http://127.0.0.1:{receiver.port}/hook", str(tmp_path / "hook.secret")
    )
    tree = replace(
        made,
        server=replace(made.server, public_url=ORIGIN),
        webhooks=WebhooksSettings(targets=(target,), allowed_networks=("127.0.0.0/8",)),
        payments=replace(
            made.payments,
            planck_per_minor_unit=str(PLANCK),
            webhook_secret_file=str(tmp_path / "payments.secret"),
        ),
    )
    async with Server(tmp_path, tree) as started:
        yield started


async def test_a_receiver_in_node_takes_what_we_sign(server, receiver) -> None:
    """A real show, its name in no ASCII; what was changed on the way is refused there."""
    stream = await server.stream(title="Größe 🎥")
    await server.ask("POST", "/internal/workers", report(stream), 204)
    live = await receiver.take()
    await server.api("POST", "webhooks/node/test", {}, 201)
    tested = await receiver.take()

    assert [came["body"]["type"] for came in (live, tested)] == ["stream.live", "webhook.test"]
    assert live["body"]["data"]["stream"]["id"] == stream["id"]
    for came in (live, tested):
        assert came["fault"] == ""
        assert came["altered"] == came["renamed"] == "No matching signature found"


async def test_a_provider_in_node_signs_what_we_take(server) -> None:
    """A payment is booked; the same with another amount is not."""
    browser = Browser(server)
    await browser.sign_up("Ann")
    wanted = {"provider": "webhook", "amount": 1000}
    status, order = await browser.ask(
        "POST", "me/top-ups", wanted, {**JSON, "Idempotency-Key": "k1"}
    )
    assert status == 201
    paid = {
        "order": order["order"],
        "payment": "pay_1",
        "status": "paid",
        "amount": 1000,
        "currency": "EUR",
    }
    body = json.dumps(paid, indent=3)  # the bytes are signed, not what they mean
    signing = await asyncio.create_subprocess_exec(
        str(NODE), str(PROGRAM), "sign", SECRET, "msg_1", body, stdout=asyncio.subprocess.PIPE
    )
    headers = json.loads((await signing.communicate())[0])
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60

    assert await hook(server, body.replace("1000", "9000"), headers) == 401
    assert await hook(server, body, headers) == 200
    assert (await browser.ask("GET", "me"))[1]["balance"] == str(1000 * PLANCK)


async def hook(server: Server, body: str, headers: dict[str, str]) -> int:
    connector = aiohttp.UnixConnector(str(server.run_dir / "control.sock"))
    async with (
        aiohttp.ClientSession(connector=connector) as http,
        http.post("http://c/hooks/payments/webhook", data=body.encode(), headers=headers) as answer,
    ):
        return answer.status
