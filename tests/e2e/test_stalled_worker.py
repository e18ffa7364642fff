"""A process of ours that stood still throws nobody out: it reads what waits when it goes on."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.support.audience import open_stream
from tests.support.players import Wire, find_show, list_media
from tests.support.servers.vilokanam import Server, SmallPublisher, running, until

pytestmark = pytest.mark.timeout(120)
STALL_S = 6.0
"""Half as long again as `ingest.media_timeout_ms`."""


def test_r4_a_worker_that_stood_still_keeps_its_publisher(tmp_path):
    """The publisher went on sending all the while: its session goes on, and so does the show."""
    server = Server(tmp_path)
    with running(server):
        publisher = SmallPublisher(server, "cam", open_stream(server, "cam", "0"))
        try:
            with Wire(server.port) as wire:
                until(lambda: find_show(wire, "/cam/"), "live", 60)
                (worker,) = [
                    worker["pid"]
                    for worker in server.api("GET", "workers")["workers"]
                    if worker["stream"] == "cam"
                ]
                show = find_show(wire, "/cam/")
                os.kill(worker, signal.SIGSTOP)
                time.sleep(STALL_S)  # the stall itself
                os.kill(worker, signal.SIGCONT)
                before = len(list_media(wire, "/cam/", "source").segments)

                until(
                    lambda: len(list_media(wire, "/cam/", "source").segments) >= before + 3,
                    "new segments",
                    60,
                )
                assert find_show(wire, "/cam/") == show
        finally:
            publisher.stop()
    log = server.log.read_text()
    assert log.count("whip.session.opened") == 1
    assert "media_timeout" not in log
