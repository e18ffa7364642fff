"""A stream by invitation in Chromium: in by a link with a press, by its password, and again."""

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.test_account_page import device, look
from tests.support.servers.vilokanam import Server, chromium, running

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A server that people reach as localhost, with a stream for guests alone."""
    server = Server(tmp_path_factory.mktemp("guests"))
    server.url = f"http://localhost:{server.port}"
    server.environment["VILOKANAM_SERVER__PUBLIC_URL"] = server.url
    with running(server):
        for slug, planck in (("premiere", "0"), ("dinner", "1000000")):
            server.api(
                "POST",
                "streams",
                {
                    "slug": slug,
                    "title": slug.title(),
                    "visibility": "invited",
                    "planck_per_s": planck,
                },
            )
        yield server
    print(server.tail())


@pytest.fixture
def visit(live):
    """Open an address in a browser of its own."""
    with chromium() as browser:

        def make(path: str) -> Page:
            page = browser.new_context(viewport={"width": 320, "height": 700}).new_page()
            page.faults = []
            page.on("pageerror", lambda error: page.faults.append(str(error)))
            device(page.context, page)
            page.goto(f"{live.url}{path}")
            return page

        yield make


def uses(live) -> int:
    (link, *_) = live.api("GET", "streams/premiere/guests")["links"]
    return link["uses"]


def test_a_link_tells_what_it_is_and_lets_in_with_a_press(live, visit) -> None:
    """Opened as often as one likes nothing is used up; the press makes a guest who comes again."""
    made = live.api("POST", "streams/premiere/links", {"uses": 1})
    path = made["url"].removeprefix(live.url)
    for _ in range(2):
        page = visit(path)
        expect(page.get_by_role("heading", level=1)).to_have_text("You are invited: Premiere")
        expect(page.get_by_text("Free to watch.")).to_be_visible()
    assert uses(live) == 0
    look(page, "guest-link")

    page.get_by_role("button", name="Come in").click()
    page.get_by_role("button", name="Go on as a guest").click()
    page.wait_for_selector("video", state="attached")
    assert page.url.endswith("/premiere/")
    assert uses(live) == 1
    # The public address opens it again after a press.
    other = page.context.new_page()
    other.goto(f"{live.url}/premiere/")
    other.get_by_role("button", name="I was invited").click()
    expect(other.get_by_role("heading", level=1)).to_have_text("Premiere")
    other.get_by_role("button", name="Watch").click()
    other.wait_for_selector("video", state="attached")
    assert page.faults == []

    late = visit(path)
    expect(late.get_by_role("heading", level=1)).to_have_text("This link opens nothing")
    look(late, "guest-link-used")
    assert late.faults == []


def test_a_password_is_asked_for_at_the_public_address(live, visit) -> None:
    """A wrong one is told as such; the right one shows what it costs, and lets in."""
    live.api("PUT", "streams/dinner/password", {"password": "open sesame"})
    page = visit("/dinner/")
    assert "Dinner" not in page.content()
    page.get_by_role("button", name="I was invited").click()
    page.get_by_role("button", name="Go on as a guest").click()
    password = page.get_by_label("Password of the stream")
    expect(password).to_be_focused()
    look(page, "guest-password")
    password.fill("open please")
    password.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("opens no stream at this address")
    password.fill("open sesame")
    page.get_by_role("button", name="Come in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Dinner")
    expect(page.get_by_text("a second, ")).to_be_visible()
    look(page, "guest-in")
    page.get_by_role("button", name="Watch").click()
    page.get_by_role("button", name="Get demo credit").click()
    page.wait_for_selector("video", state="attached")
    expect(page).to_have_url(f"{live.url}/dinner/")
    # The watch page took the link out of the address; a reload in this tab goes back to it.
    page.reload()
    page.wait_for_selector("video", state="attached")
    assert page.faults == []


def test_where_no_stream_is_a_password_opens_nothing_in_the_same_words(live, visit) -> None:
    page = visit("/supper/")
    page.get_by_role("button", name="I was invited").click()
    page.get_by_role("button", name="Go on as a guest").click()
    page.get_by_label("Password of the stream").fill("open sesame")
    page.get_by_role("button", name="Come in").click()
    expect(page.get_by_role("alert")).to_contain_text("opens no stream at this address")
