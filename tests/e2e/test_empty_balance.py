"""The watch page when the money ends, when it comes back, and when another device takes over."""

import os
import time
from pathlib import Path

import pytest
from playwright.sync_api import TimeoutError as PageTimeoutError

from tests.support.audience import Ticket, begin, mint, open_stream, open_viewer, report, wait_live
from tests.support.players import Wire, find_show, list_media, ticks_of
from tests.support.servers.vilokanam import Publisher, Server, chromium, running, until

pytestmark = pytest.mark.timeout(150)

PRICE = 1_000_000
SHOTS = Path(os.environ.get("VILOKANAM_SHOTS", ""))
"""A directory for pictures of the page, to be looked at; empty: none are made."""
STATE = "s => document.documentElement.dataset.state === s"


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A server where a viewer has one player at a time, with a live show."""
    server = Server(tmp_path_factory.mktemp("purse"))
    server.environment["VILOKANAM_AUTH__MAX_SESSIONS"] = "1"
    with running(server):
        publisher = Publisher(server, "cam", open_stream(server, "cam", str(PRICE)))
        try:
            wait_live(server, None, "cam")
            yield server
        finally:
            publisher.stop()
    print(server.tail())


@pytest.fixture(scope="module")
def browser():
    with chromium() as made:
        yield made


@pytest.fixture(params=[(1280, 800), (390, 844)], ids=["desktop", "phone"])
def page(request, browser):
    width, height = request.param
    made = browser.new_page(
        viewport={"width": width, "height": height}, has_touch=width < 500, is_mobile=width < 500
    )
    yield made
    made.close()


def shoot(page, name: str) -> None:
    if SHOTS.name:
        width = page.viewport_size["width"]
        page.screenshot(path=SHOTS / f"{width}-{name}.png")


def open_page(page, server: Server, ticket: Ticket) -> None:
    page.goto(server.url + ticket.path, wait_until="commit")
    begin(page)
    try:
        page.wait_for_function("() => document.querySelector('video')?.currentTime > 0")
    except PageTimeoutError as error:
        raise AssertionError(f"no picture: {report(page)}") from error
    page.evaluate("() => { window.notReloaded = true; }")


def picture_s(page) -> float:
    return page.evaluate("() => document.querySelector('video').currentTime")


def plays_on(page, timeout_ms: int = 15000) -> None:
    page.wait_for_function(STATE, arg="live", timeout=timeout_ms)
    page.wait_for_function(
        "t => document.querySelector('video').currentTime > t + 1",
        arg=picture_s(page),
        timeout=timeout_ms,
    )


def test_the_picture_stops_with_the_balance_and_a_top_up_brings_it_back(live, page, request):
    """Warned before; stopped within one segment and told why; topped up, it plays on, no reload."""
    name = f"dry-{request.node.callspec.id}"
    credit_s = 11
    open_viewer(live, name, str(credit_s * PRICE))
    ticket = mint(live, name, "cam")
    open_page(page, live, ticket)

    page.wait_for_selector("#warning:not([hidden])", timeout=15000)
    warned = page.inner_text("#warning")
    shoot(page, "warning")
    page.wait_for_function("() => window.vilokanam.secondsLeft === 0", timeout=30000)
    empty_at, picture_then = time.monotonic(), picture_s(page)
    moved = picture_then
    while page.get_attribute("html", "data-state") != "stopped":
        moved = max(moved, picture_s(page))
        assert time.monotonic() < empty_at + 10, report(page)
        page.wait_for_timeout(50)
    stopped_after_s = time.monotonic() - empty_at
    shown = report(page)
    notice = page.inner_text("#notice")
    shoot(page, "stopped")
    print(
        f"balance empty -> stopped after {stopped_after_s:.2f} s, {moved - picture_then:.2f} s of "
        f"picture; watched {shown['secondsWatched']} s of {credit_s}; first frame "
        f"{shown['firstFrameMs']} ms; warned: {warned!r}; notice: {notice!r}"
    )

    assert "Then the picture stops" in warned
    assert stopped_after_s <= 3
    assert shown["reason"] == "purse"
    assert shown["secondsWatched"] == credit_s
    assert int(shown["spentPlanck"]) == credit_s * PRICE
    assert "Your balance ran out" in notice
    assert page.evaluate("() => document.querySelector('video').videoWidth") == 0
    page.click("#notice-button")
    plays_on(page)
    page.wait_for_timeout(500)
    shoot(page, "topped-up")
    assert page.evaluate("() => window.notReloaded") is True
    after = report(page)
    assert int(after["balancePlanck"]) > 0
    assert not page.is_visible("#notice")


def test_another_device_takes_over_and_a_click_takes_it_back(live, page, request):
    """The page says that it was replaced, stays quiet, and plays again on a click, no reload."""
    name = f"two-{request.node.callspec.id}"
    open_viewer(live, name, str(600 * PRICE))
    ticket = mint(live, name, "cam")
    open_page(page, live, ticket)
    plays_on(page)
    shoot(page, "live")
    other = mint(live, name, "cam")
    with Wire(live.port) as wire:
        newest = until(lambda: list_media(wire, other.path, "360p").parts, "media")[-1]
        assert wire.status(newest) == 200

        page.wait_for_function(STATE, arg="kicked", timeout=10000)
        notice = page.inner_text("#notice")
        shoot(page, "kicked")
        page.wait_for_timeout(2500)
        assert page.get_attribute("html", "data-state") == "kicked"
        # The page does not fight for the stream: the other device plays on.
        show = find_show(wire, other.path)
        latest = list_media(wire, other.path, "360p").parts[-1]
        assert show is not None
        assert wire.status(latest) == 200
        assert ticks_of(latest)
        page.click("#notice-button")
        plays_on(page)
        shoot(page, "taken-back")

        assert "Playing on another device" in notice
        assert page.evaluate("() => window.notReloaded") is True
        until(
            lambda: wire.status(list_media(wire, other.path, "360p").parts[-1]) == 403,
            "the other device is told in its turn",
            5,
        )


def test_who_is_barred_reads_it_and_comes_in_again_from_the_same_tab(live, page, request):
    """It read "Playing on another device", with a button that did nothing."""
    name = f"out-{request.node.callspec.id}"
    open_viewer(live, name, str(600 * PRICE))
    open_page(page, live, mint(live, name, "cam"))
    plays_on(page)
    bar = live.api("POST", "streams/cam/bars", {"viewer": name, "reason": "spam in the chat"})
    page.wait_for_function(STATE, arg="kicked", timeout=10000)
    page.wait_for_function("() => document.querySelector('#notice').innerText.includes('spam')")
    shoot(page, "barred")
    notice = page.inner_text("#notice")
    assert not page.is_visible("#notice-button")
    live.api("DELETE", f"streams/cam/bars/{bar['bar']}")

    page.click("#notice-link")
    page.wait_for_function("() => document.body.innerText.includes('You pay for what you watch')")

    assert "barred from this stream" in notice
    assert "another device" not in notice
