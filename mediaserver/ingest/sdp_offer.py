"""Which WHIP offers are acceptable, and why others are not.

Decides on text alone. A text that is not SDP is a 400; an SDP that this server cannot serve is a
422 whose reason names the thing and the remedy (RFC 9725, 4.2: refuse the whole POST, never single
sections). Candidates of the publisher are read past on purpose: every publisher reaches us first
(peer-reflexive), and never sending to an address that an offer merely names keeps offers from
aiming our checks at third hosts.
"""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import dataclass
from typing import Final

from mediaserver.errors import OfferRejectedError
from mediaserver.h264 import START_CODE, NalUnits, split_annex_b
from mediaserver.ingest.sdp import (
    Section,
    check_credentials,
    format_parameters,
    parse_encodings,
    parse_number,
    parse_sections,
)
from mediaserver.media import Track

MID_URI: Final = "urn:ietf:params:rtp-hdrext:sdes:mid"
FEEDBACK: Final = ("nack", "nack pli", "ccm fir", "goog-remb")
"""What we send. No transport-cc: its absence makes browsers follow our REMB."""
_HASH_BYTES: Final = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
_TOKEN: Final = re.compile(r"[!-~]{1,64}", re.ASCII)
_HEX_PAIRS: Final = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})+", re.ASCII)


@dataclass(frozen=True, slots=True)
class OfferedTrack:
    """An m-section as it was accepted.

    Attributes:
        track: Video or audio.
        mid: Its identification tag, or empty when the offer has none.
        payload_type: What we answer with.
        encoding: ``H264/90000`` or ``opus/48000/2``, as offered.
        parameters: Text of the offered `a=fmtp`, or empty.
        rtx_payload_types: Payload types that repeat `payload_type` (RFC 4588).
        feedback: The offered kinds of feedback that we use.
        mid_extension: Header extension number of the mid, or 0.
        has_reduced_size: `a=rtcp-rsize` was offered.
        section: The m-line's media and protocol, such as ``video UDP/TLS/RTP/SAVPF``.
    """

    track: Track
    mid: str
    payload_type: int
    encoding: str
    parameters: str
    rtx_payload_types: tuple[int, ...]
    feedback: frozenset[str]
    mid_extension: int
    has_reduced_size: bool
    section: str

    @property
    def clock_rate(self) -> int:
        """Return RTP units per second."""
        return int(self.encoding.split("/")[1])

    @property
    def parameter_sets(self) -> NalUnits:
        """Return the NAL units of `sprop-parameter-sets` (RFC 6184, 8.1); none if unreadable."""
        for parameter in self.parameters.split(";"):
            name, _, value = parameter.strip().partition("=")
            if name.lower() == "sprop-parameter-sets":
                try:
                    units = [b64decode(text.strip(), validate=True) for text in value.split(",")]
                except ValueError:
                    return ()
                # Some muxers leave the start code of their extradata in.
                return tuple(nal for unit in units for nal in split_annex_b(START_CODE + unit))
        return ()


@dataclass(frozen=True, slots=True)
class Offer:
    """An acceptable offer.

    Attributes:
        tracks: At most one of each kind, in the offer's order.
        ufrag: The publisher's ICE user name fragment.
        pwd: The publisher's ICE password.
        fingerprints: Pairs of hash name and colon-separated hex, at least one that we can check.
        setup: ``actpass``, ``active`` or ``passive``.
        has_bundle: A BUNDLE group was offered.
    """

    tracks: tuple[OfferedTrack, ...]
    ufrag: str
    pwd: str
    fingerprints: tuple[tuple[str, str], ...]
    setup: str
    has_bundle: bool

    @property
    def is_client(self) -> bool:
        """True when we open the DTLS handshake (the answer says `active`).

        Our choice for actpass: FFmpeg offers passive anyway, and the handshake can start with the
        publisher's first check (ice-lab.md, 1).
        """
        return self.setup != "active"

    @property
    def kinds(self) -> frozenset[Track]:
        """Return which tracks will come."""
        return frozenset(offered.track for offered in self.tracks)


def parse_offer(text: str) -> Offer:
    """Return what of an offer this server will answer.

    Args:
        text: SDP with CRLF or LF line ends.

    Raises:
        OfferRejectedError: 400 when `text` is not SDP, 422 when we cannot serve it.
    """
    session, sections = parse_sections(text)
    if not sections:
        raise OfferRejectedError(400, "the offer has no m= line; offer one video or audio track")
    if session.has("ice-lite") or any(section.has("ice-lite") for section in sections):
        raise _refused(
            "the offer says a=ice-lite: this server waits for the publisher's connectivity checks, "
            "which an ICE-lite agent never sends; publish with full ICE"
        )
    bundle = _bundle(session)
    tracks = tuple(_track(session, section, bundle) for section in sections)
    for kind in Track:
        count = sum(offered.track is kind for offered in tracks)
        if count > 1:
            raise _refused(
                f"the offer has {count} {kind.value} sections; send one {kind.value} track"
            )
    mids = [offered.mid for offered in tracks if offered.mid]
    if len(set(mids)) != len(mids):
        raise OfferRejectedError(400, f"the offer uses mid {mids[0]!r} twice")
    if len(tracks) > 1 and not (bundle and len(mids) == len(tracks) and set(mids) <= set(bundle)):
        raise _refused(
            "audio and video are not in one BUNDLE group; offer `a=group:BUNDLE` with every mid"
        )
    first = sections[0]
    ufrag, pwd = _credentials(_inherited(first, session, "ice-ufrag"), first, session)
    return Offer(
        tracks=tracks,
        ufrag=ufrag,
        pwd=pwd,
        fingerprints=_fingerprints(first, session),
        setup=_setup(first, session),
        has_bundle=bool(bundle),
    )


def _refused(reason: str) -> OfferRejectedError:
    return OfferRejectedError(422, reason)


def _inherited(section: Section, session: Section, name: str) -> str | None:
    value = section.get(name)
    return session.get(name) if value is None else value


def _bundle(session: Section) -> tuple[str, ...]:
    for group in session.all("group"):
        semantics, *mids = group.split()[:8] or [""]
        if semantics == "BUNDLE":
            return tuple(mids)
    return ()


def _track(session: Section, section: Section, bundle: tuple[str, ...]) -> OfferedTrack:
    # What the section is, and over which transport.
    if section.media not in ("audio", "video"):
        raise _refused(
            f"the offer has an m={section.media[:32]} section; offer audio and video only"
            + (" (no data channel)" if section.media == "application" else "")
        )
    kind = Track(section.media)
    if "TLS/RTP/SAVP" not in section.protocol or not _TOKEN.fullmatch(section.protocol):
        raise _refused(
            f"{kind.value} uses {section.protocol[:32]}; WebRTC's UDP/TLS/RTP/SAVPF is needed"
        )
    # Its identification, and whether it is switched off.
    mid = section.get("mid") or ""
    if mid and not _TOKEN.fullmatch(mid):
        raise OfferRejectedError(400, f"mid {mid[:32]!r} is not a token")
    # Port 0 means "not offered", unless it says that it lives in the bundle (RFC 8843, 7.2.1).
    if section.port == 0 and not (section.has("bundle-only") and mid in bundle):
        raise _refused(f"the {kind.value} section is switched off (port 0); leave it out instead")
    # The direction: its own, else the session's.
    direction = next(
        (
            name
            for part in (section, session)
            for name, _ in part.attributes
            if name in ("sendonly", "sendrecv", "recvonly", "inactive")
        ),
        "sendrecv",
    )
    if direction in ("recvonly", "inactive"):
        raise _refused(
            f"the {kind.value} section is {direction}; WHIP publishes, so offer sendonly "
            "(RFC 9725, 4.2)"
        )
    if not section.has("rtcp-mux"):
        raise _refused(f"the {kind.value} section lacks a=rtcp-mux; RTP and RTCP share one port")
    # The codec, and what belongs to its payload type.
    payload_type, encoding = _codec(kind, section)
    return OfferedTrack(
        track=kind,
        mid=mid,
        payload_type=payload_type,
        encoding=encoding,
        parameters=format_parameters(section, payload_type),
        rtx_payload_types=_retransmissions(section, payload_type),
        feedback=_feedback(section, payload_type),
        mid_extension=_extension(section, MID_URI),
        has_reduced_size=section.has("rtcp-rsize"),
        section=f"{section.media} {section.protocol}",
    )


def _codec(kind: Track, section: Section) -> tuple[int, str]:
    encodings = parse_encodings(section)
    if kind is Track.AUDIO:
        wanted = [n for n, text in encodings.items() if text.lower() == "opus/48000/2"]
        need = "Opus (48 kHz, stereo)"
    else:
        wanted = [n for n, text in encodings.items() if text.lower() == "h264/90000"]
        # Mode 1 fragments large frames; mode 0 must fit each slice into one packet (RFC 6184, 6).
        modes = {n: _packetization_mode(section, n) for n in wanted}
        wanted = sorted((n for n in wanted if modes[n] in "01"), key=lambda n: modes[n] != "1")
        need = "H.264 in packetization mode 1"
    if wanted:
        return wanted[0], encodings[wanted[0]]
    names = {text.split("/")[0] for text in encodings.values()} - {"rtx", "red", "ulpfec"}
    offered = ", ".join(sorted(name for name in names if _TOKEN.fullmatch(name))) or "no codec"
    raise _refused(
        f"the {kind.value} section offers {offered[:128]}; this server takes {need}. Choose it as "
        "the encoder"
    )


def _packetization_mode(section: Section, payload_type: int) -> str:
    """Return the mode that `a=fmtp` names: 0 when it names none (RFC 6184, 8.1)."""
    for parameter in format_parameters(section, payload_type).split(";"):
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "packetization-mode":
            return value[:1] or "?"
    return "0"


def _retransmissions(section: Section, payload_type: int) -> tuple[int, ...]:
    return tuple(
        number
        for number, encoding in parse_encodings(section).items()
        if encoding.lower().startswith("rtx/")
        and f"apt={payload_type}" in format_parameters(section, number).replace(" ", "").split(";")
    )


def _feedback(section: Section, payload_type: int) -> frozenset[str]:
    kinds = set()
    for value in section.all("rtcp-fb"):
        number, _, kind = value.partition(" ")
        if number in ("*", str(payload_type)) and kind.strip() in FEEDBACK:
            kinds.add(kind.strip())
    return frozenset(kinds)


def _extension(section: Section, uri: str) -> int:
    for value in section.all("extmap"):
        fields = value.split()
        if len(fields) >= 2 and fields[1] == uri:
            return parse_number(fields[0].partition("/")[0], 255) or 0
    return 0


def _credentials(ufrag: str | None, section: Section, session: Section) -> tuple[str, str]:
    pwd = _inherited(section, session, "ice-pwd")
    if ufrag is None or pwd is None:
        raise _refused("the offer lacks ice-ufrag or ice-pwd; ICE cannot start without them")
    check_credentials(ufrag, pwd)
    return ufrag, pwd


def _fingerprints(section: Section, session: Section) -> tuple[tuple[str, str], ...]:
    values = section.all("fingerprint") or session.all("fingerprint")
    if not values:
        raise _refused("the offer lacks a=fingerprint; DTLS needs the hash of your certificate")
    fingerprints = []
    for value in values[:8]:
        name, _, digest = value.partition(" ")
        name, digest = name.lower(), digest.strip()
        if not _HEX_PAIRS.fullmatch(digest):
            raise OfferRejectedError(400, "a=fingerprint is not colon-separated hex")
        if name in _HASH_BYTES:
            if len(digest) != 3 * _HASH_BYTES[name] - 1:
                raise OfferRejectedError(400, f"a=fingerprint:{name} has the wrong length")
            fingerprints.append((name, digest))
    if not fingerprints:
        names = ", ".join(sorted({value.split(" ")[0][:16] for value in values}))
        raise _refused(f"the fingerprint uses {names}; sha-256 is needed")
    return tuple(fingerprints)


def _setup(section: Section, session: Section) -> str:
    setup = _inherited(section, session, "setup")
    if setup not in ("actpass", "active", "passive"):
        raise _refused(
            f"a=setup is {'missing' if setup is None else repr(setup[:16])}; offer actpass"
        )
    return setup
