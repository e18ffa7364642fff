"""When a server takes the lock on its Redis, renews it, and finds that it lost it.

A lock that another server holds is waited for: one that died lets it expire, and one that renews it
is running. So a start is refused only beside a server that was seen to be alive.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from metering.errors import StoreRefusedError, StoreUnavailableError
from metering.store.owned_store import Held, OtherBook, Owner, Taken

TTL_MS: Final = 10_000
"""So long a server that was killed with its machine keeps others waiting. A process that is frozen
for longer (a laptop that sleeps) finds the lock its own, or taken."""
RENEW_S: Final = 2.0
"""Four renewals may be lost before it expires."""
_LOOK_S: Final = 0.25

_log = structlog.get_logger(room="metering")


class LockableStore(Protocol):
    """What the lock needs of `OwnedStore`."""

    async def own(self, owner: Owner, ttl_ms: int, *, is_first: bool) -> Taken | Held | OtherBook:
        """Take the lock if nobody else has it."""

    async def renew(self, ttl_ms: int) -> str | None:
        """Keep the lock; return the holder's name when it is lost."""


class StoreLock:
    """One server's lock on one Redis.

    Attributes:
        is_held: Whether it is ours, as far as we know.
    """

    def __init__(
        self,
        owner: Owner,
        lost: Callable[[], None],
        *,
        ttl_ms: int = TTL_MS,
        renew_s: float = RENEW_S,
    ) -> None:
        """Prepare; nothing is asked before `take`.

        Args:
            lost: Called at once when another has the lock.
        """
        self.is_held = False
        self._owner = owner
        self._lost = lost
        self._ttl_ms = ttl_ms
        self._renew_s = renew_s
        self._is_first = True
        self._keeping: asyncio.Task[None] | None = None

    async def take(self, store: LockableStore) -> bool:
        """Take the lock, or make sure that it is still ours; return whether another had it last.

        Raises:
            StoreRefusedError: Another server that runs has it, or it belongs to another book; names
                both.
            StoreUnavailableError: Redis does not answer.
        """
        await self._stop_keeping()
        if self.is_held and await store.renew(self._ttl_ms) is None:
            self._keep(store)
            return False
        self.is_held = False
        expires_ms = None
        while not isinstance(
            answer := await store.own(self._owner, self._ttl_ms, is_first=self._is_first), Taken
        ):
            if isinstance(answer, OtherBook):
                raise StoreRefusedError(
                    f"it belongs to the book {answer.book}, last served by {answer.name}; this is "
                    f"{self._owner.name} with the book {self._owner.book}. Give each book a Redis "
                    "of its own, or a database of it (metering.redis_url; without one it is redis/ "
                    "in the data directory). Only if that book is lost for good, empty it"
                )
            if expires_ms is None:
                _log.info("metering.lock.waiting", holder=answer.name, ttl_ms=self._ttl_ms)
            elif expires_ms != answer.expires_ms:
                raise StoreRefusedError(
                    f"it is held by {answer.name}, which is running; this is {self._owner.name}. "
                    "Stop that one, or give each server a Redis of its own, or a database of it "
                    "(metering.redis_url): a copy of a data directory is for one of the two only"
                )
            expires_ms = answer.expires_ms
            await asyncio.sleep(_LOOK_S)
        self._is_first = False
        self.is_held = True
        self._keep(store)
        return answer.was_anothers

    async def give_back(self, store: LockableStore) -> None:
        """Let another take it at once, when it is ours and Redis answers."""
        await self._stop_keeping()
        if self.is_held:
            self.is_held = False
            with contextlib.suppress(StoreUnavailableError):
                await store.renew(0)

    def _keep(self, store: LockableStore) -> None:
        self._keeping = asyncio.create_task(self._renew(store))

    async def _renew(self, store: LockableStore) -> None:
        while True:
            await asyncio.sleep(self._renew_s)
            try:
                holder = await store.renew(self._ttl_ms)
            except StoreUnavailableError:
                continue  # its supervisor says so; a Redis that comes back has it, or is recovered
            if holder is not None:
                if holder:  # else Redis was emptied, and is recovered
                    _log.error("metering.lock.lost", holder=holder, name=self._owner.name)
                self.is_held = False
                self._lost()
                return

    async def _stop_keeping(self) -> None:
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
