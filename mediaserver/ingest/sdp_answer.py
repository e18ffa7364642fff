"""The text of our answers: to an offer, and to an ICE restart."""

from __future__ import annotations

from dataclasses import dataclass

from mediaserver.ingest.sdp_offer import FEEDBACK, MID_URI, Offer, OfferedTrack
from mediaserver.media import Track


@dataclass(frozen=True, slots=True)
class LocalTransport:
    """Our side of the transport, for the answer.

    Attributes:
        ufrag: Our ICE user name fragment.
        pwd: Our ICE password.
        fingerprint: SHA-256 of our certificate, colon-separated hex.
        candidates: Values of `a=candidate`, the reachable ones first, IPv4 before IPv6.
        session_number: Decimal `sess-id` of the origin line.
    """

    ufrag: str
    pwd: str
    fingerprint: str
    candidates: tuple[str, ...]
    session_number: int


def build_answer(offer: Offer, local: LocalTransport) -> str:
    """Return the answer: every section `recvonly`, all candidates in the first (RFC 9725, 4.2)."""
    # The session: origin, bundle, trickle.
    lines = [
        "v=0",
        f"o=- {local.session_number} 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
    ]
    if offer.has_bundle:
        lines.append(
            "a=group:BUNDLE " + " ".join(offered.mid for offered in offer.tracks if offered.mid)
        )
    lines.append("a=ice-options:trickle")
    for index, offered in enumerate(offer.tracks):
        # One section for each that was offered, in the same order, with one codec.
        media, protocol = offered.section.split(" ")
        numbers = [offered.payload_type, *offered.rtx_payload_types]
        lines += [
            f"m={media} 9 {protocol} " + " ".join(str(number) for number in numbers),
            "c=IN IP4 0.0.0.0",
        ]
        if offered.mid:
            lines.append(f"a=mid:{offered.mid}")
        # rtcp-mux-only: RFC 9725, 4.4.1, in each bundled section.
        lines += ["a=recvonly", "a=rtcp-mux", "a=rtcp-mux-only"]
        if offered.has_reduced_size:
            lines.append("a=rtcp-rsize")
        # ICE and DTLS: our side of the transport.
        lines += [
            f"a=ice-ufrag:{local.ufrag}",
            f"a=ice-pwd:{local.pwd}",
            f"a=fingerprint:sha-256 {local.fingerprint}",
            "a=setup:" + ("active" if offer.is_client else "passive"),
        ]
        if offered.mid_extension:
            lines.append(f"a=extmap:{offered.mid_extension} {MID_URI}")
        lines += _codec_lines(offered)
        if index == 0:
            lines += [f"a=candidate:{candidate}" for candidate in local.candidates]
            lines.append("a=end-of-candidates")
    return "\r\n".join(lines) + "\r\n"


def build_fragment(offer: Offer, local: LocalTransport) -> str:
    """Return the body that answers an ICE restart (RFC 9725, 4.3.3)."""
    offered = offer.tracks[0]
    media, protocol = offered.section.split(" ")
    lines = [
        "a=ice-options:trickle",
        f"a=ice-ufrag:{local.ufrag}",
        f"a=ice-pwd:{local.pwd}",
        f"m={media} 9 {protocol} {offered.payload_type}",
    ]
    if offered.mid:
        lines.append(f"a=mid:{offered.mid}")
    lines += [f"a=candidate:{candidate}" for candidate in local.candidates]
    lines.append("a=end-of-candidates")
    return "\r\n".join(lines) + "\r\n"


def _codec_lines(offered: OfferedTrack) -> list[str]:
    number = offered.payload_type
    lines = [f"a=rtpmap:{number} {offered.encoding}"]
    lines += [f"a=rtcp-fb:{number} {kind}" for kind in FEEDBACK if kind in offered.feedback]
    parameters = offered.parameters
    if offered.track is Track.AUDIO and "stereo=" not in parameters:
        # RFC 7587, 6.1: browsers send mono unless the receiver says that it prefers stereo.
        parameters = f"{parameters};stereo=1" if parameters else "stereo=1"
    if parameters:
        lines.append(f"a=fmtp:{number} {parameters}")
    for repeat in offered.rtx_payload_types:
        lines += [f"a=rtpmap:{repeat} rtx/{offered.clock_rate}", f"a=fmtp:{repeat} apt={number}"]
    return lines
