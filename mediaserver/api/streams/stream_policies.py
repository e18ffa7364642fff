"""What HTTP processes must know of each stream to decide alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from metering.book.named_prices import Named
from metering.book.records import StreamRecord
from metering.model.named_prices import prices_of
from metering.units import PriceVersion, StreamPolicy, ViewerPrices


def stream_policies(
    streams: Iterable[StreamRecord], named: Mapping[UUID, Named], preview_s: int, oldest: int
) -> tuple[StreamPolicy, ...]:
    """Return the policy of each stream.

    Args:
        named: Prices of named viewers, by stream.
        preview_s: Of streams that have none of their own.
        oldest: Oldest second that may still be claimed: older prices are left out.
    """
    return tuple(
        StreamPolicy(
            stream.id,
            stream.slug,
            stream.title,
            in_force(stream.prices, oldest),
            stream.is_enabled,
            stream.preview_of(preview_s),
            stream.caps,
            _of_viewers(in_force(stream.prices, oldest), named.get(stream.id, {}), oldest),
        )
        for stream in streams
    )


def _of_viewers(
    prices: tuple[PriceVersion, ...], named: Named, oldest: int
) -> tuple[ViewerPrices, ...]:
    """Return what named viewers pay, of those alone who pay something else than everybody."""
    seen = (
        (account, in_force(prices_of(prices, changes), oldest))
        for account, changes in sorted(named.items())
    )
    return tuple(ViewerPrices(account, own) for account, own in seen if own != prices)


def in_force(prices: tuple[PriceVersion, ...], oldest: int) -> tuple[PriceVersion, ...]:
    """Return the versions that a tick from `oldest` on may have."""
    first = max((i for i, price in enumerate(prices) if price.from_tick <= oldest), default=0)
    return prices[first:]
