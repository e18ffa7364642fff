"""Links as people meet them in a browser: the way in, sharing, and a server that restarts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.audience import begin, mint, open_stream, open_viewer, report, wait_live
from tests.support.servers.vilokanam import Publisher, Server, chromium, running

pytestmark = pytest.mark.timeout(180)

ENTRY_URL = "https://pay.example/join?stream={stream}"
PLAYS = "() => document.querySelector('video')?.currentTime > 0.5"
WORDS = """() => {
  // Everything that the page says from now on.
  window.texts = new Set();
  const listen = () => {
    for (const id of ["status", "toast", "notice-title", "notice-text", "notice-hint"]) {
      const element = document.getElementById(id);
      if (element.closest("[hidden]") || !element.textContent) continue;
      window.texts.add(element.textContent);
    }
  };
  new MutationObserver(listen).observe(document.body, {
    subtree: true, childList: true, characterData: true, attributes: true,
  });
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a priced stream."""
    server = Server(tmp_path_factory.mktemp("links"))
    server.environment["VILOKANAM_PRICE__ENTRY_URL"] = ENTRY_URL
    with running(server):
        yield server
    print(server.tail())


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


def test_v3_newcomer_at_a_priced_address_learns_price_and_way_in(server, browser) -> None:
    """On a phone, whole and without a scroll sideways; the button can be tapped."""
    open_stream(server, "hall")
    page = browser.new_context(viewport={"width": 320, "height": 640}).new_page()
    answer = page.goto(f"{server.url}/hall/")

    text = page.inner_text("main")
    box = page.evaluate(
        """() => { const button = document.querySelector('a.button');
        const {x, y, width, height} = button.getBoundingClientRect();
        return {hit: document.elementFromPoint(x + width / 2, y + height / 2) === button,
        overflow: document.documentElement.scrollWidth - innerWidth, href: button.href}; }"""
    )
    assert answer.status == 200
    for words in ("Hall", "0.000001 UNIT a second", "0.0036 UNIT an hour", "How to get in"):
        assert words in text
    assert box == {"hit": True, "overflow": 0, "href": "https://pay.example/join?stream=hall"}


def test_v9_address_bar_shows_the_public_address_and_a_reload_goes_on(server, browser) -> None:
    """Who copies the address shares the stream and not their balance; the title says which."""
    publisher = Publisher(server, "cam", open_stream(server, "cam"))
    try:
        open_viewer(server, "ann", "600000000")
        ticket = mint(server, "ann", "cam")
        wait_live(server, ticket, "cam")
        page = browser.new_page()
        page.goto(server.url + ticket.path, wait_until="commit")
        begin(page)
        page.wait_for_function(PLAYS, timeout=30000)
        first, entries = page.url, page.evaluate("() => history.length")
        page.reload(wait_until="commit")
        page.wait_for_function(PLAYS, timeout=30000)
        second, shown = page.url, report(page)
        receipts = page.get_attribute("#receipts", "href")
        stranger = browser.new_context().new_page()
        stranger.goto(second)
        text = stranger.inner_text("main")
    finally:
        publisher.stop()

    assert first == second == f"{server.url}/cam/"
    assert shown["session"] == ticket.session
    assert receipts == f"{ticket.path}receipts"
    assert entries <= 2
    assert "How to get in" in text
    assert ticket.token not in stranger.content()


def test_v12_restart_is_told_as_the_servers_and_a_closed_stream_as_the_operators(
    server, browser
) -> None:
    """It said that the creator's connection dropped, then that the stream has ended."""
    key = open_stream(server, "twice")
    publisher = Publisher(server, "twice", key)
    try:
        open_viewer(server, "bob", "600000000")
        ticket = mint(server, "bob", "twice")
        wait_live(server, ticket, "twice")
        page = browser.new_page()
        page.goto(server.url + ticket.path, wait_until="commit")
        begin(page)
        page.wait_for_function(PLAYS, timeout=30000)
        page.evaluate(WORDS)

        server.stop()
        server.start()
        page.wait_for_function("() => window.vilokanam.state !== 'live'", timeout=30000)
        page.wait_for_function("() => window.vilokanam.state === 'live'", timeout=60000)
        restart = page.evaluate("() => [...window.texts]")
        server.run("streams", "close", "twice")
        page.wait_for_function("() => window.vilokanam.reason === 'closed'", timeout=30000)
        closed = page.inner_text("#notice")
    finally:
        publisher.stop()

    shown_texts = json.dumps(restart)
    assert "creator" not in shown_texts.replace("Waiting for the creator to come back", "")
    assert "Waiting for the creator" not in shown_texts
    assert "ended" not in shown_texts
    assert "Not live" not in shown_texts
    assert "over" not in shown_texts.lower().replace("recover", "")
    assert "The operator has closed this stream" in closed
