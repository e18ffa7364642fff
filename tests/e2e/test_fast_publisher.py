"""Real packets whose time stamps run twice as fast as time: what viewers, bill and creator get."""

from __future__ import annotations

import re
import sys
import time
from datetime import datetime

import pytest

from tests.support.audience import open_stream
from tests.support.players import Wire, find_show, list_media
from tests.support.servers.vilokanam import Server, SmallPublisher, running, until

pytestmark = pytest.mark.timeout(120)
LEAD_S = 3.0
_DATE = re.compile(r"#EXT-X-PROGRAM-DATE-TIME:(\S+)")
_SESSION = """
from mediaserver.whip_client import session_process as session
mux = session._mux
def fast(output, packet):
    packet.pts, packet.dts = packet.pts * 2, packet.dts * 2
    mux(output, packet)
session._mux = fast
session.main()
"""


class FastPublisher(SmallPublisher):
    """The small publisher, in real time, with every stamp doubled."""

    def _command(self, url: str, key: str, *extra: str) -> list[str]:
        code = super()._command(url, key, *extra)[-1]
        patch = (
            "import subprocess, sys; popen = subprocess.Popen;"
            "subprocess.Popen = lambda words, **k:"
            f" popen([sys.executable, '-c', {_SESSION!r}] if '-m' in words else words, **k);"
        )
        return [sys.executable, "-c", patch + code]


def newest_s(text: str) -> float:
    """Return when the newest segment of a playlist begins, Unix seconds."""
    return max(datetime.fromisoformat(date).timestamp() for date in _DATE.findall(text))


def test_a_h1_a_publisher_twice_as_fast_is_cut_told_and_ended(tmp_path):
    """No segment begins more than the lead ahead of the clock; the creator reads why it is over."""
    server = Server(tmp_path)
    with running(server):
        publisher = FastPublisher(server, "cam", open_stream(server, "cam", "0"))
        advice: list[str] = []
        try:
            with Wire(server.port) as wire:
                until(lambda: find_show(wire, "/cam/"), "live", 60)

                def is_ended() -> bool:
                    text = list_media(wire, "/cam/", "source").text
                    assert newest_s(text) <= time.time() + LEAD_S + 0.05
                    advice.extend(server.api("GET", "streams/cam")["health"]["advice"])
                    return any("Your session was ended" in line for line in advice)

                until(is_ended, "the end of the session", 60)
                text = list_media(wire, "/cam/", "source").text
        finally:
            publisher.stop()
    assert any("run ahead of the clock" in line for line in advice)
    assert "reason': 'time_stamps'" in server.log.read_text().replace('"', "'")
    dates = [datetime.fromisoformat(date).timestamp() for date in _DATE.findall(text)]
    assert dates == sorted(dates)
