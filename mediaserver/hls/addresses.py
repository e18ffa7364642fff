"""The URL grammar, built and parsed here only (docs/metering.md, "Addresses").

An address has one spelling: no escapes, no leading zeros, no second way to say the same thing.
`parse` raises for anything else, so what it returns can be compared whole with what exists. Whether
an address exists, and who may have it, is decided elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from mediaserver.errors import AddressError
from mediaserver.media import Slot

PATH_CHARACTERS_MAX: Final = 1024
"""Longest path that is looked at; a token is 108 characters, all else is far shorter."""
PLACES_CACHED: Final = 8192
"""A process of 200 streams has about this many live addresses."""
RESERVED_SLUGS: Final = frozenset(
    {"api", "assets", "healthz", "readyz", "metrics", "favicon.ico", "whip"}
    | {"studio", "console", "search", "browse", "join", "hooks"}
)
"""First segments of other addresses, as is all that is shorter than three characters (``w``,
``me``)."""
SHOW_MAX: Final = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class WatchPage:
    """`<slug>/`: the HTML page."""

    slug: str


@dataclass(frozen=True, slots=True)
class Multivariant:
    """`<slug>/index.m3u8`: the one stable address of a stream."""

    slug: str


@dataclass(frozen=True, slots=True)
class MediaPlaylist:
    """`<slug>/<show>/<rendition>/media.m3u8`."""

    slug: str
    show: int
    rendition: str


@dataclass(frozen=True, slots=True)
class Init:
    """`<slug>/<show>/<rendition>/init-<hash>.mp4`."""

    slug: str
    show: int
    rendition: str
    init_hash: str


@dataclass(frozen=True, slots=True)
class Segment:
    """`<slug>/<show>/<rendition>/<msn>-<first_tick>x<count>.m4s`."""

    slug: str
    show: int
    rendition: str
    msn: int
    first_tick: int
    tick_count: int


@dataclass(frozen=True, slots=True)
class PartAddress:
    """`<slug>/<show>/<rendition>/<msn>.<part>-<first_tick>x<count>.m4s`."""

    slug: str
    show: int
    rendition: str
    msn: int
    part: int
    first_tick: int
    tick_count: int


@dataclass(frozen=True, slots=True)
class Meter:
    """`/w/<token>/<slug>/meter`: the live meter's WebSocket."""

    slug: str


@dataclass(frozen=True, slots=True)
class SessionMint:
    """`/w/<token>/<slug>/session`: POST mints again, DELETE frees the player's slot."""

    slug: str


@dataclass(frozen=True, slots=True)
class Sessions:
    """`/w/<token>/<slug>/sessions`: GET lists the owner's sessions, DELETE ends them."""

    slug: str


@dataclass(frozen=True, slots=True)
class TopUp:
    """`/w/<token>/<slug>/top-up`: POST, for demonstrations."""

    slug: str


@dataclass(frozen=True, slots=True)
class Receipts:
    """`/w/<token>/<slug>/receipts`: GET."""

    slug: str


@dataclass(frozen=True, slots=True)
class PlayerSettings:
    """`/w/<token>/<slug>/settings`: GET tells when the owner's players stop by themselves."""

    slug: str


@dataclass(frozen=True, slots=True)
class Report:
    """`<slug>/report`: GET is a form for people, POST reports the stream."""

    slug: str


@dataclass(frozen=True, slots=True)
class WhipEndpoint:
    """`<slug>/whip`: where publishers POST their offer."""

    slug: str


@dataclass(frozen=True, slots=True)
class WhipSession:
    """`<slug>/whip/<worker>.<secret>`: one WHIP session, in the worker that holds it."""

    slug: str
    worker: str
    secret: str = field(repr=False)


MediaObject = Segment | PartAddress
FETCHED: Final = (PartAddress, MediaPlaylist, Segment, Multivariant, Init)
"""What players fetch, the most frequent first; a tuple is asked faster than a union."""
Place = (
    WatchPage
    | Multivariant
    | MediaPlaylist
    | Init
    | Segment
    | PartAddress
    | Meter
    | SessionMint
    | Sessions
    | TopUp
    | Receipts
    | PlayerSettings
    | Report
    | WhipEndpoint
    | WhipSession
)


_KINDS: Final[dict[type[Place], str]] = {
    WatchPage: "page",
    Multivariant: "multivariant",
    MediaPlaylist: "playlist",
    Init: "init",
    Segment: "segment",
    PartAddress: "part",
    Meter: "meter",
    SessionMint: "session",
    Sessions: "sessions",
    TopUp: "top-up",
    Receipts: "receipts",
    PlayerSettings: "settings",
    Report: "report",
    WhipEndpoint: "whip",
    WhipSession: "whip-session",
}


def kind_of(place: Place) -> str:
    """Return the word for a kind of place, as metrics and caches name it."""
    return _KINDS[type(place)]


def kind_of_type(place_type: type[Place]) -> str:
    """Return the same word of a type."""
    return _KINDS[place_type]


@dataclass(frozen=True, slots=True)
class Address:
    """A place, and the token it was asked with.

    Attributes:
        place: What is meant.
        token: The viewer's token, empty when there is none. Not verified here.
    """

    place: Place
    token: str = field(default="", repr=False)

    @property
    def bare(self) -> str:
        """Return the path without the token: the same for all viewers, and a cache's key."""
        return _bare(self.place)


_SLUG: Final = r"[a-z0-9][a-z0-9-]{2,62}"
_RENDITION: Final = r"[a-z0-9][a-z0-9_-]{0,31}"
NUMBER: Final = r"(?:0|[1-9][0-9]{0,14})"
"""Of addresses and of HLS's delivery directives."""
_COUNT: Final = r"(?:0|[1-9][0-9]{0,3})"
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,512}")
_SLUG_WHOLE: Final = re.compile(_SLUG)
_PLACE: Final = re.compile(
    rf"/(?P<slug>{_SLUG})/(?:"
    rf"(?P<show>{NUMBER})/(?P<rendition>{_RENDITION})/(?:"
    rf"(?P<msn>{NUMBER})(?:\.(?P<part>{NUMBER}))?-(?P<first>{NUMBER})x(?P<count>{_COUNT})\.m4s"
    rf"|(?P<playlist>media\.m3u8)"
    rf"|init-(?P<hash>[0-9a-f]{{16}})\.mp4)"
    rf"|(?P<leaf>|index\.m3u8|meter|session|sessions|top-up|receipts|settings|report|whip)"
    rf"|whip/(?P<worker>[A-Za-z0-9_-]{{1,64}})\.(?P<secret>[A-Za-z0-9_-]{{1,128}}))"
)
_LEAVES: Final[dict[str, Callable[[str], Place]]] = {
    "": WatchPage,
    "index.m3u8": Multivariant,
    "meter": Meter,
    "session": SessionMint,
    "sessions": Sessions,
    "top-up": TopUp,
    "receipts": Receipts,
    "settings": PlayerSettings,
    "report": Report,
    "whip": WhipEndpoint,
}
_TOKEN_NEEDED: Final = (Meter, SessionMint, Sessions, TopUp, Receipts, PlayerSettings)
_TOKEN_REFUSED: Final = (WhipEndpoint, WhipSession)


def parse(path: str) -> Address:
    """Return what a request's raw path (without query) means.

    Raises:
        AddressError: It is no address of ours, or not in its one spelling.
    """
    if len(path) > PATH_CHARACTERS_MAX:
        raise AddressError(f"a path of {len(path)} characters is too long")
    token, bare = "", path
    if path.startswith("/w/"):
        end = path.find("/", 3)
        token, bare = path[3:end], path[end:]
        if end < 0 or not _TOKEN.fullmatch(token):
            raise AddressError("a token is letters, digits, - and _")
    place = _parse_place(bare)
    if isinstance(place, _TOKEN_NEEDED if not token else _TOKEN_REFUSED):
        raise AddressError(f"{bare} is {'not ' if token else ''}asked with a token")
    return Address(place, token)


def build(address: Address) -> str:
    """Return the path of an address: `parse` of it is the address again."""
    bare = _bare(address.place)
    return f"/w/{address.token}{bare}" if address.token else bare


def lacks_slash(path: str) -> bool:
    """Return whether a path is a stream's address, with or without a token, but for its end."""
    try:
        return isinstance(parse(f"{path}/").place, WatchPage)
    except AddressError:
        return False


def is_slug(text: str) -> bool:
    """True when `text` may name a stream."""
    return _SLUG_WHOLE.fullmatch(text) is not None and text not in RESERVED_SLUGS


def playlist_uri(show: int, rendition: str) -> str:
    """Return a media playlist's URI relative to the multivariant playlist."""
    return f"{show}/{rendition}/media.m3u8"


def sibling_uri(rendition: str) -> str:
    """Return another rendition's media playlist relative to a media playlist."""
    return f"../{rendition}/media.m3u8"


def init_name(init_hash: str) -> str:
    """Return an init's URI relative to its media playlist."""
    return f"init-{init_hash}.mp4"


def part_name(slot: Slot) -> str:
    """Return a part's URI relative to its media playlist."""
    return f"{slot.msn}.{slot.part}-{slot.first_tick}x{slot.tick_count}.m4s"


def segment_name(msn: int, first_tick: int, tick_count: int) -> str:
    """Return a segment's URI relative to its media playlist."""
    return f"{msn}-{first_tick}x{tick_count}.m4s"


def patterns() -> dict[str, str]:
    """Return regular expressions for caches that route by path, without anchors or groups.

    Keys: ``token`` (one path element) and ``multivariant``, ``playlist``, ``init``, ``segment``,
    ``part`` (whole paths without the token). The syntax is common to Python's `re` and PCRE. They
    match what `parse` accepts; also a show above `SHOW_MAX`, which is the origin's 404 then.
    """
    reserved = "|".join(re.escape(slug) for slug in sorted(RESERVED_SLUGS))
    stream = rf"/(?!(?:{reserved})/){_SLUG}/"
    below = rf"{stream}{NUMBER}/{_RENDITION}/"
    ticks = rf"-{NUMBER}x{_COUNT}\.m4s"
    return {
        "token": _TOKEN.pattern,
        "multivariant": rf"{stream}index\.m3u8",
        "playlist": rf"{below}media\.m3u8",
        "init": rf"{below}init-[0-9a-f]{{16}}\.mp4",
        "segment": rf"{below}{NUMBER}{ticks}",
        "part": rf"{below}{NUMBER}\.{NUMBER}{ticks}",
    }


@lru_cache(maxsize=PLACES_CACHED)
def _parse_place(bare: str) -> Place:
    match = _PLACE.fullmatch(bare)
    if match is None or match["slug"] in RESERVED_SLUGS:
        raise AddressError(f"{bare!r} is not an address")
    slug = match["slug"]
    if match["leaf"] is not None:
        return _LEAVES[match["leaf"]](slug)
    if match["worker"] is not None:
        return WhipSession(slug, match["worker"], match["secret"])
    show, rendition = int(match["show"]), match["rendition"]
    if show > SHOW_MAX:
        raise AddressError(f"show {show} is above {SHOW_MAX}")
    if match["playlist"]:
        return MediaPlaylist(slug, show, rendition)
    if match["hash"]:
        return Init(slug, show, rendition, match["hash"])
    msn, first, count = int(match["msn"]), int(match["first"]), int(match["count"])
    if match["part"] is None:
        return Segment(slug, show, rendition, msn, first, count)
    return PartAddress(slug, show, rendition, msn, int(match["part"]), first, count)


@lru_cache(maxsize=PLACES_CACHED)
def _bare(place: Place) -> str:
    match place:
        case WatchPage(slug):
            return f"/{slug}/"
        case Multivariant(slug):
            return f"/{slug}/index.m3u8"
        case MediaPlaylist(slug, show, rendition):
            return f"/{slug}/{playlist_uri(show, rendition)}"
        case Init(slug, show, rendition, init_hash):
            return f"/{slug}/{show}/{rendition}/{init_name(init_hash)}"
        case Segment(slug, show, rendition, msn, first, count):
            return f"/{slug}/{show}/{rendition}/{segment_name(msn, first, count)}"
        case PartAddress(slug, show, rendition, msn, part, first, count):
            return f"/{slug}/{show}/{rendition}/{msn}.{part}-{first}x{count}.m4s"
        case Meter(slug):
            return f"/{slug}/meter"
        case SessionMint(slug):
            return f"/{slug}/session"
        case Sessions(slug):
            return f"/{slug}/sessions"
        case TopUp(slug):
            return f"/{slug}/top-up"
        case Receipts(slug):
            return f"/{slug}/receipts"
        case PlayerSettings(slug):
            return f"/{slug}/settings"
        case Report(slug):
            return f"/{slug}/report"
        case WhipEndpoint(slug):
            return f"/{slug}/whip"
        case WhipSession(slug, worker, secret):
            return f"/{slug}/whip/{worker}.{secret}"
