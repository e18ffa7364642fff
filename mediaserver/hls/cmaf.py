"""ISO BMFF boxes: writes inits and chunks.

An init is ftyp and moov; a chunk is one moof (one traf per track that has samples) and one mdat
(ISO/IEC 14496-12, 23000-19; HLS wants fragmented MP4, so video and audio may share a file). Reading
them back is `cmaf_reader`'s; which samples make a chunk is the packager's.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mediaserver.errors import MediaFormatError
from mediaserver.h264 import parse_sps, sample_format
from mediaserver.media import AUDIO_TIMESCALE, VIDEO_TIMESCALE, AudioFormat, VideoFormat

VIDEO_TRACK: Final = 1
AUDIO_TRACK: Final = 2
SYNC_FLAGS: Final = 0x02000000
"""sample_depends_on = 2: an IDR, depends on nothing (14496-12, 8.8.3.1)."""
INTER_FLAGS: Final = 0x01010000
"""sample_depends_on = 1, sample_is_non_sync_sample = 1."""

_MATRIX: Final = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_LANGUAGE_UNDEFINED: Final = 0x55C4
_NAL_SIZE: Final = struct.Struct(">I")
"""Sizes before NAL units are of 4 bytes, as avcC's lengthSizeMinusOne says (14496-15, 5.3.3.1)."""
_EXTENDED_AVCC: Final = frozenset({100, 110, 122, 144})
"""Profiles whose avcC repeats the SPS's chroma format and bit depths (14496-15, 5.3.3.1.2)."""


@dataclass(frozen=True, slots=True)
class ChunkSample:
    """One sample as a chunk holds it.

    Attributes:
        payload: H.264: its NAL units, which the chunk holds behind their sizes. AAC: one frame.
        duration: In units of the track's timescale.
        is_sync: A decoder can start here.
    """

    payload: tuple[bytes, ...]
    duration: int
    is_sync: bool


@dataclass(frozen=True, slots=True)
class TrackRun:
    """The samples of one track in one chunk; there is at least one.

    Attributes:
        track: `VIDEO_TRACK` or `AUDIO_TRACK`.
        base_time: Decode time of the first, in units of the track's timescale, 0 or more.
        samples: In decode order, without gaps.
    """

    track: int
    base_time: int
    samples: tuple[ChunkSample, ...]


def make_init(video: VideoFormat | None, audio: AudioFormat | None) -> bytes:
    """Return an init with a video track, an audio track, or both: ftyp, then moov.

    Raises:
        MediaFormatError: If the SPS is too short to describe a track.
    """
    traks: list[bytes] = []
    trexes: list[bytes] = []
    if video is not None:
        traks.append(_video_trak(video))
        trexes.append(_trex(VIDEO_TRACK))
    if audio is not None:
        traks.append(_audio_trak(audio))
        trexes.append(_trex(AUDIO_TRACK))
    mvhd = _full_box(
        b"mvhd",
        0,
        0,
        struct.pack(">4IIH10x", 0, 0, 1000, 0, 0x10000, 0x100),
        _MATRIX,
        bytes(24),
        struct.pack(">I", AUDIO_TRACK + 1),
    )
    ftyp = _box(b"ftyp", b"iso6", struct.pack(">I", 0), b"iso6", b"cmfc", b"mp41")
    return ftyp + _box(b"moov", mvhd, *traks, _box(b"mvex", *trexes))


def init_hash(init: bytes) -> str:
    """Return the 16 hexadecimal digits in an init's address."""
    return hashlib.blake2b(init).hexdigest()[:16]


def make_chunk(sequence: int, runs: Sequence[TrackRun]) -> bytes:
    """Return one chunk: moof with a traf per run, then one mdat with their samples in that order.

    Durations, sizes and flags are written per sample for video; audio samples share one duration
    and are all sync, which `tfhd` says once. `sequence` grows within a rendition.
    """
    moof_size = 8 + 16 + sum(_traf_size(run) for run in runs)
    media_start = moof_size + 8
    offset = media_start
    trafs: list[bytes] = []
    pieces: list[bytes] = []
    for run in runs:
        sizes = [_add_sample(pieces, run.track, sample) for sample in run.samples]
        trafs.append(_traf(run, sizes, offset))
        offset += sum(sizes)
    moof = _box(b"moof", _full_box(b"mfhd", 0, 0, struct.pack(">I", sequence)), *trafs)
    mdat = struct.pack(">I4s", 8 + offset - media_start, b"mdat")
    return b"".join([moof, mdat, *pieces])


def _add_sample(pieces: list[bytes], track: int, sample: ChunkSample) -> int:
    """Append what mdat holds of a sample; return its size."""
    if track == AUDIO_TRACK:
        pieces += sample.payload
        return sum(map(len, sample.payload))
    size = 0
    for nal in sample.payload:
        length = len(nal)
        pieces += (_NAL_SIZE.pack(length), nal)
        size += 4 + length
    return size


def _is_uniform(run: TrackRun) -> bool:
    first = run.samples[0]
    return run.track == AUDIO_TRACK and all(
        sample.is_sync and sample.duration == first.duration for sample in run.samples
    )


def _traf_size(run: TrackRun) -> int:
    tfhd, per_sample = (24, 4) if _is_uniform(run) else (16, 12)
    return 8 + tfhd + 20 + 20 + per_sample * len(run.samples)


def _traf(run: TrackRun, sizes: list[int], data_offset: int) -> bytes:
    count = len(run.samples)
    # 0x020000: default-base-is-moof, as 23000-19 asks; 0x28: default duration and flags follow.
    if _is_uniform(run):
        default = struct.pack(">III", run.track, run.samples[0].duration, SYNC_FLAGS)
        tfhd = _full_box(b"tfhd", 0, 0x020028, default)
        flags = 0x000201
        body = struct.pack(f">{count}I", *sizes)
    else:
        tfhd = _full_box(b"tfhd", 0, 0x020000, struct.pack(">I", run.track))
        flags = 0x000701
        body = b"".join(
            struct.pack(
                ">III",
                sample.duration,
                size,
                SYNC_FLAGS if sample.is_sync else INTER_FLAGS,
            )
            for sample, size in zip(run.samples, sizes, strict=True)
        )
    tfdt = _full_box(b"tfdt", 1, 0, struct.pack(">Q", run.base_time))
    trun = _full_box(b"trun", 0, flags, struct.pack(">Ii", count, data_offset), body)
    return _box(b"traf", tfhd, tfdt, trun)


def _video_trak(video: VideoFormat) -> bytes:
    if len(video.sps) < 4 or not video.pps:
        raise MediaFormatError(f"an SPS of {len(video.sps)} bytes describes no track")
    avcc = struct.pack(">B3sBBH", 1, video.sps[1:4], 0xFF, 0xE1, len(video.sps)) + video.sps
    avcc += struct.pack(">BH", 1, len(video.pps)) + video.pps
    if video.sps[1] in _EXTENDED_AVCC:
        form = sample_format(video.sps)
        avcc += bytes([0xFC | form.chroma_format, 0xF8 | form.luma_depth])
        avcc += bytes([0xF8 | form.chroma_depth, 0])
    aspect = _sample_aspect(video.sps)
    entry = _box(
        b"avc1",
        struct.pack(">6xH16xHHIIIH", 1, video.width, video.height, 0x480000, 0x480000, 0, 1),
        bytes(32),
        struct.pack(">HH", 0x18, 0xFFFF),
        _box(b"avcC", avcc),
        # Players that do not read the SPS know the shape of pixels by this box alone.
        *(() if aspect == (1, 1) else (_box(b"pasp", struct.pack(">II", *aspect)),)),
    )
    header = _full_box(b"vmhd", 0, 1, bytes(8))
    # What it is shown as (ISO/IEC 14496-12, 8.3.2): in square pixels, 16.16 bits.
    shown_width = min(video.width * aspect[0] // aspect[1], 0xFFFF)
    size = (shown_width << 16, video.height << 16)
    return _trak(VIDEO_TRACK, VIDEO_TIMESCALE, header, entry, size)


def _sample_aspect(sps: bytes) -> tuple[int, int]:
    try:
        return parse_sps(sps).sample_aspect
    except MediaFormatError:
        return (1, 1)  # what cannot be read says nothing of its pixels


def _audio_trak(audio: AudioFormat) -> bytes:
    decoder = _descriptor(
        4,
        struct.pack(">BB3xII", 0x40, 0x15, 0, 0),
        _descriptor(5, audio.config),
    )
    stream = _descriptor(3, struct.pack(">HB", AUDIO_TRACK, 0), decoder, _descriptor(6, b"\x02"))
    entry = _box(
        b"mp4a",
        struct.pack(">6xH8xHHII", 1, audio.channels, 16, 0, AUDIO_TIMESCALE << 16),
        _full_box(b"esds", 0, 0, stream),
    )
    header = _full_box(b"smhd", 0, 0, bytes(4))
    return _trak(AUDIO_TRACK, AUDIO_TIMESCALE, header, entry, (0, 0))


def _trak(
    track: int, timescale: int, media_header: bytes, entry: bytes, size: tuple[int, int]
) -> bytes:
    is_audio = track == AUDIO_TRACK
    handler = b"soun" if is_audio else b"vide"
    tkhd = _full_box(
        b"tkhd",
        0,
        7,  # enabled, in movie, in preview
        struct.pack(">5I8xHHHxx", 0, 0, track, 0, 0, 0, 0, 0x100 if is_audio else 0),
        _MATRIX,
        struct.pack(">II", *size),
    )
    mdhd = _full_box(
        b"mdhd", 0, 0, struct.pack(">4IHH", 0, 0, timescale, 0, _LANGUAGE_UNDEFINED, 0)
    )
    hdlr = _full_box(b"hdlr", 0, 0, bytes(4), handler, bytes(12), b"vilokanam\0")
    dref = _full_box(b"dref", 0, 0, struct.pack(">I", 1), _full_box(b"url ", 0, 1))
    stbl = _box(
        b"stbl",
        _full_box(b"stsd", 0, 0, struct.pack(">I", 1), entry),
        _full_box(b"stts", 0, 0, bytes(4)),
        _full_box(b"stsc", 0, 0, bytes(4)),
        _full_box(b"stsz", 0, 0, bytes(8)),
        _full_box(b"stco", 0, 0, bytes(4)),
    )
    minf = _box(b"minf", media_header, _box(b"dinf", dref), stbl)
    return _box(b"trak", tkhd, _box(b"mdia", mdhd, hdlr, minf))


def _trex(track: int) -> bytes:
    return _full_box(b"trex", 0, 0, struct.pack(">5I", track, 1, 0, 0, 0))


def _descriptor(tag: int, *body: bytes) -> bytes:
    """Return an MPEG-4 descriptor (14496-1, 8.3.3) with a length of four bytes."""
    content = b"".join(body)
    return bytes([tag, 0x80, 0x80, 0x80, len(content)]) + content


def _box(kind: bytes, *body: bytes) -> bytes:
    content = b"".join(body)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def _full_box(kind: bytes, version: int, flags: int, *body: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags), *body)
