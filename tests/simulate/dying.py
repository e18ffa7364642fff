"""A fork that dies by kill -9 at one step of an act: of the book's statements, and of Redis's."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import event

from metering.book.book import Book
from metering.store.client import Store
from tests.support.book_fixture import open_book

PLACES = ("begin", "before_cursor_execute", "commit")
"""Before the statements; where the last transaction commits, and just after that."""
AFTER_TOO = (*PLACES, "after_cursor_execute")
Step = Callable[..., None]
"""Called before and after each step; does not return from the last one."""


def go_on(*_: object) -> None:
    """Die nowhere."""


def die_at(url: str, act: Callable[[Book], object], step: int) -> int:
    """Do an act of the book's alone, whose statements are few; as `die_at_any`."""
    return die_at_any(url, lambda book, _: act(book), step, AFTER_TOO)


def die_at_any(
    url: str, act: Callable[[Book, Step], object], step: int, places: tuple[str, ...] = PLACES
) -> int:
    """Do an act in a fork that dies at a step; return the signal, 0: it had fewer steps."""
    child = os.fork()
    if child:
        return os.WTERMSIG(os.waitpid(child, 0)[1])
    book, count = open_book(url), 0

    def one(*_: object) -> None:
        nonlocal count
        count += 1
        if count == step:
            os.kill(os.getpid(), signal.SIGKILL)

    for place in places:
        event.listen(book._engine, place, one)
    act(book, one)
    one()
    os._exit(0)


def count_steps(store: Store, one: Step) -> None:
    """Let `one` be called before and after each of a store's scripts."""
    run = store._run

    async def counted(*words: Any) -> Any:
        one()
        answer = await run(*words)
        one()
        return answer

    store._run = counted  # type: ignore[method-assign, assignment]  # counts, and calls it


def kill_beside_redis(
    folder: Path, kill_at_each: Callable[[str, str], tuple[int, int]]
) -> tuple[int, int]:
    """Return what `kill_at_each` counts with a book in a folder and a Redis of its own there.

    Args:
        kill_at_each: From the URL of the book and that of Redis.
    """
    book_url, socket = f"sqlite:///{folder}/book.sqlite3", folder / "redis.sock"
    words = ["--port", "0", "--unixsocket", str(socket), "--appendonly", "yes", "--save", ""]
    with subprocess.Popen(
        ["redis-server", *words, "--dir", str(folder)], stdout=subprocess.DEVNULL
    ) as redis:
        try:
            while not socket.exists():
                time.sleep(0.01)
            return kill_at_each(book_url, f"unix://{socket}")
        finally:
            redis.kill()
