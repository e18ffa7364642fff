"""The link's frames: what one process writes, the other reads, whatever the cuts."""

from uuid import uuid4

import pytest

from mediaserver.errors import LinkError
from mediaserver.ipc.link import (
    FRAME_BYTES_MAX,
    FrameReader,
    Health,
    Hello,
    InitMade,
    Message,
    PartMade,
    Policy,
    RenditionsSet,
    SegmentEnded,
    ShowEnded,
    ShowOpened,
    SlotOpened,
    encode,
)
from mediaserver.media import Part, Rendition, Slot
from metering.units import Asset, Planck, PriceVersion, StreamPolicy

MESSAGES: list[Message] = [
    Hello("worker", "worker-1", 1),
    ShowOpened(uuid4(), "cam", 1, 500, 3, 30000, audio_only=False, discontinuity_sequence=2),
    RenditionsSet((Rendition("source", ("avc1.64001f", "mp4a.40.2"), 1, 2, 3, 4, 5),)),
    InitMade("source", "h", b"x"),
    SlotOpened(Slot(1, 2, 3, 4), is_discontinuity=True),
    PartMade(Part("source", Slot(1, 2, 3, 4), 4, 5, True, "h", b"pp")),
    SegmentEnded("source", 1, 2, 3),
    Health("live", {"video_kbps": 1.0}, ("x",)),
    ShowEnded(),
    Policy(
        (StreamPolicy(uuid4(), "cam", "t", (PriceVersion(1, 2, Planck(3)),)),),
        ((1, b"k"),),
        Asset(),
        "epoch",
        "run",
        "",
        is_top_up_open=True,
        replay_from_ms=5,
    ),
]


@pytest.mark.parametrize("step", [1, 7, 100, 1 << 20])
def test_messages_survive_any_cut_of_the_byte_stream(step: int) -> None:
    """What one process says, the other hears, however the socket cuts it."""
    wire = b"".join(map(encode, MESSAGES))
    reader = FrameReader()

    heard = [m for i in range(0, len(wire), step) for m in reader.feed(wire[i : i + step])]

    assert heard == MESSAGES


@pytest.mark.parametrize(
    "wire",
    [
        (FRAME_BYTES_MAX + 1).to_bytes(4, "big") + b"\x01" + bytes(4),
        (10).to_bytes(4, "big") + b"\x01" + (50).to_bytes(4, "big"),
        (7).to_bytes(4, "big") + b"\xff" + (2).to_bytes(4, "big") + b"[]",
        (7).to_bytes(4, "big") + b"\x05" + (2).to_bytes(4, "big") + b"[]",
        (6).to_bytes(4, "big") + b"\x05" + (1).to_bytes(4, "big") + b"{",
        encode(Hello("worker", "w", 1, version=99)),
    ],
)
def test_a_mad_peer_costs_one_connection_and_a_clear_error(wire: bytes) -> None:
    """A frame out of bounds, of no kind, malformed or of another version is named, not believed."""
    with pytest.raises(LinkError):
        list(FrameReader().feed(wire))
