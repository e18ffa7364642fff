"""All live streams of this host: their shows, their workers, and the requests that wait for more.

Fed by link messages through a `Feed` per connection; read by `serve` and by the watch page. Holds
nothing indefinitely: bytes leave with the window, a replaced or ended show some time after, and a
show whose worker does not come back is ended. What a playlist says is decided by
`rendition_window` and `playlist`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from mediaserver import log
from mediaserver.clock import Clock
from mediaserver.errors import CapacityError, LinkError
from mediaserver.hls import playlist
from mediaserver.hls.addresses import playlist_uri
from mediaserver.hls.rendition_window import Window
from mediaserver.hls.resumption import Resumption
from mediaserver.hls.show_view import ShowView
from mediaserver.hls.window_entries import SegmentEntry
from mediaserver.ipc.messages import Health, Message, ShowEnded, ShowOpened

BYTES_MAX: Final = 2 << 30
"""Media held by one process: a minute of some 60 streams at 4 Mbit/s."""
CHANNELS_MAX: Final = 4096
PAST_SHOWS_MAX: Final = 4
"""Shows of one stream that are still downloadable beside the current one."""
ENDED_KEEP_S: Final = 300
"""How long an ended show may still be watched to its end."""
WORKER_GRACE_S: Final = 5
"""Added to `reconnect_wait_s`, so that a worker's own end arrives first."""


@dataclass(slots=True, eq=False)
class Channel:
    """All that is held of one stream."""

    current: ShowView
    past: dict[int, tuple[ShowView, float]] = field(default_factory=dict)
    health: Health | None = None
    owner: Feed | None = None
    lost_s: float = 0.0


class Feed:
    """One worker's connection."""

    def __init__(self, store: LiveStore, name: str) -> None:
        self.name = name
        self._store = store
        self._channel: Channel | None = None

    def apply(self, message: Message) -> None:
        """Take a message in.

        Raises:
            LinkError: It is not a worker's, or comes before the show was opened.
        """
        if isinstance(message, ShowOpened):
            self._channel = self._store.open(self, message)
            return
        if self._channel is None:
            raise LinkError(f"{self.name} sent {type(message).__name__} before its show")
        if self._channel.owner is self:
            self._store.apply(self._channel, message)

    def close(self) -> None:
        """The connection is gone; the window stays for a while."""
        if self._channel and self._channel.owner is self:
            self._store.disconnect(self._channel)


class LiveStore:
    """All local streams. Its methods belong to the event loop.

    Attributes:
        dropped: Refused for a bound, by which: ``channels``, ``waiters`` or ``segments``.
        waiters: Requests that wait for media.
        size_bytes: Media held.
        resumption: Shows that may go on without being held yet.
    """

    def __init__(
        self,
        clock: Clock,
        reconnect_wait_s: int,
        waiters_max: int,
        bytes_max: int = BYTES_MAX,
    ) -> None:
        self.dropped: Counter[str] = Counter()
        self.waiters = 0
        self._limits: set[asyncio.Timeout] = set()
        self._is_ending = False
        self.size_bytes = 0
        self.resumption = Resumption(clock)
        self._clock = clock
        self._lost_max_s = reconnect_wait_s + WORKER_GRACE_S
        self._waiters_max = waiters_max
        self._bytes_max = bytes_max
        self._channels: dict[str, Channel] = {}
        self._log = log.get("hls")

    def slugs(self) -> tuple[str, ...]:
        """Return the streams that have something to show."""
        return tuple(self._channels)

    def current(self, slug: str) -> ShowView | None:
        """Return a stream's current show, ended or not."""
        channel = self._channels.get(slug)
        return channel.current if channel else None

    def show_number(self, slug: str) -> int:
        """Return the number of a stream's current show, 0 when there is none."""
        show = self.current(slug)
        return show.window.opened.show if show else 0

    def show(self, slug: str, number: int) -> ShowView | None:
        """Return a show that is still held."""
        channel = self._channels.get(slug)
        if channel is None:
            return None
        if channel.current.window.opened.show == number:
            return channel.current
        past = channel.past.get(number)
        return past[0] if past else None

    def health(self, slug: str) -> Health | None:
        """Return what the stream's worker reported last."""
        channel = self._channels.get(slug)
        return channel.health if channel else None

    def state(self, slug: str) -> str:
        """Return what a viewer should know.

        ``live``, ``waiting`` (the publisher is away), ``restarting`` (we are: nothing new comes for
        now, and no publisher is to blame) or ``offline``.
        """
        channel = self._channels.get(slug)
        if channel is None or channel.current.window.is_ended:
            return "offline"
        if channel.owner is None or (channel.health and channel.health.state == "restarting"):
            return "restarting"
        is_live = channel.health is None or channel.health.state == "live"
        return "live" if channel.current.window.has_started and is_live else "waiting"

    def edges(self) -> dict[str, object]:
        """Return how far each stream has come that is on air: live, or restarting by our doing."""
        edges: dict[str, object] = {}
        for slug, channel in self._channels.items():
            if self.state(slug) in {"live", "restarting"}:
                window = channel.current.window
                edges[slug] = window.opened.show, *map(_newest_media, window.tracks.values())
        return edges

    def multivariant(self, slug: str) -> str | None:
        """Return a stream's multivariant playlist, None while there is none."""
        show = self.current(slug)
        return playlist.multivariant(show.window) if show and show.window.has_started else None

    def boot_playlist(self, slug: str) -> tuple[str, str] | None:
        """Return the best rendition's URI, relative to the page, and its media playlist."""
        show = self.current(slug)
        if not show or not show.window.has_started:
            return None
        name = show.window.renditions[0].name
        if not show.window.listed(name):
            return None
        uri = playlist_uri(show.window.opened.show, name)
        return uri, playlist.media(show.window, name)

    def feed(self, name: str) -> Feed:
        """Return the handler of a worker's new connection."""
        return Feed(self, name)

    def open(self, feed: Feed, message: ShowOpened) -> Channel:
        """Make `feed` the source of a stream; an earlier one is ignored from now on.

        Raises:
            LinkError: No room for another stream, or the worker sends an older show.
        """
        channel = self._channels.get(message.slug)
        if channel is None:
            if len(self._channels) >= CHANNELS_MAX:
                self.dropped["channels"] += 1
                raise LinkError(f"{CHANNELS_MAX} streams are held; {message.slug} is one too many")
            channel = self._channels[message.slug] = Channel(ShowView(Window(message)))
        number = channel.current.window.opened.show
        if message.show < number:
            raise LinkError(f"show {message.show} of {message.slug} is older than {number}")
        if message.show > number:
            self._replace(channel, ShowView(Window(message)))
        channel.current.apply(message)
        channel.owner = feed
        self.resumption.opened(message.stream, message.show)
        return channel

    def apply(self, channel: Channel, message: Message) -> None:
        """Take in a message of a stream's worker."""
        if isinstance(message, Health):
            channel.health = message
            self.resumption.filled(channel.current.window.opened.stream)
            return
        show = channel.current
        before = show.size_bytes
        show.apply(message)
        self.size_bytes += show.size_bytes - before
        if self.size_bytes > self._bytes_max:
            self._bound()
        if isinstance(message, ShowEnded):
            self._end(channel)

    def disconnect(self, channel: Channel) -> None:
        """A stream's worker is gone."""
        channel.owner = None
        channel.lost_s = self._clock.monotonic()

    def expire(self) -> None:
        """Drop what has aged out; called about once a second."""
        self.resumption.expire()
        now_s = self._clock.monotonic()
        for slug, channel in list(self._channels.items()):
            show = channel.current
            is_lost = channel.owner is None and now_s - channel.lost_s > self._lost_max_s
            if show.ended_s is None and is_lost:
                show.apply(ShowEnded())
                self._end(channel)
                opened = show.window.opened
                self._log.warning(
                    "hls.show.abandoned", slug=slug, stream_id=str(opened.stream), show=opened.show
                )
            for number in [n for n, (_, until_s) in channel.past.items() if until_s <= now_s]:
                self._forget(channel, number)
            if show.ended_s is not None and now_s - show.ended_s > ENDED_KEEP_S:
                for number in list(channel.past):
                    self._forget(channel, number)
                self.size_bytes -= show.size_bytes
                del self._channels[slug]

    async def wait(self, show: ShowView, rendition: str, deadline_s: float) -> bool:
        """Wait for a change of a rendition; return False when the deadline comes first.

        Raises:
            CapacityError: As many wait as may.
        """
        return await self._wait(show.changed(rendition), deadline_s)

    async def wait_for_show(self, deadline_s: float) -> bool:
        """Wait until another show has come, or need not be waited for; else as `wait`."""
        return await self._wait(self.resumption.changed, deadline_s)

    async def _wait(self, event: asyncio.Event, deadline_s: float) -> bool:
        if self.waiters >= self._waiters_max:
            self.dropped["waiters"] += 1
            raise CapacityError(f"{self.waiters} requests wait already")
        if self._is_ending:
            return False
        self.waiters += 1
        limit = asyncio.timeout(deadline_s - self._clock.monotonic())
        self._limits.add(limit)
        try:
            async with limit:
                await event.wait()
        except TimeoutError:
            return False
        finally:
            self._limits.discard(limit)
            self.waiters -= 1
        return True

    def end_waits(self) -> None:
        """Let the deadline of all waits come now: this process ends, and another is asked next."""
        self._is_ending = True
        for limit in self._limits:
            if not limit.expired():
                limit.reschedule(0)

    def _replace(self, channel: Channel, show: ShowView) -> None:
        old = channel.current
        old.apply(ShowEnded())
        opened = old.window.opened
        keep_s = 2 * opened.window_ms / 1000 + opened.target_duration_s
        channel.past[opened.show] = (old, self._clock.monotonic() + keep_s)
        while len(channel.past) > PAST_SHOWS_MAX:
            self._forget(channel, min(channel.past))
        channel.current, channel.health = show, None

    def _end(self, channel: Channel) -> None:
        if channel.current.ended_s is None:
            channel.current.ended_s = self._clock.monotonic()

    def _forget(self, channel: Channel, number: int) -> None:
        show, _ = channel.past.pop(number)
        self.size_bytes -= show.size_bytes

    def _bound(self) -> None:
        while self.size_bytes > self._bytes_max:
            largest = max((c.current for c in self._channels.values()), key=_size)
            before = largest.size_bytes
            if not largest.shrink():
                break
            self.dropped["segments"] += 1
            self.size_bytes += largest.size_bytes - before


def _size(show: ShowView) -> int:
    return show.size_bytes


def _newest_media(track: Sequence[SegmentEntry]) -> tuple[int, int] | None:
    """Return msn and index of a rendition's newest part that is no gap."""
    for entry in reversed(track):
        for part in reversed(entry.parts):
            if not part.is_gap:
                return entry.msn, part.slot.part
    return None
