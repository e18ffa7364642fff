"""Cuts to settlement batches: the same cuts give the same bytes, in whatever order they come."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from metering.errors import InvalidValueError
from metering.model.entries import batch_hash, canonical_key, encode
from metering.ports import Entry
from metering.units import EntryKey


@dataclass(frozen=True, slots=True)
class Batch:
    """One numbered batch of the operator.

    Attributes:
        seq: From 1, no gaps.
        entries: SCALE bytes in canonical order.
        hash: blake2b-256 of `entries`.
        count: How many entries.
    """

    seq: int
    entries: bytes
    hash: bytes
    count: int


def cumulative_of(lines: Iterable[tuple[EntryKey, int]]) -> tuple[Entry, ...]:
    """Return one entry per key, with the newest of its cumulative counts, in canonical order."""
    newest: dict[EntryKey, int] = {}
    for key, cumulative in lines:
        if cumulative > newest.get(key, 0):
            newest[key] = cumulative
    return tuple(Entry(key, newest[key]) for key in sorted(newest, key=canonical_key))


def seal(lines: Iterable[tuple[EntryKey, int]], next_seq: int, entries_max: int) -> list[Batch]:
    """Return the batches that carry all `lines`, numbered from `next_seq`, none above the bound.

    Args:
        lines: Key and cumulative count of every line that is not in a batch yet.
        entries_max: Entries that one batch may hold ([chain].batch_entries_max).

    Raises:
        InvalidValueError: If the bound or the number is below 1.
    """
    if entries_max < 1 or next_seq < 1:
        raise InvalidValueError(f"batch {next_seq} of at most {entries_max} entries cannot be")
    entries = cumulative_of(lines)
    out: list[Batch] = []
    for start in range(0, len(entries), entries_max):
        piece = entries[start : start + entries_max]
        data = encode(piece)
        out.append(Batch(next_seq + len(out), data, batch_hash(data), len(piece)))
    return out
