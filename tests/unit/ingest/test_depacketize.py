"""RTP payloads to access units, and what happens to a picture that is not whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaserver.ingest.depacketize import H264Depacketizer

SPS, PPS, SEI = b"\x67\x42\x00\x1f", b"\x68\xce\x38\x80", b"\x06\x05\x01"
IDR, IDR_REST = b"\x65\x88picture", b"\x65\x10more"  # first_mb_in_slice 0, and not 0
DELTA = b"\x41\x9adelta"
# A NAL unit holds no start code and does not end in zeros (H.264, 7.4.1).
NAL_BODIES = st.binary(min_size=1, max_size=400).map(
    lambda raw: raw.replace(b"\0", b"\3") + b"\x80"
)


def stap_a(*units):
    return b"\x78" + b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)


def fu_a(unit, size=3):
    pieces = [unit[1 + i : 1 + i + size] for i in range(0, len(unit) - 1, size)]
    return [
        bytes((unit[0] & 0xE0 | 28, (i == 0) << 7 | (i == len(pieces) - 1) << 6 | unit[0] & 31))
        + piece
        for i, piece in enumerate(pieces)
    ]


def believing():
    """Return one that has seen that this sender's markers end pictures."""
    assembler = H264Depacketizer()
    for timestamp in (-2, -1):
        assembler.push(DELTA, timestamp, True, 0.0)
    assembler.dropped, assembler.wants_idr = 0, False
    return assembler


def feed(assembler, timestamp, payloads, marker=True, at=0.0):
    frames = []
    for index, payload in enumerate(payloads):
        is_last = index == len(payloads) - 1
        frames += assembler.push(payload, timestamp, marker and is_last, at + index)
    return frames


def test_frame_is_put_together_from_all_three_packet_forms():
    """STAP-A, single NAL units and FU-A fragments make one frame of whole NAL units."""
    assembler = believing()
    (frame,) = feed(assembler, 9, [stap_a(SPS, PPS), SEI, *fu_a(IDR)], at=5.0)

    assert frame.nals == (SPS, PPS, SEI, IDR)
    assert (frame.timestamp, frame.is_idr, frame.arrived_s) == (9, True, 5.0)
    assert not frame.follows_loss


@given(NAL_BODIES, st.integers(1, 90))
def test_fragments_of_any_size_give_the_unit_back(body, size):
    """Fragmenting is undone exactly."""
    assembler = believing()
    feed(assembler, 0, [IDR])
    (frame,) = feed(assembler, 1, fu_a(b"\x41" + body, size))

    assert frame.nals == (b"\x41" + body,)


def test_frame_leaves_at_its_marker_and_not_a_frame_later():
    """The marker bit ends a frame: no frame interval is added to the latency."""
    assembler = believing()

    assert feed(assembler, 0, [IDR], marker=False) == []
    (frame,) = assembler.push(IDR_REST, 0, True, 0.0)
    assert frame.nals == (IDR, IDR_REST)


def test_missing_marker_is_made_up_for_by_the_timestamp():
    """A sender that never sets the marker is served one frame later."""
    assembler = believing()
    feed(assembler, 0, [IDR], marker=False)
    (frame,) = feed(assembler, 3000, [DELTA], marker=False)

    assert (frame.timestamp, frame.is_idr) == (0, True)


def test_nothing_leaves_before_the_first_idr():
    """A player cannot start at a delta frame, so an IDR is asked for."""
    assembler = believing()

    assert not assembler.wants_idr
    assert feed(assembler, 0, [DELTA]) == []
    assert assembler.wants_idr
    (frame,) = feed(assembler, 3000, [SPS, PPS, IDR])
    assert frame.is_idr
    assert not frame.follows_loss
    assert not assembler.wants_idr
    assert assembler.dropped == 1


def test_after_a_loss_the_next_idr_follows_loss():
    """What refers to a lost picture is dropped; the IDR that heals it says so."""
    assembler = believing()
    feed(assembler, 0, [IDR])
    feed(assembler, 3000, [DELTA], marker=False)
    assembler.lose()

    assert feed(assembler, 6000, [DELTA]) == []
    assert assembler.wants_idr
    (idr,) = feed(assembler, 9000, [IDR])
    (delta,) = feed(assembler, 12000, [DELTA])
    assert (idr.follows_loss, delta.follows_loss) == (True, False)


def test_idr_without_its_first_slice_is_no_place_to_start():
    """The rest of an IDR whose head was lost shows grey: it must not count as one."""
    assembler = believing()
    assembler.lose()

    assert feed(assembler, 0, [IDR_REST, *fu_a(IDR_REST)]) == []
    assert assembler.waits_for_idr


def test_parameter_sets_that_come_alone_join_the_next_picture():
    """Some encoders send SPS and PPS under a marker and a timestamp of their own."""
    assembler = believing()

    assert feed(assembler, 0, [SPS, PPS]) == []
    (frame,) = feed(assembler, 3000, [IDR])
    assert frame.nals == (SPS, PPS, IDR)
    assert frame.timestamp == 3000


@pytest.mark.parametrize("start_code", [b"\0\0\1", b"\0\0\0\1"])
def test_units_that_a_sender_left_together_are_parted(start_code):
    """A sender that packetizes libx264's short start codes along with SEI and IDR is understood."""
    assembler = believing()
    (frame,) = feed(assembler, 0, [SPS, PPS, *fu_a(IDR + start_code + IDR_REST)])

    assert frame.nals == (SPS, PPS, IDR, IDR_REST)


def test_zeros_after_a_unit_are_not_part_of_it():
    """Padding of the byte stream that the sender cut does not reach players."""
    assembler = believing()
    (frame,) = feed(assembler, 0, [IDR + b"\0\0"])

    assert frame.nals == (IDR,)


@pytest.mark.parametrize("padding", [b"\0", b"\0\0", b"\0\0\0\0", b"\0" * 7])
def test_f01_zeros_behind_the_last_unit_of_an_aggregate_are_padding(padding):
    """Senders that round packets up: the units before count, nothing is broken."""
    assembler = believing()
    (frame,) = feed(assembler, 0, [stap_a(SPS, PPS) + padding, IDR])

    assert frame.nals == (SPS, PPS, IDR)
    assert assembler.broken == 0


@pytest.mark.parametrize(
    "aggregate",
    [
        stap_a(SPS, b"", PPS),
        stap_a(SPS, PPS) + b"\xff",
        stap_a(SPS, PPS) + b"\0\1",
        stap_a(SPS, PPS, SEI)[:-1],
        stap_a(SPS, PPS) + b"\xff" * 9,
    ],
    ids=["empty unit", "a byte", "a size", "cut in SEI", "filler"],
)
def test_f01_whole_units_of_a_damaged_aggregate_are_kept(aggregate):
    """What cannot be read holds no part of the picture, so the picture is shown."""
    assembler = believing()
    (frame,) = feed(assembler, 0, [aggregate, IDR])

    assert frame.nals == (SPS, PPS, IDR)
    assert assembler.broken == (aggregate != stap_a(SPS, b"", PPS))


def test_f01_aggregate_cut_within_a_slice_is_a_loss():
    """Half of a picture is none: its whole slices do not leave without the one that was cut."""
    assembler = believing()
    feed(assembler, 0, [SPS, PPS, IDR])

    assert feed(assembler, 3000, [stap_a(DELTA, b"\x41\x10rest")[:-1]]) == []
    assert (assembler.broken, assembler.waits_for_idr) == (1, True)


def test_f01_fragment_of_nothing_behind_others_ends_the_unit():
    """A packetizer whose unit fits its packets exactly may send an empty last fragment."""
    assembler = believing()
    *fragments, last = fu_a(IDR)
    without_end = bytes((last[0], last[1] & ~0x40)) + last[2:]
    (frame,) = feed(assembler, 0, [SPS, PPS, *fragments, without_end, last[:2]])

    assert frame.nals == (SPS, PPS, IDR)
    assert assembler.broken == 0


@pytest.mark.parametrize(
    ("odd", "broken"),
    [(b"\0", 0), (b"\0\0\0\0", 0), (b"\x7etag", 1), (b"\x1ftag", 1)],
    ids=["a zero", "zeros", "type 30", "type 31"],
)
def test_f01_packet_that_holds_no_part_of_a_picture_costs_none(odd, broken):
    """Padding is nothing, and what has no meaning is counted and left out."""
    assembler = believing()
    frames = [*feed(assembler, 0, [SPS, PPS, IDR]), *feed(assembler, 3000, [odd, DELTA])]

    assert [frame.nals for frame in frames] == [(SPS, PPS, IDR), (DELTA,)]
    assert (assembler.broken, assembler.dropped) == (broken, 0)


SHORT, LONG = b"\0\0\1", b"\0\0\0\1"


@pytest.mark.parametrize("start_code", [SHORT, LONG])
@pytest.mark.parametrize(
    "lead", [b"", SHORT, LONG, b"\0\0" + LONG], ids=["none", "short", "long", "zeros"]
)
@pytest.mark.parametrize("form", ["single", "fragments", "one fragment", "aggregate"])
def test_f03_a_byte_stream_in_packets_is_split_at_its_start_codes(form, lead, start_code):
    """Senders that hand a whole access unit to the packetizer show their picture."""
    stream = lead + start_code.join((SPS, PPS, IDR))
    packets = {
        "single": [stream],
        "fragments": fu_a(stream, 5),
        "one fragment": fu_a(stream, 99),
        "aggregate": [stap_a(stream)],
    }
    assembler = believing()
    (frame,) = feed(assembler, 0, packets[form])

    assert frame.nals == (SPS, PPS, IDR)
    assert (frame.is_idr, assembler.broken) == (True, 0)


def test_parameter_sets_that_no_picture_follows_are_bounded():
    """A sender of nothing but SEI costs no more than a frame's worth of memory."""
    assembler = believing()
    for number in range(100):
        assert feed(assembler, number, [SEI + b"\x80" * 1000]) == []
    (frame,) = feed(assembler, 100, [SPS, PPS, IDR])

    assert frame.nals[-3:] == (SPS, PPS, IDR)
    assert sum(map(len, frame.nals)) < 66_000


BAD = {
    "fragment without a beginning": [fu_a(DELTA)[1]],
    "fragment within a fragment": [fu_a(DELTA)[0], fu_a(DELTA)[0]],
    "unit within a fragment": [fu_a(DELTA)[0], DELTA],
    "fragment of nothing": [b"\x5c\x81"],
    "aggregate cut short": [stap_a(DELTA)[:-1]],
    "aggregate of nothing": [b"\x78"],
    "aggregate with an empty unit": [b"\x78\0\0\x41"],
    "type 0": [b"\0x"],
    "STAP-B": [b"\x79abcdef"],
    "FU-B": [b"\x5d\x81abcdef"],
}


@pytest.mark.parametrize("payloads", BAD.values(), ids=BAD.keys())
def test_bad_packet_costs_the_pictures_up_to_the_next_idr(payloads):
    """mediamtx#2432: an odd packet is a loss, never the end of the session."""
    assembler = believing()
    feed(assembler, 0, [IDR])
    frames = feed(assembler, 3000, payloads)

    assert frames == []
    assert assembler.broken == 1
    assert assembler.waits_for_idr
    (frame,) = feed(assembler, 9000, [IDR])
    assert frame.follows_loss


def test_picture_that_ends_within_a_fragment_is_a_loss():
    """A fragment without an end, though no packet is missing."""
    assembler = believing()
    feed(assembler, 0, [IDR])

    assert feed(assembler, 3000, [fu_a(DELTA)[0]]) + feed(assembler, 6000, [DELTA]) == []
    assert (assembler.broken, assembler.waits_for_idr) == (1, True)


def slices(number):
    return [IDR, IDR_REST] if number == 0 else [DELTA, b"\x41\x10rest"]


@pytest.mark.parametrize("lead", [[], [SPS, PPS], [stap_a(SPS, PPS)]], ids=["none", "two", "stap"])
@pytest.mark.parametrize("form", ["units", "fragments", "aggregates", "behind SEI"])
def test_f02_marker_on_each_packet_ends_no_picture(form, lead):
    """What shares a timestamp is one access unit, whatever the markers say."""
    assembler = H264Depacketizer()
    frames = []
    for number in range(11):
        packets = lead if number == 0 else []
        for unit in slices(number):
            packets = (
                packets
                + {
                    "units": [unit],
                    "fragments": fu_a(unit),
                    "aggregates": [stap_a(unit)],
                    "behind SEI": [stap_a(SEI, unit)],
                }[form]
            )
        for packet in packets:
            frames += assembler.push(packet, 3000 * number, True, float(number))

    assert [frame.timestamp for frame in frames] == [3000 * number for number in range(10)]
    shown = [[nal for nal in frame.nals if nal[0] & 31 in (1, 5)] for frame in frames]
    assert shown == [slices(number) for number in range(10)]
    assert (assembler.broken, assembler.dropped) == (0, 0)


def test_f02_marker_at_the_end_of_each_slice_ends_no_picture():
    """Some packetizers mark the last fragment of each NAL unit."""
    assembler = H264Depacketizer()
    frames = []
    for number in range(4):
        for unit in slices(number):
            frames += feed(assembler, 3000 * number, fu_a(unit))

    assert [list(frame.nals) for frame in frames] == [slices(number) for number in range(3)]


def test_f02_slice_behind_a_believed_marker_is_a_loss_once():
    """A sender that begins to cut pictures in slices is understood from there on."""
    assembler = believing()
    feed(assembler, 0, [IDR])
    feed(assembler, 3000, [DELTA])

    assert feed(assembler, 3000, [b"\x41\x10rest"]) == []
    assert (assembler.broken, assembler.wants_idr) == (1, True)
    frames = []
    for number in range(10, 13):
        for unit in slices(0):
            frames += feed(assembler, 3000 * number, [unit])
    assert [frame.nals for frame in frames] == [(IDR, IDR_REST)] * 2


def test_f02_timestamp_that_never_changes_does_not_join_pictures():
    """A marker and a slice at macroblock 0 agree: that is another picture."""
    assembler = H264Depacketizer()
    frames = [frame for unit in (IDR, DELTA, DELTA) for frame in feed(assembler, 7, [unit])]

    assert [frame.nals for frame in frames] == [(IDR,), (DELTA,), (DELTA,)]


@given(st.lists(st.tuples(st.binary(max_size=12), st.integers(0, 3), st.booleans()), max_size=30))
def test_no_payload_raises(packets):
    """Whatever a publisher sends, the receive path lives on."""
    assembler = believing()
    for payload, timestamp, marker in packets:
        assembler.push(payload, timestamp, marker, 0.0)

    assembler.lose()
    assert feed(assembler, 98, [IDR]) + feed(assembler, 99, [IDR])
