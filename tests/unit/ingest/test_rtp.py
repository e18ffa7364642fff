"""RTP and RTCP bytes, against aiortc's own reader and writer as the independent judge."""

import struct
from typing import Any

import pytest
from aiortc import rtp as judge
from hypothesis import given
from hypothesis import strategies as st

from mediaserver.ingest import rtp


def make_packet(payload=b"\x65data", *, marker=1, padding=0, extension=b"", csrcs=0):
    first = 0x80 | (0x20 if padding else 0) | (0x10 if extension else 0) | csrcs
    header = struct.pack("!BBHLL", first, marker << 7 | 96, 65535, 0xFFFFFFFF, 7)
    tail = bytes(padding - 1) + bytes((padding,)) if padding else b""
    return header + bytes(4 * csrcs) + extension + payload + tail


ONE_BYTE = struct.pack("!HH", 0xBEDE, 1) + b"\x100\0\0"
TWO_BYTE = struct.pack("!HH", 0x1000, 2) + b"\x01\x03abc\0\0\0"


@pytest.mark.parametrize("extension", [b"", ONE_BYTE, TWO_BYTE])
@pytest.mark.parametrize("padding", [0, 4])
@pytest.mark.parametrize("csrcs", [0, 2])
def test_payload_is_found_behind_any_header(extension, padding, csrcs):
    """Header extensions of both forms, CSRCs and padding are stepped over."""
    packet = rtp.parse_rtp(make_packet(extension=extension, padding=padding, csrcs=csrcs))

    assert packet == rtp.RtpPacket(96, True, 65535, 0xFFFFFFFF, 7, b"\x65data")


@given(st.binary(max_size=80))
def test_reading_never_raises(data):
    """A packet that breaks its own lengths is None; a compound ends there."""
    rtp.parse_rtp(data)
    rtp.parse_rtcp(data)


@given(st.binary(min_size=12, max_size=60).map(lambda data: b"\xb1" + data[1:]))
def test_lengths_that_do_not_add_up_are_no_packet(data):
    """Whatever the header claims, a payload never reaches beyond the datagram."""
    packet = rtp.parse_rtp(data)

    assert packet is None or packet.payload in data


@given(st.lists(st.integers(-(1 << 14), 1 << 14), max_size=50), st.integers(0, 0xFFFF))
def test_unwrapped_numbers_follow_the_true_ones(steps, start):
    """Counters that wrap go on growing, and small steps back are distinguished from wraps."""
    unwrap, true = rtp.Unwrapper(16), start
    highest = true
    unwrap.advance(true)
    for step in steps:
        true = highest + step
        if true < 0:
            continue
        assert unwrap.near(true & 0xFFFF) == true
        assert unwrap.advance(true & 0xFFFF) == true
        highest = max(highest, true)


def parsed(compound: bytes) -> list[Any]:
    """Return the packets of a compound as aiortc reads them; which kinds, the test knows."""
    return [*judge.RtcpPacket.parse(compound)]


def test_receiver_report_is_read_back_by_aiortc():
    """What Chromium's statistics need: one block per source, then SDES with a CNAME."""
    block = rtp.ReportBlock(5, 12, -3, 70000, 88, 0xABCDEF01, 65536)
    report, names = parsed(rtp.receiver_report(9, [block], "vilokanam"))

    assert (report.ssrc, len(report.reports)) == (9, 1)
    assert report.reports[0] == judge.RtcpReceiverInfo(5, 12, -3, 70000, 88, 0xABCDEF01, 65536)
    assert names.chunks[0].items == [(1, b"vilokanam")]


@given(st.sets(st.integers(0, 3000), min_size=1, max_size=100), st.integers(0, 0xFFFF))
def test_nack_names_exactly_the_missing(missing, start):
    """Every missing packet is asked for and no other, across the wrap too."""
    wanted = [(start + number) & 0xFFFF for number in sorted(missing)]
    (packet,) = parsed(rtp.nack(9, 5, wanted))

    assert (packet.fmt, packet.media_ssrc) == (1, 5)
    # The judge counts on past the wrap.
    assert [number & 0xFFFF for number in packet.lost] == wanted


def test_feedback_is_read_back_by_aiortc():
    """PLI, REMB and BYE are what another stack takes them for."""
    (pli,) = parsed(rtp.picture_loss(9, 5))
    (remb,) = parsed(rtp.bandwidth_limit(9, (5, 6), 8_000_000))
    _, bye = parsed(rtp.goodbye(9))

    assert (pli.fmt, pli.media_ssrc, pli.fci) == (1, 5, b"")
    assert remb.fmt == 15
    rate, ssrcs = judge.unpack_remb_fci(remb.fci)
    assert ssrcs == [5, 6]
    assert 0.99 * 8_000_000 < rate <= 8_000_000
    assert bye.sources == [9]


def test_sender_report_and_goodbye_are_read_from_a_compound():
    """The clocks of an SR and the sources of a BYE, among packets that we do not use."""
    info = judge.RtcpSenderInfo(0x83AA7E80_80000000, 3_000_000_000, 10, 1000)
    compound = (
        bytes(judge.RtcpSrPacket(5, info))
        + bytes(judge.RtcpSdesPacket([judge.RtcpSourceInfo(5, [(1, b"x")])]))
        + bytes(judge.RtcpByePacket([5, 6]))
    )

    assert rtp.parse_rtcp(compound) == (
        rtp.ReportOfSender(5, 0x83AA7E80_80000000, 3_000_000_000),
        rtp.Goodbye((5, 6)),
    )
    assert rtp.ntp_seconds(0x83AA7E80_80000000) == 0x83AA7E80 + 0.5
