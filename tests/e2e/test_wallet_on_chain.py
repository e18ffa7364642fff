"""An injected wallet on the real runtime: signs in, deposits, joins, watches, leaves, asks back."""

from __future__ import annotations

from typing import Any

import pytest

from mediaserver.people.wallets import address_of
from tests.e2e.test_watch_on_chain import FUNDS, PRICE, chain_up
from tests.support.audience import open_stream, settled, wait_live
from tests.support.page_wallet import sign_payload, sign_raw
from tests.support.servers import chopsticks
from tests.support.servers.vilokanam import Publisher, Server, chromium, running
from tests.support.wallet import account

pytestmark = pytest.mark.timeout(400)

KEY = account("page wallet")
ADDRESS = address_of(KEY.account)
INJECTED = f"""
window.injectedWeb3 = {{ test: {{ enable: async () => ({{
  accounts: {{ get: async () => [{{ address: "{ADDRESS}", name: "Test wallet" }}] }},
  signer: {{
    signRaw: async (payload) => ({{ signature: await window.walletSignsText(payload) }}),
    signPayload: async (payload) => ({{ signature: await window.walletSignsCall(payload) }}),
  }},
}}) }} }};
"""
ESCROW = "() => fetch('/api/v1/me/escrow').then((answer) => answer.json())"


@pytest.fixture
def live(tmp_path):
    """A server on chopsticks, reached as localhost, with a live show and a wallet with money."""
    chopsticks.require()
    with chain_up(tmp_path) as url:
        config = f'backend = "substrate"\nurl = "{url}"\n'
        server = Server(tmp_path, config=config)
        server.url = f"http://localhost:{server.port}"
        server.environment["VILOKANAM_SERVER__PUBLIC_URL"] = server.url
        with running(server):
            operator = server.json("receipt", "operator-key")["public_key"]
            for who in (operator, f"0x{KEY.account.hex()}"):
                server.json("chain", "fund", who, "--planck", str(FUNDS))
            server.json("operator", "register")
            key = open_stream(server, "cam", str(PRICE))
            assert server.json("stream", "register", "cam")["state"] == "registered"
            publisher = Publisher(server, "cam", key)
            try:
                wait_live(server, None, "cam")
                yield server
            finally:
                publisher.stop()
        print(server.tail())


def test_a_wallet_alone_is_enough(live) -> None:
    """No admin token, no other tool: its wallet signs four calls, and the books agree."""
    calls: list[dict[str, Any]] = []

    def sign_call(payload: dict[str, Any]) -> str:
        calls.append(payload)
        return sign_payload(KEY, payload)

    with chromium() as browser:
        page = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
        page.set_default_timeout(90_000)
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.expose_function("walletSignsText", lambda asked: sign_raw(KEY, asked["data"]))
        page.expose_function("walletSignsCall", sign_call)
        page.add_init_script(INJECTED)
        page.goto(f"{live.url}/cam/")
        page.click("text=Watch")
        page.click("text=Sign in with a wallet")
        page.click("text=Pay from Test wallet")
        page.fill("input[name=deposit]", "0.0006")
        page.click("button:has-text('Deposit')")
        page.click("button:text-is('Join')")
        page.wait_for_function("() => document.querySelector('video')?.currentTime > 0")
        page.wait_for_function("() => window.vilokanam?.secondsPlayed > 6")

        page.goto(f"{live.url}/me/")
        page.click("text=Leave it")
        page.wait_for_selector("text=You left")
        asked_before = page.evaluate(ESCROW)
        page.fill("#escrow-request input", "0.0001")
        page.click("#escrow-request button")
        page.wait_for_selector("text=You asked it back")
        asked = page.evaluate(ESCROW)
        page.wait_for_selector("text=may be taken in")
        page.context.close()
    books = settled(live)

    assert faults == []
    assert len(calls) == 4
    assert asked_before["asked_back"] is None
    assert asked["asked_back"] == str(10**8)
    assert asked["joins"] == []
    assert books["exit"] == 0, books["differences"]
    assert books["settled_ticks"] >= 6
