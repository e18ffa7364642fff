"""The link: what a worker and control tell every HTTP process, as bytes.

One unix stream socket per peer and HTTP process (``run/http-<i>.link``). The peer connects and
sends `Hello` first; nothing travels the other way. A frame is

    u32 length of what follows | u8 kind | u32 length of the header | header (JSON) | payload
    (bytes)

big-endian. `FrameReader` refuses what breaks a bound, so a mad peer costs one connection.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from mediaserver.errors import LinkError
from mediaserver.media import Part, Rendition, Slot
from metering.units import Asset, Planck, PriceVersion, StreamPolicy

VERSION: Final = 1
"""Raised when any message changes shape; peers of another version are dropped."""
FRAME_BYTES_MAX: Final = 32 << 20
"""Four seconds at 60 Mbit/s: no sane part or init is larger."""
HEADER_BYTES_MAX: Final = 12 << 20
"""A policy of 10,000 streams fits, and no larger one is made (mediaserver/api/streams.py)."""
_HEAD: Final = struct.Struct("!IBI")


@dataclass(frozen=True, slots=True)
class Hello:
    """First frame of every connection. `role` is ``worker`` or ``control``."""

    role: str
    name: str
    pid: int
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class ShowOpened:
    """A show begins, or goes on in another worker, or is told again to a new HTTP process.

    Attributes:
        stream: The stream's UUID.
        slug: Its public name.
        show: Number of the show.
        part_target_ms: PART-TARGET of the renditions with video, constant for the show.
        target_duration_s: TARGETDURATION, constant for the show.
        window_ms: How much the playlists list.
        audio_only: True when no rendition has video.
        discontinuity_sequence: Discontinuities before the first segment told after this: an HTTP
        process that knows no older segment counts on from here.
    """

    stream: UUID
    slug: str
    show: int
    part_target_ms: int
    target_duration_s: int
    window_ms: int
    audio_only: bool
    discontinuity_sequence: int = 0


@dataclass(frozen=True, slots=True)
class RenditionsSet:
    """The renditions of the multivariant playlist, best first. Told again when one changes."""

    renditions: tuple[Rendition, ...]


@dataclass(frozen=True, slots=True)
class InitMade:
    """An init of a rendition: its hash is in its address."""

    rendition: str
    init_hash: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class SlotOpened:
    """A part begins: its address is known from now on, and may be hinted and waited for.

    `is_discontinuity` is only ever True on part 0: EXT-X-DISCONTINUITY stands before its segment.
    """

    slot: Slot
    is_discontinuity: bool


@dataclass(frozen=True, slots=True)
class PartMade:
    """A part of one rendition is complete."""

    part: Part


@dataclass(frozen=True, slots=True)
class SegmentEnded:
    """All parts of a segment of one rendition have been sent."""

    rendition: str
    msn: int
    end_ms: int
    duration_us: int


@dataclass(frozen=True, slots=True)
class Health:
    """What the creator should know, in plain words; replaces the last one.

    Attributes:
        state: ``live``, ``waiting`` (publisher gone, show kept) or ``ended``.
        facts: Numbers by name, such as ``video_kbps``.
        advice: Sentences for the creator, most urgent first.
    """

    state: str
    facts: dict[str, float]
    advice: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShowEnded:
    """ENDLIST: nothing follows in this show."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Control's word, sent at each change and every 5 s; replaces the last one whole.

    Attributes:
        streams: All streams.
        token_keys: Key id to secret; the first is used to mint.
        asset: What everything is paid in.
        store_epoch: Names the store that control last recovered: claims carry it and other stores
        refuse.
        store_run_id: Redis run id that the epoch belongs to.
        top_up_url: Where a refused viewer is sent, may hold ``{account}``; empty when there is
        none.
        is_top_up_open: True when the watch page may offer the demo's top-up button.
        replay_from_ms: HTTP processes offer as evidence what they committed since this Unix time,
        once per epoch.
    """

    streams: tuple[StreamPolicy, ...]
    token_keys: tuple[tuple[int, bytes], ...]
    asset: Asset
    store_epoch: str
    store_run_id: str
    top_up_url: str
    is_top_up_open: bool
    replay_from_ms: int


Message = (
    Hello
    | ShowOpened
    | RenditionsSet
    | InitMade
    | SlotOpened
    | PartMade
    | SegmentEnded
    | Health
    | ShowEnded
    | Policy
)

_KINDS: Final[tuple[type, ...]] = (
    Hello,
    ShowOpened,
    RenditionsSet,
    InitMade,
    SlotOpened,
    PartMade,
    SegmentEnded,
    Health,
    ShowEnded,
    Policy,
)
_KIND_OF: Final = {kind: number for number, kind in enumerate(_KINDS, 1)}


def encode(message: Message) -> bytes:
    """Return one frame."""
    header, payload = _to_wire(message)
    raw = json.dumps(header, separators=(",", ":")).encode()
    return (
        _HEAD.pack(5 + len(raw) + len(payload), _KIND_OF[type(message)], len(raw)) + raw + payload
    )


class FrameReader:
    """Bytes in, messages out; holds at most one frame."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yield each message that is complete.

        Raises:
            LinkError: The peer breaks the protocol; drop the connection.
        """
        self._buffer += data
        while len(self._buffer) >= _HEAD.size:
            length, kind, header_length = _HEAD.unpack_from(self._buffer)
            if length > FRAME_BYTES_MAX or header_length > min(HEADER_BYTES_MAX, length - 5):
                raise LinkError(f"a frame of {length} bytes, header {header_length}, is too large")
            if len(self._buffer) < 4 + length:
                return
            start = _HEAD.size
            raw = bytes(self._buffer[start : start + header_length])
            payload = bytes(self._buffer[start + header_length : 4 + length])
            del self._buffer[: 4 + length]
            yield _decode(kind, raw, payload)


def _decode(kind: int, raw: bytes, payload: bytes) -> Message:
    if not 1 <= kind <= len(_KINDS):
        raise LinkError(f"frame kind {kind} is unknown")
    try:
        return _from_wire(_KINDS[kind - 1], json.loads(raw), payload)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise LinkError(f"a frame of kind {_KINDS[kind - 1].__name__} is malformed") from error


def _to_wire(message: Message) -> tuple[Any, bytes]:
    match message:
        case Hello():
            return [message.role, message.name, message.pid, message.version], b""
        case ShowOpened():
            return [
                message.stream.hex,
                message.slug,
                message.show,
                message.part_target_ms,
                message.target_duration_s,
                message.window_ms,
                message.audio_only,
                message.discontinuity_sequence,
            ], b""
        case RenditionsSet():
            return [
                [
                    r.name,
                    list(r.codecs),
                    r.bandwidth_bps,
                    r.average_bandwidth_bps,
                    r.width,
                    r.height,
                    r.frame_rate_milli,
                ]
                for r in message.renditions
            ], b""
        case InitMade():
            return [message.rendition, message.init_hash], message.payload
        case SlotOpened():
            return [*_slot_wire(message.slot), message.is_discontinuity], b""
        case PartMade():
            part = message.part
            return [
                part.rendition,
                _slot_wire(part.slot),
                part.end_ms,
                part.duration_us,
                part.is_independent,
                part.init_hash,
            ], part.payload
        case SegmentEnded():
            return [message.rendition, message.msn, message.end_ms, message.duration_us], b""
        case Health():
            return [message.state, message.facts, list(message.advice)], b""
        case ShowEnded():
            return [], b""
        case Policy():
            return _policy_wire(message), b""


def _from_wire(kind: type, body: Any, payload: bytes) -> Message:
    if kind is Hello:
        hello = Hello(*body)
        if hello.version != VERSION:
            raise LinkError(f"{hello.name} speaks link version {hello.version}, not {VERSION}")
        return hello
    if kind is ShowOpened:
        return ShowOpened(UUID(hex=body[0]), *body[1:])
    if kind is RenditionsSet:
        return RenditionsSet(tuple(Rendition(r[0], tuple(r[1]), *r[2:]) for r in body))
    if kind is InitMade:
        return InitMade(body[0], body[1], payload)
    if kind is SlotOpened:
        return SlotOpened(Slot(*body[:4]), bool(body[4]))
    if kind is PartMade:
        rendition, slot, end_ms, duration_us, is_independent, init_hash = body
        return PartMade(
            Part(rendition, Slot(*slot), end_ms, duration_us, is_independent, init_hash, payload)
        )
    if kind is SegmentEnded:
        return SegmentEnded(*body)
    if kind is Health:
        return Health(body[0], dict(body[1]), tuple(body[2]))
    if kind is ShowEnded:
        return ShowEnded()
    return _policy_from(body)


def _slot_wire(slot: Slot) -> list[int]:
    return [slot.msn, slot.part, slot.start_ms, slot.planned_end_ms]


def _policy_wire(policy: Policy) -> dict[str, Any]:
    return {
        "streams": [
            [
                s.stream.hex,
                s.slug,
                s.title,
                [[p.number, p.from_tick, str(p.planck_per_tick)] for p in s.prices],
                s.is_enabled,
            ]
            for s in policy.streams
        ],
        "token_keys": [[number, secret.hex()] for number, secret in policy.token_keys],
        "asset": [policy.asset.symbol, policy.asset.decimals, str(policy.asset.quantum)],
        "store": [policy.store_epoch, policy.store_run_id, policy.replay_from_ms],
        "top_up": [policy.top_up_url, policy.is_top_up_open],
    }


def _policy_from(body: dict[str, Any]) -> Policy:
    return Policy(
        streams=tuple(
            StreamPolicy(
                UUID(hex=stream),
                slug,
                title,
                tuple(PriceVersion(p[0], p[1], Planck(int(p[2]))) for p in prices),
                bool(is_enabled),
            )
            for stream, slug, title, prices, is_enabled in body["streams"]
        ),
        token_keys=tuple((number, bytes.fromhex(secret)) for number, secret in body["token_keys"]),
        asset=Asset(body["asset"][0], body["asset"][1], int(body["asset"][2])),
        store_epoch=body["store"][0],
        store_run_id=body["store"][1],
        replay_from_ms=body["store"][2],
        top_up_url=body["top_up"][0],
        is_top_up_open=bool(body["top_up"][1]),
    )
