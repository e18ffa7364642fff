"""What our processes send each other, and its bytes.

Workers and control send to every HTTP process (``run/http-<i>.link``): `Hello` first, nothing
travels back. Control sends a `Request` to the settler (``run/chain.sock``), which replies with a
`Result` or a `Failure`, in any order.

A header is a JSON array, the message's name and then its fields, encoded and checked by msgspec
from the types below: JSON because amounts in planck outgrow the 64 bits of MessagePack.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Raw, Struct

from mediaserver.errors import LinkError
from mediaserver.ipc.framing import HEADER_BYTES_MAX, Frame, FrameReader, pack
from mediaserver.media import Part, Rendition, Slot
from metering.units import Asset, StreamPolicy

TAKEN_DOWN_HEADER: Final = "X-Vilokanam-Taken-Down"
"""In control's answer to the report of a worker whose stream nobody may publish any more."""


class _Message(Struct, frozen=True, array_like=True, tag=True, forbid_unknown_fields=True):
    """Base of all messages."""


class Hello(_Message, frozen=True):
    """First message of every link connection. `role` is ``worker`` or ``control``."""

    role: str
    name: str
    pid: int


class ShowOpened(_Message, frozen=True):
    """A show begins, or goes on in another worker, or is sent again to a new HTTP process.

    Attributes:
        part_target_ms: PART-TARGET of the renditions with video, constant for the show.
        target_duration_s: TARGETDURATION, constant for the show.
        window_ms: How much the playlists list.
        audio_only: True when no rendition has video.
        discontinuity_sequence: Discontinuities before the first segment sent after this: an HTTP
            process that knows no older segment continues from here.
    """

    stream: UUID
    slug: str
    show: int
    part_target_ms: int
    target_duration_s: int
    window_ms: int
    audio_only: bool
    discontinuity_sequence: int = 0


class RenditionsSet(_Message, frozen=True):
    """The renditions of the multivariant playlist, best first. Sent again when one changes."""

    renditions: tuple[Rendition, ...]


class InitMade(_Message, frozen=True):
    """An init of a rendition: its hash is in its address."""

    rendition: str
    init_hash: str
    payload: bytes


class SlotOpened(_Message, frozen=True):
    """A part begins: its address is known from now on, and may be hinted and waited for.

    `is_discontinuity` is only ever True on part 0: EXT-X-DISCONTINUITY precedes its segment.
    """

    slot: Slot
    is_discontinuity: bool


class PartMade(_Message, frozen=True):
    """A part of one rendition is complete."""

    part: Part


class SegmentEnded(_Message, frozen=True):
    """All parts of a segment of one rendition have been sent."""

    rendition: str
    msn: int
    end_ms: int
    duration_us: int


class Health(_Message, frozen=True):
    """What the creator should know, in plain words; replaces the last one.

    Attributes:
        state: ``live``, ``waiting`` (publisher gone, show kept), ``restarting`` (we are, and so end
            the publisher's session) or ``ended``.
        facts: Numbers by name, such as ``video_kbps``.
        advice: Sentences for the creator, most urgent first.
    """

    state: str
    facts: dict[str, float]
    advice: tuple[str, ...]


class ShowEnded(_Message, frozen=True):
    """ENDLIST: nothing follows in this show."""


class AddressRules(Struct, frozen=True, array_like=True):
    """From which addresses a stream may be watched (`mediaserver.people.place_rules`).

    Attributes:
        stream: None: every stream.
    """

    stream: UUID | None
    allow_countries: tuple[str, ...] = ()
    deny_countries: tuple[str, ...] = ()
    allow_networks: tuple[str, ...] = ()
    deny_networks: tuple[str, ...] = ()


class TakenDown(Struct, frozen=True, array_like=True):
    """A stream that nobody may watch: what its address is answered with, and why, in words."""

    stream: UUID
    status: int
    text: str


class Policy(_Message, frozen=True):
    """Sent by control on a new link; replaces the last one whole.

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
        stream_keys: Slug to SHA-256 of the key of its publisher: HTTP processes refuse wrong ones
            by themselves, before a body is read.
        admin_sha256: SHA-256 of the admin token, for the same.
        api_keys: Prefix and SHA-256 of each machine's key that may be used, for the same.
        faults: What keeps control from its work, in words.
        unlisted: Streams for those who have the address, and a token.
        invited: Streams for guests alone.
        ended_sessions: Viewer sessions of these that are over while a token of theirs is not, the
            newest first: refused without asking the store, as what is free is never claimed.
        address_rules: Of streams that have some, and of the server.
        taken_down: Streams that nobody may watch.
        number: Which one it is: a later one has a larger number, after a restart of control too.
    """

    streams: tuple[StreamPolicy, ...]
    token_keys: tuple[tuple[int, bytes], ...]
    asset: Asset
    store_epoch: str
    store_run_id: str
    top_up_url: str
    is_top_up_open: bool
    replay_from_ms: int
    stream_keys: tuple[tuple[str, bytes], ...] = ()
    admin_sha256: bytes = b""
    faults: tuple[str, ...] = ()
    api_keys: tuple[tuple[str, bytes], ...] = ()
    unlisted: tuple[UUID, ...] = ()
    invited: tuple[UUID, ...] = ()
    ended_sessions: tuple[int, ...] = ()
    address_rules: tuple[AddressRules, ...] = ()
    taken_down: tuple[TakenDown, ...] = ()
    number: int = 0


class PolicyChange(_Message, frozen=True):
    """Sent by control at each change and every 5 s: what came after the policy sent before.

    Attributes:
        after: Number of that one. Who has another drops the link, and receives the whole again.
        policy: Of the streams that changed alone, all that holds of them now; of what is not of
            streams, everything; of `ended_sessions` those that are new.
    """

    after: int
    policy: Policy


class Request(_Message, frozen=True):
    """Asks for an operation.

    Attributes:
        number: Chosen by the client, from 1; its result or failure carries it.
        operation: Its name (`operations`).
        arguments: JSON array, checked against the operation's signature.
    """

    number: int
    operation: str
    arguments: Raw


class Result(_Message, frozen=True):
    """What an operation returned, as JSON."""

    number: int
    value: Raw


class Failure(_Message, frozen=True):
    """An operation raised, or, with number 0, the connection is refused and ends.

    Attributes:
        error: Name of a class of `metering.errors`.
        detail: `BatchTooLargeError.entries_max`.
    """

    number: int
    error: str
    text: str
    detail: int | None = None


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
    | PolicyChange
    | Request
    | Result
    | Failure
)

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder[Message](Message)


def encode(message: Message) -> tuple[bytes, ...]:
    """Return the buffers of one frame, in order; a part's or an init's bytes are not copied."""
    match message:
        case PartMade(part):
            bare = PartMade(replace(part, payload=b""))
            return pack(_ENCODER.encode(bare), part.payload)
        case InitMade(rendition, init_hash, payload):
            return pack(_ENCODER.encode(InitMade(rendition, init_hash, b"")), payload)
    return pack(_ENCODER.encode(message))


class MessageReader:
    """Bytes in, messages out."""

    def __init__(self, header_bytes_max: int = HEADER_BYTES_MAX) -> None:
        self._frames = FrameReader(header_bytes_max)

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yield each message that is complete.

        Raises:
            LinkError: The peer breaks the protocol; drop the connection.
        """
        return map(_decode, self._frames.feed(data))


def _decode(frame: Frame) -> Message:
    try:
        message = _DECODER.decode(frame.header)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise LinkError(f"a message is malformed: {error}") from error
    match message:
        case PartMade(part):
            return PartMade(replace(part, payload=frame.payload))
        case InitMade(rendition, init_hash):
            return InitMade(rendition, init_hash, frame.payload)
    if frame.payload:
        raise LinkError(f"{type(message).__name__} has no payload")
    return message
