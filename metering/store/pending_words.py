"""Lines of cuts as the scripts keep them: words of 30 ticks, and counts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

from metering.model import ticks
from metering.store import keys
from metering.store.records import CoveredState, WatchedState
from metering.units import AccountId, Cause, CutLine, EntryKey, Run

_CAUSES: Final = {b"c": Cause.CAP, b"l": Cause.FREE_LIST, b"p": Cause.PASS}
"""By the letter that follows the show's number; none does where a preview covered a word."""
_LETTERS: Final = b"".join(_CAUSES)
_STREAM_BYTES: Final = 16


def cut_lines(
    bits: Iterable[tuple[bytes, bytes]], counts: Mapping[bytes, int]
) -> tuple[CutLine, ...]:
    """Merge words into one line per key, in the order of keys.

    Args:
        bits: ``b<account><stream>:<join>:<version>:<word>`` for ticks that `counts` has, ``p...``
            for ticks beyond, each with the word's bits as a number.
        counts: Cumulative ticks by ``<account><stream>:<join>:<version>``.
    """
    runs: dict[bytes, list[Run]] = {}
    beyond: dict[bytes, int] = {}
    for field, value in bits:
        name, _, word = field[1:].rpartition(b":")
        added = _ticks_of(word, value)
        runs.setdefault(name, []).extend(added)
        if field[:1] == b"p":
            beyond[name] = beyond.get(name, 0) + ticks.count(added)
    lines = [
        CutLine(_key_of(name), ticks.normal(merged), counts[name] + beyond.get(name, 0))
        for name, merged in runs.items()
    ]
    return tuple(sorted(lines, key=_order))


def unbilled_ticks(words: Iterable[tuple[bytes, bytes]]) -> tuple[WatchedState, ...]:
    """Return the ticks of words ``<account><stream>:<word>``, merged by account and stream."""
    runs_of: dict[bytes, list[Run]] = {}
    for field, value in words:
        name, _, word = field.rpartition(b":")
        runs_of.setdefault(name, []).extend(_ticks_of(word, value))
    return tuple(
        WatchedState(AccountId(name[:32]), name[32:], ticks.normal(runs))
        for name, runs in runs_of.items()
    )


def covered_ticks(words: Iterable[tuple[bytes, bytes]]) -> tuple[CoveredState, ...]:
    """Return the ticks of words ``<account><stream>:<show>:<word>``, merged by show and cause.

    A letter after the show is the cause; fields that name a show alone are passed over.
    """
    runs_of: dict[bytes, list[Run]] = {}
    for field, value in words:
        if len(field) > keys.ID_BYTES:
            name, _, word = field.rpartition(b":")
            runs_of.setdefault(name, []).extend(_ticks_of(word, value))
    return tuple(
        CoveredState(
            AccountId(name[:32]),
            name[32 : keys.ID_BYTES],
            int(name[keys.ID_BYTES + 1 :].rstrip(_LETTERS)),
            ticks.normal(runs),
            _CAUSES.get(name[-1:], Cause.PREVIEW),
        )
        for name, runs in runs_of.items()
    )


def counted_shows(words: Iterable[bytes]) -> tuple[tuple[bytes, int], ...]:
    """Return stream and show of fields ``<stream>:<show>``; words of ticks are passed over."""
    return tuple(
        (field[:_STREAM_BYTES], int(field[_STREAM_BYTES + 1 :]))
        for field in words
        if len(field) < keys.ID_BYTES
    )


def pending_words(pending: Iterable[CutLine]) -> list[bytes]:
    """Return field and bits of each word of each line; lines of one key are merged."""
    merged: dict[EntryKey, ticks.Runs] = {}
    for line in pending:
        merged[line.key] = ticks.union(merged.get(line.key, ()), line.runs)
    words: list[bytes] = []
    for key, runs in merged.items():
        masks: dict[int, int] = {}
        for run in runs:
            for tick in range(run.first, run.end):
                word, bit = divmod(tick, keys.WORD_TICKS)
                masks[word] = masks.get(word, 0) | 1 << (keys.WORD_TICKS - 1 - bit)
        for word, mask in masks.items():
            field = keys.pending_field(key.account, key.stream.bytes, key.join, key.version, word)
            words += [field, b"%d" % mask]
    return words


def _ticks_of(word: bytes, bits: bytes) -> ticks.Runs:
    bitmap = (int(bits) << (32 - keys.WORD_TICKS)).to_bytes(4, "big")
    return ticks.from_bitmap(bitmap, int(word) * keys.WORD_TICKS)


def _key_of(words: bytes) -> EntryKey:
    """Return the key that ``<account><stream>:<join>:<version>`` names."""
    account, stream, rest = words[:32], words[32 : keys.ID_BYTES], words[keys.ID_BYTES + 1 :]
    join, version = rest.split(b":")
    return EntryKey(UUID(bytes=stream), AccountId(account), int(join), int(version))


def _order(line: CutLine) -> tuple[bytes, bytes, int, int]:
    key = line.key
    return key.stream.bytes, key.account, key.join, key.version
