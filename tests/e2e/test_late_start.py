"""A start that gets no media says so, offers a way on, and goes on trying."""

import pytest

from tests.support.audience import open_stream, wait_live
from tests.support.servers.vilokanam import Publisher, Server, chromium, running

pytestmark = pytest.mark.timeout(180)

STATE = "s => document.documentElement.dataset.state === s"
TITLE = "text => document.querySelector('#notice-title').textContent === text"
PLAYLISTS, MEDIA = "**/*.m3u8*", "**/*.m4s"


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A server with a free live show."""
    server = Server(tmp_path_factory.mktemp("late"))
    with running(server):
        publisher = Publisher(server, "cam", open_stream(server, "cam", "0"))
        try:
            wait_live(server, None, "cam")
            yield server
        finally:
            publisher.stop()
    print(server.tail())


def hang(_route) -> None:
    """Give no answer, as a starved server or a dead line does."""


def test_a_start_without_media_is_told_and_tried_again(live) -> None:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.route(MEDIA, hang)
        page.goto(f"{live.url}/cam/", wait_until="commit")

        page.wait_for_function(TITLE, arg="No picture has come yet", timeout=20000)
        assert page.locator("#status").inner_text() == "Opening. No picture has come yet"
        page.route(PLAYLISTS, hang)
        page.get_by_role("button", name="Try again").click()
        page.wait_for_function(TITLE, arg="The server has not answered yet", timeout=20000)

        page.unroute_all()
        page.wait_for_function(STATE, arg="live", timeout=40000)
        assert not page.get_by_role("button", name="Try again").is_visible()
