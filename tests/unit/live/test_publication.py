"""First on the disk, then on the links; and what a broken disk costs."""

from __future__ import annotations

import asyncio

from mediaserver.ipc.messages import Health, Message
from mediaserver.live.publication import Publication
from mediaserver.live.replay_buffer import ReplayBuffer
from mediaserver.live.show_state import ShowState

STATE = ShowState(1, 0, 5, 0, 0, False, 500, 3)


def health(number):
    return Health("live", {"number": number}, ())


class Disk:
    def __init__(self):
        self.saved = []
        self.gate = asyncio.Event()
        self.error = None

    async def load(self):
        return None

    async def save(self, state):
        self.saved.append(state)
        await self.gate.wait()
        if self.error:
            raise self.error


async def test_messages_wait_for_the_state_before_them():
    """Order is kept: what was sent before the state goes at once, what came after waits."""
    disk = Disk()
    published: list[Message] = []
    publishing = Publication(disk, published.append, ReplayBuffer(1000))
    publishing.send(health(1))
    publishing.save_before(STATE)
    publishing.send(health(2))
    await asyncio.sleep(0)
    before = list(published)

    disk.gate.set()
    await publishing.flushed()

    assert before == [health(1)]
    assert published == [health(1), health(2)]


async def test_disk_that_refuses_does_not_stop_the_show():
    """A full disk costs only that another worker could not go on with the show."""
    disk = Disk()
    published: list[Message] = []
    disk.error = OSError("No space left on device")
    disk.gate.set()
    publishing = Publication(disk, published.append, ReplayBuffer(1000))
    publishing.save_before(STATE)
    publishing.send(health(1))

    await publishing.flushed()

    assert published == [health(1)]


async def test_disk_that_hangs_holds_up_the_show_once():
    """What waits stays bounded: a hanging disk is given nothing more until it answers."""
    disk = Disk()
    published: list[Message] = []
    publishing = Publication(disk, published.append, ReplayBuffer(1000), save_timeout_s=0.01)
    publishing.save_before(STATE)
    publishing.send(health(1))
    await publishing.flushed()

    publishing.save_before(STATE)
    publishing.send(health(2))
    await publishing.flushed()
    asked_while_stuck = len(disk.saved)
    disk.gate.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    publishing.save_before(STATE)
    await publishing.flushed()

    assert published == [health(1), health(2)]
    assert asked_while_stuck == 1
    assert len(disk.saved) == 2
