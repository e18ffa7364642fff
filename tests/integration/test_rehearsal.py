"""A spare worker shakes hands with itself before its first publisher comes."""

import asyncio

from mediaserver.clock import SystemClock
from mediaserver.ingest import dtls, rehearsal


async def test_a_spare_shakes_hands_with_itself_and_leaves_nothing_behind():
    """A real DTLS handshake, with the certificate that the first publisher will see."""
    before = asyncio.all_tasks()

    assert await rehearsal.rehearse(SystemClock())

    assert asyncio.all_tasks() == before
    assert dtls._certificate is not None


async def test_a_spare_that_cannot_is_still_a_worker(monkeypatch):
    """The publisher will be told what is wrong; the worker must not hang or die of it."""
    monkeypatch.setattr(rehearsal, "sha256_of", lambda _: "00:" * 31 + "00")

    assert not await rehearsal.rehearse(SystemClock())
