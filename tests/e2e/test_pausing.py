"""Whatever stops the picture stops the money: a pause by anybody, and a page that slept."""

import asyncio
import secrets

import pytest

from tests.support.audience import (
    begin,
    billed_ticks,
    mint,
    open_stream,
    open_viewer,
    report,
    wait_live,
)
from tests.support.devtools import open_tab
from tests.support.players import Wire, list_media, ticks_of
from tests.support.servers.vilokanam import Publisher, Server, chromium, running, until

pytestmark = pytest.mark.timeout(180)

PRICE = 1_000_000
STATE_NOW = "document.documentElement?.dataset.state"
STATE = "s => document.documentElement.dataset.state === s"
PAUSED_S = 6
ASLEEP_S = 16
"""More than hls.js keeps in its buffer, less than the window: all of it could still be fetched."""


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A server with a priced live show."""
    server = Server(tmp_path_factory.mktemp("pausing"))
    with running(server):
        publisher = Publisher(server, "cam", open_stream(server, "cam", str(PRICE)))
        try:
            wait_live(server, None, "cam")
            yield server
        finally:
            publisher.stop()
    print(server.tail())


@pytest.fixture
def ticket(live):
    """A viewer with money."""
    name = f"viewer-{secrets.token_hex(4)}"
    open_viewer(live, name, str(600 * PRICE))
    return mint(live, name, "cam")


@pytest.fixture
def page(live, ticket):
    """The page, playing; `media` lists what media it asked for."""
    with chromium() as browser:
        made = browser.new_page(viewport={"width": 390, "height": 844})
        made.media = []
        made.on(
            "request", lambda asked: made.media.append(asked.url) if is_media(asked.url) else None
        )
        made.goto(live.url + ticket.path, wait_until="commit")
        begin(made)
        plays(made)
        yield made


def is_media(url: str) -> bool:
    return url.endswith(".m4s")


def media_of(tab) -> list[str]:
    return [url for url in tab.requested if is_media(url)]


def plays(page) -> None:
    """Wait until a second of picture has passed under "Live"."""
    page.wait_for_function(STATE, arg="live", timeout=30000)
    page.wait_for_function(
        "t => document.querySelector('video').currentTime > t + 1",
        arg=page.evaluate("() => document.querySelector('video').currentTime"),
        timeout=30000,
    )


def newest_tick(server: Server) -> int:
    """Return the newest second that the server lists."""
    with Wire(server.port) as wire:
        return ticks_of(list_media(wire, "/cam/", "360p").parts[-1])[-1]


def pass_time(page, server: Server, seconds: int) -> int:
    """Let the show go on by so many seconds, and the page with it; return the newest second."""
    end = newest_tick(server) + seconds

    def is_over() -> bool:
        page.evaluate("0")  # the page's events reach us only while we speak with it
        return newest_tick(server) >= end

    until(is_over, f"{seconds} s of the show", seconds + 20)
    return end


@pytest.mark.parametrize("pause", ["by another", "by the button"])
def test_v17_a_pause_stops_the_fetching_and_play_goes_on(live, page, pause):
    """Nothing is fetched or billed during a pause, no matter who asked for it."""
    if pause == "by another":
        page.evaluate("() => document.querySelector('video').pause()")
    else:
        page.hover("#stage")
        page.click("#toggle")
    page.wait_for_function(STATE, arg="paused", timeout=5000)
    pass_time(page, live, 1)  # what was on its way has come
    fetched = len(page.media)

    pass_time(page, live, PAUSED_S)

    notice = page.inner_text("#notice")
    assert page.media[fetched:] == []
    assert page.evaluate("() => document.querySelector('video').paused")
    assert "Paused" in notice
    assert "nothing is charged" in notice
    page.evaluate("() => document.querySelector('video').play()")
    plays(page)
    assert report(page)["latencyS"] < PAUSED_S


async def test_v18_what_a_frozen_page_slept_through_is_never_paid(live, ticket, tmp_path):
    """A phone in a pocket: it wakes at the live edge or paused, and the time between is free."""
    async with open_tab(tmp_path, live.url + ticket.path) as tab:
        await tab.until(f"{STATE_NOW} === 'asking'")
        await tab.evaluate("vilokanam.stream_.play()")
        await tab.until(f"{STATE_NOW} === 'live'")
        await tab.call("Page.setWebLifecycleState", state="frozen")
        began = await asyncio.to_thread(newest_tick, live) + 3  # what was on its way
        await asyncio.to_thread(
            until, lambda: newest_tick(live) > began + ASLEEP_S, "a nap", ASLEEP_S + 20
        )
        woke = await asyncio.to_thread(newest_tick, live) - 3  # a player begins behind the edge
        await tab.call("Page.setWebLifecycleState", state="active")

        state = await tab.until(f"['live', 'paused'].includes({STATE_NOW}) && {STATE_NOW}")
        # The browser goes on treating the page as hidden, and may pause it again: look at media.
        await tab.evaluate("vilokanam.stream_.play()")
        async with asyncio.timeout(30):
            while not any(url for url in media_of(tab) if ticks_of(url)[-1] >= woke):
                await tab.requests.wait()
                tab.requests.clear()

    slept = set(range(began, woke))
    print(f"slept {len(slept)} s, woke {state}")
    assert len(slept) > ASLEEP_S / 2
    assert {tick for url in media_of(tab) for tick in ticks_of(url)} & slept == set()
    await asyncio.to_thread(
        until, lambda: max(billed_ticks(live, ticket), default=0) >= woke, "a receipt", 20
    )
    assert billed_ticks(live, ticket) & slept == set()
