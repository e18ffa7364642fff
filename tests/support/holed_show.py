"""A show with real codecs, one of whose encoders can be made to stand still, served to players."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from mediaserver.clock import SystemClock
from mediaserver.errors import AddressError
from mediaserver.hls.addresses import parse
from mediaserver.hls.known_policy import KnownPolicy
from mediaserver.hls.live_store import LiveStore
from mediaserver.hls.serve import MediaHandler
from mediaserver.ingest.encoder import Encoder
from mediaserver.ipc.messages import Message, PartMade, Policy
from mediaserver.live.broadcast import Broadcast
from mediaserver.media import Sample, Track, VideoFormat
from mediaserver.playback_token import Grant, mint
from mediaserver.settings.records import Settings
from mediaserver.transcode.pipeline import Pipeline
from mediaserver.transcode.settings import Rung, TranscodeSettings
from metering.units import Asset, SessionId
from tests.support.builders import STREAM
from tests.support.media_source import h264, opus, sound
from tests.support.serve_harness import ACCOUNT, KEYS, FakeGate

GOP = 60
_MEDIA_S = 20
"""Then the same media again."""


class StuckPipeline(Pipeline):
    """Makes nothing of the renditions in `stuck`, as an encoder that hangs."""

    stuck: set[str]

    def emit_video(self, name: str, sample: Sample, video_format: VideoFormat | None) -> None:
        """Hand on one picture, but for a rendition that is stuck."""
        if name not in self.stuck:
            super().emit_video(name, sample, video_format)


class HoledShow:
    """One priced show on a port, in a thread of its own.

    Attributes:
        stuck: Renditions whose encoder makes nothing now.
        parts: All that was made.
        gate: What was claimed, by whom.
    """

    def __init__(self, folder: Path) -> None:
        self.stuck: set[str] = set()
        self.parts: list[PartMade] = []
        self.gate = FakeGate(is_priced_now=True)
        self.show = 0
        self.port = 0
        self._folder = folder
        self._is_ready, self._stop = threading.Event(), asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._is_ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    def url(self, session: int, rendition: str = "") -> str:
        """Return where a viewer plays, one rendition or all of them."""
        token = mint(Grant(ACCOUNT, STREAM, SessionId(session), 2_000_000_000), KEYS)
        place = f"{self.show}/{rendition}/media.m3u8" if rendition else "index.m3u8"
        return f"http://127.0.0.1:{self.port}/w/{token}/cam/{place}"

    def claimed(self, session: int) -> set[int]:
        """Return the seconds that a viewer was asked to pay for."""
        runs = [f.run for f in self.gate.claimed if f.session == SessionId(session)]
        return {run.first + at for run in runs for at in range(run.count)}

    def hole(self, rendition: str) -> set[int]:
        """Return the seconds of which a rendition has no picture at all."""
        parts = [m.part for m in self.parts if m.part.rendition == rendition]
        dark = [(p.slot.start_ms, p.end_ms) for p in parts if p.is_gap]
        lit = [(p.slot.start_ms, p.end_ms) for p in parts if not p.is_gap]
        seconds = {ms // 1000 for start, end in dark for ms in range(start, end, 100)}
        return seconds - {ms // 1000 for start, end in lit for ms in range(start, end)}

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        clock = SystemClock()
        store = LiveStore(clock, reconnect_wait_s=60, waiters_max=100)
        handler = MediaHandler(store, self.gate, clock)
        policy = Policy((), KEYS, Asset(), "", "", "", is_top_up_open=False, replay_from_ms=0)
        handler.set_policy(KnownPolicy(policy))
        feed = store.feed("w1")

        def publish(message: Message) -> None:
            feed.apply(message)
            if isinstance(message, PartMade):
                self.parts.append(message)

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            try:
                return await handler.handle(request, parse(request.raw_path.partition("?")[0]))
            except AddressError:
                return web.Response(status=404)

        def make(settings: TranscodeSettings, loop: Any, outlet: Any) -> Pipeline:
            made = StuckPipeline(settings, loop, outlet)
            made.stuck = self.stuck
            return made

        defaults = Settings()
        broadcast = Broadcast(
            stream=STREAM,
            slug="cam",
            settings=replace(
                defaults,
                server=replace(defaults.server, data_dir=str(self._folder)),
                transcode=TranscodeSettings(rungs=(Rung("90p", 90, 100),), preset="ultrafast"),
            ),
            clock=clock,
            publish=publish,
            request_keyframe=lambda: None,
            ingest_facts=lambda: ({}, (), Encoder.OTHER),
            on_over=lambda: None,
            make_pipeline=make,
        )
        runner = web.ServerRunner(web.Server(answer, access_log=None), shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        await broadcast.start()
        broadcast.publisher_connected("s1", frozenset(Track), "test")
        publishing = asyncio.create_task(self._publish(broadcast))
        # The store has no event for it.
        while not (channel := store.current("cam")) or not channel.window.has_started:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        self.show = channel.window.opened.show
        self._is_ready.set()
        await self._stop.wait()
        publishing.cancel()
        await broadcast.drain(end_show=True)
        await runner.cleanup()

    async def _publish(self, broadcast: Broadcast) -> None:
        loop = asyncio.get_running_loop()
        begin_s = loop.time()
        for at, unit in _media():
            await asyncio.sleep(max(begin_s + at - loop.time(), 0))
            broadcast.access_unit(replace(unit, arrived_s=loop.time()))


def _media() -> Iterator[tuple[float, Any]]:
    """Yield access units and when they are due, without an end."""
    pictures = h264(_MEDIA_S * 30, gop=GOP)
    sounds = tuple(map(sound, opus(_MEDIA_S)))
    turn = 0
    while True:
        units = [
            (n / 30, replace(u, rtp_time=u.rtp_time + turn * _MEDIA_S * 90_000))
            for n, u in enumerate(pictures)
        ]
        units += [
            (n / 50, replace(u, rtp_time=(n * 960) + turn * _MEDIA_S * 48_000))
            for n, u in enumerate(sounds)
        ]
        for at, unit in sorted(units, key=lambda each: each[0]):
            yield turn * _MEDIA_S + at, unit
        turn += 1


@contextmanager
def holed_show(folder: Path) -> Iterator[HoledShow]:
    """Encode the media, then serve it."""
    next(_media())
    with HoledShow(folder) as show:
        yield show
