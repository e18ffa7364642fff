"""Nobody at a shell: a creator and a viewer come, earn, pay, watch and leave by themselves.

The admin token opens nothing before the last lines, where the operator reads the books and the log
of acts.
"""

import time
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.test_account_page import device, sign_up
from tests.support.audience import report, settled, wait_live
from tests.support.servers import stripe
from tests.support.servers.vilokanam import (
    Publisher,
    Server,
    chromium,
    counting_proxy,
    free_port,
    running,
    seen,
    until,
)

pytestmark = pytest.mark.timeout(240)

CENT = 10_000
"""Planck: a cent is what a second costs."""
PAID = 500
WATCH_S = 8
FIRST_FRAME_MAX_S = 3.0
ASK = """async ([method, path, body, key]) => {
  const answer = await fetch("/api/v1/" + path, {
    method,
    headers: {"Content-Type": "application/json", ...(key && {"Idempotency-Key": key})},
    ...(body && {body: JSON.stringify(body)}),
  });
  return [answer.status, await answer.json()];
}"""
CONFIG = """
[people]
stream_creators = "anyone"
[payments]
planck_per_minor_unit = "{cent}"
stripe_secret_key_file = "{folder}/key"
stripe_webhook_secret_file = "{folder}/hook"
stripe_url = "{stripe}"
"""


@pytest.fixture
def fake():
    with stripe.on_its_own() as running_fake:
        yield running_fake


@pytest.fixture
def live(tmp_path, fake):
    """A server behind a counting proxy, which is the address that people know."""
    for name, text in (("key", stripe.KEY), ("hook", stripe.SECRET)):
        (tmp_path / name).write_text(text)
    words = {"cent": CENT, "folder": tmp_path, "stripe": fake.url}
    server = Server(tmp_path, config=CONFIG.format(**words))
    port = free_port()
    server.environment["VILOKANAM_SERVER__PUBLIC_URL"] = f"http://localhost:{port}"
    fake.hook_url = f"{server.url}/hooks/payments/stripe"
    with running(server), counting_proxy(server, port):
        yield server
    print(server.tail())


def address(live: Server) -> str:
    """Return where people find the server: the proxy."""
    return live.environment["VILOKANAM_SERVER__PUBLIC_URL"]


def ask(page: Page, method: str, path: str, body: object = None, key: str = "") -> Any:
    """Return the answer to what the page itself could ask, by its cookie."""
    status, answer = page.evaluate(ASK, [method, path, body, key])
    assert status in (200, 201), answer
    return answer


def visitor(browser, live: Server, path: str) -> Page:
    """Return the page of somebody who was never here, with a passkey device."""
    page = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
    device(page.context, page)
    page.goto(address(live) + path)
    return page


def test_a_stranger_pays_watches_and_takes_the_rest_back(live, fake):
    """Cold page, passkey, Stripe, picture within 3 s; billed = delivered; the rest to the card."""
    with chromium() as browser:
        creator = visitor(browser, live, "/me/")
        sign_up(creator, "Cleo")
        made = ask(creator, "POST", "streams", {"slug": "cam", "planck_per_s": str(CENT)})
        publisher = Publisher(live, "cam", made["stream_key"])
        try:
            wait_live(live, None, "cam")
            page = visitor(browser, live, "/cam/")
            faults: list[str] = []
            page.on("pageerror", lambda error: faults.append(str(error)))
            assert "a second" in page.inner_text(".price")
            page.click("text=Watch")
            page.click("text=Go on as a guest")
            page.click("text=Pay by card")
            page.wait_for_url("**/pay/*")
            page.get_by_role("button", name="Pay").click(no_wait_after=True)
            paid_s = time.monotonic()
            page.wait_for_url(f"{address(live)}/cam/")
            page.get_by_role("button", name="Watch", exact=True).click()
            page.wait_for_function("() => document.querySelector('video')?.currentTime > 0")
            took_s = time.monotonic() - paid_s
            page.wait_for_function(f"() => document.querySelector('video').currentTime > {WATCH_S}")
            shown = report(page)
            page.goto(f"{address(live)}/me/")

            ((_, ticks),) = seen(address(live))["ticks"].items()
            rest = PAID - len(ticks)
            until(
                lambda: int(ask(page, "GET", "me")["balance"]) == rest * CENT,
                "billed is what the proxy counted",
            )
            refused, problem = page.evaluate(
                ASK, ["POST", "me/withdrawals", {"amount": rest + 1}, "w1"]
            )
            gone = ask(page, "POST", "me/withdrawals", {"amount": rest}, "w2")
            until(lambda: ask(page, "GET", "me")["balance"] == "0", "nothing is left")
            assert faults == []
        finally:
            publisher.stop()
        earned = ask(creator, "GET", "streams/cam/earnings")
        expect(creator.get_by_role("heading", level=1)).to_have_text("Cleo")

    books = settled(live)
    print(f"first frame {took_s:.2f} s after paying ({shown['firstFrameMs']} ms); {len(ticks)} s")
    assert took_s < FIRST_FRAME_MAX_S
    assert len(ticks) >= WATCH_S - 2
    assert (refused, "balance" in problem) == (409, True)
    assert gone["state"] == "done"
    assert [item["amount"] for item in fake.refunds.values()] == [rest]
    assert (books["exit"], books["settled_ticks"]) == (0, len(ticks)), books["differences"]
    assert sum(int(earned[name]) for name in ("pending", "maturing", "available")) > 0
    # The log of acts is read last, and has none of theirs.
    actors = {entry["actor"].partition(":")[0] for entry in live.api("GET", "audit")["entries"]}
    assert actors == {"person"}
