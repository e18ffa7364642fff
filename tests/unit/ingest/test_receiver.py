"""A publisher's packets in, access units and feedback out; time is a number."""

import struct
from base64 import b64encode

import pytest
from aiortc import rtp as judge

from mediaserver.ingest.receiver import KEYFRAME_WAIT_S, REPORT_S, SOURCE_SILENT_S
from mediaserver.ingest.upload_health import UploadHealth
from mediaserver.media import AccessUnit, SenderReport, Track
from tests.support.receiver_kit import (
    AUDIO,
    DELTA,
    HIGH_422,
    IDR,
    PPS,
    RTX,
    SPS,
    keyframe,
    make_receiver,
    packet,
    run,
)
from tests.support.sps import sps_of


def repeat(sequence, payload=DELTA, ssrc=99):
    body = struct.pack("!H", sequence) + payload
    return packet(sequence + 500, body, kind=RTX, timestamp=sequence * 3000, ssrc=ssrc)


def feedback(receiver, now):
    """Return the RTCP of a tick, as aiortc reads it."""
    return [p for data in receiver.tick(now)[1] for p in judge.RtcpPacket.parse(data)]


def test_frames_and_sound_leave_with_unwrapped_time():
    """RTP time that wraps goes on growing; Opus packets pass straight through."""
    receiver = make_receiver()
    units = run(
        receiver,
        packet(0, IDR, timestamp=0xFFFFFFF0),
        packet(1, DELTA, timestamp=2984),
        packet(5, b"opus", kind=AUDIO, timestamp=960, ssrc=8),
    )

    assert units == [
        AccessUnit(Track.VIDEO, (IDR,), 0xFFFFFFF0, 90000, True, 0.0),
        AccessUnit(Track.VIDEO, (DELTA,), 0x100000000 + 2984, 90000, False, 0.001),
        AccessUnit(Track.AUDIO, (b"opus",), 960, 48000, True, 0.002),
    ]


@pytest.mark.parametrize("ssrc", [99, 98])
def test_loss_is_repaired_by_rtx_of_any_source(ssrc):
    """FFmpeg names its RTX source nowhere that counts: the payload type alone decides."""
    receiver = make_receiver()
    run(receiver, packet(0, IDR), packet(2))
    (nack,) = [p for p in feedback(receiver, 0.002) if isinstance(p, judge.RtcpRtpfbPacket)]
    units = run(receiver, repeat(1, ssrc=ssrc), at=0.02)

    assert (nack.media_ssrc, nack.lost) == (7, [1])
    assert [unit.rtp_time for unit in units] == [3000, 6000]
    assert not any(unit.follows_loss for unit in units)
    assert receiver.sources[Track.VIDEO].order.repaired == 1


def test_loss_without_rtx_is_repaired_by_the_packet_itself():
    """OBS sends the original again, with its own number."""
    receiver = make_receiver("obs")
    run(receiver, packet(0, IDR, kind=96), packet(2, kind=96))

    units = run(receiver, packet(1, kind=96), at=0.02)
    assert [unit.rtp_time for unit in units] == [3000, 6000]


def test_loss_that_is_not_repaired_ends_in_a_keyframe():
    """Give up in time, ask for a keyframe, drop what cannot be decoded, and start again there."""
    receiver = make_receiver()
    run(receiver, packet(0, IDR), packet(1), packet(3), packet(4))

    assert receiver.due_s <= 0.002
    receiver.tick(0.002)
    units, packets = receiver.tick(0.42)
    assert units == []
    kinds = [type(p) for data in packets for p in judge.RtcpPacket.parse(data)]
    assert judge.RtcpPsfbPacket in kinds
    (unit,) = run(receiver, packet(5), packet(6, IDR), at=0.45)
    assert (unit.is_idr, unit.follows_loss) == (True, True)
    assert receiver.sources[Track.VIDEO].order.lost == 1
    assert receiver.plis == 1


def test_keyframes_are_not_asked_for_too_often():
    """A browser is given half a second to answer one PLI."""
    receiver = make_receiver()
    run(receiver, packet(0, IDR))
    asked = []
    for tick in range(100):
        receiver.request_keyframe()
        receiver.tick(tick * 0.02)
        asked.append(receiver.plis)

    assert asked[0] == 1
    assert asked[-1] == 1 + int(99 * 0.02 / KEYFRAME_WAIT_S)


def test_lost_sound_is_counted_and_not_waited_for_long():
    """Without retransmission only disorder is waited for; the next packet says what it follows."""
    receiver = make_receiver()
    run(receiver, packet(0, b"a", kind=AUDIO, ssrc=8), packet(2, b"c", kind=AUDIO, ssrc=8))
    units, _ = receiver.tick(0.1)

    assert [(unit.payload, unit.follows_loss) for unit in units] == [((b"c",), True)]


def test_reports_go_out_each_second_with_a_constant_remb():
    """Chromium's bandwidth estimate needs both; REMB names the configured cap."""
    receiver = make_receiver()
    run(receiver, packet(0, IDR), packet(1, b"a", kind=AUDIO, ssrc=8))
    kinds = [type(p) for p in feedback(receiver, 0.0)]
    between = feedback(receiver, REPORT_S / 2)
    report, _, remb = feedback(receiver, REPORT_S)

    assert kinds == [judge.RtcpRrPacket, judge.RtcpSdesPacket, judge.RtcpPsfbPacket]
    assert between == []
    assert {block.ssrc for block in report.reports} == {7, 8}
    assert judge.unpack_remb_fci(remb.fci) == (8_000_000, [7])


def test_report_counts_loss_and_echoes_the_sender_report():
    """The sender computes loss and round trip from our block (RFC 3550, 6.4.1)."""
    receiver = make_receiver()
    run(receiver, packet(0, IDR), packet(1), packet(3), packet(4))
    sender = judge.RtcpSenderInfo(0x0001_2345_6789_0000, 3000, 5, 100)
    receiver.control(bytes(judge.RtcpSrPacket(7, sender)), 0.5)
    report = next(p for p in feedback(receiver, 1.0) if isinstance(p, judge.RtcpRrPacket))

    (block,) = report.reports
    assert (block.fraction_lost, block.packets_lost, block.highest_sequence) == (51, 1, 4)
    assert (block.lsr, block.dlsr) == (0x23456789, 32768)


def test_sender_report_is_on_the_medias_clock_and_waits_for_media():
    """An SR's RTP time is unwrapped relative to media, also when it comes first."""
    receiver = make_receiver()
    run(receiver, packet(0, b"", timestamp=0xFFFFFF00))
    sender = judge.RtcpSenderInfo(5 << 32, 0x100, 5, 100)

    assert receiver.control(bytes(judge.RtcpSrPacket(7, sender)), 0.1) == []
    unit, report = run(receiver, packet(1, IDR, timestamp=0xFFFFFF00))
    assert unit.rtp_time == 0xFFFFFF00
    assert report == SenderReport(Track.VIDEO, 5.0, 0x1_0000_0100, 90000)


def test_another_source_takes_over_only_a_silent_track():
    """A layer that nobody asked for is ignored; a restarted encoder is followed."""
    receiver = make_receiver()
    run(receiver, packet(0, IDR, ssrc=7), packet(900, IDR, ssrc=8))

    assert receiver.unknown == 1
    (unit,) = run(receiver, packet(901, IDR, ssrc=8), at=SOURCE_SILENT_S + 0.1)
    assert unit.follows_loss


def test_publisher_that_says_goodbye_for_every_source_has_left():
    """BYE of one track is not the end; of both it is."""
    receiver = make_receiver()
    run(receiver, packet(0, IDR), packet(1, b"a", kind=AUDIO, ssrc=8))

    receiver.control(bytes(judge.RtcpByePacket([7])), 0.1)
    assert not receiver.has_left
    receiver.control(bytes(judge.RtcpByePacket([8])), 0.1)
    assert receiver.has_left


def test_noise_changes_nothing():
    """Unknown payload types, padding probes and broken packets are counted, not raised."""
    receiver = make_receiver()
    events = run(receiver, b"\x80", packet(0, kind=50), repeat(3), packet(1, b"\0", kind=RTX))

    assert events == []
    assert (receiver.malformed, receiver.unknown) == (1, 3)


def test_facts_and_advice_tell_loss_and_rare_keyframes():
    """The creator reads what to change in plain words, with the value."""
    receiver = make_receiver(give_up_s=0.05)
    receiver.sources[Track.VIDEO].frames.sets.take((SPS, PPS))
    health = UploadHealth("Mozilla/5.0 (OBS-Studio/30.1.2; Windows x86_64; en-US)")
    health.sample(receiver, 0.0)
    for number in range(300):
        if number % 20:
            run(receiver, packet(number, IDR if number in (1, 241) else DELTA), at=number / 30)
            receiver.tick(number / 30)
    receiver.tick(10.1)
    health.sample(receiver, 10.0)
    facts, advice = health.facts(receiver, 0.025), health.advice(receiver)

    assert facts["rtt_ms"] == 25.0
    assert facts["lost"] == 14
    assert 4.5 < facts["upload_loss_percent"] < 5.5
    assert 1 < facts["video_kbps"] < 3
    assert "OBS 30.1 corrupts" in advice[0]
    assert "% of your upload is lost" in advice[1]
    assert len(UploadHealth("OBS-Studio/32.0.1").advice(receiver)) == 1
    assert "Keyframes come 8.0 s apart" in UploadHealth("OBS-Studio/32.0.1").advice(receiver)[0]


def test_f01_creator_reads_that_packets_are_out_of_form():
    """Packets that cannot be read are counted, and told in words."""
    receiver = make_receiver()
    health = UploadHealth("encoder")
    health.sample(receiver, 0.0)
    run(receiver, packet(0, IDR), packet(1, b"\x79mtap"))
    health.sample(receiver, 1.0)

    assert any("1 video packets" in text and "RFC 6184" in text for text in health.advice(receiver))


@pytest.mark.parametrize(
    "sets",
    [(SPS, PPS), (b"\0\0\0\1" + SPS + b"\0\0\0\1" + PPS,)],
    ids=["as RFC 6184", "extradata"],
)
def test_f10_parameter_sets_of_the_offer_come_with_each_idr(sets):
    """An encoder with global headers sends them in the offer only."""
    text = ",".join(b64encode(nal).decode() for nal in sets)
    receiver = make_receiver(parameters=f"sprop-parameter-sets={text};")
    units = run(receiver, packet(0, IDR), packet(1, DELTA), packet(2, IDR))

    assert [unit.payload for unit in units] == [(SPS, PPS, IDR), (DELTA,), (SPS, PPS, IDR)]
    health = UploadHealth("encoder")
    assert not any("parameter sets" in text for text in health.advice(receiver))


def test_f10_sets_in_band_replace_those_of_the_offer():
    """What comes with the media is newer."""
    old = SPS[:3] + b"\x1f" + SPS[4:]
    text = ",".join(b64encode(nal).decode() for nal in (old, PPS))
    receiver = make_receiver(parameters=f"sprop-parameter-sets={text};")
    units = run(receiver, *keyframe(SPS, IDR), packet(2, IDR))

    assert [unit.payload for unit in units] == [(PPS, SPS, IDR), (SPS, PPS, IDR)]


@pytest.mark.parametrize(
    "parameters", ["", "sprop-parameter-sets=Z0LA,!!;", "sprop-parameter-sets;"]
)
def test_f10_media_without_parameter_sets_says_what_to_change(parameters):
    """As soon as a keyframe came without them: it can never be shown."""
    receiver = make_receiver(parameters=parameters)
    run(receiver, packet(0, IDR), packet(1, DELTA))

    (advice,) = [text for text in UploadHealth("x").advice(receiver) if "parameter sets" in text]
    assert "config-interval" in advice
    assert "dump_extra" in advice


@pytest.mark.parametrize(("sps", "word"), [(HIGH_422, "4:2:0"), (SPS[:9], "SPS cannot be used")])
def test_f10_media_that_no_browser_shows_says_what_to_change(sps, word):
    """A show that cannot start says why."""
    receiver = make_receiver()
    run(receiver, *keyframe(sps, PPS, IDR))

    assert any(word in text for text in UploadHealth("x").advice(receiver))


@pytest.mark.parametrize("payload", [SPS, b"\x06\x05\x01", b"", b"\0\0", b"\x10\x02\x9d\x01\x2a"])
def test_f10_packets_without_a_picture_say_so(payload):
    """Sets, SEI, padding or another codec alone: after a few seconds the creator knows."""
    receiver, health = make_receiver(), UploadHealth("x")
    for second in range(5):
        run(receiver, packet(second, payload), at=second)
        health.sample(receiver, second)

    assert any("none holds a picture" in text for text in health.advice(receiver))


def test_f10_packets_of_another_payload_type_are_told():
    """An encoder that does not read the answer is no encoder that is switched off."""
    receiver, health = make_receiver(), UploadHealth("x")
    for second in range(5):
        run(receiver, packet(second, IDR, kind=50), at=second)
        health.sample(receiver, second)

    assert any("5 packets of payload types" in text for text in health.advice(receiver))


def test_a_m8_too_large_picture_is_told_with_what_to_choose():
    """The show never begins: its creator reads why, and no remedy for something else."""
    receiver = make_receiver()
    large = sps_of(8192, 8192, 1)
    run(receiver, *keyframe(large, PPS, IDR))
    (advice,) = [text for text in UploadHealth("x").advice(receiver) if "pixels" in text]

    assert "8192x8192 pixels and at most 4096x2304" in advice
    assert "choose a smaller output size" in advice
    assert "restart the encoder" not in advice


SMALL_SPS = bytes.fromhex("6742c01eda0280bfe584000003000400000300f03c58ba80")  # 640x360


def layer(ssrc, sps, at_number, size):
    """Return a keyframe of a simulcast layer: its sets in one packet, its picture in another."""
    sets = b"\x78" + b"".join(len(nal).to_bytes(2, "big") + nal for nal in (sps, PPS))
    first = 2 * at_number
    return [
        packet(first, sets, ssrc=ssrc, timestamp=3000 * at_number, marker=0),
        packet(first + 1, IDR + b"\x80" * size, ssrc=ssrc, timestamp=3000 * at_number),
    ]


@pytest.mark.parametrize("is_small_first", [True, False])
def test_f19_largest_of_two_sources_is_shown(is_small_first):
    """Which layer comes first says nothing; from its first keyframe on it is the large one."""
    receiver = make_receiver()
    units = []
    for number in range(30):
        layers = [layer(7, SMALL_SPS, number, 50), layer(8, SPS, number, 300)]
        for packets in layers if is_small_first else reversed(layers):
            units += run(receiver, *packets, at=number / 30)
    shown = [SPS in unit.payload for unit in units if unit.is_idr]

    assert receiver.sources[Track.VIDEO].ssrc == 8
    assert shown[1:] == [True] * (len(shown) - 1)
    assert len(shown) >= 30
    health = UploadHealth("x")
    assert any("2 pictures at once (simulcast)" in text for text in health.advice(receiver))


def test_f19_source_with_more_bytes_is_shown_where_no_size_is_known():
    """Sets that come only in the offer describe none of them."""
    receiver = make_receiver()
    for number in range(60):
        run(
            receiver,
            packet(number, IDR, ssrc=7, timestamp=3000 * number),
            packet(number, IDR + b"\x80" * 300, ssrc=8, timestamp=3000 * number),
            at=number / 30,
        )

    assert receiver.sources[Track.VIDEO].ssrc == 8


def test_f19_layer_that_comes_and_goes_is_not_followed_each_time():
    """A change is a break for viewers."""
    receiver = make_receiver()
    changes, present = 0, None
    for number in range(600):
        run(receiver, *layer(7, SMALL_SPS, number, 50), at=number / 30)
        if number // 90 % 2:
            run(receiver, *layer(8, SPS, number, 300), at=number / 30)
        ssrc = receiver.sources[Track.VIDEO].ssrc
        changes += present is not None and ssrc != present
        present = ssrc

    assert 1 <= changes <= 2


def test_f19_first_of_two_sounds_is_heard_and_the_other_told():
    """A microphone that comes as a source of its own is not lost without a word."""
    receiver = make_receiver()
    units = []
    for number in range(50):
        for ssrc, sound in ((8, b"music"), (9, b"a louder voice")):
            data = packet(number, sound, kind=AUDIO, timestamp=960 * number, ssrc=ssrc)
            units += run(receiver, data, at=number / 50)

    assert {unit.payload for unit in units} == {(b"music",)}
    (advice,) = [text for text in UploadHealth("x").advice(receiver) if "sounds" in text]
    assert "2 sounds at once" in advice
    assert "mix them into one track" in advice
