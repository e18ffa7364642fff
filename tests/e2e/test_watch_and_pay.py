"""The whole path: published, watched, billed by the second, settled, proved."""

import itertools
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.audience import (
    billed_ticks,
    crowd,
    difference,
    longest_stall,
    mint,
    open_stream,
    open_viewer,
    settled,
    wait_live,
    watch,
)
from tests.support.servers.vilokanam import (
    ROOT,
    Publisher,
    Server,
    chromium,
    counting_proxy,
    running,
    seen,
)

pytestmark = pytest.mark.timeout(240)

PLAYED_TO = """() => { const {buffered, currentTime} = document.querySelector('video');
  return buffered.length ? buffered.end(buffered.length - 1) : currentTime; }"""
"""Where what came before the gap ends: a busy machine's page is seconds behind it."""
WATCH_S = 21
CROWD = 12
"""Players of whole segments: some 130 claims in all, so that one in 50 is two or three."""


@dataclass
class Showing:
    """What a show with an audience came to."""

    samples: list[dict[str, Any]]
    books: dict[str, Any]
    missing: set[int]
    invented: set[int]
    billed: list[set[int]]
    went_back: list[str]


def show_to_an_audience(server: Server) -> Showing:
    """FFmpeg publishes; Chromium plays the page, a crowd plays whole segments; all is counted."""
    key = open_stream(server, "cam")
    names = ["ann", *(f"crowd-{number}" for number in range(CROWD))]
    for name in names:
        open_viewer(server, name, "600000000")
    tickets = [mint(server, name, "cam") for name in names]
    publisher = Publisher(server, "cam", key)
    try:
        wait_live(server, tickets[0], "cam")
        with counting_proxy(server) as proxy, chromium() as browser:
            page = browser.new_page()
            with crowd(proxy, tickets[1:], WATCH_S):
                samples = watch(page, proxy + tickets[0].path, WATCH_S)
            page.close()
            books = settled(server)
            differences = [difference(server, proxy, ticket) for ticket in tickets]
            went_back = seen(proxy)["went_back"]
            billed = [billed_ticks(server, ticket) for ticket in tickets]
    finally:
        publisher.stop()
    return Showing(
        samples,
        books,
        set().union(*(missing for missing, _ in differences)),
        set().union(*(invented for _, invented in differences)),
        billed,
        went_back,
    )


@pytest.mark.alone
def test_every_viewer_pays_exactly_the_seconds_that_reached_them(server):
    """Chromium by parts, FFmpeg by segments: billed = seen = settled; the books balance."""
    show = show_to_an_audience(server)

    assert (show.missing, show.invented, show.went_back) == (set(), set(), [])
    first, last = show.samples[0], show.samples[-1]
    assert last["time"] - first["time"] > WATCH_S * 0.9
    assert (last["width"], last["height"]) in {(1280, 720), (640, 360)}
    assert longest_stall(show.samples) <= 1.0
    assert WATCH_S <= len(show.billed[0]) <= WATCH_S + 8
    assert min(map(len, show.billed)) >= WATCH_S
    assert show.books["exit"] == 0
    ticks = sum(map(len, show.billed))
    assert show.books["settled_ticks"] == show.books["metered_ticks"] == ticks


def test_a_server_that_drops_one_claim_in_50_is_caught(tmp_path):
    """The same measurement turns red: each 50th claim is taken for granted and never made.

    It is the crowd that shows it. A player of parts claims most seconds twice, as a part that
    straddles a second names both; the middle second of a whole segment is claimed once.
    """
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(
        "import itertools\n"
        "import metering.store.claim_client as c\n"
        "from metering.ports import ClaimAnswer\n"
        "from metering.units import Verdict\n"
        "real, count = c.RawClaims.claim, itertools.count(1)\n"
        "async def claim(self, wanted):\n"
        "    if next(count) % 50 == 0:\n"
        "        return ClaimAnswer(Verdict.GRANTED, 0, 0, 10**9)\n"
        "    return await real(self, wanted)\n"
        "c.RawClaims.claim = claim\n"
    )
    server = Server(tmp_path)
    server.environment["PYTHONPATH"] = f"{hook}:{ROOT}"
    with running(server):
        show = show_to_an_audience(server)

    assert show.missing
    assert show.invented == set()


CHROMIUM_PUBLISHES = """async ([url, key]) => {
  const media = await navigator.mediaDevices.getUserMedia(
    {video: {width: 640, height: 360, frameRate: 30}, audio: true});
  const peer = window.peer = new RTCPeerConnection();
  for (const track of media.getTracks())
    peer.addTransceiver(track, {direction: 'sendonly', streams: [media]});
  await peer.setLocalDescription();
  const started = performance.now();
  const answer = await fetch(url, {method: 'POST', body: peer.localDescription.sdp,
    headers: {'Content-Type': 'application/sdp', 'Authorization': 'Bearer ' + key}});
  if (answer.status !== 201) return {status: answer.status, body: await answer.text()};
  window.resource = answer.headers.get('Location');
  await peer.setRemoteDescription({type: 'answer', sdp: await answer.text()});
  await new Promise(done => { const look = () => peer.connectionState === 'connected' ? done()
    : setTimeout(look, 5); look(); });
  return {status: 201, ms: performance.now() - started};
}"""


def test_chromium_publishes_and_another_chromium_watches(server):
    """A browser is a publisher like any other: 20 s watched are 20 s billed."""
    key = open_stream(server, "web")
    open_viewer(server, "bob", "600000000")
    ticket = mint(server, "bob", "web")
    with counting_proxy(server) as proxy, chromium() as browser:
        creator = browser.new_page()
        # getUserMedia wants a trustworthy origin, and our pages may ask nobody else (CSP).
        creator.goto(server.url + "/healthz")
        made = creator.evaluate(CHROMIUM_PUBLISHES, [f"{server.url}/web/whip", key])
        assert made["status"] == 201, made
        wait_live(server, ticket, "web")
        page = browser.new_page()

        samples = watch(page, proxy + ticket.path, WATCH_S)
        page.close()
        creator.close()

        books = settled(server)
        missing, invented = difference(server, proxy, ticket)
    assert (missing, invented) == (set(), set())
    assert samples[-1]["width"] > 0
    assert samples[-1]["time"] - samples[0]["time"] > WATCH_S * 0.8
    assert books["exit"] == 0


def test_a_publisher_killed_and_back_goes_on_and_absence_is_free(server):
    """Kill -9 of the publisher: same URL, sequence never back, the gap is not billed."""
    key = open_stream(server, "cam")
    open_viewer(server, "eve", "600000000")
    ticket = mint(server, "eve", "cam")
    publisher = Publisher(server, "cam", key)
    try:
        wait_live(server, ticket, "cam")
        with counting_proxy(server) as proxy, chromium() as browser:
            page = browser.new_page()
            watch(page, proxy + ticket.path, 8)
            publisher.stop(hard=True)
            page.wait_for_timeout(9000)  # longer than media_timeout_ms: the show waits
            at_gap = page.evaluate(PLAYED_TO)
            publisher = Publisher(server, "cam", key)
            page.wait_for_function(
                "t => document.querySelector('video').currentTime > t + 5",
                arg=at_gap,
                timeout=40000,
            )
            page.close()

            books = settled(server)
            missing, invented = difference(server, proxy, ticket)
            billed = sorted(billed_ticks(server, ticket))
            went_back = seen(proxy)["went_back"]
    finally:
        publisher.stop()
    assert (missing, invented) == (set(), set())
    assert went_back == []
    assert max(b - a for a, b in itertools.pairwise(billed)) >= 4
    assert books["exit"] == 0
