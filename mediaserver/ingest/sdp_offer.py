"""Which WHIP offers are acceptable and why others are not; what a trickle fragment says.

Decides on text alone. A text that is not SDP is a 400; an SDP that this server cannot serve is a
422 whose reason names the thing and the remedy (RFC 9725, 4.2: refuse the whole POST, never single
sections). Candidates of the publisher are read past on purpose: every publisher reaches us first
(peer-reflexive), and never sending to an address that an offer merely names keeps offers from
aiming our checks at third hosts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from mediaserver.errors import OfferRejectedError
from mediaserver.media import Track

MID_URI: Final = "urn:ietf:params:rtp-hdrext:sdes:mid"
_LINES_MAX: Final = 4096
"""A Chromium offer with every codec has about 250."""
FEEDBACK: Final = ("nack", "nack pli", "ccm fir", "goog-remb")
"""What we send. No transport-cc: its absence makes browsers follow our REMB."""
_HASH_BYTES: Final = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
_UFRAG: Final = re.compile(r"[A-Za-z0-9+/]{4,256}", re.ASCII)
_PWD: Final = re.compile(r"[A-Za-z0-9+/]{22,256}", re.ASCII)
_TOKEN: Final = re.compile(r"[!-~]{1,64}", re.ASCII)
_HEX_PAIRS: Final = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})+", re.ASCII)


@dataclass(frozen=True, slots=True)
class OfferedTrack:
    """One m-section as it was accepted.

    Attributes:
        track: Video or audio.
        mid: Its identification tag, or empty when the offer has none.
        payload_type: The one we answer with.
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


@dataclass(frozen=True, slots=True)
class Fragment:
    """A body of type application/trickle-ice-sdpfrag (RFC 8840).

    Attributes:
        ufrag: Which ICE session it speaks of, or empty.
        pwd: Its password, or empty.
        candidates: How many candidates it carried; they are not used.
    """

    ufrag: str
    pwd: str
    candidates: int


@dataclass(slots=True)
class _Section:
    """The attributes of one m-section, or of the session part (media "")."""

    media: str
    protocol: str
    port: int
    formats: tuple[str, ...]
    attributes: list[tuple[str, str]]

    def get(self, name: str) -> str | None:
        return next((value for key, value in self.attributes if key == name), None)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]

    def has(self, name: str) -> bool:
        return any(key == name for key, _ in self.attributes)


def parse_offer(text: str) -> Offer:
    """Return what of an offer this server will answer.

    Args:
        text: SDP with CRLF or LF line ends.

    Raises:
        OfferRejectedError: 400 when `text` is not SDP, 422 when we cannot serve it.
    """
    session, sections = _sections(text)
    if not sections:
        raise OfferRejectedError(400, "the offer has no m= line; offer one video or audio track")
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


def parse_fragment(text: str) -> Fragment:
    """Return what a PATCH says.

    Raises:
        OfferRejectedError: 400 when a line has no SDP form or the credentials are malformed.
    """
    ufrag = pwd = ""
    candidates = 0
    for line in _lines(text):
        if line.startswith("a=ice-ufrag:"):
            ufrag = line[12:]
        elif line.startswith("a=ice-pwd:"):
            pwd = line[10:]
        elif line.startswith("a=candidate:"):
            candidates += 1
    if (ufrag and not _UFRAG.fullmatch(ufrag)) or (pwd and not _PWD.fullmatch(pwd)):
        raise OfferRejectedError(400, "ice-ufrag or ice-pwd breaks the form of RFC 8839, 5.4")
    if bool(ufrag) != bool(pwd):
        raise OfferRejectedError(400, "the fragment needs both ice-ufrag and ice-pwd, or neither")
    if not ufrag and not candidates and "a=end-of-candidates" not in text:
        raise OfferRejectedError(400, "the fragment has neither candidates nor ICE credentials")
    return Fragment(ufrag, pwd, candidates)


def _refused(reason: str) -> OfferRejectedError:
    return OfferRejectedError(422, reason)


def _lines(text: str) -> list[str]:
    lines = [line.rstrip("\r") for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) > _LINES_MAX:
        raise OfferRejectedError(400, f"the body has {len(lines)} lines; {_LINES_MAX} are allowed")
    for number, line in enumerate(lines, 1):
        if len(line) < 2 or line[1] != "=" or not line.isprintable():
            raise OfferRejectedError(400, f"line {number} is not SDP; `x=value` is expected")
    return lines


def _sections(text: str) -> tuple[_Section, list[_Section]]:
    lines = _lines(text)
    if not lines or lines[0] != "v=0":
        raise OfferRejectedError(400, "the body is not SDP: it does not begin with `v=0`")
    session = current = _Section("", "", 0, (), [])
    sections: list[_Section] = []
    for line in lines:
        if line.startswith("m="):
            current = _media_line(line)
            sections.append(current)
        elif line.startswith("a="):
            name, _, value = line[2:].partition(":")
            current.attributes.append((name, value))
    return session, sections


def _media_line(line: str) -> _Section:
    fields = line[2:].split()
    if len(fields) < 4 or _number(fields[1].partition("/")[0], 65535) is None:
        raise OfferRejectedError(400, f"{line[:80]!r} is not a media line")
    return _Section(fields[0], fields[2], int(fields[1].partition("/")[0]), tuple(fields[3:]), [])


def _number(text: str, highest: int) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        return None
    value = int(text)
    return value if value <= highest else None


def _inherited(section: _Section, session: _Section, name: str) -> str | None:
    value = section.get(name)
    return session.get(name) if value is None else value


def _bundle(session: _Section) -> tuple[str, ...]:
    for group in session.all("group"):
        semantics, *mids = group.split()[:8] or [""]
        if semantics == "BUNDLE":
            return tuple(mids)
    return ()


def _track(session: _Section, section: _Section, bundle: tuple[str, ...]) -> OfferedTrack:
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
    mid = section.get("mid") or ""
    if mid and not _TOKEN.fullmatch(mid):
        raise OfferRejectedError(400, f"mid {mid[:32]!r} is not a token")
    # Port 0 means "not offered", unless it says that it lives in the bundle (RFC 8843, 7.2.1).
    if section.port == 0 and not (section.has("bundle-only") and mid in bundle):
        raise _refused(f"the {kind.value} section is switched off (port 0); leave it out instead")
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
    payload_type, encoding = _codec(kind, section)
    return OfferedTrack(
        track=kind,
        mid=mid,
        payload_type=payload_type,
        encoding=encoding,
        parameters=_format_parameters(section, payload_type),
        rtx_payload_types=_retransmissions(section, payload_type),
        feedback=_feedback(section, payload_type),
        mid_extension=_extension(section, MID_URI),
        has_reduced_size=section.has("rtcp-rsize"),
        section=f"{section.media} {section.protocol}",
    )


def _encodings(section: _Section) -> dict[int, str]:
    """Return payload type -> encoding, in the order of preference of the m-line."""
    maps: dict[int, str] = {}
    for value in section.all("rtpmap"):
        number, _, encoding = value.partition(" ")
        payload_type = _number(number, 127)
        parts = encoding.split("/")
        if payload_type is None or len(parts) < 2 or _number(parts[1], 999_999) is None:
            raise OfferRejectedError(400, f"a=rtpmap:{value[:64]} is malformed")
        maps[payload_type] = encoding
    order = [_number(text, 127) for text in section.formats]
    return {number: maps[number] for number in order if number is not None and number in maps}


def _codec(kind: Track, section: _Section) -> tuple[int, str]:
    encodings = _encodings(section)
    if kind is Track.AUDIO:
        wanted = [n for n, text in encodings.items() if text.lower() == "opus/48000/2"]
        need = "Opus (48 kHz, stereo)"
    else:
        wanted = [n for n, text in encodings.items() if text.lower() == "h264/90000"]
        # Mode 1 fragments large frames; mode 0 must fit each slice into one packet (RFC 6184, 6).
        wanted.sort(key=lambda n: "packetization-mode=1" not in _format_parameters(section, n))
        need = "H.264"
    if wanted:
        return wanted[0], encodings[wanted[0]]
    names = {text.split("/")[0] for text in encodings.values()} - {"rtx", "red", "ulpfec"}
    offered = ", ".join(sorted(name for name in names if _TOKEN.fullmatch(name))) or "no codec"
    raise _refused(
        f"the {kind.value} section offers {offered[:128]}; this server takes {need}. Choose {need} "
        "as the encoder"
    )


def _format_parameters(section: _Section, payload_type: int) -> str:
    for value in section.all("fmtp"):
        number, _, parameters = value.partition(" ")
        if number == str(payload_type):
            return parameters.strip()
    return ""


def _retransmissions(section: _Section, payload_type: int) -> tuple[int, ...]:
    return tuple(
        number
        for number, encoding in _encodings(section).items()
        if encoding.lower().startswith("rtx/")
        and f"apt={payload_type}" in _format_parameters(section, number).replace(" ", "").split(";")
    )


def _feedback(section: _Section, payload_type: int) -> frozenset[str]:
    found = set()
    for value in section.all("rtcp-fb"):
        number, _, kind = value.partition(" ")
        if number in ("*", str(payload_type)) and kind.strip() in FEEDBACK:
            found.add(kind.strip())
    return frozenset(found)


def _extension(section: _Section, uri: str) -> int:
    for value in section.all("extmap"):
        fields = value.split()
        if len(fields) >= 2 and fields[1] == uri:
            return _number(fields[0].partition("/")[0], 255) or 0
    return 0


def _credentials(ufrag: str | None, section: _Section, session: _Section) -> tuple[str, str]:
    pwd = _inherited(section, session, "ice-pwd")
    if ufrag is None or pwd is None:
        raise _refused("the offer lacks ice-ufrag or ice-pwd; ICE cannot start without them")
    if not _UFRAG.fullmatch(ufrag) or not _PWD.fullmatch(pwd):
        raise OfferRejectedError(400, "ice-ufrag or ice-pwd breaks the form of RFC 8839, 5.4")
    return ufrag, pwd


def _fingerprints(section: _Section, session: _Section) -> tuple[tuple[str, str], ...]:
    values = section.all("fingerprint") or session.all("fingerprint")
    if not values:
        raise _refused("the offer lacks a=fingerprint; DTLS needs the hash of your certificate")
    found = []
    for value in values[:8]:
        name, _, digest = value.partition(" ")
        name, digest = name.lower(), digest.strip()
        if not _HEX_PAIRS.fullmatch(digest):
            raise OfferRejectedError(400, "a=fingerprint is not colon-separated hex")
        if name in _HASH_BYTES:
            if len(digest) != 3 * _HASH_BYTES[name] - 1:
                raise OfferRejectedError(400, f"a=fingerprint:{name} has the wrong length")
            found.append((name, digest))
    if not found:
        names = ", ".join(sorted({value.split(" ")[0][:16] for value in values}))
        raise _refused(f"the fingerprint uses {names}; sha-256 is needed")
    return tuple(found)


def _setup(section: _Section, session: _Section) -> str:
    setup = _inherited(section, session, "setup")
    if setup not in ("actpass", "active", "passive"):
        raise _refused(
            f"a=setup is {'missing' if setup is None else repr(setup[:16])}; offer actpass"
        )
    return setup
