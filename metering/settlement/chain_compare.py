"""Reads what a chain itself keeps of entries, page by page, all at one finalized block.

For adoption alone (metering/book/adoption.py); books are compared by chain_audit.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from metering.ports import Chain, ChainSettled
from metering.units import EntryKey

PAGE: Final = 2000
"""Entries asked for at once: some 300 kB over the settler's socket."""


async def read_settled(
    chain: Chain, keys: Sequence[EntryKey], at: bytes | None = None
) -> ChainSettled | None:
    """Return what the chain keeps of entries; None when it keeps batches only.

    Args:
        chain: Which.
        keys: Of which entries.
        at: Hash of a finalized block; None is the newest.

    Raises:
        ChainUnavailableError: Try again.
    """
    found: ChainSettled | None = None
    for start in range(0, max(len(keys), 1), PAGE):
        page = await chain.settled(keys[start : start + PAGE], found.at if found else at)
        if page is None:
            return None
        found = page if found is None else replace(found, ticks={**found.ticks, **page.ticks})
    return found
