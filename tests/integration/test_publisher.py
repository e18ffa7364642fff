"""The WHIP publisher against an independent WHIP server (stock aiortc)."""

import asyncio
import contextlib
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest
from aiohttp import web
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from mediaserver.errors import AccessDeniedError
from mediaserver.whip_client import session_process
from mediaserver.whip_client.client import publish_file, publish_test_picture
from mediaserver.whip_client.test_pattern import TestPicture, Tone
from tests.support.media_source import pictures

ROOT = Path(__file__).parents[2]


class WhipServer:
    """Takes a publisher in and keeps its last decoded frames."""

    def __init__(self) -> None:
        self.port = 0
        self.frames: dict[str, list[Any]] = {"video": [], "audio": []}
        self.sessions: list[RTCPeerConnection] = []
        self.deleted = 0
        self._came = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/demo/whip"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/demo/whip", self._post)
        app.router.add_delete("/session", self._delete)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for session in self.sessions:
            await session.close()
        self.sessions.clear()
        if self._runner:
            await self._runner.cleanup()

    async def saw(self, kind: str, count: int) -> None:
        """Wait until `count` more frames of a kind came."""
        until = len(self.frames[kind]) + count
        async with asyncio.timeout(20):
            while len(self.frames[kind]) < until:
                await self._came.wait()
                self._came.clear()

    async def _post(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != "Bearer right-key":
            return web.Response(status=401)
        session = RTCPeerConnection()
        self.sessions.append(session)

        @session.on("track")
        def on_track(track: Any) -> None:
            task = asyncio.ensure_future(self._watch(track))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        await session.setRemoteDescription(RTCSessionDescription(await request.text(), "offer"))
        await session.setLocalDescription(await session.createAnswer())
        return web.Response(
            status=201,
            text=session.localDescription.sdp,
            content_type="application/sdp",
            headers={"Location": "/session"},
        )

    async def _delete(self, _request: web.Request) -> web.Response:
        self.deleted += 1
        return web.Response()

    async def _watch(self, track: Any) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                self.frames[track.kind].append(await track.recv())
                self._came.set()


@pytest.fixture
async def server() -> AsyncIterator[WhipServer]:
    whip = WhipServer()
    await whip.start()
    yield whip
    await whip.stop()


@pytest.fixture
async def stop() -> AsyncIterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def run(what: Callable[..., None], *args: Any, **kwargs: Any) -> asyncio.Task[None]:
    return asyncio.create_task(asyncio.to_thread(what, *args, **kwargs))


async def end(publishing: asyncio.Task[None], stop: threading.Event) -> None:
    stop.set()
    await asyncio.wait_for(publishing, 6)


async def test_the_test_picture_arrives_with_sound(
    server: WhipServer, stop: threading.Event
) -> None:
    """`vilokanam publish` is a working publisher, and closes its session when it is stopped."""
    publishing = run(publish_test_picture, server.url, "right-key", stop, 320, 180, gop_s=1)
    await server.saw("video", 45)
    await end(publishing, stop)

    video, audio = server.frames["video"], server.frames["audio"]
    assert {(frame.width, frame.height) for frame in video} == {(320, 180)}
    assert len({bytes(frame.planes[0]) for frame in video}) > 20
    assert len(audio) > 50
    assert any(
        abs(value) > 500 for frame in audio for value in memoryview(frame.planes[0]).cast("h")
    )
    assert server.deleted == 1


async def test_it_ends_by_itself_after_its_time(server: WhipServer, stop: threading.Event) -> None:
    """A demo of two seconds lasts two seconds."""
    publishing = run(publish_test_picture, server.url, "right-key", stop, 320, 180, seconds=2.0)

    await asyncio.wait_for(publishing, 15)

    assert len(server.frames["video"]) > 20
    assert server.deleted == 1


async def test_a_wrong_key_is_said_at_once(server: WhipServer, stop: threading.Event) -> None:
    """A typing error in the key is not retried indefinitely."""
    with pytest.raises(AccessDeniedError, match="401"):
        await run(publish_test_picture, server.url, "wrong-key", stop, 320, 180)


async def test_it_comes_back_when_the_server_was_away(
    server: WhipServer, stop: threading.Event
) -> None:
    """A restart of the server needs nobody to start the publisher again."""
    publishing = run(publish_test_picture, server.url, "right-key", stop, 320, 180)
    await server.saw("video", 5)
    await server.stop()
    await server.start()

    await server.saw("video", 5)

    assert not publishing.done()
    await end(publishing, stop)


def write_file(path: Path, video_codec: str, audio_codec: str, options: dict[str, str]) -> None:
    """Write one second of picture and sound."""
    with av.open(str(path), "w") as out:
        video = out.add_stream(video_codec, rate=30, options=options)
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        audio: Any = out.add_stream(audio_codec, rate=48_000)
        audio.layout = "stereo"
        tone = Tone()
        for number, frame in enumerate(pictures(30, 320, 240)):
            frame.pts, frame.time_base = number, Fraction(1, 30)
            frame.pict_type = av.video.frame.PictureType.NONE
            out.mux(video.encode(frame))
        resampler = av.AudioResampler(audio.format.name, "stereo", 48_000, audio.frame_size or 960)
        for number in range(50):
            sound = tone.frame(number * 960)
            sound.pts, sound.time_base = number * 960, Fraction(1, 48_000)
            for piece in resampler.resample(sound):
                out.mux(audio.encode(piece))
        out.mux(video.encode(None))
        out.mux(audio.encode(None))


@pytest.mark.parametrize("kind", [("copied.mkv", "libopus", "0"), ("encoded.mp4", "aac", "2")])
async def test_a_file_is_published_over_and_over(
    server: WhipServer, stop: threading.Event, tmp_path: Path, kind: tuple[str, str, str]
) -> None:
    """Any file becomes a live stream, longer than itself when it is looped."""
    name, audio_codec, b_frames = kind
    profile = "main" if b_frames != "0" else "baseline"
    write_file(tmp_path / name, "libx264", audio_codec, {"bf": b_frames, "profile": profile})
    publishing = run(publish_file, tmp_path / name, server.url, "right-key", stop)
    await server.saw("video", 50)
    await end(publishing, stop)

    times = [frame.pts for frame in server.frames["video"]]
    assert all(a < b for a, b in pairwise(times))
    assert len(server.frames["audio"]) > 60


def test_the_clock_of_the_test_picture_runs() -> None:
    """Latency can be read off the picture to the millisecond, at any size."""
    for width, height in ((1280, 720), (320, 180), (640, 360), (1920, 1080)):
        picture = TestPicture(width, height)
        drawn = [bytes(picture.draw(1_800_000_000_000 + ms).planes[0]) for ms in (0, 1, 12, 1)]
        assert len(set(drawn)) == 3
        assert drawn[1] == drawn[3]


HANGS = """
import os
from mediaserver.whip_client import session_process

class Output:
    def mux(self, packet):
        os.read(os.pipe()[0], 1)

session_process._STUCK_S = 0.2
session_process._mux(Output(), None)
"""


def test_a_session_that_hangs_in_ffmpeg_ends_by_itself():
    """Met once in a dozen restarts of a server: the publisher must come back, not hang."""
    ended = subprocess.run([sys.executable, "-c", HANGS], cwd=ROOT, timeout=20, check=False)

    assert ended.returncode == session_process.ExitCode.STUCK
