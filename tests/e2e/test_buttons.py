"""Every button of the watch page can be tapped where it is shown, in each state, at each size."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers.vilokanam import chromium
from tests.support.watch_page import PRICE, TAP_ALL, FakeServer, reading

pytestmark = pytest.mark.timeout(120)

SIZES = {"320": (320, 568), "390": (390, 844), "844": (844, 390), "1280": (1280, 800)}
SHOTS = Path(os.environ.get("VILOKANAM_SHOTS", ""))
"""A directory for pictures of the page, to be looked at; empty: none are made."""
STATE = "s => document.documentElement.dataset.state === s"
TOP_UP = {"top_up": {"open": True, "url": ""}}
PAY = {"top_up": {"open": False, "url": "https://pay.example/?account=0x12"}}
SESSION = (403, {"reason": "session"})
EMPTY = {"balance": "0", "seconds_left": 0}


@pytest.fixture(scope="module")
def browser():
    with chromium() as made:
        yield made


@pytest.fixture(params=SIZES)
def page(request, browser):
    width, height = SIZES[request.param]
    is_phone = width < 1000
    made = browser.new_page(
        viewport={"width": width, "height": height},
        has_touch=is_phone,
        is_mobile=is_phone,
        reduced_motion="reduce",
    )
    yield made
    made.close()


def pause(server: FakeServer) -> None:
    server.page.wait_for_function(STATE, arg="loading")
    server.page.evaluate("() => window.vilokanam.stream_.pause()")


def say(**message):
    return lambda server: server.send(message)


LIVE = {"state": "live", "multivariant": "#EXTM3U\n#EXT-X-STREAM-INF:\n1/a/media.m3u8\n"}
CASES: dict[str, tuple[dict[str, Any], tuple[int, dict[str, Any]] | None, Any, str, set[str]]] = {
    # name: (boot, answer of the playlists, what happens then, state, buttons that must be there)
    "offline": ({"session": None}, (404, {}), None, "offline", set()),
    "ended": ({}, (404, {}), None, "ended", {"receipts"}),
    "loading": (LIVE, None, None, "loading", {"toggle", "mute", "full"}),
    "paused": (LIVE, None, pause, "paused", {"notice-button"}),
    "stopped": (TOP_UP, (402, {"reason": "purse"}), None, "stopped", {"notice-button"}),
    "stopped-link": (PAY, (402, {"reason": "purse"}), None, "stopped", {"notice-link"}),
    "limit": ({}, (402, {"reason": "limit"}), None, "stopped", {"receipts"}),
    "kicked": ({}, SESSION, None, "kicked", {"notice-button"}),
    "pace": (
        LIVE,
        None,
        say(type="stopped", reason="pace", top_up_url=""),
        "kicked",
        {"notice-button"},
    ),
    "asking": (LIVE, None, None, "asking", {"notice-button", "limit-choice"}),
    "price": (LIVE, None, None, "asking", {"notice-button", "limit-choice"}),
    "coming": (
        LIVE,
        None,
        say(**reading(next_price={"planck_per_s": "2500000000", "from_ms": 1_700_000_060_000})),
        "loading",
        {"agree-next", "toggle"},
    ),
    "denied": ({}, (403, {"reason": "expired"}), None, "denied", {"receipts"}),
    "denied-unknown": ({}, (403, {}), None, "denied", {"notice-button"}),
    "low": (
        LIVE | TOP_UP,
        None,
        say(**reading(balance="1000000000", seconds_left=4)),
        "loading",
        {"top-up", "toggle"},
    ),
}


AGREED = {"price": (PRICE // 10,)}
"""What the viewer agreed to before, where that is not the price of now."""


@pytest.mark.parametrize("name", CASES)
def test_v5_every_button_can_be_tapped(page, name):
    """Five points of each button, link and field reach it; nothing scrolls sideways."""
    change, playlist, then, state, buttons = CASES[name]
    server = FakeServer(page, **change)
    if name in AGREED:
        server.agree(*AGREED[name])
    elif state != "asking":
        server.agree()
    server.playlist = playlist
    server.open()
    if change.get("state") != "live":
        page.evaluate("() => window.vilokanam.stream_.play()")  # ask now, not in three seconds
    if server.boot["session"]:
        page.wait_for_function("() => window.vilokanam.balancePlanck !== null")
    if then is not None:
        then(server)
    page.wait_for_function(STATE, arg=state)

    found = page.evaluate(TAP_ALL)

    if SHOTS.name:
        page.evaluate("() => scrollTo(0, 0)")
        page.screenshot(path=SHOTS / f"{page.viewport_size['width']}-{name}.png")
    assert found["missed"] == []
    assert buttons <= set(found["shown"])
    assert found["sideways"] <= 0
