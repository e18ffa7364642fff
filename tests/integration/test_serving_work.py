"""How many steps what players fetch takes: what bench/serving.py times, without its noise."""

import asyncio
import sys

import pytest

from mediaserver.hls import addresses
from mediaserver.ipc.messages import (
    InitMade,
    PartMade,
    RenditionsSet,
    SegmentEnded,
    ShowOpened,
    SlotOpened,
)
from mediaserver.media import Part, Rendition, Slot
from tests.support.front_harness import CAM, Front, on_uvloop, policy

CALLS_MAX = 120
"""Of Python's and C's functions, for one answer: 100 for a playlist and 110 for a part now,
160 and 161 before; 73 without counts of viewers, answers and connections."""
ANSWERS = 200
FIRST_MS = 1_700_000_000_000


def open_show(front: Front) -> dict[str, str]:
    """Let a show of one whole segment be on air; return the paths of its objects."""
    feed = front.process._live_store.feed("test")
    slot = Slot(0, 0, FIRST_MS, FIRST_MS + 1000)
    part = Part("source", slot, FIRST_MS + 1000, 1_000_000, True, "0" * 16, bytes(20_000))
    for message in (
        ShowOpened(CAM.stream, CAM.slug, 5, 1000, 3, 60_000, audio_only=False),
        RenditionsSet(
            (Rendition("source", ("avc1.64001f",), 4_000_000, 1_200_000, 1280, 720, 30_000),)
        ),
        InitMade("source", "0" * 16, b"init"),
        SlotOpened(slot, is_discontinuity=False),
        PartMade(part),
        SegmentEnded("source", 0, FIRST_MS + 1000, 1_000_000),
    ):
        feed.apply(message)
    root = f"/{CAM.slug}/5/source"
    return {"playlist": f"{root}/media.m3u8", "part": f"{root}/{addresses.part_name(slot)}"}


@pytest.mark.parametrize("kind", ["playlist", "part"])
@on_uvloop
async def test_an_answer_takes_few_steps(tmp_path, unused_tcp_port, kind) -> None:
    async with Front(tmp_path, unused_tcp_port) as front:
        front.know(policy())
        path = open_show(front)[kind]
        asked = f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: identity\r\n\r\n".encode()
        calls = 0

        def count(_frame: object, event: str, _argument: object) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        async def fetch() -> None:
            """Ask for it, in a thread of its own: what that runs is not counted."""
            async with front.connected() as (reader, writer):
                for number in range(2 * ANSWERS):
                    if number == ANSWERS:
                        loop.call_soon_threadsafe(sys.setprofile, count)
                    writer.write(asked)
                    head = (await reader.readuntil(b"\r\n\r\n")).lower()
                    assert head.startswith(b"http/1.1 200"), head
                    length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0])
                    await reader.readexactly(length)

        loop = asyncio.get_running_loop()
        try:
            await asyncio.to_thread(asyncio.run, fetch())
        finally:
            sys.setprofile(None)
        assert ANSWERS < calls <= CALLS_MAX * ANSWERS, calls / ANSWERS
