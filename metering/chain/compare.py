"""Reads what a chain itself keeps of entries, page by page, all at one finalized block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from metering.ports import Chain, ChainSettled
from metering.units import EntryKey

PAGE: Final = 2000
"""Entries asked for at once: some 300 kB over the settler's socket."""


async def read_settled(chain: Chain, keys: Sequence[EntryKey]) -> ChainSettled | None:
    """Return what the chain keeps of entries; None when it keeps batches only.

    Raises:
        ChainUnavailableError: Try again.
    """
    found: ChainSettled | None = None
    for start in range(0, max(len(keys), 1), PAGE):
        page = await chain.settled(keys[start : start + PAGE], found.at if found else None)
        if page is None:
            return None
        if found is None:
            found = page
        else:
            ticks = {**found.ticks, **page.ticks}
            found = replace(found, ticks=ticks, reaped=found.reaped | page.reaped)
    return found
