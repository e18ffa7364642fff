"""What must not end a session: strangers' datagrams, loss, a second publisher, a late DELETE."""

import asyncio
import random
import socket
import struct

from mediaserver.ingest.ice import IceConnection
from mediaserver.ingest.takeovers import MANY
from mediaserver.media import Track
from tests.support.whip.browser import browser_page, publish
from tests.support.whip.helpers import AUTH, ffmpeg, serving


def strange_datagrams():
    """Empty, oversize, stray SRTP and SRTCP, DTLS alerts, and STUN that is not whole."""
    cookie = struct.pack("!L", 0x2112A442)
    return [
        b"",
        b"\x80" * 1501,
        b"\xbf" * 9000,
        b"\x80\x60" + bytes(40),
        b"\x80\xc8" + bytes(40),
        b"\x15\xfe\xfd" + bytes(8) + b"\0\2\2\0",
        b"\x17" + bytes(60),
        b"\0",
        b"\0\1\0\0" + cookie + bytes(12),
        b"\0\1\0\x08" + cookie + bytes(12) + b"\0\6\0\1" + b"x\0\0\0",
        b"\0\1\0\x08" + cookie + bytes(12) + b"\x80\x29\0\4" + bytes(4),
        b"\1\1\0\0" + cookie + bytes(12),
        b"\xff" * 1500,
    ]


async def test_no_datagram_of_a_stranger_ends_a_session(tmp_path):
    """One spoofable datagram ends a stock session; here frames go on arriving, none lost."""
    loop_errors = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: loop_errors.append(context))
    async with (
        serving(udp_port_min=40800, udp_port_max=40805) as (client, endpoint, sink),
        ffmpeg(client, tmp_path, 5),
    ):
        await sink.until(lambda: len(sink.of(Track.VIDEO)) > 15)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for data in strange_datagrams() * 20:
                for port in range(40800, 40806):
                    stranger.sendto(data, ("127.0.0.1", port))
        before = len(sink.of(Track.VIDEO))
        await sink.until(lambda: len(sink.of(Track.VIDEO)) > before + 40)
        facts = endpoint.facts()

    assert sink.reasons() == ["drained"]
    assert facts["lost"] == 0
    assert not any(unit.follows_loss for unit in sink.units)
    assert loop_errors == []


def losing(monkeypatch, is_lost):
    """Drop media datagrams between the socket and the receiver."""
    received = IceConnection.received

    def received_or_lost(self, data, address):
        if not (data[0] > 127 and is_lost(data)):
            received(self, data, address)

    monkeypatch.setattr(IceConnection, "received", received_or_lost)


async def test_lost_packets_are_repaired(tmp_path, monkeypatch):
    """At 3 % loss every frame arrives, in order and whole, by NACK and RTX."""
    dice = random.Random(7)
    losing(monkeypatch, lambda _data: dice.random() < 0.03)
    async with serving() as (client, endpoint, sink), ffmpeg(client, tmp_path, 6):
        await sink.until(lambda: len(sink.of(Track.VIDEO)) >= 120, 15)
        facts = endpoint.facts()

    video = sink.of(Track.VIDEO)
    times = [unit.rtp_time for unit in video]
    print("3 % loss:", facts)
    assert facts["repaired"] > 5
    assert facts["nacks"] > 5
    assert times == list(range(times[0], times[0] + 3000 * len(times), 3000))
    assert not any(unit.follows_loss for unit in video)


async def test_what_cannot_be_repaired_is_given_up_and_healed_by_a_keyframe(monkeypatch):
    """Chromium's retransmissions all fail: the server gives up, sends PLI, and starts anew."""
    state = {"drop": False}
    losing(
        monkeypatch, lambda data: data[1] & 127 == 103 or (state["drop"] and data[1] & 127 == 102)
    )
    async with (
        serving(loss_give_up_ms=100) as (client, endpoint, sink),
        browser_page(client) as page,
    ):
        result = await publish(page, client)
        assert "a=rtpmap:102 H264" in result["offer"]
        assert "a=fmtp:103 apt=102" in result["offer"]
        await sink.until(lambda: len(sink.of(Track.VIDEO)) > 20)
        state["drop"] = True
        await asyncio.sleep(0.3)
        state["drop"] = False
        await sink.until(lambda: any(unit.follows_loss for unit in sink.of(Track.VIDEO)))
        healed = next(unit for unit in sink.of(Track.VIDEO) if unit.follows_loss)
        facts = endpoint.facts()

    print("given up:", facts)
    assert healed.is_idr
    assert facts["lost"] > 0
    assert facts["plis"] >= 1
    assert sink.reasons() == ["drained"]


async def test_failed_ice_restart_keeps_the_session(tmp_path):
    """W21: nobody comes by the new credentials; media go on by the old ones."""
    async with (
        serving(connect_timeout_s=2) as (client, endpoint, sink),
        ffmpeg(client, tmp_path, 6),
    ):
        await sink.until(lambda: sink.units)
        (publisher,) = endpoint._sessions.values()
        location = f"/show/whip/w1.{publisher.secret}"
        response = await client.patch(
            location,
            data="a=ice-ufrag:newU\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa\r\n",
            headers={
                **AUTH,
                "Content-Type": "application/trickle-ice-sdpfrag",
                "If-Match": "*",
            },
        )
        during = publisher.remote_ufrag
        before = len(sink.of(Track.VIDEO))
        await sink.until(lambda: len(sink.of(Track.VIDEO)) > before + 75)
        after = publisher.remote_ufrag
        facts = endpoint.facts()

    assert response.status == 200
    assert during == "newU" != after
    assert facts["lost"] == 0
    assert sink.reasons() == ["drained"]


async def test_new_publisher_takes_over_and_a_late_delete_ends_nothing():
    """OBS comes back by a fresh POST: the old session ends as `replaced`, its URL is dead."""
    async with serving() as (client, _, sink), browser_page(client) as page:
        first = await publish(page, client)
        await sink.until(lambda: sink.units)
        second = await publish(page, client)
        await sink.until(sink.reasons)
        late = await client.delete(first["location"], headers=AUTH)
        before = len(sink.units)
        await sink.until(lambda: len(sink.units) > before + 30)
        session = await client.get(second["location"], headers=AUTH)

    print(f"second connect in this process: {second['connected']:.0f} ms")
    assert late.status == 404
    assert session.status == 204
    assert [event[0] for event in sink.events] == ["connected", "gone", "connected", "gone"]
    assert sink.reasons() == ["replaced", "drained"]
    assert sink.events[0][1] == sink.events[1][1] != sink.events[2][1]


async def comes_after(sink, taken, units):
    """Wait until so many publishers were replaced, and media come of the newest."""
    await sink.until(lambda: len(sink.reasons()) == taken)
    await sink.until(lambda: len(sink.units) > units)


async def test_two_publishers_that_take_turns_are_told_of_each_other():
    """Each POST takes the stream from one that was sending: the third time it is told."""
    async with serving() as (client, endpoint, sink), browser_page(client) as page:
        for turn in range(MANY + 1):
            assert not any("Two encoders" in line for line in endpoint.advice())
            await publish(page, client)
            await comes_after(sink, taken=turn, units=len(sink.units))

        assert any("Two encoders" in line for line in endpoint.advice())


async def test_dead_publisher_is_noticed_by_its_silence(tmp_path):
    """A killed encoder says nothing; its session ends one media time-out later."""
    async with (
        serving(media_timeout_ms=1000) as (client, endpoint, sink),
        ffmpeg(client, tmp_path, 30) as process,
    ):
        await sink.until(lambda: len(sink.units) > 20)
        loop = asyncio.get_running_loop()
        process.kill()
        killed_s = loop.time()
        await sink.until(sink.reasons, 5)
        took_s = loop.time() - killed_s
        facts = endpoint.facts()

    assert sink.reasons() == ["media_timeout"]
    assert 0.9 < took_s < 2.5
    assert facts == {"sessions_pending": 0}


async def test_browser_that_closes_is_noticed_at_once():
    """close_notify ends the session before any time-out."""
    async with serving(media_timeout_ms=60_000) as (client, _, sink), browser_page(client) as page:
        await publish(page, client)
        await sink.until(lambda: sink.units)
        await page.evaluate("window.pc.close()")
        await sink.until(sink.reasons, 3)

    assert sink.reasons() == ["closed_by_peer"]


async def test_fault_of_the_composer_does_not_end_the_receive_path(tmp_path):
    """An exception out of the sink is logged; the next frame is delivered all the same."""
    async with serving() as (client, _, sink), ffmpeg(client, tmp_path, 4):
        await sink.until(lambda: sink.units)
        healthy = sink.access_unit
        calls = []

        def faulty(unit):
            calls.append(unit)
            if len(calls) <= 5:
                raise RuntimeError("the composer has a fault")
            healthy(unit)

        sink.access_unit = faulty  # type: ignore[method-assign]  # the fault that is tried
        before = len(sink.units)
        await sink.until(lambda: len(sink.units) > before + 10)

    assert len(calls) > 15
    assert sink.reasons() == ["drained"]
