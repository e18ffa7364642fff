"""One thread for what blocks: the library that speaks to a node has no asyncio of its own."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

T = TypeVar("T")


class NodeThread:
    """One daemon thread that runs what it is given, one after the other."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="node", daemon=True)
        self._thread.start()

    def run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Return what will hold the result of `work`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        future.add_done_callback(_retrieve)

        def deliver(result: T | None, error: BaseException | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(cast("T", result))

        def call() -> None:
            try:
                result, error = work(), None
            except BaseException as raised:  # noqa: BLE001 -- it is raised where it is awaited
                result, error = None, raised
            with contextlib.suppress(RuntimeError):  # the loop may be closed
                loop.call_soon_threadsafe(deliver, result, error)

        self._work.put(call)
        return future

    def end(self) -> None:
        """Let it end after what it does now."""
        self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()


def _retrieve(future: asyncio.Future[Any]) -> None:
    """Take the exception of a request that nobody waits for any more."""
    if not future.cancelled():
        future.exception()
