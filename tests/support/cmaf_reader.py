"""ISO BMFF boxes: reads inits and chunks of the kind that `cmaf` writes.

For tests and diagnosis: anything that is not such a file is a
MediaFormatError that names the value, never another error.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from mediaserver.errors import MediaFormatError
from mediaserver.hls.cmaf import VIDEO_TRACK, ChunkSample, TrackRun

_CONTAINERS: Final = frozenset(
    {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"moof", b"traf", b"dinf"}
)
_DEPTH_MAX: Final = 8
"""moov/trak/mdia/minf/stbl/stsd is six deep."""
SAMPLES_MAX: Final = 100_000
"""More samples than a chunk of ours holds by far; a hostile count must not be believed."""
_NON_SYNC: Final = 0x00010000


@dataclass(frozen=True, slots=True)
class Box:
    """One box.

    Attributes:
        kind: Four bytes.
        offset: Where it begins in the file.
        body: What follows its header.
        children: The boxes in it when it is a container.
    """

    kind: bytes
    offset: int
    body: bytes
    children: tuple[Box, ...] = ()

    def all(self, kind: bytes) -> Iterator[Box]:
        """Yield the direct children of one kind."""
        return (child for child in self.children if child.kind == kind)

    def one(self, *path: bytes) -> Box:
        """Return the box at a path below this one.

        Raises:
            MediaFormatError: If there is not exactly one at each step.
        """
        box = self
        for kind in path:
            boxes = list(box.all(kind))
            if len(boxes) != 1:
                raise MediaFormatError(f"{len(boxes)} boxes {kind!r} in {box.kind!r}, not one")
            box = boxes[0]
        return box


@dataclass(frozen=True, slots=True)
class TrackHeader:
    """What an init says of one track.

    Attributes:
        track: Its id.
        handler: ``vide`` or ``soun``.
        timescale: Units per second.
        entry: Kind of its sample entry, ``avc1`` or ``mp4a``.
        width: Pixels, 0 for audio.
        height: Pixels, 0 for audio.
    """

    track: int
    handler: str
    timescale: int
    entry: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """What a chunk holds: the fragment's number and its runs, samples with their bytes."""

    sequence: int
    runs: tuple[TrackRun, ...]


def read_boxes(data: bytes) -> tuple[Box, ...]:
    """Return the boxes of a file, containers opened.

    Raises:
        MediaFormatError: If a size does not fit.
    """
    return tuple(_boxes(data, 0, len(data), 0))


def read_init(data: bytes) -> tuple[TrackHeader, ...]:
    """Return the tracks of an init.

    Raises:
        MediaFormatError: If it is not ftyp and moov, or a track is not described.
    """
    boxes = read_boxes(data)
    if [box.kind for box in boxes] != [b"ftyp", b"moov"]:
        raise MediaFormatError(f"an init of boxes {[box.kind for box in boxes]}")
    moov = boxes[1]
    extended = {_unpack(">4xI", box.body)[0] for box in moov.one(b"mvex").all(b"trex")}
    tracks = tuple(_track(trak) for trak in moov.all(b"trak"))
    if not tracks or extended != {track.track for track in tracks}:
        raise MediaFormatError(f"{len(tracks)} tracks, trex for {sorted(extended)}")
    return tracks


def read_chunk(data: bytes) -> Chunk:
    """Return what a chunk holds.

    Raises:
        MediaFormatError: If it is not one moof and one mdat whose samples fill it exactly.
    """
    boxes = read_boxes(data)
    if [box.kind for box in boxes] != [b"moof", b"mdat"]:
        raise MediaFormatError(f"a chunk of boxes {[box.kind for box in boxes]}")
    moof, mdat = boxes
    (sequence,) = _unpack(">4xI", moof.one(b"mfhd").body)
    position = mdat.offset + 8
    runs = []
    for traf in moof.all(b"traf"):
        run, offset, size = _run(traf, data)
        if offset != position:
            raise MediaFormatError(f"track {run.track} has data at {offset}, not {position}")
        position += size
        runs.append(run)
    if position != len(data):
        raise MediaFormatError(f"samples end at {position} of {len(data)} bytes")
    return Chunk(sequence, tuple(runs))


def _boxes(data: bytes, start: int, end: int, depth: int) -> Iterator[Box]:
    if depth > _DEPTH_MAX:
        raise MediaFormatError(f"boxes nested more than {_DEPTH_MAX} deep")
    while start < end:
        if end - start < 8:
            raise MediaFormatError(f"{end - start} bytes left at {start}: no box")
        size, kind = struct.unpack_from(">I4s", data, start)
        if not 8 <= size <= end - start:
            raise MediaFormatError(f"box {kind!r} at {start} says {size} of {end - start} bytes")
        children: tuple[Box, ...] = ()
        if kind in _CONTAINERS:
            children = tuple(_boxes(data, start + 8, start + size, depth + 1))
        yield Box(kind, start, data[start + 8 : start + size], children)
        start += size


def _track(trak: Box) -> TrackHeader:
    (track,) = _unpack(">4x8xI", trak.one(b"tkhd").body)
    mdia = trak.one(b"mdia")
    (timescale,) = _unpack(">4x8xI", mdia.one(b"mdhd").body)
    (handler,) = _unpack(">8x4s", mdia.one(b"hdlr").body)
    count, entry = _unpack(">4xI4x4s", mdia.one(b"minf", b"stbl", b"stsd").body)
    if count != 1 or entry not in {b"avc1", b"mp4a"} or timescale == 0:
        raise MediaFormatError(f"track {track}: {count} entries, {entry!r}, timescale {timescale}")
    width, height = 0, 0
    if entry == b"avc1":
        width, height = _unpack(">16x24xHH", mdia.one(b"minf", b"stbl", b"stsd").body)
    return TrackHeader(
        track, handler.decode("ascii", "replace"), timescale, entry.decode(), width, height
    )


def _run(traf: Box, data: bytes) -> tuple[TrackRun, int, int]:
    tfhd = traf.one(b"tfhd").body
    flags, track = _unpack(">II", tfhd)
    if flags & ~0x28 != 0x020000:
        raise MediaFormatError(f"tfhd of track {track} has flags {flags:#x}")
    defaults = list(_unpack(f">8x{flags.bit_count() - 1}I", tfhd))
    duration = defaults.pop(0) if flags & 0x08 else None
    sample_flags = defaults.pop(0) if flags & 0x20 else None
    version, base_time = _unpack(">B3xQ", traf.one(b"tfdt").body)
    if version != 1:
        raise MediaFormatError(f"tfdt of track {track} is version {version}")
    trun = traf.one(b"trun").body
    flags, count, offset = _unpack(">IIi", trun)
    if flags & ~0x700 != 1 or not 1 <= count <= SAMPLES_MAX:
        raise MediaFormatError(f"trun of track {track}: flags {flags:#x}, {count} samples")
    width = (flags & 0x700).bit_count()
    table = _unpack(f">12x{width * count}I", trun)
    samples = []
    position = offset
    for index in range(0, width * count, width):
        row = list(table[index : index + width])
        own_duration = row.pop(0) if flags & 0x100 else duration
        size = row.pop(0) if flags & 0x200 else None
        own_flags = row.pop(0) if flags & 0x400 else sample_flags
        if own_duration is None or size is None or own_flags is None:
            raise MediaFormatError(f"trun of track {track} leaves a sample undescribed")
        if position < 0 or position + size > len(data):
            raise MediaFormatError(f"a sample at {position} of {size} bytes is outside the chunk")
        payload: tuple[bytes, ...] = (data[position : position + size],)
        if track == VIDEO_TRACK:
            payload = _nal_units(payload[0])
        samples.append(ChunkSample(payload, own_duration, not own_flags & _NON_SYNC))
        position += size
    return TrackRun(track, base_time, tuple(samples)), offset, position - offset


def _nal_units(payload: bytes) -> tuple[bytes, ...]:
    nals = []
    while payload:
        size = int.from_bytes(payload[:4], "big")
        if len(payload) < 4 + size:
            raise MediaFormatError(f"a NAL unit of {size} bytes in {len(payload)} bytes of sample")
        nals.append(payload[4 : 4 + size])
        payload = payload[4 + size :]
    return tuple(nals)


def _unpack(layout: str, body: bytes) -> tuple[Any, ...]:
    needed = struct.calcsize(layout)
    if len(body) < needed:
        raise MediaFormatError(f"a box body of {len(body)} bytes, {needed} needed")
    return struct.unpack_from(layout, body)
