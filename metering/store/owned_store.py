"""Whose a Redis is: one book's for good, and one running server's at a time.

The holder of the lock has a fencing token, which every write of control carries and every shard
checks: a server that lost the lock, because it slept or was cut off, changes nothing when it wakes.
Claims carry the epoch instead, which a new holder voids first. Who takes the lock, and when it is
renewed, is decided by metering/store/store_lock.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from metering.errors import StoreUnavailableError
from metering.store import keys
from metering.store.store_connection import StoreConnection, errors_as_unavailable
from metering.units import SHARDS

_SCRIPTS: Final = ("own", "renew", "fence")


@dataclass(frozen=True, slots=True)
class Owner:
    """A server, as a store knows it.

    Attributes:
        book: Id of its book: a copy and a backup have the same.
        name: For people: host, data directory, process.
        holder: Its data directory on this machine, since it was started: a copy has another.
    """

    book: str
    name: str
    holder: str


@dataclass(frozen=True, slots=True)
class Taken:
    """The lock is ours.

    Attributes:
        was_anothers: Another server had it last: what its processes have must be void.
    """

    was_anothers: bool


@dataclass(frozen=True, slots=True)
class Held:
    """Another server has the lock, until `expires_ms` by Redis's clock or for longer."""

    name: str
    expires_ms: int


@dataclass(frozen=True, slots=True)
class OtherBook:
    """The store belongs to another book, last served by the server `name`."""

    book: str
    name: str


class OwnedStore(StoreConnection):
    """A store that has one owner. Until `own` it takes writes of anybody: of tests and tools."""

    def __init__(self, url: str, fsync: str, scripts: Sequence[str]) -> None:
        super().__init__(url, fsync, scripts, _SCRIPTS)
        self._token = 0

    async def own(self, owner: Owner, ttl_ms: int, *, is_first: bool) -> Taken | Held | OtherBook:
        """Take the lock if nobody else has it; every later write carries its token.

        Args:
            is_first: The caller has just started, so a lock of its own holder is that of a process
                that is gone.
        """
        answer = await self._run_free(
            "own",
            keys.lock(),
            owner.book,
            owner.holder,
            owner.name,
            ttl_ms,
            self._token,
            int(is_first),
        )
        kind, *words = (word.decode() for word in answer)
        if kind == "book":
            return OtherBook(*words)
        if kind == "held":
            return Held(words[0], int(words[1]))
        self._token = int(words[0])
        await self._run_all("fence", [(keys.fence(shard), [words[0]]) for shard in range(SHARDS)])
        self._fence = words[0]
        return Taken(was_anothers=words[1] not in {"", owner.holder})

    async def renew(self, ttl_ms: int) -> str | None:
        """Keep the lock for `ttl_ms` more, 0 to give it back; the holder's name when it is lost."""
        # Not while somebody looks whether anything was written: this is no change that matters.
        async with self._looking:
            self._looks += 1  # should its answer not come, no look is like one before
            state, *name = await self._run_free("renew", keys.lock(), self._fence or "-", ttl_ms)
            self._looks -= 1
            self._own_changes += state == b"ours"
        return None if state == b"ours" else name[0].decode()

    @asynccontextmanager
    async def _fenced(self, shard: int) -> AsyncIterator[Any]:
        """Yield a pipeline of redis-py that is executed whole, while the lock is ours."""
        async with errors_as_unavailable(), self._redis.pipeline(transaction=True) as pipe:
            if self._fence:
                await pipe.watch(keys.fence(shard))
                if await pipe.get(keys.fence(shard)) != self._fence.encode():
                    raise StoreUnavailableError("another server holds this Redis")
                pipe.multi()  # type: ignore[no-untyped-call]  # of redis-py
            yield pipe
            await pipe.execute()
