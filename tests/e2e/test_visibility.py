"""A creator changes during a show who may see it: the others are stopped, guests go on."""

import time

import pytest

from tests.support.audience import Ticket, open_stream, open_viewer
from tests.support.players import Wire, find_show, list_media
from tests.support.servers.vilokanam import Publisher, Server, running, until

pytestmark = pytest.mark.timeout(180)

PRICE = "0"
"""Free seconds are never claimed: only whom the stream is for stops somebody."""
STOPPED_WITHIN_S = 1.0
WATCHED_S = 4
CONNECTIONS = 6
"""The server's two processes share them."""


def session_of(server: Server, name: str) -> Ticket:
    """Open a player of a new viewer."""
    open_viewer(server, name, "0")
    made = server.api("POST", "tokens", {"viewer": name, "stream": "cam"})
    return Ticket(made["token"], made["session"], made["account"], "cam")


def test_who_may_no_longer_see_is_stopped_within_a_second_and_others_go_on(tmp_path):
    """In each HTTP process, of what is made and of what was made; without a token too."""
    server = Server(tmp_path, http_processes=2)
    with running(server):
        publisher = Publisher(server, "cam", open_stream(server, "cam", PRICE))
        wires = [Wire(server.port) for _ in range(CONNECTIONS)]
        try:
            stranger, removed, guest = (session_of(server, name) for name in ("eve", "ann", "bob"))
            show = until(lambda: find_show(wires[0], guest.path), "live")
            until(lambda: list_media(wires[0], guest.path, "360p").segments, "a segment", 60)
            base = show.renditions["360p"].removeprefix(guest.path)

            def statuses(ticket, wire):
                segments = list_media(wires[0], guest.path, "360p").segments
                newest = segments[-1].removeprefix(guest.path)
                page = ticket.path if ticket else "/cam/"
                asked = (newest, f"{base}media.m3u8", "index.m3u8")
                return [wire.status(page + path) for path in asked]

            def last_served_s(began_s, stopped, playing):
                last_s = began_s
                while time.monotonic() < began_s + WATCHED_S:
                    for wire in wires:
                        asked_s = time.monotonic()
                        answers = [statuses(ticket, wire) for ticket in stopped]
                        if any(200 in answer for answer in answers):
                            last_s = asked_s
                        for ticket in playing:
                            assert statuses(ticket, wire) == [200] * 3
                return last_s - began_s

            for who in (stranger, removed, guest, None):
                assert statuses(who, wires[0]) == [200] * 3
            for name in ("ann", "bob"):
                server.api("POST", "streams/cam/guests", {"viewer": name})
            server.run("streams", "visibility", "cam", "invited")
            began_s = time.monotonic()
            hidden_s = last_served_s(began_s, [None, stranger], [removed, guest])
            began_s = time.monotonic()
            server.api("DELETE", f"streams/cam/guests/{removed.account}")
            removed_s = last_served_s(began_s, [None, stranger, removed], [guest])

            print(f"last served: {hidden_s:.3f} s after hidden, {removed_s:.3f} s after removed")
            assert max(hidden_s, removed_s) < STOPPED_WITHIN_S
            for name, state in (("eve", "uninvited"), ("ann", "uninvited"), ("bob", "live")):
                (known,) = server.api("GET", f"viewers/{name}/sessions")["sessions"]
                assert known["state"] == state
        finally:
            for wire in wires:
                wire.close()
            publisher.stop()
    print(server.tail())
