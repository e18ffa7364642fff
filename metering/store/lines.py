"""Lines of cuts as the scripts keep them: bitmaps by hour under a suffix, and counts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from metering import ticks
from metering.store import keys
from metering.units import HOUR_TICKS, AccountId, CutLine, EntryKey, Run


def cut_lines(
    bits: Iterable[tuple[bytes, bytes]], counts: Mapping[bytes, int]
) -> tuple[CutLine, ...]:
    """Merge bitmaps into one line per key, in the order of keys.

    Args:
        bits: ``b<suffix>`` for ticks that `counts` has, ``p<suffix>`` for ticks beyond, each with
            ``<first byte>:<bytes>``.
        counts: Cumulative ticks by ``<account><stream>:<join>:<version>``.
    """
    runs: dict[bytes, list[Run]] = {}
    beyond: dict[bytes, int] = {}
    for field, value in bits:
        name, _, hour = field[1:].rpartition(b":")
        first_byte, _, bitmap = value.partition(b":")
        first_tick = int(hour) * HOUR_TICKS + int(first_byte) * 8
        found = ticks.from_bitmap(bitmap, first_tick)
        runs.setdefault(name, []).extend(found)
        if field[:1] == b"p":
            beyond[name] = beyond.get(name, 0) + ticks.count(found)
    lines = [
        CutLine(_key_of(name), ticks.normal(found), counts[name] + beyond.get(name, 0))
        for name, found in runs.items()
    ]
    return tuple(sorted(lines, key=_order))


def pending_words(pending: Iterable[CutLine]) -> list[bytes]:
    """Return suffix and bitmap of each hour of each line; lines of one key are merged."""
    merged: dict[EntryKey, ticks.Runs] = {}
    for line in pending:
        merged[line.key] = ticks.union(merged.get(line.key, ()), line.runs)
    words: list[bytes] = []
    for key, runs in merged.items():
        for hour, bitmap in ticks.bitmaps(runs).items():
            suffix = keys.pending_suffix(key.account, key.stream.bytes, key.join, key.version, hour)
            words += [suffix, bitmap]
    return words


def _key_of(words: bytes) -> EntryKey:
    """Return the key that ``<account><stream>:<join>:<version>`` names."""
    account, stream, rest = words[:32], words[32 : keys.ID_BYTES], words[keys.ID_BYTES + 1 :]
    join, version = rest.split(b":")
    return EntryKey(UUID(bytes=stream), AccountId(account), int(join), int(version))


def _order(line: CutLine) -> tuple[bytes, bytes, int, int]:
    key = line.key
    return key.stream.bytes, key.account, key.join, key.version
