"""The account page in Chromium: passkeys made on the spot, wallets, invitations, lost devices."""

import json
import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from metering import signing
from metering.units import account_text
from tests.support.audience import open_viewer
from tests.support.servers.vilokanam import Server, chromium, running

pytestmark = pytest.mark.timeout(180)

WALLET = signing.from_seed(b"w" * 32)
SHOTS = os.environ.get("VILOKANAM_SHOTS", "")
"""A folder for screenshots, for who looks at the page."""


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A server that people reach as localhost."""
    server = Server(tmp_path_factory.mktemp("account"))
    server.url = f"http://localhost:{server.port}"
    server.environment["VILOKANAM_SERVER__PUBLIC_URL"] = server.url
    with running(server):
        yield server
    print(server.tail())


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


def device(context: BrowserContext, page: Page) -> None:
    """Give a page a passkey device of its own, whose owner says yes."""
    session = context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    session.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )


@pytest.fixture
def visit(live, browser):
    """Open the account page in a browser of its own."""
    opened: list[BrowserContext] = []

    def make(path: str = "/me/", width: int = 390, script: str = "") -> Page:
        context = browser.new_context(viewport={"width": width, "height": 844})
        opened.append(context)
        page = context.new_page()
        page.faults = []
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on("console", lambda line: line.type == "error" and page.faults.append(line.text))
        if script:
            page.add_init_script(script)
        device(context, page)
        page.goto(f"{live.url}{path}")
        return page

    yield make
    for context in opened:
        context.close()


def look(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)


def sign_up(page: Page, name: str) -> None:
    page.get_by_label("How you want to be called").fill(name)
    page.get_by_role("button", name="Make an account").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


def test_somebody_comes_goes_and_comes_back_by_passkey(visit) -> None:
    page = visit()
    expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_visible()
    look(page, "me-visitor")
    sign_up(page, "Ann")
    look(page, "me-account")
    [cookie] = page.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == ("vilokanam", True, "Lax")

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Ann")
    assert page.faults == []


def test_a_lost_device_is_replaced_with_a_recovery_code(visit) -> None:
    page = visit(width=1280)
    sign_up(page, "Bob")
    expect(page.get_by_text("No recovery codes")).to_be_visible()
    page.get_by_role("button", name="Make recovery codes").click()
    codes = page.locator("pre.codes").inner_text().split()
    look(page, "me-codes")
    assert len(codes) == 10

    other = visit()
    other.get_by_label("Recovery code").fill(codes[0].upper())
    other.get_by_role("button", name="Use the code").click()
    expect(other.get_by_role("heading", level=1)).to_have_text("Bob")
    other.get_by_role("button", name="Add a passkey").click()
    expect(other.get_by_role("button", name=re.compile("^Remove"))).to_have_count(2)
    other.get_by_role("button", name=re.compile("^Remove")).first.click()
    expect(other.get_by_role("button", name=re.compile("^Remove"))).to_have_count(0)

    # The thief of the first device is out.
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_an_invitation_hands_a_viewer_and_a_stream_over(live, visit) -> None:
    open_viewer(live, "carol", "5000000")
    live.api("POST", "streams", {"slug": "evening", "title": "Evening"})
    made = live.api("POST", "invitations", {"viewer": "carol"})
    page = visit(made["url"].removeprefix(live.url))
    expect(page.get_by_text("take over the viewer carol")).to_be_visible()
    look(page, "me-invited")
    sign_up(page, "Carol")
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_text("There is money here, and one way to sign in")).to_be_visible()
    look(page, "me-advice")

    made = live.api("POST", "invitations", {"stream": "evening"})
    page.goto(made["url"])
    expect(page.get_by_text("You are invited to Evening, as its creator.")).to_be_visible()
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_role("link", name="evening")).to_be_visible()

    page.goto(made["url"])
    expect(page.get_by_role("alert")).to_contain_text("was taken, taken back or is over")


def test_a_wallet_signs_in_and_another_text_does_not(visit) -> None:
    address = account_text(WALLET.account)
    script = f"""window.injectedWeb3 = {{test: {{enable: async () => ({{
      accounts: {{get: async () => [{{address: {json.dumps(address)}, name: "Savings"}}]}},
      signer: {{signRaw: async (asked) => ({{signature: await window.sign(asked.data)}})}},
    }})}}}};"""
    page = visit(script=script)
    changed = {"text": ""}

    def sign(data: str) -> str:
        return "0x" + WALLET.sign((changed["text"] or data).encode()).hex()

    page.expose_function("sign", sign)
    page.reload()
    changed["text"] = "something else"
    page.get_by_role("button", name="Sign in with a wallet").click()
    expect(page.get_by_role("alert")).to_contain_text("is not one of")

    changed["text"] = ""
    page.get_by_role("button", name="Sign in with a wallet").click()
    expect(page.get_by_text("Savings")).to_be_visible()
    look(page, "me-wallet")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign in with a wallet").click()
    expect(page.get_by_text("Savings")).to_be_visible()


def test_every_button_can_be_tapped_on_a_small_phone(visit) -> None:
    page = visit(width=320)
    sign_up(page, "Dora")
    for width in (320, 390, 844):
        page.set_viewport_size({"width": width, "height": 568})
        for button in page.get_by_role("button").all():
            button.scroll_into_view_if_needed()
            box = button.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
            assert box["height"] >= 40
