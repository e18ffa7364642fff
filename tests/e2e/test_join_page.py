"""A newcomer at a priced stream's public address: passkey, credit, picture, their own limit."""

import re

import pytest

from tests.e2e.test_account_page import device
from tests.support.audience import open_stream, report, wait_live
from tests.support.servers.vilokanam import Publisher, Server, chromium, running, until

pytestmark = pytest.mark.timeout(240)

PRICE = 1_000_000
LIMIT_S = 12
MEDIA = re.compile(r"/w/[^/]+/cam/\d+/[^/]+/\d+(?:\.\d+)?-(\d+)x(\d+)\.m4s$")
BALANCE = "() => fetch('/api/v1/me').then((answer) => answer.json()).then((me) => me.balance)"
CHOOSE = """(planck) => {
  const choice = document.getElementById("limit-choice");
  choice.append(new Option("a few seconds", planck, true, true));
  choice.dispatchEvent(new Event("change"));
}"""


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A server that people reach as localhost, with a live show."""
    server = Server(tmp_path_factory.mktemp("join"))
    server.url = f"http://localhost:{server.port}"
    server.environment["VILOKANAM_SERVER__PUBLIC_URL"] = server.url
    with running(server):
        publisher = Publisher(server, "cam", open_stream(server, "cam", str(PRICE)))
        try:
            wait_live(server, None, "cam")
            yield server
        finally:
            publisher.stop()
    print(server.tail())


def test_a_newcomer_signs_in_pays_and_watches_up_to_their_limit(live):
    """No admin token, nobody let in: stopped by the claim, and billed what reached the browser."""
    ticks: set[int] = set()

    def count(answer) -> None:
        if answer.status == 200 and (found := MEDIA.search(answer.url)):
            first = int(found[1])
            held = answer.headers.get("x-vilokanam-ticks", f"{first}x{found[2]}")
            ticks.update(range(first, first + int(held.rpartition("x")[2])))

    with chromium() as browser:
        page = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("response", count)
        device(page.context, page)
        page.goto(f"{live.url}/cam/")
        assert "a second" in page.inner_text(".price")
        page.evaluate(CHOOSE, str(LIMIT_S * PRICE))
        page.click("text=Watch")
        page.click("text=Go on as a guest")
        page.click("text=Get demo credit")
        page.wait_for_function("() => document.querySelector('video')?.currentTime > 0")
        assert page.url == f"{live.url}/cam/"
        assert page.inner_text("#own-limit").split("\n") == ["Stops after", "0.000012\u00a0UNIT"]
        page.wait_for_function(
            "() => document.documentElement.dataset.state === 'stopped'", timeout=60000
        )
        notice, first = page.inner_text("#notice"), set(ticks)
        link = page.get_attribute("#notice-link", "href")

        def balance() -> int:
            return int(page.evaluate(BALANCE))

        # Live until the last cut is booked, then what the book says; the page by its meter.
        until(lambda: balance() == int(report(page)["balancePlanck"]), "the bill")
        shown = report(page)
        # Another limit is set where that leads: none, which was the old one again.
        page.click("#notice-link")
        page.click("text=Watch")
        page.wait_for_function("() => document.querySelector('video')?.currentTime > 0")
        page.wait_for_function("() => window.vilokanam?.secondsPlayed > 15", timeout=60000)
        assert page.is_hidden("#own-limit")
        page.context.close()

    print(
        f"first frame {shown['firstFrameMs']} ms; billed {shown['spentPlanck']}; {len(first)} ticks"
    )
    assert (shown["reason"], faults) == ("limit", [])
    assert "You reached your limit" in notice
    assert link == "/cam/#watch"
    assert int(shown["spentPlanck"]) == len(first) * PRICE <= LIMIT_S * PRICE


def test_a_server_without_passkeys_says_so_before_anybody_tries(live):
    """At an address that is not the server's own, nobody is left with a button that cannot work."""
    with chromium() as browser:
        page = browser.new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.route(
            "**/api/v1/sign-in",
            lambda route: route.fulfill(
                json={
                    "passkey": False,
                    "sign_up": True,
                    "mail": False,
                    "oidc": [],
                    "origin": live.url,
                    "is_signed_in": False,
                }
            ),
        )
        page.goto(f"{live.url}/cam/")
        page.click("text=Watch")
        page.wait_for_selector("text=here they cannot be used")
        assert page.get_attribute("text=Other ways to sign in", "href") == "/me/"
        assert faults == []
