"""The wire between our processes: every message arrives, and junk is refused by name."""

from __future__ import annotations

import struct
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from mediaserver.errors import LinkError
from mediaserver.ipc.framing import VERSION, FrameReader, pack
from mediaserver.ipc.messages import (
    Health,
    InitMade,
    MessageReader,
    PartMade,
    SegmentEnded,
    SlotOpened,
)
from mediaserver.media import Part, Slot
from tests.support.wire import wire

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
"""Without lone surrogates, which are no text."""
NUMBERS = st.integers(-(2**128), 2**128)
SLOTS = st.builds(Slot, NUMBERS, NUMBERS, NUMBERS, NUMBERS)
PAYLOADS = st.binary(max_size=300)
MESSAGES = st.one_of(
    st.builds(InitMade, TEXT, TEXT, PAYLOADS),
    st.builds(SlotOpened, SLOTS, st.booleans()),
    st.builds(
        PartMade,
        st.builds(Part, TEXT, SLOTS, NUMBERS, NUMBERS, st.booleans(), TEXT, PAYLOADS),
    ),
    st.builds(SegmentEnded, TEXT, NUMBERS, NUMBERS, NUMBERS),
    st.builds(
        Health,
        TEXT,
        st.dictionaries(TEXT, st.floats(allow_nan=False, allow_infinity=False), max_size=3),
        st.tuples(TEXT),
    ),
)
FRAMES = st.lists(st.tuples(st.binary(max_size=100), st.binary(max_size=300)), max_size=6)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """Return data cut at places that may repeat."""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(FRAMES, st.lists(st.integers(0, 10_000), max_size=8))
def test_frames_arrive_whole_and_in_order(frames: list[tuple[bytes, bytes]], cuts) -> None:
    """However the socket cuts them."""
    sent = b"".join(b"".join(pack(*frame)) for frame in frames)
    reader = FrameReader()

    assert [frame for piece in pieces(sent, cuts) for frame in reader.feed(piece)] == frames


@given(st.lists(MESSAGES, max_size=6), st.lists(st.integers(0, 10_000), max_size=8))
def test_messages_arrive_as_they_were_sent(messages, cuts) -> None:
    """Whatever text, numbers and bytes they hold."""
    reader = MessageReader()

    received = [m for piece in pieces(wire(*messages), cuts) for m in reader.feed(piece)]

    assert received == messages


@given(st.binary(max_size=400), st.booleans())
@example(b'["SegmentEnded","s",1,2,1e400]', True)
@example(b'["Request",1,"o",' + b"[" * 5000, True)
def test_junk_is_refused_or_waits_for_more(junk: bytes, is_framed: bool) -> None:
    """No other error than `LinkError` leaves the reader, so only the connection is lost."""
    if is_framed:
        junk = struct.pack("!IBI", 5 + len(junk), VERSION, len(junk)) + junk
    reader = MessageReader()

    try:
        messages = list(reader.feed(junk))
    except LinkError:
        return

    assert messages == []


@given(MESSAGES, st.integers(0, 10_000), st.integers(1, 255))
def test_a_flipped_byte_is_another_message_or_refused(message, place: int, flip: int) -> None:
    """A message that is damaged raises nothing but `LinkError`."""
    sent = bytearray(wire(message))
    sent[place % len(sent)] ^= flip

    try:
        messages = list(MessageReader().feed(bytes(sent)))
    except LinkError:
        return

    assert len(messages) <= 1
