"""Settlement entries as SCALE bytes: the same for the journal and for the chain.

One batch: ``Vec<Entry>``, a compact count, then 64 bytes an entry, little-endian::

    stream u128 | account [u8; 32] | join number u32 | price version u32 | cumulative ticks u64

The u128 is the UUID's value as one big-endian number, so ``00..01`` is 1 on the chain too. The hash
of a batch is blake2b-256 of these bytes.

Source: docs/metering.md, "Entry"; pallet tick-stream, `Entry`.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from typing import Final
from uuid import UUID

from metering.errors import InvalidValueError
from metering.ports import Entry
from metering.units import AccountId, EntryKey

ENTRY_BYTES: Final = 64
U32_MAX: Final = 2**32 - 1
U64_MAX: Final = 2**64 - 1
_ENTRY: Final = struct.Struct("<16s32sIIQ")


def canonical_key(key: EntryKey) -> tuple[int, bytes, int, int]:
    """Return what entries are sorted by: stream, account, join number, price version."""
    return key.stream.int, key.account, key.join, key.version


def encode(entries: Iterable[Entry]) -> bytes:
    """Return the SCALE bytes of a batch, its entries in canonical order.

    Raises:
        InvalidValueError: If a key comes twice or a number does not fit its field.
    """
    keyed = [(canonical_key(entry.key), entry.cumulative) for entry in entries]
    keyed.sort()
    pack = _ENTRY.pack
    before: tuple[int, bytes, int, int] | None = None
    out = [_compact(len(keyed))]
    for key, cumulative in keyed:
        if key == before:
            raise InvalidValueError(f"entry {key} comes twice in one batch")
        before = key
        stream, account, join, version = key
        try:
            out.append(pack(stream.to_bytes(16, "little"), account, join, version, cumulative))
        except struct.error as error:
            raise InvalidValueError(
                f"join {join}, version {version} or cumulative {cumulative} does not fit its field"
            ) from error
        if cumulative == 0:
            raise InvalidValueError("cumulative 0 settles nothing: leave the entry out")
    return b"".join(out)


def decode(data: bytes) -> tuple[Entry, ...]:
    """Return the entries of a batch.

    Raises:
        InvalidValueError: If `data` is not exactly what `encode` gives for some entries.
    """
    size, offset = _read_compact(data)
    if len(data) - offset != size * ENTRY_BYTES:
        raise InvalidValueError(
            f"{size} entries need {size * ENTRY_BYTES} bytes after the count, "
            f"there are {len(data) - offset}"
        )
    entries = tuple(
        Entry(
            EntryKey(UUID(int=int.from_bytes(stream, "little")), AccountId(account), join, version),
            cumulative,
        )
        for stream, account, join, version, cumulative in _ENTRY.iter_unpack(data[offset:])
    )
    if encode(entries) != data:
        raise InvalidValueError("the entries are not in canonical order")
    return entries


def batch_hash(entries: bytes) -> bytes:
    """Return blake2b-256 of a batch's bytes."""
    return hashlib.blake2b(entries, digest_size=32).digest()


def _compact(value: int) -> bytes:
    """Return a SCALE compact integer below 2**30."""
    if value < 1 << 6:
        return bytes([value << 2])
    if value < 1 << 14:
        return (value << 2 | 1).to_bytes(2, "little")
    if value < 1 << 30:
        return (value << 2 | 2).to_bytes(4, "little")
    raise InvalidValueError(f"{value} entries are too many for one batch")


def _read_compact(data: bytes) -> tuple[int, int]:
    """Return the leading compact integer and how many bytes it took."""
    if not data:
        raise InvalidValueError("a batch of 0 bytes has no count")
    length = (1, 2, 4, 0)[data[0] & 3]
    if length == 0 or len(data) < length:
        raise InvalidValueError("the count of a batch is not a SCALE compact integer below 2**30")
    return int.from_bytes(data[:length], "little") >> 2, length
