"""The fast path where a process begins or ends: what is held, and what is answered at once."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace as replaced

from mediaserver.ipc.messages import SegmentEnded, SlotOpened
from tests.support.builders import OPENED, Show
from tests.support.serve_harness import ServeHarness, serving


@pytest.fixture
async def harness() -> AsyncIterator[ServeHarness]:
    async with serving() as harness:
        yield harness


async def test_r5_a_list_without_a_whole_segment_is_waited_for(harness: ServeHarness) -> None:
    """FFmpeg and hls.js take a list of parts alone for an empty one, and may end by it."""
    show = Show(opened=replaced(OPENED, show=6))
    harness.tell(*show.open(), *show.begin(2))
    queries = ("", "?_HLS_msn=0&_HLS_part=1")
    asked = [
        asyncio.ensure_future(harness.get(f"/cam/6/source/media.m3u8{query}")) for query in queries
    ]
    await harness.waiting(2)
    slots = [show.slot(2), show.slot(3)]
    harness.tell(show.part("source", slots[0]), SlotOpened(slots[1], is_discontinuity=False))
    assert not any(answer.done() for answer in asked)
    harness.tell(show.part("source", slots[1]))
    harness.tell(SegmentEnded("source", 0, slots[1].planned_end_ms, 1_000_000))

    for answer in await asyncio.gather(*asked):
        assert (await answer.text()).count("#EXTINF") == 1


async def test_r5_who_waits_when_the_process_ends_is_sent_to_the_next(
    harness: ServeHarness,
) -> None:
    """An orderly restart is not held up by what nobody will make here any more."""
    asked = asyncio.ensure_future(harness.get(harness.part(20, 2)))
    await harness.waiting()
    harness.store.end_waits()
    answers = [await asked, await harness.get("/cam/5/source/media.m3u8?_HLS_msn=20&_HLS_part=2")]

    for answer in answers:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
