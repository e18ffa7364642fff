"""What a fault of ours does to a publisher's session."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from mediaserver.ingest import sdp_offer
from mediaserver.ingest.peer import Peer
from mediaserver.ingest.session import FAULT_RUN_S, EndReason
from mediaserver.ingest.settings import IngestSettings
from mediaserver.listening import ListeningClock
from tests.support.clock import FakeClock

OFFER = Path(__file__).parents[2] / "golden" / "offer-obs.sdp"


class FaultyDtls:
    """Any step behind the socket that fails on a packet."""

    is_closing = False
    bad_packets = 0

    def decrypt(self, datagram):
        raise UnboundLocalError(f"{len(datagram)} bytes met a fault")

    def send_rtcp(self, packet):
        if not self.is_closing:
            raise ArithmeticError(f"{len(packet)} bytes met a fault")

    async def close(self):
        pass


class Listener:
    def __init__(self):
        self.reasons = []

    def connected(self, publisher):
        pass

    def media(self, publisher, item):
        pass

    def ended(self, _publisher, reason):
        self.reasons.append(reason)


def make_peer(clock, listener):
    peer = Peer(
        IngestSettings(),
        clock,
        sdp_offer.parse_offer(OFFER.read_text()),
        listener,
        number=1,
        user_agent="",
        address="",
        key_id="",
    )
    dtls: Any = FaultyDtls()
    peer._dtls = dtls
    peer.connected_s = clock.monotonic()
    peer.life.connected(clock.monotonic())
    return peer


async def test_a_h3_fault_in_the_datagram_callback_never_leaves_a_frozen_show():
    """Each packet meets a fault: after five seconds the session ends."""
    clock, listener = FakeClock(), Listener()
    peer = make_peer(clock, listener)
    for _ in range(int(FAULT_RUN_S * 100) + 20):
        peer._datagram(b"\x80\x60" + bytes(40))
        clock.move(0.01)

    faults = peer.faults()["faults"]
    peer._dtls.is_closing = True
    await peer.close(EndReason.DRAINED)
    assert listener.reasons == [EndReason.FAILED]
    assert faults <= FAULT_RUN_S * 100 + 2


async def test_a_h3_fault_of_the_timer_leaves_the_timer_running():
    """Without it a dead publisher would never be noticed."""
    clock, listener = FakeClock(), Listener()
    peer = make_peer(clock, listener)
    peer._wake()

    assert peer.faults()["faults"] == 1
    assert peer._timer is not None
    clock.move(30.0)
    peer._wake()
    assert listener.reasons == [EndReason.MEDIA_TIMEOUT]
    peer._dtls.is_closing = True
    await peer.close(EndReason.DRAINED)


async def test_r4_a_worker_that_stood_still_does_not_time_its_publisher_out():
    """Its packets wait in the socket: timers that ran first must not end the session."""
    world, listener = FakeClock(), Listener()
    clock = ListeningClock(world)
    beat = asyncio.create_task(clock.listen())
    await asyncio.sleep(0)
    peer = make_peer(clock, listener)
    peer.life.media(clock.monotonic())
    world.move(30.0)
    peer._wake()
    after_the_stall = list(listener.reasons)
    for _ in range(50):
        world.move(0.2)
        clock.monotonic()
    peer._wake()

    assert after_the_stall == []
    assert listener.reasons == [EndReason.MEDIA_TIMEOUT], "nothing came while we listened"
    beat.cancel()
    peer._dtls.is_closing = True
    await peer.close(EndReason.DRAINED)
