"""Publishers on every WebRTC stack that can be had here, through the whole server (R15, R6).

In a network namespace with a veth pair, as GStreamer's libnice ignores loopback. FFmpeg's muxer is
in most other tests; Chromium publishes in tests/integration/test_whip_chromium.py too.
"""

import json
import os
import shutil
import signal
import time

import pytest

from tests.support.audience import open_stream
from tests.support.servers.vilokanam import Server, chromium, get, running, until
from tests.support.whip.browser import PUBLISH
from tests.support.whip.namespace import is_allowed, own_network
from tests.support.whip.stacks import PROGRAMS, publishing, write_units

pytestmark = pytest.mark.timeout(120)

STACKS = ("libdatachannel", "pion", "gstreamer")
TOLD_MAX_S = 5
"""Seconds from a worker's death to connected again: half a second is the publisher's own wait.
Without a farewell libdatachannel took 26.6 s and GStreamer never noticed."""


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    """A server in a namespace of its own, and the media that publishers send."""
    if not is_allowed():
        pytest.skip("a network namespace needs root")
    if not (PROGRAMS / "pion" / "whip").exists() or not shutil.which("gst-inspect-1.0"):
        pytest.skip("publishers are missing: make publishers")
    directory = tmp_path_factory.mktemp("stacks")
    units = directory / "units"
    write_units(units)
    with own_network() as address:
        server = Server(directory)
        both = f'[ingest]\nbind_addresses = ["{address}", "127.0.0.1"]'
        server.config.write_text(server.config.read_text().replace("[ingest]", both))
        with running(server):
            yield server, units
    print(server.tail())


def health(server, slug):
    return server.api("GET", f"streams/{slug}")["health"]


def wait_live(server, slug):
    until(lambda: health(server, slug)["state"] == "live", f"{slug} live")


def kill_worker_of(server, slug):
    """Kill -9 the worker that has the stream; return when, Unix time."""
    workers = server.api("GET", "workers")["workers"]
    os.kill(next(w["pid"] for w in workers if w["stream"] == slug), signal.SIGKILL)
    return time.time()


def closed_sessions(server):
    lines = server.log.read_text().splitlines()
    events = [json.loads(line) for line in lines if "whip.session.closed" in line]
    return [event["reason"] for event in events]


@pytest.mark.parametrize("name", STACKS)
def test_r15_publishers_of_every_stack_connect(field, name):
    """The first session connects, its media make a show, none is lost, and DELETE ends it."""
    server, units = field
    slug = f"first-{name}"
    key = open_stream(server, slug, "0")
    with publishing(name, server, slug, key, units) as publisher:
        publisher.until("connected")
        wait_live(server, slug)
        until(lambda: health(server, slug)["facts"].get("video_units", 0) >= 60, "2 s of picture")
        facts = health(server, slug)["facts"]
        playlist = get(f"{server.url}/{slug}/index.m3u8")[1]
    print(name, publisher.lines, facts)

    assert b"STREAM-INF" in playlist
    assert facts["audio_units"] > 50
    assert facts["lost"] == 0
    assert [word for _, word in publisher.lines if word.startswith("answer")] == ["answer 201"]
    assert publisher.lines[-1][1] == "ended"
    assert closed_sessions(server)[-1] == "deleted"


@pytest.mark.parametrize("name", ["libdatachannel", "gstreamer"])
def test_r6_killed_worker_is_told_to_the_publisher(field, name):
    """Its stack learns of it by DTLS and comes back; the show goes on."""
    server, units = field
    slug = f"told-{name}"
    key = open_stream(server, slug, "0")
    with publishing(name, server, slug, key, units) as publisher:
        publisher.until("connected")
        wait_live(server, slug)
        show = health(server, slug)["show"]
        killed_s = kill_worker_of(server, slug)
        back_s = publisher.until("connected", killed_s, TOLD_MAX_S + 5) - killed_s
        wait_live(server, slug)
    print(f"{name}: connected again {back_s:.2f} s after the worker was killed")

    assert back_s < TOLD_MAX_S
    assert health(server, slug)["show"] == show


def test_r6_killed_server_is_told_to_the_publisher(field):
    """The next server says for the dead one that its sessions are over."""
    server, units = field
    key = open_stream(server, "restarted", "0")
    with publishing("libdatachannel", server, "restarted", key, units) as publisher:
        publisher.until("connected")
        wait_live(server, "restarted")
        server.kill()
        server.start()
        ready_s = time.time()
        back_s = publisher.until("connected", ready_s - 5) - ready_s
    print(f"connected again {back_s:.2f} s after the next server was ready")

    assert back_s < TOLD_MAX_S


def test_r6_killed_worker_is_told_to_a_browser(field):
    """The page's DTLS transport closes at once; by connectivity alone it takes 5 to 8 s."""
    server, _ = field
    key = open_stream(server, "told-browser", "0")
    with chromium() as browser:
        page = browser.new_page()
        page.goto(f"{server.url}/healthz")
        published = page.evaluate(PUBLISH, [f"{server.url}/told-browser/whip", key, "av"])
        assert published["status"] == 201, published
        wait_live(server, "told-browser")
        page.evaluate(
            """() => { window.ended = new Promise((done) => {
                 const dtls = pc.getSenders()[0].transport;
                 dtls.addEventListener('statechange', () => done([Date.now() / 1000, dtls.state]));
               }); }"""
        )
        killed_s = kill_worker_of(server, "told-browser")
        told_s, state = page.evaluate("window.ended")
    print(f"Chromium: DTLS {state} {told_s - killed_s:.2f} s after the worker was killed")

    assert state == "closed"
    assert told_s - killed_s < 3
