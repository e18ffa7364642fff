"""A viewer who runs dry pays in from the watch page, and comes back to a picture that plays."""

import json
import os
import urllib.request
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.e2e.test_account_page import device
from tests.support.audience import open_stream, wait_live
from tests.support.payments_fixture import PLANCK, SECRET, signed
from tests.support.servers.vilokanam import Publisher, Server, chromium, running

pytestmark = pytest.mark.timeout(240)

PRICE = 1_000
SHOTS = Path(os.environ.get("VILOKANAM_SHOTS", ""))
"""A directory for pictures of the pages, to be looked at; empty: none are made."""
STATE = "s => document.documentElement.dataset.state === s"
LIMIT_A_DAY = """(planck) => fetch("/api/v1/me/limits", {
  method: "PUT",
  headers: {"Content-Type": "application/json"},
  body: JSON.stringify({session_planck: "0", stream_planck: "0", day_planck: planck}),
}).then((answer) => answer.status)"""
ACCOUNT = "() => fetch('/api/v1/me').then((answer) => answer.json()).then((me) => me.account)"
PAGE_OF_PAYMENTS = "https://pay.example.org"


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A server that takes payments, whose operator names a top-up page of their own too."""
    directory = tmp_path_factory.mktemp("paying")
    (directory / "payments.secret").write_text(SECRET)
    lines = f"""
[payments]
planck_per_minor_unit = "{PLANCK}"
webhook_secret_file = "{directory / "payments.secret"}"
webhook_pay_url = "{PAGE_OF_PAYMENTS}/?order={{order}}&cents={{amount}}&back={{back}}"
"""
    server = Server(directory, config=lines)
    server.url = f"http://localhost:{server.port}"
    server.environment["VILOKANAM_SERVER__PUBLIC_URL"] = server.url
    server.environment |= {
        "VILOKANAM_PRICE__TOP_UP_URL": f"{PAGE_OF_PAYMENTS}/elsewhere",
        "VILOKANAM_PRICE__DEMO_TOP_UP_PLANCK": "0",
        "VILOKANAM_PRICE__ASSET_SYMBOL": "EUR",
        "VILOKANAM_PRICE__ASSET_DECIMALS": "6",
    }
    with running(server):
        publisher = Publisher(server, "cam", open_stream(server, "cam", str(PRICE)))
        try:
            wait_live(server, None, "cam")
            yield server
        finally:
            publisher.stop()
    print(server.tail())


def shoot(page, name: str) -> None:
    if not SHOTS.name:
        return
    for width, height in ((1280, 800), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        page.screenshot(path=SHOTS / f"{width}-{name}.png", full_page=True)


def pay(server: Server, address: str) -> str:
    """Pay an order as the operator's payment system does; return where the payer goes then."""
    asked = {name: found[0] for name, found in parse_qs(urlsplit(address).query).items()}
    body = {
        "order": asked["order"],
        "payment": f"pay_{asked['order']}",
        "status": "paid",
        "amount": int(asked["cents"]),
        "currency": "EUR",
    }
    raw, headers = signed(body, f"msg_{asked['order']}")
    where = f"{server.url}/hooks/payments/webhook"
    with urllib.request.urlopen(urllib.request.Request(where, raw, dict(headers))) as answer:
        json.load(answer)
    return asked["back"]


def test_who_runs_dry_pays_in_from_the_watch_page_and_watches_on(live):
    """Only a new tab offered the form, so who stayed where they were had no way to pay."""
    with chromium() as browser:
        page = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.context.route(f"{PAGE_OF_PAYMENTS}/**", lambda route: route.fulfill(body="pay"))
        device(page.context, page)
        page.goto(f"{live.url}/cam/")
        page.click("text=Watch")
        page.click("text=Go on as a guest")
        page.wait_for_selector("text=Pay in, and it plays")
        shoot(page, "join")
        account = page.evaluate(ACCOUNT)
        live.api(
            "POST", f"viewers/{account}/credits", {"planck": str(8 * PRICE)}, Idempotency_Key="a"
        )
        page.click("text=I have paid")
        page.wait_for_function(STATE, arg="live")
        assert page.get_attribute("#top-up-link", "href") == "/me/#pay-in"
        page.wait_for_function(STATE, arg="stopped", timeout=60000)
        shoot(page, "dry")

        page.click("#notice-link")
        page.wait_for_selector("#pay-in")
        shoot(page, "me-dry")
        page.fill("[name=pay-in]", "7.123")
        page.click("#pay-in button")
        fault = page.evaluate("() => document.querySelector('[name=pay-in]').validationMessage")
        page.fill("[name=pay-in]", "7")
        page.click("#pay-in button")
        page.wait_for_url(f"{PAGE_OF_PAYMENTS}/**")
        page.goto(pay(live, page.url))

        page.wait_for_function(STATE, arg="live", timeout=30000)
        assert page.url == f"{live.url}/cam/"
        assert page.evaluate(LIMIT_A_DAY, str(9 * PRICE)) == 200
        page.wait_for_function(STATE, arg="stopped", timeout=30000)
        shoot(page, "limit")
        assert page.evaluate(LIMIT_A_DAY, "0") == 200
        page.click("#notice-other")
        page.wait_for_function(STATE, arg="live", timeout=30000)
        page.goto(f"{live.url}/me/")
        page.wait_for_selector("#take-out")
        shoot(page, "me")
        shown = page.inner_text("#view")
        page.fill("[name=take-out]", "2.50")
        page.click("#take-out button")
        page.wait_for_selector("text=goes back to where it was paid from")
        left = page.inner_text("#view")
        page.context.close()

    assert fault == "Write an amount such as 5.00 EUR, with at most 2 digits behind the point."
    assert "Your balance is " in shown
    assert "Up to 4.5" in left or "Up to 4.4" in left
    assert faults == []
