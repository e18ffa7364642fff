"""A-M4: what a stranger's STUN costs, and what it gets."""

from __future__ import annotations

from typing import Any

import pytest
from aioice import stun

from mediaserver.ingest.ice import STUN_BYTES_MAX, GuardedProtocol, IceConnection
from mediaserver.ingest.settings import IngestSettings

PEER = ("192.0.2.9", 5000)


class Transport:
    """A socket that keeps what is sent."""

    def __init__(self):
        self.sent = []

    def sendto(self, data, address):
        self.sent.append((data, address))

    def is_closing(self):
        return False

    def close(self):
        pass


@pytest.fixture
def parsed(monkeypatch):
    """Messages that the library was given to parse."""
    seen = []
    parse = stun.parse_message

    def parse_and_note(data, *more, **named):
        seen.append(data)
        return parse(data, *more, **named)

    monkeypatch.setattr(stun, "parse_message", parse_and_note)
    return seen


@pytest.fixture
async def socket():
    connection = IceConnection(IngestSettings(), "theirs", "p" * 24, lambda _data: None)
    connection._early_checks_done = True
    protocol = GuardedProtocol(connection)
    transport: Any = Transport()
    protocol.transport = transport
    return protocol


def request(name, *, junk=0):
    message = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    message.attributes["USERNAME"] = name
    message.attributes["PRIORITY"] = 1
    message.attributes["ICE-CONTROLLING"] = 7
    if junk:
        message.attributes["SOFTWARE"] = "x" * junk
    return message


@pytest.mark.parametrize("junk", [0, 200, 700, 1300])
async def test_a_m4_strangers_check_is_dropped_unread_and_unanswered(socket, parsed, junk):
    """5,000 a second with 150 attributes cost a third of a core, and named the live ports."""
    data = bytes(request("stranger:theirs", junk=junk))
    for _ in range(50):
        socket.datagram_received(data, PEER)

    assert socket.receiver.strange_checks == 50
    assert parsed == []
    assert socket.transport.sent == []


async def test_a_m4_even_our_own_name_has_a_bound_of_size(socket, parsed):
    """Who has the answer cannot make us parse more than a check needs."""
    name = f"{socket.receiver.local_username}:theirs"
    socket.datagram_received(bytes(request(name, junk=700)), PEER)

    assert len(bytes(request(name, junk=700))) > STUN_BYTES_MAX
    assert socket.receiver.strange_checks == 1
    assert parsed == []


async def test_a_m4_answer_to_nothing_is_dropped_unread(socket, parsed):
    """A made-up transaction is no answer to a check of ours."""
    answer = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.RESPONSE)
    socket.datagram_received(bytes(answer), PEER)

    assert socket.receiver.strange_checks == 1
    assert parsed == []


async def test_a_m4_publishers_check_is_read(socket, parsed):
    """What names us goes on to the library, and is answered when it is authentic."""
    message = request(f"{socket.receiver.local_username}:theirs")
    message.add_message_integrity(socket.receiver.local_password.encode())
    socket.receiver.check_incoming = lambda *_: None
    socket.datagram_received(bytes(message), PEER)

    assert len(parsed) == 1
    assert socket.receiver.strange_checks == 0
    assert len(socket.transport.sent) == 1
