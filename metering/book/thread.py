"""The one thread that book calls run in, so that SQL never blocks the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

T = TypeVar("T")


class OffLoop(Protocol):
    """Runs a blocking call elsewhere, one after another, in the order they were asked for."""

    async def __call__(self, call: Callable[[], T]) -> T:
        """Return what `call` returns, or raise what it raises."""


class BookThread:
    """An `OffLoop` over one thread. A call that is under way when its caller is cancelled ends."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="book")

    async def __call__(self, call: Callable[[], T]) -> T:
        """Return what `call` returns, or raise what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    def close(self) -> None:
        """Wait for the calls under way and end the thread."""
        self._pool.shutdown(wait=True)
