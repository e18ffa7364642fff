"""The guard against blocked event loops (conftest.py) is on, and lets threads be."""

import asyncio

import pytest
from blockbuster import BlockingError

import mediaserver

SLEEP = compile("import time; time.sleep(0)", f"{mediaserver.__path__[0]}/sleepy.py", "exec")


async def test_code_of_ours_may_not_sleep_on_the_loop() -> None:
    """A blocked loop stops every viewer of a process: a test that blocks one fails."""
    with pytest.raises(BlockingError):
        exec(SLEEP)  # noqa: S102 - as a file of ours would


async def test_a_thread_may_sleep() -> None:
    """What is given to a thread blocks nobody."""
    await asyncio.to_thread(exec, SLEEP)
