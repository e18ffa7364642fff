"""Which worker a publisher gets, and how the server learns that more are wanted (R7)."""

from __future__ import annotations

import asyncio
from uuid import UUID

from mediaserver.processes.placement import StreamKey, Worker, Workers


def key(number):
    return StreamKey(UUID(int=number), f"s{number}", b"")


def idle(number):
    return Worker(f"w{number}", number, f"worker-w{number}.sock", None, "", 0, "idle")


async def test_r7_each_publisher_that_waits_is_counted_and_gets_a_worker_of_its_own():
    """The server hears how many wait while they do, and zero when all have one."""
    counts: list[int] = []
    workers = Workers(lambda: 0.0, counts.append)
    waits = [asyncio.create_task(workers.wait_for(key(number))) for number in range(1, 21)]
    await asyncio.sleep(0)
    waiting = counts[-1]
    for number in range(1, 21):
        await workers.report(idle(number))
    given = await asyncio.gather(*waits)

    assert waiting == 20
    assert counts[-1] == 0
    assert len({worker.name for worker in given if worker}) == 20


async def test_r7_publisher_who_finds_a_spare_makes_nobody_start_more():
    counts: list[int] = []
    workers = Workers(lambda: 0.0, counts.append)
    await workers.report(idle(1))

    assert await workers.wait_for(key(1)) is not None
    assert counts == []


async def test_r7_publisher_who_leaves_is_not_waited_for():
    """A connection that ends while it waits takes its wish along."""
    counts: list[int] = []
    workers = Workers(lambda: 0.0, counts.append)
    wait = asyncio.create_task(workers.wait_for(key(1)))
    await asyncio.sleep(0)
    wait.cancel()
    await asyncio.gather(wait, return_exceptions=True)

    assert counts == [1, 0]
