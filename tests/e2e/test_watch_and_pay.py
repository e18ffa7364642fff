"""The whole path: published, watched, billed by the second, settled, proved."""

import itertools

import pytest
from audience import (
    billed_ticks,
    difference,
    longest_stall,
    mint,
    open_stream,
    open_viewer,
    settled,
    wait_live,
    watch,
)
from harness import ROOT, Publisher, Server, chromium, counting_proxy, running, seen

pytestmark = pytest.mark.timeout(240)

WATCH_S = 21


def test_a_viewer_pays_exactly_the_seconds_that_reached_them(server):
    """FFmpeg publishes, Chromium plays 20 s: billed = seen = settled; the books balance."""
    key = open_stream(server, "cam")
    open_viewer(server, "ann", "600000000")
    ticket = mint(server, "ann", "cam")
    publisher = Publisher(server, "cam", key)
    try:
        wait_live(server, ticket, "cam")
        with counting_proxy(server) as proxy, chromium() as browser:
            page = browser.new_page()
            samples = watch(page, proxy + ticket.path, WATCH_S)
            page.close()

            books = settled(server)

            missing, invented = difference(server, proxy, ticket)
            assert (missing, invented) == (set(), set())
            assert seen(proxy)["went_back"] == []
            billed = billed_ticks(server, ticket)
    finally:
        publisher.stop()
    assert samples[-1]["time"] - samples[0]["time"] > WATCH_S * 0.9
    assert (samples[-1]["width"], samples[-1]["height"]) in {(1280, 720), (640, 360)}
    assert longest_stall(samples) <= 1.0
    assert WATCH_S <= len(billed) <= WATCH_S + 8
    assert books["exit"] == 0
    assert books["settled_ticks"] == books["metered_ticks"] == len(billed)


def test_a_server_that_loses_a_second_is_caught(tmp_path):
    """The same measurement turns red when claims are lost: the test can fail.

    One second in ten is never claimed. A single lost claim proves nothing: parts overlap in their
    seconds, so the next one claims what it left out.
    """
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(
        "import metering.claims as c\n"
        "from metering.ports import ClaimAnswer\n"
        "from metering.units import Verdict\n"
        "real = c.RawClaims.claim\n"
        "async def claim(self, wanted):\n"
        "    if any((r.run.end - 1) % 10 < r.run.count for r in wanted.runs):\n"
        "        return ClaimAnswer(Verdict.GRANTED, 0, 0, 10**9)\n"
        "    return await real(self, wanted)\n"
        "c.RawClaims.claim = claim\n"
    )
    server = Server(tmp_path)
    server.environment["PYTHONPATH"] = f"{hook}:{ROOT}"
    with running(server):
        key = open_stream(server, "cam")
        open_viewer(server, "ann", "600000000")
        ticket = mint(server, "ann", "cam")
        publisher = Publisher(server, "cam", key)
        try:
            wait_live(server, ticket, "cam")
            with counting_proxy(server) as proxy, chromium() as browser:
                page = browser.new_page()
                watch(page, proxy + ticket.path, 12)
                page.close()
                settled(server)

                missing, invented = difference(server, proxy, ticket)
        finally:
            publisher.stop()
    assert missing
    assert invented == set()


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
        # Any page of the server will do: getUserMedia wants a trustworthy origin.
        creator.goto(server.url + "/web/")
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
            at_gap = page.evaluate("() => document.querySelector('video').currentTime")
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
