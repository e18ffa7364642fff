"""Scripted players: they fetch as players do, and remember what they got.

They know nothing of the product's code: playlists and addresses are read by a few lines of their
own, so that a fault of the product's grammar cannot hide itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import re
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

TICKS = re.compile(r"-(\d+)x(\d+)\.m4s$")
MEDIA_URI = re.compile(r'(?:URI="([^"]+\.m4s)"|^([^#\s]+\.m4s)$)', re.MULTILINE)
HINT = re.compile(r'PRELOAD-HINT:TYPE=PART,URI="([^"]+)"')
VARIANT = re.compile(r"^(\d+)/([^/]+)/media\.m3u8$", re.MULTILINE)
RETRY_S = 0.2


def ticks_of(uri: str) -> range:
    """Return the seconds that a media URI names."""
    found = TICKS.search(uri)
    assert found, uri
    return range(int(found[1]), int(found[1]) + int(found[2]))


@dataclass(frozen=True)
class Answer:
    """One answer, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def held_ticks(path: str, answer: Answer) -> range:
    """Return the seconds that delivered media holds: fewer than planned where it was cut short.

    Source: docs/metering.md, "Time".
    """
    planned = ticks_of(path)
    first, _, count = answer.headers["X-Vilokanam-Ticks"].partition("x")
    assert int(first) == planned.start, (path, first)
    assert int(count) <= len(planned), (path, count)
    return planned[: int(count)]


class Wire:
    """One kept connection to a server; opened again when it broke."""

    def __init__(self, port: int, timeout_s: float = 15) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)

    def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """Return the answer; `If_None_Match="..."` is a header."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            self.connection.request(method, path, headers=named)
            answer = self.connection.getresponse()
            return Answer(answer.status, dict(answer.headers), answer.read())
        except BaseException:
            self.connection.close()
            raise

    def status(self, path: str, method: str = "GET", **headers: str) -> int:
        """Return the status alone."""
        return self.ask(path, method, **headers).status

    def close(self) -> None:
        """Close it."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class Listing:
    """What a media playlist lists, oldest first; whole paths."""

    segments: tuple[str, ...]
    parts: tuple[str, ...]
    hint: str | None
    is_ended: bool
    text: str

    @property
    def reload(self) -> str:
        """Return the directives of the next blocking reload."""
        found = re.search(r"/(\d+)\.(\d+)-[^/]*$", self.hint or "")
        return f"?_HLS_msn={found[1]}&_HLS_part={found[2]}" if found else ""


@dataclass(frozen=True)
class Show:
    """The renditions of a show, best first, and the path of each."""

    number: int
    renditions: Mapping[str, str]


def find_show(wire: Wire, page: str) -> Show | None:
    """Return the show that plays below a watch page's path, or None."""
    answer = wire.ask(page + "index.m3u8")
    found = VARIANT.findall(answer.body.decode()) if answer.status == 200 else []
    if not found:
        return None
    return Show(int(found[0][0]), {name: f"{page}{show}/{name}/" for show, name in found})


def listing_of(base: str, text: str) -> Listing:
    """Return what a media playlist's text lists."""
    hint = HINT.search(text)
    uris = [a or b for a, b in MEDIA_URI.findall(text.partition("#EXT-X-PRELOAD-HINT")[0])]
    return Listing(
        tuple(base + uri for uri in uris if "." not in uri.split("-")[0]),
        tuple(base + uri for uri in uris if "." in uri.split("-")[0]),
        base + hint[1] if hint else None,
        "#EXT-X-ENDLIST" in text,
        text,
    )


def list_media(wire: Wire, page: str, rendition: str) -> Listing:
    """Return what one rendition lists now."""
    show = find_show(wire, page)
    assert show is not None, page
    base = show.renditions[rendition]
    answer = wire.ask(base + "media.m3u8")
    assert answer.status == 200, answer
    return listing_of(base, answer.body.decode())


@dataclass
class Player(threading.Thread):
    """Fetches every part as it appears, as a low-latency player does, and remembers what it got.

    Attributes:
        rendition: Change it, and it switches at its next reload.
        backlog: How many parts behind the newest it begins.
        has_segments: It also fetches each segment once it has ended.
        has_hints: It asks for each part before that exists: a fetch of it is always under way.
        delivered: Seconds that it got media of.
        in_doubt: Seconds that a fetch under way may bring, by path.
        done: Paths that it got.
        news: Set when new media came; clear it to wait for the next.
    """

    port: int
    path: str
    rendition: str = ""
    backlog: int = 8
    has_segments: bool = False
    has_hints: bool = False
    delivered: set[int] = field(default_factory=set)
    in_doubt: dict[str, range] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    last_new_s: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    stopping: threading.Event = field(default_factory=threading.Event)
    news: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        """Play until told to stop."""
        while not self.stopping.is_set():
            with (
                contextlib.suppress(OSError, http.client.HTTPException),
                Wire(self.port, 5) as wire,
            ):
                self.play_once(wire)
            self.stopping.wait(RETRY_S)

    def end(self) -> None:
        """Stop it and wait for it."""
        self.stopping.set()
        self.join(timeout=10)

    def play_once(self, wire: Wire) -> None:
        """Play over one connection until it breaks or the show is over."""
        show = find_show(wire, self.path)
        query, playing = "", ""
        while show is not None and not self.stopping.is_set():
            name = self.rendition or next(iter(show.renditions))
            base = show.renditions[name]
            if name != playing:
                query, playing = "", name
            answer = wire.ask(base + "media.m3u8" + query)
            if answer.status != 200:
                return
            listing = listing_of(base, answer.body.decode())
            if listing.is_ended:
                return
            self.fetch_new(wire, listing.parts[-self.backlog :])
            if self.has_segments:
                self.fetch_new(wire, listing.segments[-1:])
            if self.has_hints and listing.hint:
                self.fetch_new(wire, [listing.hint])
            query = listing.reload

    def fetch_new(self, wire: Wire, paths: Sequence[str]) -> None:
        """Fetch what was not fetched before."""
        for path in paths:
            if path not in self.done and not self.stopping.is_set():
                self.fetch(wire, path)

    def fetch(self, wire: Wire, path: str) -> None:
        """Fetch one media object; what breaks under way is in doubt until it is fetched again."""
        self.in_doubt[path] = ticks_of(path)
        answer = wire.ask(path)
        del self.in_doubt[path]
        self.statuses[answer.status] += 1
        if answer.status == 200:
            self.done.add(path)
            held = set(held_ticks(path, answer))
            if not held <= self.delivered:
                self.last_new_s = time.monotonic()
                self.news.set()
            self.delivered |= held

    def again(self) -> None:
        """Fetch what was delivered and is still listed once more, in every rendition."""
        with Wire(self.port) as wire:
            show = find_show(wire, self.path)
            for name in show.renditions if show else ():
                listing = list_media(wire, self.path, name)
                for path in (*listing.segments, *listing.parts):
                    if path in self.done or set(ticks_of(path)) <= self.delivered:
                        wire.ask(path)


async def volley(port: int, paths: Sequence[str]) -> list[int]:
    """Ask for all paths at the same time, each over a connection of its own; return statuses."""
    few = asyncio.Semaphore(64)  # while connecting: less than a listener's backlog
    fire = asyncio.Event()
    ready = 0

    async def one(path: str) -> int:
        nonlocal ready
        async with few:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        ready += 1
        if ready == len(paths):
            fire.set()
        await fire.wait()
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        head = await reader.readline()
        while await reader.read(1 << 18):
            pass
        writer.close()
        return int(head.split()[1])

    return list(await asyncio.gather(*(one(path) for path in paths)))
