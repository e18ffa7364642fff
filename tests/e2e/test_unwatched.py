"""What costs something stops by itself where nobody watches, as its viewer set it, in Chromium."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.test_account_page import device
from tests.support.audience import open_stream, report, wait_live
from tests.support.servers.vilokanam import Publisher, Server, chromium, running

pytestmark = pytest.mark.timeout(180)

PRICE = 1_000_000
HIDDEN_STOP_S = 5
SEGMENT_S = 2
MEDIA = re.compile(r"/w/[^/]+/cam/\d+/[^/]+/\d+(?:\.\d+)?-(\d+)x(\d+)\.m4s$")
STATE = "state => document.documentElement.dataset.state === state"
HIDE = "() => Object.defineProperty(document, 'hidden', {get: () => true})"
ASKED = "Still watching?"


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A server that people reach as localhost, with a priced show."""
    server = Server(tmp_path_factory.mktemp("unwatched"))
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


@pytest.fixture
def page(live):
    """A newcomer's page, one press before it plays; `ticks` are the seconds that it was sent."""
    with chromium() as browser:
        made = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
        made.faults, made.ticks = [], set()
        made.on("pageerror", lambda error: made.faults.append(str(error)))

        def count(answer) -> None:
            if answer.status == 200 and (found := MEDIA.search(answer.url)):
                made.ticks.update(range(int(found[1]), int(found[1]) + int(found[2])))

        made.on("response", count)
        device(made.context, made)
        made.goto(f"{live.url}/cam/")
        made.click("text=Watch")
        made.click("text=Go on as a guest")
        expect(made.get_by_role("button", name="Get demo credit")).to_be_visible()
        yield made


def play(page: Page) -> None:
    page.click("text=Get demo credit")
    page.wait_for_function(STATE, arg="live", timeout=30000)


def test_a_hidden_silent_page_is_paid_for_no_longer_than_its_viewer_set(live, page) -> None:
    """Set on the account, known to the player by its link: the setting, and one segment."""
    answer = page.request.put(
        f"{live.url}/api/v1/me/player-settings",
        data={"hidden_stop_s": HIDDEN_STOP_S},
        headers={"Origin": live.url, "Content-Type": "application/json"},
    )
    assert answer.ok, answer.text()
    with page.expect_response(lambda told: told.url.endswith("/cam/settings")):
        play(page)
    before = len(page.ticks)

    page.evaluate(HIDE)
    page.wait_for_function(STATE, arg="paused", timeout=30000)

    assert report(page)["reason"] == "hidden"
    expect(page.locator("#notice")).to_contain_text("Paused while you were away")
    fetched = len(page.ticks) - before
    print(f"hidden: {fetched} s fetched, {HIDDEN_STOP_S} s set")
    assert 0 < fetched <= HIDDEN_STOP_S + SEGMENT_S
    assert page.faults == []


def test_a_question_without_an_answer_stops_it_and_with_one_it_goes_on(page) -> None:
    settings = {"hidden_stop_s": 60, "ask_after_s": 3, "answer_s": 4}
    page.route("**/cam/settings", lambda route: route.fulfill(json=settings))
    play(page)
    asked = page.get_by_text(ASKED)
    expect(asked).to_be_visible(timeout=20000)
    page.keyboard.press("Shift")
    expect(asked).to_be_hidden()
    assert report(page)["state"] == "live"

    expect(asked).to_be_visible(timeout=20000)
    page.wait_for_function(STATE, arg="paused", timeout=20000)

    assert report(page)["reason"] == "idle"
    expect(page.locator("#notice")).to_contain_text("Still there?")
    assert page.faults == []
