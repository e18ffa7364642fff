"""HTTP's rules for one object: ranges, conditions, codings and heads.

Values in, values out: headers as they came, bytes and header lines as they go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from mediaserver.hls.cache_policy import COMMON_HEADERS

Chunk = bytes | memoryview

_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_NOTHING: Final = range(0)


def head(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """Return a status line and header lines, the common headers of all answers among them."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines.extend(f"{name}: {value}" for name, value in (*headers, *COMMON_HEADERS))
    return ("\r\n".join(lines) + "\r\n").encode("latin-1")


def matches(if_none_match: str, etag: str) -> bool:
    """True when a strong `etag` is among the tags of If-None-Match (RFC 9110, 13.1.2)."""
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in tags or tags == ["*"]


def byte_range(value: str, if_range: str, etag: str, size: int) -> range | None:
    """Return the bytes that a Range header asks for.

    Returns:
        A range of positions, empty when it cannot be satisfied (416), None when the whole is the
        right answer: no range, several, another unit, bad syntax, or If-Range of other bytes
        (RFC 9110, 14.2: what is not understood is ignored).
    """
    match = _RANGE.fullmatch(value.strip())
    if match is None or (if_range and if_range != etag):
        return None
    first, last = match.groups()
    if not first:
        if not last:
            return None
        return range(max(0, size - int(last)), size) if int(last) and size else _NOTHING
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        return _NOTHING
    return range(int(first), min(int(last), size - 1) + 1 if last else size)


def cut(chunks: Sequence[bytes], wanted: range) -> tuple[memoryview, ...]:
    """Return the bytes at positions `wanted` of all chunks in a row, without copying."""
    views, start = [], 0
    for chunk in chunks:
        low, high = max(wanted.start - start, 0), min(wanted.stop - start, len(chunk))
        if low < high:
            views.append(memoryview(chunk)[low:high])
        start += len(chunk)
    return tuple(views)


@lru_cache(maxsize=256)
def accepts_gzip(accept_encoding: str) -> bool:
    """True when a client takes gzip (RFC 9110, 12.5.3)."""
    weights = {}
    for part in accept_encoding.lower().split(","):
        coding, _, parameters = part.partition(";")
        weight = parameters.replace(" ", "").removeprefix("q=")
        weights[coding.strip()] = weight.strip("0.") != "" if weight else True
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", False)))
