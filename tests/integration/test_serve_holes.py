"""The fast path while an encoder makes nothing: what a waiting player gets, and when."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from mediaserver.ipc.messages import PartMade, SegmentEnded, SlotOpened
from tests.support.serve_harness import ServeHarness, serving


@pytest.fixture
async def harness() -> AsyncIterator[ServeHarness]:
    async with serving() as harness:
        yield harness


async def test_r2_who_waits_for_a_part_of_a_hole_gets_the_gap_at_its_end(
    harness: ServeHarness,
) -> None:
    """Not before: a list that says nothing new is asked for again at once."""
    slots = [harness.show.slot(2), harness.show.slot(3)]
    asked = asyncio.ensure_future(harness.get("/cam/5/source/media.m3u8?_HLS_msn=20&_HLS_part=2"))
    await harness.waiting()
    for slot in slots:
        made = harness.show.part("source", slot)
        harness.tell(
            SlotOpened(slot, is_discontinuity=False),
            PartMade(replace(made.part, is_gap=True)),
        )
    plain = await (await harness.get("/cam/5/source/media.m3u8")).text()
    assert not asked.done()
    harness.tell(SegmentEnded("source", 20, slots[1].planned_end_ms, 2_000_000))
    answer = await (await asked).text()

    assert "20.2-" not in plain + answer
    assert "PRELOAD-HINT" not in plain
    assert answer.count("#EXT-X-GAP\n#EXTINF:2.000,\n20-") == 1
