"""Control's connections to Redis: whether the right one answers, and may be trusted with money.

The commands are in metering/store/client.py.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import redis.asyncio
from redis.exceptions import RedisError

from metering.errors import StoreRefusedError, StoreUnavailableError
from metering.store.resp import Script

_TIMEOUT_S: Final = 5.0
_CONNECTIONS_MAX: Final = 8
"""Redis does one thing at a time: more would only wait there."""
_OLDEST: Final = (6, 2)
_NEEDED: Final = ("run_id", "redis_version", "maxmemory_policy", "aof_enabled")
"""Fields of INFO that tell whether it is the same Redis, and whether it keeps what it is given."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Remembered(Generic[T]):
    """What was read of all shards, and the state of Redis that it belongs to."""

    state: tuple[object, object]
    value: T


class StoreConnection:
    """A pool of connections to one Redis, and the scripts that are run over it.

    Args:
        scripts: Names of those that are fenced (guard.lua).
        free_scripts: Names of those that are not.

    Attributes:
        run_id: Redis run id at the last `refresh`.
    """

    def __init__(
        self, url: str, fsync: str, scripts: Sequence[str], free_scripts: Sequence[str] = ()
    ) -> None:
        self.run_id = ""
        self._fsync = fsync
        self._fence = ""
        # Of the lock's renewals, which change nothing that is looked at.
        self._looking = asyncio.Lock()
        self._looks = 0
        self._own_changes = 0
        # A caller that finds all connections in use waits for one; the plain pool fails at once.
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            url,
            protocol=2,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            max_connections=_CONNECTIONS_MAX,
            timeout=_TIMEOUT_S,
            redis_connect_func=self._greet,
        )
        self._redis = redis.asyncio.Redis.from_pool(pool)
        made = [Script(name, is_fenced=True) for name in scripts] + [*map(Script, free_scripts)]
        self._scripts = {one.name: self._redis.register_script(one.text) for one in made}

    async def refresh(self) -> str:
        """Read again which Redis answers, check its settings and return its run id.

        Raises:
            StoreUnavailableError: If it does not answer.
            StoreRefusedError: If it would lose money; names the setting.
        """
        self.run_id = ""
        async with errors_as_unavailable():
            try:
                info = await self._redis.info()
            except redis.exceptions.NoPermissionError as error:
                raise StoreRefusedError(
                    f"INFO is refused: {error}; allow it to the user"
                ) from error
            try:
                config = await self._redis.config_get("appendfsync")
            except redis.exceptions.ResponseError:
                config = {}  # A managed Redis hides CONFIG; its operator has been asked.
        refusals = store_refusals(info, config, self._fsync)
        if refusals:
            raise StoreRefusedError(*refusals)
        self.run_id = str(info["run_id"])
        return self.run_id

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _state(self) -> tuple[object, object]:
        """Return what differs after anything was written: a look at 256 shards need not be made.

        Taken before the look that it is remembered with. Redis counts each change since its start
        or last dump, whose time is the other half; expired keys only cause one more look.
        """
        async with self._looking:
            info = await self._redis.info("persistence")
            saved, changes = info.get("rdb_last_save_time"), info.get("rdb_changes_since_last_save")
            # Where they are hidden each look is made, as no state equals another.
            if saved is None or changes is None:
                return (object(), None)
            return (saved, self._looks), changes - self._own_changes

    async def _run(self, script: str, key: bytes, *words: bytes | str | int) -> Any:
        return await self._run_free(script, key, *words, self._fence)

    async def _run_free(self, script: str, key: bytes, *words: bytes | str | int) -> Any:
        async with errors_as_unavailable():
            return await self._scripts[script](keys=[key], args=words)

    async def _run_all(
        self, script: str, calls: Sequence[tuple[bytes, Sequence[bytes | str]]]
    ) -> None:
        """Run one script for many keys, each with its words, in one go."""
        async with errors_as_unavailable():
            pipe = self._redis.pipeline(transaction=False)
            for key, words in calls:
                await self._scripts[script](keys=[key], args=words, client=pipe)
            await pipe.execute()

    async def _greet(self, connection: Any) -> None:
        """Check each new connection: nothing passes to a Redis that took another's place."""
        await connection.on_connect()
        if not self.run_id:
            return
        await connection.send_command("INFO", "server")
        info: bytes = await connection.read_response()
        if f"run_id:{self.run_id}".encode() not in info:
            raise redis.exceptions.ConnectionError("this is another Redis: it must be recovered")


def store_refusals(
    info: Mapping[str, Any], config: Mapping[Any, Any], fsync: str
) -> tuple[str, ...]:
    """Return each reason why a Redis may not be trusted with money, and what to change.

    A field that it hides is named: a managed Redis, a proxy or an ACL may leave any out.

    Args:
        info: What INFO says, as redis-py reads it.
        config: What CONFIG GET appendfsync says; empty where it is hidden.
        fsync: The appendfsync that is wanted.
    """
    return tuple(_refusals(info, config, fsync))


def _refusals(info: Mapping[str, Any], config: Mapping[Any, Any], fsync: str) -> Iterator[str]:
    hidden = [field for field in _NEEDED if info.get(field) in (None, "")]
    if hidden:
        fields = ", ".join(hidden)
        yield f"INFO does not say {fields}: use a Redis or a user that shows all of INFO"
    if "redis_version" not in hidden:
        version = re.match(r"(\d{1,4})\.(\d{1,4})", str(info["redis_version"]))
        if version is None:
            yield (
                f"INFO says redis_version {info['redis_version']}: "
                "use a Redis that tells its version"
            )
        elif (int(version[1]), int(version[2])) < _OLDEST:
            yield f"Redis {info['redis_version']} is too old: use 6.2 or newer"
    if info.get("redis_mode") == "cluster":
        yield "cluster-enabled yes: this version speaks to one Redis only"
    policy = info.get("maxmemory_policy")
    if "maxmemory_policy" not in hidden and policy != "noeviction":
        yield f"maxmemory-policy is {policy}: set it to noeviction"
    if "aof_enabled" not in hidden and str(info["aof_enabled"]) != "1":
        yield "appendonly is no: set it to yes"
    present = {_text(key): _text(value) for key, value in config.items()}.get("appendfsync")
    if present is not None and present != fsync:
        yield f"appendfsync is {present}: set it to {fsync}"


@asynccontextmanager
async def errors_as_unavailable() -> AsyncIterator[None]:
    """Turn what redis-py raises into `StoreUnavailableError`."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise StoreUnavailableError(f"Redis: {error}") from error


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
