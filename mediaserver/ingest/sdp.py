"""An SDP body as text: its lines, its sections and their attributes; and a trickle fragment.

What an offer must say to be accepted is sdp_offer's. A body that is not SDP is a 400.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from mediaserver.errors import OfferRejectedError
from mediaserver.text import fault

_LINES_MAX: Final = 4096
"""A Chromium offer with every codec has about 250."""
_UFRAG: Final = re.compile(r"[A-Za-z0-9+/]{4,256}", re.ASCII)
_PWD: Final = re.compile(r"[A-Za-z0-9+/]{22,256}", re.ASCII)


@dataclass(slots=True)
class Section:
    """The attributes of one m-section, or of the session part (media "")."""

    media: str
    protocol: str
    port: int
    formats: tuple[str, ...]
    attributes: list[tuple[str, str]]

    def get(self, name: str) -> str | None:
        """Return the first value of an attribute, None without it."""
        return next((value for key, value in self.attributes if key == name), None)

    def all(self, name: str) -> list[str]:
        """Return all values of an attribute, in order."""
        return [value for key, value in self.attributes if key == name]

    def has(self, name: str) -> bool:
        """Return whether an attribute is there."""
        return any(key == name for key, _ in self.attributes)


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


def parse_sections(text: str) -> tuple[Section, list[Section]]:
    """Return the session part and the m-sections.

    Raises:
        OfferRejectedError: 400 when `text` is not SDP.
    """
    lines = _lines(text)
    if not lines or lines[0] != "v=0":
        raise OfferRejectedError(400, "the body is not SDP: it does not begin with `v=0`")
    session = current = Section("", "", 0, (), [])
    sections: list[Section] = []
    for line in lines:
        if line.startswith("m="):
            current = _media_line(line)
            sections.append(current)
        elif line.startswith("a="):
            name, _, value = line[2:].partition(":")
            current.attributes.append((name, value))
    return session, sections


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
    if bool(ufrag) != bool(pwd):
        raise OfferRejectedError(400, "the fragment needs both ice-ufrag and ice-pwd, or neither")
    if ufrag:
        check_credentials(ufrag, pwd)
    if not ufrag and not candidates and "a=end-of-candidates" not in text:
        raise OfferRejectedError(400, "the fragment has neither candidates nor ICE credentials")
    return Fragment(ufrag, pwd, candidates)


def check_credentials(ufrag: str, pwd: str) -> None:
    """Check the form of ICE credentials.

    Raises:
        OfferRejectedError: 400 when it is another.
    """
    if not _UFRAG.fullmatch(ufrag) or not _PWD.fullmatch(pwd):
        raise OfferRejectedError(400, "ice-ufrag or ice-pwd breaks the form of RFC 8839, 5.4")


def parse_encodings(section: Section) -> dict[int, str]:
    """Return payload type -> encoding, in the order of preference of the m-line.

    Raises:
        OfferRejectedError: 400 when a rtpmap is malformed.
    """
    maps: dict[int, str] = {}
    for value in section.all("rtpmap"):
        number, _, encoding = value.partition(" ")
        payload_type = parse_number(number, 127)
        parts = encoding.split("/")
        if payload_type is None or len(parts) < 2 or parse_number(parts[1], 999_999) is None:
            raise OfferRejectedError(400, f"a=rtpmap:{value[:64]} is malformed")
        maps[payload_type] = encoding
    order = [parse_number(text, 127) for text in section.formats]
    return {number: maps[number] for number in order if number is not None and number in maps}


def format_parameters(section: Section, payload_type: int) -> str:
    """Return the text of `a=fmtp` for a payload type, or empty."""
    for value in section.all("fmtp"):
        number, _, parameters = value.partition(" ")
        if number == str(payload_type):
            return parameters.strip()
    return ""


def parse_number(text: str, highest: int) -> int | None:
    """Return a decimal number from 0 to `highest`, None for any other text."""
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        return None
    value = int(text)
    return value if value <= highest else None


def _lines(text: str) -> list[str]:
    lines = [line.rstrip("\r") for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) > _LINES_MAX:
        raise OfferRejectedError(400, f"the body has {len(lines)} lines; {_LINES_MAX} are allowed")
    for number, line in enumerate(lines, 1):
        if len(line) < 2 or line[1] != "=" or fault(line):
            raise OfferRejectedError(400, f"line {number} is not SDP; `x=value` is expected")
    return lines


def _media_line(line: str) -> Section:
    fields = line[2:].split()
    if len(fields) < 4 or parse_number(fields[1].partition("/")[0], 65535) is None:
        raise OfferRejectedError(400, f"{line[:80]!r} is not a media line")
    return Section(fields[0], fields[2], int(fields[1].partition("/")[0]), tuple(fields[3:]), [])
