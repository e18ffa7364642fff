"""The wire's messages: what one process writes, the other reads, however the socket cuts it."""

import struct
from uuid import uuid4

import pytest
from msgspec import Raw

from mediaserver.errors import LinkError
from mediaserver.ipc.framing import FRAME_BYTES_MAX, HEADER_BYTES_MAX, VERSION, pack
from mediaserver.ipc.messages import (
    Failure,
    Health,
    Hello,
    InitMade,
    Message,
    MessageReader,
    PartMade,
    Policy,
    PolicyChange,
    RenditionsSet,
    Request,
    Result,
    SegmentEnded,
    ShowEnded,
    ShowOpened,
    SlotOpened,
    encode,
)
from mediaserver.media import Part, Rendition, Slot
from metering.units import Asset, Planck, PriceVersion, StreamPolicy
from tests.support.wire import wire

PART = PartMade(Part("source", Slot(1, 2, 3, 4), 4, 5, True, "h", b"\x00\xff" * 50))
MESSAGES: list[Message] = [
    Hello("worker", "worker-1", 1),
    ShowOpened(uuid4(), "cam", 1, 500, 3, 30000, audio_only=False, discontinuity_sequence=2),
    RenditionsSet((Rendition("source", ("avc1.64001f", "mp4a.40.2"), 1, 2, 3, 4, 5),)),
    InitMade("source", "h", b"x"),
    SlotOpened(Slot(1, 2, 3, 4), is_discontinuity=True),
    PART,
    SegmentEnded("source", 1, 2, 3),
    Health("live", {"video_kbps": 1.0}, ("x",)),
    ShowEnded(),
    Policy(
        (StreamPolicy(uuid4(), "cam", "\u00e9\U0001f600", (PriceVersion(1, 2, Planck(2**100)),)),),
        ((1, b"k"),),
        Asset(quantum=10**30),
        "epoch",
        "run",
        "",
        is_top_up_open=True,
        replay_from_ms=5,
    ),
    PolicyChange(
        7,
        Policy(
            (), ((1, b"k"),), Asset(), "e", "r", "", is_top_up_open=True, replay_from_ms=5, number=8
        ),
    ),
    Request(1, "Chain.submit", Raw(b'["AAE="]')),
    Result(1, Raw(b"null")),
    Failure(1, "BatchTooLargeError", "heavy", 77),
]


def frame(header: bytes, *, version: int = VERSION, length: int | None = None) -> bytes:
    """Return a frame whose parts need not agree."""
    size = 5 + len(header) if length is None else length
    return struct.pack("!IBI", size, version, len(header)) + header


@pytest.mark.parametrize("step", [1, 7, 100, 1 << 20])
def test_messages_survive_any_cut_of_the_byte_stream(step: int) -> None:
    """What one process sends, the other receives, however the socket cuts it."""
    sent = wire(*MESSAGES)
    reader = MessageReader()

    received = [m for i in range(0, len(sent), step) for m in reader.feed(sent[i : i + step])]

    assert received == MESSAGES


def test_the_bytes_of_a_part_are_sent_as_they_are() -> None:
    """They are the caller's own object, outside the header: not escaped and not copied."""
    header, payload = encode(PART)

    assert payload is PART.part.payload
    assert len(header) < 250


@pytest.mark.parametrize(
    "sent",
    [
        struct.pack("!IBI", FRAME_BYTES_MAX + 1, VERSION, 0),
        struct.pack("!IBI", FRAME_BYTES_MAX, VERSION, HEADER_BYTES_MAX + 1),
        struct.pack("!IBI", 10, VERSION, 50),
        struct.pack("!IBI", 2, VERSION, 0),
        frame(b"[]"),
        frame(b"{"),
        frame(b"\xff"),
        frame(b'["Hell","worker","w",1]'),
        frame(b'["Hello","worker","w"]'),
        frame(b'["Hello","worker","w",1,1]'),
        frame(b'["Hello","worker","w","1"]'),
        frame(b'{"Hello":1}'),
        frame(b"[" * 100_000),
        frame(b'["SegmentEnded","source",1,2,' + b"9" * 10_000 + b"]"),
        b"".join(pack(b'["ShowEnded"]', b"payload")),
    ],
)
def test_a_faulty_peer_costs_one_connection_and_a_clear_error(sent: bytes) -> None:
    """A frame out of bounds, of no known message or malformed is named, not believed."""
    with pytest.raises(LinkError):
        list(MessageReader().feed(sent))


@pytest.mark.parametrize("version", [0, 1, 2, 4, ord("{")])
def test_a_peer_of_another_version_is_named(version: int) -> None:
    """From its first frame, whatever its messages look like."""
    with pytest.raises(LinkError, match=f"version {version} of the wire, not {VERSION}"):
        list(MessageReader().feed(frame(b'["ShowEnded"]', version=version)))


def test_what_came_before_the_fault_is_received() -> None:
    """A fault ends the connection at the frame that has it."""
    reader = MessageReader().feed(wire(*MESSAGES[:2]) + frame(b"{"))

    assert [next(reader), next(reader)] == MESSAGES[:2]
    with pytest.raises(LinkError):
        next(reader)
