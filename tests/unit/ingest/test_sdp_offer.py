"""Which offers are taken, what the answer says, and what a refused creator reads."""

from pathlib import Path

import pytest

from mediaserver.errors import OfferRejectedError
from mediaserver.ingest import sdp, sdp_answer, sdp_offer
from mediaserver.media import Track

GOLDEN = Path(__file__).parents[2] / "golden"
OBS = (GOLDEN / "offer-obs.sdp").read_text()
CHROMIUM = (GOLDEN / "offer-chromium.sdp").read_text()
LOCAL = sdp_answer.LocalTransport(
    ufrag="abcd1234",
    pwd="p" * 24,
    fingerprint=":".join(["AA"] * 32),
    candidates=("1a 1 udp 2130706431 192.0.2.1 40000 typ host",),
    session_number=7,
)


def sections(text):
    """Return the lines of each m-section."""
    return [part.split("\r\n") for part in text.split("\r\nm=")[1:]]


def test_obs_offer_is_taken_without_candidates():
    """OBS names no candidates and no RTX; both its tracks are answered."""
    offer = sdp_offer.parse_offer(OBS)

    assert [(t.track, t.payload_type, t.rtx_payload_types) for t in offer.tracks] == [
        (Track.AUDIO, 111, ()),
        (Track.VIDEO, 96, ()),
    ]
    assert offer.tracks[1].feedback == {"nack", "nack pli", "ccm fir", "goog-remb"}
    assert (offer.ufrag, offer.setup) == ("8kXa", "actpass")


def test_answer_obeys_rfc_9725():
    """W4, W9, W10: recvonly, every candidate in the answer, rtcp-mux-only in each section."""
    text = sdp_answer.build_answer(sdp_offer.parse_offer(OBS), LOCAL)

    assert text.startswith("v=0\r\n")
    assert text.endswith("\r\n")
    assert "\na=group:BUNDLE 0 1\r" in text
    audio, video = sections(text)
    for section in (audio, video):
        assert {"a=recvonly", "a=rtcp-mux", "a=rtcp-mux-only", "a=setup:active"} <= set(section)
    assert "a=candidate:1a 1 udp 2130706431 192.0.2.1 40000 typ host" in audio
    assert "a=end-of-candidates" in audio
    assert not any(line.startswith("a=candidate") for line in video)


def test_chromium_is_answered_h264_though_it_prefers_vp8():
    """The top rendition is passed through, so the answer names H.264 and its RTX alone."""
    offer = sdp_offer.parse_offer(CHROMIUM)

    video = sections(sdp_answer.build_answer(offer, LOCAL))[1]
    assert "H264/90000" in offer.tracks[1].encoding
    assert video[0] == "video 9 UDP/TLS/RTP/SAVPF 102 103"
    assert "a=rtpmap:103 rtx/90000" in video
    assert "a=fmtp:103 apt=102" in video
    assert not any("VP8" in line or "transport-cc" in line for line in video)


def test_answer_asks_browsers_for_stereo():
    """Chromium's offer says nothing of stereo; without our wish it would send mono."""
    audio = sections(sdp_answer.build_answer(sdp_offer.parse_offer(CHROMIUM), LOCAL))[0]

    assert "a=fmtp:111 minptime=10;useinbandfec=1;stereo=1" in audio


@pytest.mark.parametrize(
    ("offered", "answered", "is_client"),
    [("actpass", "active", True), ("passive", "active", True), ("active", "passive", False)],
)
def test_answer_takes_the_other_dtls_role(offered, answered, is_client):
    """OBS and browsers say actpass, FFmpeg passive or active: all are served."""
    offer = sdp_offer.parse_offer(OBS.replace("actpass", offered))

    assert offer.is_client is is_client
    assert f"a=setup:{answered}\r\n" in sdp_answer.build_answer(offer, LOCAL)


def test_packetization_mode_1_is_preferred():
    """Mode 0 cannot split a large frame, so mode 1 is chosen even when it is listed later."""
    text = OBS.replace("SAVPF 96\n", "SAVPF 98 96\n").replace(
        "a=rtpmap:96 ", "a=rtpmap:98 H264/90000\na=fmtp:98 packetization-mode=0\na=rtpmap:96 "
    )

    assert sdp_offer.parse_offer(text).tracks[1].payload_type == 96


@pytest.mark.parametrize("kind", ["audio", "video"])
def test_one_track_alone_is_taken(kind):
    """Sound only, or a picture only, is a show too."""
    head, audio, video = OBS.split("m=")
    text = head + "m=" + {"audio": audio, "video": video}[kind]

    assert sdp_offer.parse_offer(text).kinds == {Track(kind)}


VIDEO = OBS[OBS.index("m=video") :]
REFUSALS = [
    ("no H.264", OBS.replace("H264/90000", "VP8/90000"), 422, "VP8; this server takes H.264"),
    ("no Opus", OBS.replace("opus/48000/2", "PCMU/8000"), 422, "PCMU; this server takes Opus"),
    ("recvonly", OBS.replace("sendonly", "recvonly"), 422, "recvonly; WHIP publishes"),
    ("inactive", OBS.replace("sendonly", "inactive"), 422, "inactive"),
    ("two pictures", OBS + VIDEO.replace("mid:1", "mid:2"), 422, "2 video sections"),
    ("no bundle", OBS.replace("a=group:BUNDLE 0 1\n", ""), 422, "BUNDLE"),
    ("half a bundle", OBS.replace("BUNDLE 0 1", "BUNDLE 0"), 422, "BUNDLE"),
    ("no rtcp-mux", OBS.replace("a=rtcp-mux\n", ""), 422, "rtcp-mux"),
    ("no fingerprint", OBS.replace("a=fingerprint", "a=x"), 422, "lacks a=fingerprint"),
    ("sha-1", OBS.replace("sha-256 ", "sha-1 "), 422, "sha-256 is needed"),
    ("short hash", OBS.replace("6B:4C:", ""), 400, "wrong length"),
    ("odd hash", OBS.replace("6B:4C:", "ZZ:4C:"), 400, "hex"),
    ("no ufrag", OBS.replace("a=ice-ufrag", "a=x"), 422, "ice-ufrag"),
    ("bad pwd", OBS.replace("a=ice-pwd:2R", "a=ice-pwd:!!"), 400, "RFC 8839"),
    ("holdconn", OBS.replace("actpass", "holdconn"), 422, "offer actpass"),
    ("no setup", OBS.replace("a=setup:actpass\n", ""), 422, "a=setup is missing"),
    ("data channel", OBS + "m=application 9 UDP/DTLS/SCTP x\n", 422, "data channel"),
    ("plain RTP", OBS.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), 422, "UDP/TLS/RTP/SAVPF"),
    ("switched off", OBS.replace("m=video 9", "m=video 0"), 422, "port 0"),
    ("same mid", OBS.replace("mid:1", "mid:0"), 400, "twice"),
    ("no media", OBS[: OBS.index("m=")], 400, "no m= line"),
    ("media line", OBS.replace("m=video 9 UDP", "m=video x UDP"), 400, "not a media line"),
    ("rtpmap", OBS.replace("rtpmap:96 H264/90000", "rtpmap:96 H264"), 400, "malformed"),
    ("lite", OBS.replace("t=0 0\n", "t=0 0\na=ice-lite\n"), 422, "full ICE"),
    ("lite section", OBS.replace("a=mid:1\n", "a=mid:1\na=ice-lite\n"), 422, "full ICE"),
    ("interleaved", OBS.replace("packetization-mode=1", "packetization-mode=2"), 422, "mode 1"),
    ("html", "<html>", 400, "line 1 is not SDP"),
    ("nothing", "", 400, "does not begin with `v=0`"),
    ("no version", OBS[4:], 400, "does not begin with `v=0`"),
    ("control character", OBS.replace("s=-", "s=\x07"), 400, "line 3 is not SDP"),
]


@pytest.mark.parametrize(
    ("text", "status", "words"), [case[1:] for case in REFUSALS], ids=[case[0] for case in REFUSALS]
)
def test_f07_refused_offer_says_what_to_change(text, status, words):
    """W2, W3, W11, W12: the whole POST is refused, with the thing and the remedy."""
    with pytest.raises(OfferRejectedError) as refusal:
        sdp_offer.parse_offer(text)

    assert refusal.value.status == status
    assert words in refusal.value.reason


def test_fragment_tells_trickle_from_restart():
    """W17, W19: candidates of any kind pass unread; credentials come whole."""
    trickle = sdp.parse_fragment(
        "a=ice-ufrag:8kXa\r\na=ice-pwd:2Rz1vJcWq0bT5oYdNfUeLs\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n"
        "a=candidate:1 1 udp 1 x.local 5 typ host\r\na=candidate:2 1 tcp 1 192.0.2.9 9 typ host\r\n"
    )

    assert trickle == sdp.Fragment("8kXa", "2Rz1vJcWq0bT5oYdNfUeLs", 2)
    assert sdp.parse_fragment("a=end-of-candidates\r\n").ufrag == ""


@pytest.mark.parametrize("text", ["", "x", "a=ice-ufrag:8kXa\n", "a=ice-ufrag:!\na=ice-pwd:!\n"])
def test_malformed_fragment_is_a_400(text):
    """W16: a body that says nothing, or half of the credentials, is refused."""
    with pytest.raises(OfferRejectedError) as refusal:
        sdp.parse_fragment(text)

    assert refusal.value.status == 400


def test_restart_answer_carries_our_new_credentials():
    """W19: the answer to a restart has ufrag, pwd and every candidate."""
    text = sdp_answer.build_fragment(sdp_offer.parse_offer(OBS), LOCAL)

    assert sdp.parse_fragment(text) == sdp.Fragment("abcd1234", "p" * 24, 1)
    assert "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n" in text
