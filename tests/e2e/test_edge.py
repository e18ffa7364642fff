"""An nginx in front, as an operator puts it there: two viewers, one fill, two exact bills."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from urllib.parse import urljoin

import pytest

from tests.support.audience import billed_ticks, mint, open_stream, open_viewer, settled, wait_live
from tests.support.servers import nginx
from tests.support.servers.vilokanam import Publisher, Server, get, running

pytestmark = pytest.mark.timeout(180)

WATCH_S = 10
MEDIA = re.compile(r"/(\d+)(?:\.\d+)?-(\d+)x(\d+)\.m4s$")


class Player(threading.Thread):
    """A low-latency player of few words: blocking reloads, and every part that they name."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.statuses: Counter[int] = Counter()
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            self._watch()
        except BaseException as error:  # noqa: BLE001 - told in the test's own thread
            self.failure = error

    def _watch(self) -> None:
        media = urljoin(self.url, next(self._uris(self._text(self.url), r"^([^#\s].*)$")))
        text = self._text(media)
        self._media(urljoin(media, next(self._uris(text, r'EXT-X-MAP:URI="([^"]+)"'))))
        seen: set[str] = set(self._parts(text))
        end = time.monotonic() + WATCH_S
        while time.monotonic() < end:
            last = re.findall(r'#EXT-X-PART:.*?URI="(\d+)\.(\d+)-', text)[-1]
            text = self._text(f"{media}?_HLS_msn={last[0]}&_HLS_part={int(last[1]) + 1}")
            for uri in self._parts(text):
                if uri not in seen:
                    seen.add(uri)
                    self._media(urljoin(media, uri))

    def _parts(self, text: str) -> list[str]:
        return re.findall(r'#EXT-X-PART:.*?URI="([^"]+)"', text)

    def _uris(self, text: str, pattern: str):
        yield from re.findall(pattern, text, re.MULTILINE)

    def _text(self, url: str) -> str:
        status, body = get(url)
        assert status == 200, (status, body)
        return body.decode()

    def _media(self, url: str) -> None:
        self.statuses[get(url)[0]] += 1


def ticks_of(lines: list[nginx.Line]) -> set[int]:
    """Return the seconds that these answers carried."""
    ticks: set[int] = set()
    for line in lines:
        if line.status in (200, 206) and line.method == "GET":
            match = MEDIA.search(line.path)
            assert match, line
            ticks.update(range(int(match[2]), int(match[2]) + int(match[3])))
    return ticks


def test_two_viewers_through_an_edge_pay_what_it_gave_them(tmp_path):
    """Ten seconds each: receipts name the seconds in the edge's log, and bytes were filled once."""
    port = nginx.free_port()
    # A busy test machine may need longer for a fill than the default allows.
    server = Server(tmp_path, config=f'[edge]\nlisten = "127.0.0.1:{port}"\nfill_wait_ms = 400\n')
    with server.config.open("a") as config:
        config.write(f'origin_url = "{server.url}"\n')
    folder = tmp_path / "edge"
    with running(server):
        key = open_stream(server, "cam")
        tickets = []
        for name in ("ann", "bob"):
            open_viewer(server, name, "600000000")
            tickets.append(mint(server, name, "cam"))
        server.run("edge", "config", "nginx", "--standalone", str(folder))
        publisher = Publisher(server, "cam", key)
        try:
            with nginx.running(folder / "nginx.conf", port):
                wait_live(server, tickets[0], "cam")
                edge = f"http://127.0.0.1:{port}"
                players = [Player(f"{edge}{ticket.path}index.m3u8") for ticket in tickets]
                for player in players:
                    player.start()
                for player in players:
                    player.join(60)
                books = settled(server)
                billed = {ticket.session: billed_ticks(server, ticket) for ticket in tickets}
        finally:
            publisher.stop()
    assert [player.failure for player in players] == [None, None]
    lines = [line for line in nginx.read_log(folder / "access.log") if line.session != "-"]
    for ticket in tickets:
        given = ticks_of([line for line in lines if line.session == ticket.session])
        assert len(given) >= WATCH_S - 2
        assert billed[ticket.session] == given
    assert books["exit"] == 0
    fills = Counter(line.path for line in lines if line.cache == "MISS")
    assert set(fills.values()) == {1}, fills
    assert {line.path for line in lines if line.cache == "HIT"} <= set(fills)
    assert sum(line.cache == "HIT" for line in lines) >= WATCH_S
    for text in ((folder / "access.log").read_text(), (folder / "said").read_text(), server.tail()):
        assert not [ticket.token for ticket in tickets if ticket.token in text]
