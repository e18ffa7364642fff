"""Adopts what a chain has settled beyond the book: of a book that was restored from a backup.

The chain's own counts are read page by page, all at one finalized block; metering/book/adoption.py
says what becomes of them. Books are compared with a chain by escrow/chain_audit.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import structlog

from metering.book.async_book import AsyncBook
from metering.ports import Chain, ChainSettled
from metering.units import EntryKey

PAGE: Final = 2000
"""Entries asked for at once: some 300 kB over the settler's socket."""

_log = structlog.get_logger(room="settlement")


async def adopt_chain(book: AsyncBook, chain: Chain, now_ms: Callable[[], int], token: int) -> bool:
    """Take over what the chain has settled beyond the book; return True when it was done.

    The chain has passed numbers that this book gave to other content, or not yet: the book is older
    than the chain, as one that was restored, or another settler used the key. Either way none of
    our bytes under those numbers can take effect any more, and the chain's own counts are the
    record of what did.

    Args:
        token: Fencing token of the submitter (outbox.py).

    Returns:
        False when the chain keeps batches only: then there is nothing to adopt from.

    Raises:
        ChainError: The chain is away, or cannot be used.
        InvalidValueError: Bytes that are signed may still take effect: wait.
        SubmitterLostError: Another settler holds the operator's key.
    """
    # At the block up to which the book has read events, it has every join there is.
    cursor = await book.run(lambda book: book.escrow.cursor())
    keys = await book.run(lambda book: book.adoption.candidates())
    settled = await read_settled(chain, keys, cursor.hash if cursor else None)
    if settled is None:
        return False
    at_ms = now_ms()
    adopted = await book.run(
        lambda book: book.adoption.adopt(settled.ticks, settled.last_seq, at_ms, token)
    )
    _log.error(
        "settlement.book.behind",
        last_seq=settled.last_seq,
        batches=adopted.batches,
        settled_ticks=adopted.settled_ticks,
        lost_ticks=adopted.lost_ticks,
        planck=adopted.planck,
    )
    return True


async def read_settled(
    chain: Chain, keys: Sequence[EntryKey], at: bytes | None = None
) -> ChainSettled | None:
    """Return what the chain keeps of entries; None when it keeps batches only.

    Args:
        at: Hash of a finalized block; None is the newest.

    Raises:
        ChainUnavailableError: Try again.
    """
    settled: ChainSettled | None = None
    for start in range(0, max(len(keys), 1), PAGE):
        page = await chain.settled(keys[start : start + PAGE], settled.at if settled else at)
        if page is None:
            return None
        settled = (
            page if settled is None else replace(settled, ticks={**settled.ticks, **page.ticks})
        )
    return settled
