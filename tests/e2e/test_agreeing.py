"""Paying starts with a start, and a price that rises is told before it holds, and asked for."""

import re
import secrets

import pytest
from playwright.sync_api import TimeoutError as PageTimeoutError

from tests.support.audience import (
    begin,
    billed_ticks,
    mint,
    open_stream,
    open_viewer,
    report,
    wait_live,
)
from tests.support.players import ticks_of
from tests.support.servers.vilokanam import Publisher, Server, chromium, running, until
from tests.support.watch_page import TAP_ALL

pytestmark = pytest.mark.timeout(240)

PRICE = 1_000_000
STATE = "s => document.documentElement.dataset.state === s"
NO_FRAMES = """
  HTMLVideoElement.prototype.getVideoPlaybackQuality =
    () => ({totalVideoFrames: 0, droppedVideoFrames: 0});
  HTMLVideoElement.prototype.requestVideoFrameCallback = () => 0;
"""
"""A decoder that shows nothing."""


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A server with a priced live show."""
    server = Server(tmp_path_factory.mktemp("agreeing"))
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
    name = f"viewer-{secrets.token_hex(4)}"
    open_viewer(live, name, str(6000 * PRICE))
    return mint(live, name, "cam")


@pytest.fixture
def page():
    with chromium() as browser:
        made = browser.new_page(viewport={"width": 390, "height": 844}, reduced_motion="reduce")
        made.media = []
        made.on(
            "request",
            lambda asked: made.media.append(asked.url) if asked.url.endswith(".m4s") else None,
        )
        yield made


def plays(page) -> None:
    try:
        page.wait_for_function(STATE, arg="live", timeout=60000)
    except PageTimeoutError as error:
        raise AssertionError(f"does not play: {report(page)}") from error
    page.wait_for_function(
        "t => document.querySelector('video').currentTime > t + 1",
        arg=page.evaluate("() => document.querySelector('video').currentTime"),
        timeout=30000,
    )


def test_v8_nothing_is_fetched_or_billed_before_the_viewer_agrees(live, ticket, page):
    """The page asks once, by the hour and with a limit of one's own; a reload plays at once."""
    page.goto(live.url + ticket.path)
    page.wait_for_function(STATE, arg="asking")
    page.wait_for_function("() => window.vilokanam.balancePlanck !== null")
    asked = page.inner_text("#notice")

    assert page.media == []
    assert report(page)["spentPlanck"] == "0"
    assert "Watch for 0.0036" in asked
    assert "at most 10 seconds are counted" in asked
    page.select_option("#limit-choice", index=1)
    page.click("#notice-button")
    plays(page)
    assert report(page)["limitPlanck"] == str(3600 * PRICE)
    page.reload()
    plays(page)
    assert report(page)["limitPlanck"] == str(3600 * PRICE)
    assert report(page)["reason"] is None


def test_v8_the_viewers_own_limit_is_never_passed(live, ticket, page):
    """Five seconds are allowed: five are billed, the picture stops, and a click goes on."""
    page.goto(live.url + ticket.path)
    page.wait_for_function(STATE, arg="asking")
    page.evaluate(f"() => window.vilokanam.stream_.agree({5 * PRICE}n)")
    page.wait_for_function("() => window.vilokanam.reason === 'own_limit'", timeout=30000)
    page.wait_for_function(STATE, arg="asking", timeout=15000)
    notice = page.inner_text("#notice")

    until(lambda: len(billed_ticks(live, ticket)) >= 4, "a receipt", 15)
    assert len(billed_ticks(live, ticket)) <= 5
    assert len({tick for url in page.media for tick in ticks_of(url)}) <= 5
    assert "You reached your own limit of 0.000005" in notice
    page.click("#notice-button")
    plays(page)


def test_v6_a_picture_that_does_not_appear_stops_the_money(live, ticket, page):
    """After eight seconds nothing is fetched; the page says which, and offers a smaller one."""
    page.add_init_script(NO_FRAMES)
    page.goto(live.url + ticket.path)
    begin(page)
    page.wait_for_function(STATE, arg="stuck", timeout=60000)
    fetched = {tick for url in page.media for tick in ticks_of(url)}
    at_stop = len(page.media)
    notice = page.inner_text("#notice")
    tapped = []
    for width, height in ((320, 568), (390, 844), (844, 390), (1280, 800)):
        page.set_viewport_size({"width": width, "height": height})
        tapped.append(page.evaluate(TAP_ALL))

    assert "There is no picture yet" in notice
    assert len(fetched) <= 10
    assert [found["missed"] for found in tapped] == [[]] * 4
    assert all({"notice-button", "notice-other"} <= set(found["shown"]) for found in tapped)
    assert page.inner_text("#notice-button") == "Try a smaller picture"
    assert page.media[at_stop:] == []
    page.evaluate(
        """() => { let frames = 0;
        HTMLVideoElement.prototype.getVideoPlaybackQuality =
          () => ({totalVideoFrames: frames++, droppedVideoFrames: 0}); }"""
    )
    page.click("#notice-button")
    plays(page)
    assert page.evaluate("() => document.querySelector('video').videoHeight") == 360


def test_v2_a_dearer_price_is_told_before_and_asked_for_at_the_second(live, ticket, page):
    """The old price goes on until the change; not one second of the new one without a click."""
    page.goto(live.url + ticket.path)
    begin(page)
    plays(page)
    version = live.api("POST", "streams/cam/prices", {"planck_per_s": str(10 * PRICE)})
    page.wait_for_selector("#price-next:not([hidden])", timeout=10000)
    told, price = page.inner_text("#price-next"), page.inner_text("#price")
    page.wait_for_function(STATE, arg="asking", timeout=120000)
    asked = page.inner_text("#notice")
    fetched = {tick for url in page.media for tick in ticks_of(url)}

    assert re.search(r"From \d\d:\d\d:\d\d on it costs 0.00001.* a second", told)
    assert "0.000001" in price
    assert "The price has changed" in asked
    assert "You agreed to 0.000001" in asked
    assert max(fetched) < version["from_tick"]
    assert max(fetched) >= version["from_tick"] - 30  # the notice is 60 s
    page.click("#notice-button")
    plays(page)
    assert report(page)["agreedPlanck"] == str(10 * PRICE)
