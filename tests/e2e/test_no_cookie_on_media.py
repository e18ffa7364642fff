"""Who is signed in watches: no request for media or a playlist says who they are."""

import re
from typing import Any

import pytest

from tests.support.audience import mint, open_stream, open_viewer, wait_live, watch
from tests.support.servers.vilokanam import Publisher, Server, chromium, running

pytestmark = pytest.mark.timeout(240)

MEDIA = re.compile(r"\.(m3u8|mp4|m4s)$")
FETCHES = 12
"""Of eight seconds: parts of one rendition, and its playlist each time."""


@pytest.fixture
def live(tmp_path):
    """A server that people reach as localhost."""
    server = Server(tmp_path)
    server.url = f"http://localhost:{server.port}"
    server.environment["VILOKANAM_SERVER__PUBLIC_URL"] = server.url
    with running(server):
        yield server
    print(server.tail())


def cookie_of(request: Any) -> str | None:
    """Return what the browser's network sent, which a page does not see."""
    cookie: str | None = request.all_headers().get("cookie")
    return cookie


def test_a_signed_in_viewers_media_is_asked_for_without_their_cookie(live) -> None:
    key = open_stream(live, "cam")
    open_viewer(live, "ann", "600000000")
    ticket = mint(live, "ann", "cam")
    publisher = Publisher(live, "cam", key)
    try:
        wait_live(live, ticket, "cam")
        with chromium() as browser:
            page = browser.new_page()
            page.context.add_cookies(
                [{"name": "vilokanam", "value": "s" * 43, "url": live.url, "httpOnly": True}]
            )
            sent: list[Any] = []
            # Playwright marks what it is given, and a builtin method takes no mark.
            page.on("request", lambda request: sent.append(request))  # noqa: PLW0108
            watch(page, live.url + ticket.path, 8)
            cookies = {item.url.partition("?")[0]: cookie_of(item) for item in sent}
    finally:
        publisher.stop()

    media = {url: cookie for url, cookie in cookies.items() if MEDIA.search(url)}
    assert len(media) >= FETCHES
    assert any(url.endswith(".m3u8") for url in media)
    assert set(media.values()) == {None}
    # The browser does send it: with the page itself.
    assert cookies[live.url + ticket.path] is not None
