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


def pay(live, page: Page) -> str:
    """Give who is signed in an account with money; return it."""
    answer = page.request.put(
        f"{live.url}/api/v1/me/limits",
        data={},
        headers={"Origin": live.url, "Content-Type": "application/json"},
    )
    assert answer.ok, answer.text()
    account = page.request.get(f"{live.url}/api/v1/me").json()["account"]
    live.api("POST", f"viewers/{account}/credits", {"planck": "500000000"}, Idempotency_Key=account)
    return account


def test_players_are_listed_and_ended_and_limits_are_set(live, visit) -> None:
    """Two players that can be told apart; the one that is ended is gone, the limit is kept."""
    live.api("POST", "streams", {"slug": "late", "title": "Late show"})
    page = visit(width=320)
    sign_up(page, "Eve")
    pay(live, page)
    for agent in ("Mozilla/5.0 (X11; Linux) Firefox/140.0", "Mozilla/5.0 (iPhone) Safari/604.1"):
        answer = page.request.post(
            f"{live.url}/api/v1/streams/late/join",
            data={},
            headers={"Origin": live.url, "Content-Type": "application/json", "User-Agent": agent},
        )
        assert answer.ok, answer.text()
    page.reload()
    expect(page.get_by_role("listitem").filter(has_text="Firefox on Linux")).to_have_count(1)
    page.get_by_role("button", name="End Late show on Safari on iPhone").click()
    expect(page.get_by_text("That player stops within a few seconds")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="Safari on iPhone")).to_have_count(0)
    expect(page.get_by_role("listitem").filter(has_text="Firefox on Linux")).to_have_count(1)

    day = page.get_by_label("A day, UNIT", exact=True)
    day.fill("lots")
    page.get_by_role("button", name="Keep these limits").click()
    assert "2.5" in day.evaluate("field => field.validationMessage")
    day.fill("2.5")
    page.get_by_role("button", name="Keep these limits").click()
    expect(page.get_by_text("Your limits are kept")).to_be_visible()
    page.reload()
    expect(page.get_by_label("A day, UNIT", exact=True)).to_have_value("2.5")
    assert page.faults == []


def test_what_was_watched_is_shown_with_its_receipt_and_fits(live, visit) -> None:
    """Each show with time, length and cost; the receipt opens without a link; older on a press."""
    page = visit(width=320)
    sign_up(page, "Fay")
    pay(live, page)
    shows = [
        {
            "stream": "late",
            "title": f"Late show {number}",
            "from_ms": 1_700_000_000_000 - number * 86_400_000,
            "seconds": 3725,
            "covered_seconds": 30,
            "planck": "3695000000000",
            "given_back": "0",
            "receipts_url": f"{live.url}/api/v1/me/receipts/{number}",
        }
        for number in range(12)
    ]

    def history(route) -> None:
        is_rest = "before" in route.request.url
        route.fulfill(
            json={
                "shows": shows[10:] if is_rest else shows[:10],
                "next_before": None if is_rest else "1-" + "0" * 32,
            }
        )

    page.route("**/api/v1/me/history?*", history)
    page.reload()
    first = page.get_by_role("listitem").filter(has_text="Late show 0")
    expect(first).to_contain_text("1 h 2 min, 30 s free, 3.695")
    expect(first.get_by_role("link", name="Receipt")).to_be_visible()
    page.get_by_role("button", name="Show older").click()
    expect(page.get_by_role("listitem").filter(has_text="Late show 11")).to_be_visible()
    expect(page.get_by_role("button", name="Show older")).to_have_count(0)
    for width in (320, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        look(page, f"me-watching-{width}")


def test_letters_are_asked_for_where_the_server_sends_them(live, visit) -> None:
    """The amount in whole tokens and the address go to the server; this one sends none itself."""
    page = visit(width=320)
    sign_up(page, "Gil")
    expect(page.get_by_role("heading", name="When your balance runs down")).to_have_count(0)
    kept = {
        "low_balance_planck": "0",
        "address": None,
        "addresses": ["gil@example.org", "gil@example.com"],
        "can_send": True,
    }
    asked: list[dict[str, str]] = []

    def letters(route) -> None:
        if route.request.method == "PUT":
            asked.append(route.request.post_data_json)
            kept.update(asked[-1])
        route.fulfill(json=kept)

    page.route("**/api/v1/me/letters", letters)
    page.reload()
    page.get_by_label("Write to me below").fill("0.25")
    section = page.locator("section").filter(has_text="When your balance runs down")
    section.get_by_role("combobox").select_option("gil@example.com")
    section.get_by_role("button", name="Keep this").click()
    expect(page.get_by_text("You are written to, once each time.")).to_be_visible()
    expect(page.get_by_label("Write to me below")).to_have_value("0.25")
    assert asked == [{"low_balance_planck": "250000000000", "address": "gil@example.com"}]
    look(page, "me-letters")
    assert page.faults == []
