"""A publisher's packets, and the receiver that they go to."""

import struct
from pathlib import Path

from mediaserver.ingest import sdp_offer
from mediaserver.ingest.receiver import Media, Receiver
from mediaserver.media import Track

GOLDEN = Path(__file__).parents[1] / "golden"
IDR, DELTA = b"\x65\x88picture", b"\x41\x9adelta"
VIDEO, AUDIO, RTX = 102, 111, 103
SPS = bytes.fromhex("6742c028da01e0089f9610000003001000000303c0f1832a")
HIGH_422 = bytes.fromhex("677a001fbcb402802dc8")
PPS = bytes.fromhex("68ce3c80")


def make_receiver(
    offer: str = "chromium", give_up_s: float = 0.4, parameters: str = ""
) -> Receiver:
    """Return a receiver of an offer of tests/golden; `parameters` come before its own `a=fmtp`."""
    text = (GOLDEN / f"offer-{offer}.sdp").read_text()
    text = text.replace(f"a=fmtp:{VIDEO} ", f"a=fmtp:{VIDEO} {parameters}")
    receiver = Receiver(sdp_offer.parse_offer(text).tracks, give_up_s, kbps_max=8000, ssrc=1)
    # This sender's markers are known to end pictures.
    frames = receiver.sources[Track.VIDEO].frames
    assert frames is not None
    for timestamp in (-2, -1):
        frames.push(DELTA, timestamp, True, 0.0)
    frames.dropped, frames.wants_idr = 0, False
    return receiver


def packet(
    sequence: int,
    payload: bytes = DELTA,
    *,
    kind: int = VIDEO,
    timestamp: int | None = None,
    ssrc: int = 7,
    marker: int = 1,
) -> bytes:
    """Return an RTP packet; by default a frame of its own, 30 a second."""
    timestamp = sequence * 3000 if timestamp is None else timestamp
    return (
        struct.pack(
            "!BBHLL", 0x80, marker << 7 | kind, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc
        )
        + payload
    )


def keyframe(*nals: bytes) -> list[bytes]:
    """Return the packets of an access unit at time 0, a packet for each NAL unit."""
    last = len(nals) - 1
    return [packet(n, nal, timestamp=0, marker=n == last) for n, nal in enumerate(nals)]


def run(receiver: Receiver, *packets: bytes, at: float = 0.0, step: float = 0.001) -> list[Media]:
    """Return what the receiver makes of packets that come `step` seconds apart."""
    events: list[Media] = []
    for index, data in enumerate(packets):
        events += receiver.packet(data, at + index * step)
    return events
