"""Whether one more change fits what control tells the HTTP processes: by bytes, never by count.

What they must know to decide alone is one message, pushed whole (`mediaserver.ipc`). One that is
too large would reach none of them, and 30 s later they would refuse priced media. So a change that
might make it so is refused before, in words; and no stream takes the room of all others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final
from uuid import UUID

from mediaserver.api.context import Context
from mediaserver.api.streams.stream_policies import in_force
from mediaserver.http.problem import ApiError
from metering.book import policy_counts
from metering.book.book import Book
from metering.book.named_prices import Named
from metering.book.policy_counts import PolicyCounts
from metering.book.records import StreamRecord
from metering.model.named_prices import prices_of

STREAMS_MAX: Final = 10_000
POLICY_BYTES_MAX: Final = 11 << 20
"""Of all streams; the message may have 12 MiB (mediaserver/ipc/framing.py). Enough for 10,000 with
titles of 800 bytes each, or for 1,700 with titles of 500 emoji."""
STREAM_BYTES_MAX: Final = 1 << 20
"""Of one stream: 500 named viewers with 19 prices each in force since the oldest second that may
still be claimed, or some 10,000 prices without named viewers."""

_STREAM_BYTES: Final = 330
"""Its policy without title and prices, the hash of its key, and whom it is for."""
_PRICE_BYTES: Final = 104
_TITLE_FACTOR: Final = 6
"""JSON writes a byte of UTF-8 as six at most."""
_VIEWER_BYTES: Final = 80
"""A named viewer without prices."""


async def hold_stream_room(shared: Context, title: str) -> None:
    """Hold that one more stream fits.

    Raises:
        ApiError: 409.
    """
    oldest, growth = _oldest(shared), stream_bytes(title, 1)

    def read(book: Book) -> tuple[int, bool]:
        with book.viewing() as connection:
            count = policy_counts.count(connection).streams
        return count, _total(book, oldest, growth) + growth <= POLICY_BYTES_MAX

    streams, fits = await shared.book.view(read)
    if streams >= STREAMS_MAX or not fits:
        raise ApiError(
            409,
            "Too many streams",
            f"there are {streams} streams: no more, with such titles, fit",
        )


async def hold_title_room(shared: Context, record: StreamRecord, title: str) -> None:
    """Hold that another title of a stream fits.

    Raises:
        ApiError: 409.
    """
    growth, oldest = len(json.dumps(title)) - len(json.dumps(record.title)), _oldest(shared)
    if growth <= 0:
        return
    size = await shared.book.view(lambda book: _total(book, oldest, growth))
    if size + growth > POLICY_BYTES_MAX:
        raise ApiError(
            409, "Too many streams", f"no longer title fits: of all streams {size} bytes are told"
        )


async def hold_price_room(shared: Context, record: StreamRecord) -> None:
    """Hold that a price, a cap or a viewer's price more of a stream fits.

    Raises:
        ApiError: 409, with what makes room.
    """
    oldest, hours = _oldest(shared), shared.settings.metering.watched_hours

    def read(book: Book) -> tuple[int, int, int]:
        named = book.named_prices.of(record.id)
        growth = growth_bytes(record, named, oldest)
        return record_bytes(record, named, oldest), growth, _total(book, oldest, growth)

    own, growth, size = await shared.book.view(read)
    if own + growth > STREAM_BYTES_MAX:
        raise ApiError(
            409,
            "Too many prices",
            f"what HTTP processes must know of the prices of {record.slug} takes {own} bytes, and "
            f"with this change might pass {STREAM_BYTES_MAX}: each change of the stream's price "
            "counts once more for every viewer with a price of their own. What held before the "
            f"last {hours} h (metering.watched_hours) counts no more: change prices less often, or "
            "name fewer viewers",
        )
    if size + growth > POLICY_BYTES_MAX:
        raise ApiError(
            409,
            "Too many prices",
            f"what HTTP processes must know of all streams takes {size} bytes, and with this "
            f"change might pass {POLICY_BYTES_MAX}: it fits again when prices of other streams are "
            f"older than {hours} h (metering.watched_hours)",
        )


def stream_bytes(title: str, price_count: int) -> int:
    """Return at most how many bytes a stream without named viewers takes in a policy message.

    Args:
        price_count: Of prices and caps.
    """
    return _STREAM_BYTES + len(json.dumps(title)) + price_count * _PRICE_BYTES


def record_bytes(record: StreamRecord, named: Named, oldest: int) -> int:
    """Return at most how many bytes a stream takes now.

    Args:
        oldest: Oldest second that may still be claimed.
    """
    prices = in_force(record.prices, oldest)
    size = stream_bytes(record.title, len(prices) + len(record.caps))
    for changes in named.values():
        own = in_force(prices_of(prices, changes), oldest)
        size += 0 if own == prices else _VIEWER_BYTES + len(own) * _PRICE_BYTES
    return size


def growth_bytes(record: StreamRecord, named: Named, oldest: int) -> int:
    """Return at most how many bytes one change of a stream adds, whichever it is.

    A price of the stream's counts once for everybody and once for each named viewer; one of a
    viewer's may let them see all of the stream's prices again, and be their first.
    """
    of_stream = len(named) + 1
    of_viewer = 4 + len(in_force(record.prices, oldest))
    return _VIEWER_BYTES + max(of_stream, of_viewer) * _PRICE_BYTES


def counted_bytes(counts: PolicyCounts) -> int:
    """Return a bound on the bytes of all streams by what the database counts of them."""
    return (
        counts.streams * stream_bytes("", 0)
        + counts.title_bytes * _TITLE_FACTOR
        + (counts.prices + counts.viewer_prices) * _PRICE_BYTES
        + counts.viewers * _VIEWER_BYTES
    )


def _total(book: Book, oldest: int, growth: int) -> int:
    """Return at most how many bytes all streams take; to the stream only where it is near."""
    with book.viewing() as connection:
        most = counted_bytes(policy_counts.count(connection))
    if most + growth <= POLICY_BYTES_MAX:
        return most
    named: Mapping[UUID, Named] = book.named_prices.all()
    return sum(
        record_bytes(record, named.get(record.id, {}), oldest) for record in book.streams.all()
    )


def _oldest(shared: Context) -> int:
    return shared.clock.now_ms() // 1000 - shared.settings.metering.watched_hours * 3600
