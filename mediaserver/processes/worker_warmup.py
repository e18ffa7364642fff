"""The warm-up of a spare worker: a publisher of our own, to a broadcast that nobody sees.

It goes the way of a POST: HTTP, the offer, ICE, DTLS and SRTP, and the show that would open with
the first picture. What is made for it, is made as for a publisher and thrown away; nothing is
kept on the disk, sent to another process, counted or logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final
from uuid import uuid4

from aiohttp import web

from mediaserver import log
from mediaserver.clock import Clock
from mediaserver.ingest import warmup
from mediaserver.ingest.dtls import certificate
from mediaserver.ingest.encoder import Encoder
from mediaserver.ingest.whip import OFFER_TYPE, WhipEndpoint
from mediaserver.live.broadcast import Broadcast
from mediaserver.media import Track
from mediaserver.processes import library_pages
from mediaserver.settings.records import Settings
from mediaserver.transcode import audio

LONGEST_S: Final = 2.0
"""It takes a twentieth of a second."""

_log = log.get("worker")


class _Unseen(Broadcast):
    """A broadcast that tells when its publisher is connected."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.connected = asyncio.Event()

    def publisher_connected(
        self, session_id: str, tracks: frozenset[Track], user_agent: str
    ) -> None:
        super().publisher_connected(session_id, tracks, user_agent)
        self.connected.set()


async def warm_up(settings: Settings, clock: Clock) -> bool:
    """Publish to ourselves once; return whether that went well.

    Whatever it meets, the worker is one: that is logged, and its first publisher waits longer.
    """
    try:
        with log.nothing_below_error():
            async with asyncio.timeout(LONGEST_S):
                await _publish(settings, clock)
    except TimeoutError:
        return _failed(f"it took longer than {LONGEST_S} s")
    except Exception as error:  # noqa: BLE001 - a spare that ends by it is started again and again
        return _failed(str(error) or type(error).__name__)
    return True


def settle(settings: Settings, clock: Clock) -> bool:
    """Make ready for a long wait after a warm-up; return whether that went well, as it does."""
    # The first publisher's: no session has used it, nor any process that was forked beside us.
    certificate(clock.now_ms())
    # A collection while a publisher connects would go through all that the start made.
    gc.collect()
    gc.freeze()
    # Code of the start and of connecting. The one is over, the other's comes back in a moment.
    library_pages.release()
    try:
        # Code that media need all the time, one copy for all workers: the first has it as well.
        audio.warm_up(settings.transcode.audio_kbps)
    except Exception as error:  # noqa: BLE001 - as above
        return _failed(str(error) or type(error).__name__)
    return True


def _failed(reason: str) -> bool:
    _log.warning("whip.rehearsal.failed", reason=reason)
    return False


async def _publish(settings: Settings, clock: Clock) -> None:
    ingest = warmup.on_loopback(settings.ingest)
    broadcast = _Unseen(
        stream=uuid4(),
        slug="warm-up",
        settings=dataclasses.replace(settings, ingest=ingest),
        clock=clock,
        publish=lambda _: None,
        request_keyframe=lambda: None,
        ingest_facts=lambda: ({}, (), Encoder.OTHER),
        on_over=lambda: None,
    )
    key = secrets.token_urlsafe()
    endpoint = WhipEndpoint(ingest, broadcast, clock, "warm-up", lambda given: given == key)
    app = web.Application()
    app.router.add_post("/{slug}/whip", endpoint.post)
    await broadcast.start()
    try:
        async with _serving(app, key) as post:
            await warmup.connect_once(ingest, post, broadcast.connected.wait)
    finally:
        await endpoint.close()
        await broadcast.drain(end_show=False)


@contextlib.asynccontextmanager
async def _serving(
    app: web.Application, key: str
) -> AsyncIterator[Callable[[str], Awaitable[str]]]:
    """Serve on one connection that has no address; yield what posts an offer by it."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    assert runner.server is not None
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    await asyncio.get_running_loop().connect_accepted_socket(runner.server, theirs)
    reader, writer = await asyncio.open_unix_connection(sock=ours)

    async def post(offer: str) -> str:
        writer.write(
            f"POST /warm-up/whip HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n"
            f"Authorization: Bearer {key}\r\nContent-Type: {OFFER_TYPE}\r\n"
            f"X-Forwarded-For: {warmup.LOOPBACK}\r\nContent-Length: {len(offer)}\r\n\r\n"
            f"{offer}".encode()
        )
        head, _, answer = (await reader.read()).decode().partition("\r\n\r\n")
        status = head.partition("\r\n")[0]
        if " 201 " not in status:
            raise ConnectionError(f"the offer was answered by {status}: {answer}")
        return answer

    try:
        yield post
    finally:
        writer.close()
        await runner.cleanup()
