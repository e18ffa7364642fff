"""The viewer's own clock is set while a stream plays."""

import pytest

from tests.support.audience import (
    begin,
    longest_stall,
    mint,
    open_stream,
    open_viewer,
    wait_live,
)
from tests.support.servers.vilokanam import SmallPublisher, chromium

pytestmark = pytest.mark.timeout(180)

STEPS_S = (30, -30, 3600)
PLAY_S = 6
STOOD_MAX_S = 1.5
"""A busy machine may hold a browser up; a page that begins anew loads for longer, or waits."""
LATE_MAX_S = 6

CLOCK = """window.steppedMs = 0; const real = Date; const now = () => real.now() + window.steppedMs;
  window.Date = class extends real {
    constructor(...given) { if (given.length) super(...given); else super(now()); }
    static now() { return now(); }
  };"""
PLAYS = """() => document.documentElement.dataset.state === 'live'
  && document.querySelector('video').currentTime > 2"""
WATCH = """() => {
  window.samples = []; window.loads = 0;
  const video = document.querySelector('video');
  video.addEventListener('emptied', () => { window.loads += 1; });
  window.setInterval(() => window.samples.push({at: performance.now() / 1000,
    time: video.currentTime, paused: video.paused, state: window.vilokanam.state,
    late: window.vilokanam.latencyS}), 50); }"""


@pytest.mark.parametrize("price", ["0", "1000000"])
def test_r8_a_step_of_the_viewers_clock_stalls_nobody(server, price):
    """The clock is set by half a minute or an hour, back or forth, and the picture goes on."""
    publisher = SmallPublisher(server, "cam", open_stream(server, "cam", price))
    try:
        path = "/cam/"
        if price != "0":
            open_viewer(server, "ann", "600000000")
            path = mint(server, "ann", "cam").path
        wait_live(server, None, "cam")
        with chromium() as browser:
            page = browser.new_page()
            page.add_init_script(CLOCK)
            page.goto(server.url + path, wait_until="commit")
            begin(page)
            page.wait_for_function(PLAYS, timeout=30000)
            page.evaluate(WATCH)
            for step_s in (0, *STEPS_S):
                page.evaluate("s => { window.steppedMs += 1000 * s; }", step_s)
                page.wait_for_timeout(PLAY_S * 1000)
            samples, loads = page.evaluate("() => [window.samples, window.loads]")
    finally:
        publisher.stop()

    first, last = samples[0], samples[-1]
    states = {sample["state"] for sample in samples}
    lates = {sample["late"] for sample in samples}
    print(loads, states, lates, longest_stall(samples))
    assert states == {"live"}
    assert not any(sample["paused"] for sample in samples)
    assert loads == 0
    assert longest_stall(samples) < STOOD_MAX_S
    # It may have gone a little faster than time, to come back to the edge.
    assert last["time"] - first["time"] > last["at"] - first["at"] - STOOD_MAX_S
    assert all(0 <= late < LATE_MAX_S for late in lates)
