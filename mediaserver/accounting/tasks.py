"""Ends tasks for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

_CANCEL_AGAIN_S: Final = 0.1


async def end_tasks(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they have ended.

    Once is not enough: a client library may lose a cancellation that meets its answer (asyncio's
    own `wait_for` does, before Python 3.12), and the task would sleep a whole period more.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)
