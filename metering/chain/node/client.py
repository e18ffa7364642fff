"""A node asked from asyncio: one thread, one connection, and an end to every request.

A request that is not answered in time ends the connection under the library's feet, so a reply that
stalls half-way, a connect that hangs and a node that is stopped all cost one time-out. What was
asked is never asked again from here: the caller decides.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar

from metering.chain.node import storage
from metering.chain.node.metadata import ChainEvent, Metadata
from metering.chain.node.node_thread import NodeThread
from metering.chain.node.runtime_info import RuntimeFacts
from metering.chain.node.scale import Codec, Hash
from metering.chain.node.substrate import INVALID_TRANSACTION, Connection, RpcError, read_metadata
from metering.errors import ChainUnavailableError, InvalidValueError

T = TypeVar("T")
_RUNTIMES_KEPT: Final = 4
"""Blocks around an upgrade are read with the version before it."""
_THREAD_END_S: Final = 0.5
"""How long a thread may take to notice that its socket was shut; then it is left behind."""
_KEYS_AT_ONCE: Final = 256
"""Some 40 kB asked for and 60 kB answered at once."""


class Line(Protocol):
    """What a connection must do: `substrate.Connection`, or a fake."""

    def connect(self) -> None:
        """Connect; raises ChainUnavailableError."""

    def request(self, method: str, params: list[Any]) -> Any:
        """Return a result; raises RpcError, ChainUnavailableError."""

    def abort(self) -> None:
        """End it from another thread."""

    def close(self) -> None:
        """End it."""


@dataclass(frozen=True, slots=True)
class Head:
    """A block: its number and hashes."""

    number: int
    hash: Hash
    parent: Hash


@dataclass(frozen=True, slots=True)
class Runtime:
    """A version of the runtime, and how to read what it writes."""

    facts: RuntimeFacts
    metadata: Metadata


class Node:
    """A node behind its JSON-RPC; an async context manager. Calls wait for each other.

    Args:
        url: ``ws://`` or ``wss://``.
        timeout_s: Most that any single request may take, connecting included.
    """

    def __init__(
        self,
        url: str,
        timeout_s: float,
        connect: Callable[[str, float], Line] = Connection,
    ) -> None:
        self.url = url
        self._timeout_s = timeout_s
        self._make = connect
        self._line: Line | None = None
        self._thread: NodeThread | None = None
        self._lock = asyncio.Lock()
        self._runtimes: dict[tuple[str, int, int, Hash], Runtime] = {}
        self._genesis: Hash | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection and its thread."""
        self._drop()
        if self._thread is not None:
            self._thread.end()
            self._thread = None

    async def request(self, method: str, params: list[Any]) -> Any:
        """Return the result of one request.

        Raises:
            RpcError: The node answered with an error.
            ChainUnavailableError: No answer in time: it may or may not have arrived.
        """
        async with self._lock:
            try:
                return await self._bounded(lambda: self._ask(method, params), method)
            except ChainUnavailableError:
                self._drop()
                raise

    async def finalized(self) -> Head:
        """Return the finalized head."""
        return await self.head(await self._hash("chain_getFinalizedHead", []))

    async def best(self) -> Head:
        """Return the best head."""
        number, parent = await self._read("chain_getHeader", [], _header)
        block_hash = await self.block_hash(number)
        if block_hash is None:
            raise ChainUnavailableError(f"the node {self.url} lost its best block {number}")
        return Head(number, block_hash, parent)

    async def head(self, block: Hash) -> Head:
        """Return a block's number and parent."""
        header = await self._read("chain_getHeader", [_hex(block)], _unless_none(_header))
        if header is None:
            raise ChainUnavailableError(f"the node {self.url} does not have block {_hex(block)}")
        number, parent = header
        return Head(number, block, parent)

    async def block_hash(self, number: int) -> Hash | None:
        """Return the hash of the best chain's block `number`, None when there is none."""
        return await self._read("chain_getBlockHash", [number], _unless_none(_hash))

    async def extrinsics(self, block: Hash) -> tuple[bytes, ...] | None:
        """Return the extrinsics of a block, None when the node does not have it any more."""

        def extrinsics(body: Any) -> tuple[bytes, ...]:
            return tuple(_bytes(raw) for raw in body["block"]["extrinsics"])

        return await self._read("chain_getBlock", [_hex(block)], _unless_none(extrinsics))

    async def raw(self, key: bytes, at: Hash) -> bytes | None:
        """Return the bytes under a storage key at a block, None when there are none."""
        return await self._read("state_getStorage", [_hex(key), _hex(at)], _unless_none(_bytes))

    async def raws(self, keys: Sequence[bytes], at: Hash) -> list[bytes | None]:
        """Return the bytes under many storage keys at a block, in their order."""
        values: dict[str, bytes | None] = {}
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            some = [_hex(key) for key in keys[start : start + _KEYS_AT_ONCE]]
            values |= await self._read("state_queryStorageAt", [some, _hex(at)], _changes)
        return [values.get(_hex(key)) for key in keys]

    async def value(self, codec: Codec[T], key: bytes, at: Hash) -> T | None:
        """Return the value under a storage key at a block, None when there is none.

        Raises:
            ChainUnavailableError: Also when the bytes are not what they should be.
        """
        data = await self.raw(key, at)
        if data is None:
            return None
        try:
            return codec.decode(data)
        except InvalidValueError as error:
            raise ChainUnavailableError(
                f"the node {self.url} has no such value under {_hex(key)}: {error}"
            ) from error

    async def values(
        self, codec: Codec[T], keys: Sequence[bytes], at: Hash
    ) -> tuple[T | None, ...]:
        """Return the values under many storage keys at a block, in their order.

        Raises:
            ChainUnavailableError: Also when the bytes are not what they should be.
        """
        raw = await self.raws(keys, at)
        try:
            return tuple(None if data is None else codec.decode(data) for data in raw)
        except InvalidValueError as error:
            raise ChainUnavailableError(f"the node {self.url} has other values: {error}") from error

    async def keys(self, prefix: bytes, at: Hash, page: int = 500) -> tuple[bytes, ...]:
        """Return all storage keys under a prefix at a block."""
        keys: list[bytes] = []
        while True:
            start = _hex(keys[-1] if keys else prefix)
            asked = [_hex(prefix), page, start, _hex(at)]
            some = await self._read("state_getKeysPaged", asked, lambda raw: [*map(_bytes, raw)])
            keys += [key for key in some if not keys or key > keys[-1]]
            if len(some) < page:
                return tuple(keys)

    async def events(self, block: Head) -> tuple[ChainEvent, ...]:
        """Return the events of a block, read with the runtime that made it.

        Raises:
            ChainUnavailableError: Also when they cannot be read.
            RuntimeUnsupportedError: The runtime is one that this program cannot read.
        """
        raw = await self.raw(storage.events_key(), block.hash)
        if raw is None:
            return ()
        runtime = await self.runtime(block.parent if block.number else block.hash)
        try:
            return runtime.metadata.events(raw)
        except InvalidValueError as error:
            raise ChainUnavailableError(
                f"the events of block {block.number} cannot be read: {error}"
            ) from error

    async def runtime(self, at: Hash) -> Runtime:
        """Return the runtime after a block: what the next one is made and checked with.

        Raises:
            RuntimeUnsupportedError: It cannot be settled on; says why.
        """
        name, spec, tx = await self._read("state_getRuntimeVersion", [_hex(at)], _version)
        genesis = await self.genesis()
        key = (name, spec, tx, genesis)
        if key not in self._runtimes:
            raw = await self._read("state_getMetadata", [_hex(at)], _bytes)
            # Half a second of work: in the thread, so that nobody else waits for it.
            async with self._lock:
                runtime = await self._bounded(
                    lambda: _runtime(raw, name, spec, tx, genesis), "metadata"
                )
            while len(self._runtimes) >= _RUNTIMES_KEPT:
                self._runtimes.pop(next(iter(self._runtimes)))
            self._runtimes[key] = runtime
        return self._runtimes[key]

    async def genesis(self) -> Hash:
        """Return the hash that the runtime itself calls its first block's.

        Not ``chain_getBlockHash(0)``: chopsticks answers that wrongly after a resume. But at block
        0 the runtime says 0x4545...: the node's own is taken then, and nothing is remembered.
        """
        if self._genesis is None:
            best = await self.best()
            if best.number == 0:
                return best.hash
            genesis = await self.value(storage.BLOCK_HASH, storage.block_hash_key(0), best.hash)
            if genesis is None:
                genesis = await self._hash("chain_getBlockHash", [0])
            self._genesis = genesis
        return self._genesis

    def forget_genesis(self) -> None:
        """Ask for it again: what was signed for it was refused."""
        self._genesis = None

    async def submit(self, extrinsic: bytes) -> int:
        """Hand an extrinsic over; return 0 when it was taken, else the code of the refusal.

        Neither says anything about what becomes of it.
        """
        try:
            await self.request("author_submitExtrinsic", [_hex(extrinsic)])
        except RpcError as error:
            if error.code == INVALID_TRANSACTION:
                self._genesis = None
            return error.code
        return 0

    async def _read(self, method: str, params: list[Any], read: Callable[[Any], T]) -> T:
        """Return what `read` makes of a result.

        Raises:
            ChainUnavailableError: The node refuses, or its answer lacks what is read of it: a proxy
                or another node may leave anything out.
        """
        try:
            result = await self.request(method, params)
        except RpcError as error:
            raise ChainUnavailableError(f"the node {self.url} refuses {method}: {error}") from error
        try:
            return read(result)
        except (LookupError, TypeError, ValueError) as error:
            raise ChainUnavailableError(
                f"the node {self.url} answers {method} by {str(result)[:80]}, which cannot be read "
                f"({type(error).__name__}: {error})"
            ) from error

    async def _hash(self, method: str, params: list[Any]) -> Hash:
        return await self._read(method, params, _hash)

    def _ask(self, method: str, params: list[Any]) -> Any:
        """Run in the thread."""
        if self._line is None:
            line = self._make(self.url, self._timeout_s)
            self._line = line
            self._runtimes.clear()  # another process may answer now, with another chain or runtime
            self._genesis = None
            line.connect()
        return self._line.request(method, params)

    async def _bounded(self, work: Callable[[], T], what: str) -> T:
        """Run `work` in the thread, for `timeout_s` at most."""
        if self._thread is None:
            self._thread = NodeThread()
        future = self._thread.run(work)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.shield(future)
        except TimeoutError as error:
            await self._give_up(future)
            raise ChainUnavailableError(
                f"the node {self.url} did not answer {what} within {self._timeout_s} s"
            ) from error
        except asyncio.CancelledError:
            # The answer would be taken for that of the next request.
            await self._give_up(future)
            raise

    async def _give_up(self, future: asyncio.Future[Any]) -> None:
        self._drop()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_THREAD_END_S):
                await asyncio.shield(future)
        if not future.done() and self._thread is not None:  # it hangs, as in the resolver
            self._thread.end()
            self._thread = None

    def _drop(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.abort()
            if self._thread is not None:  # closed where it is read, after the reader has noticed
                self._thread.run(line.close)


def _runtime(raw: bytes, name: str, spec: int, tx: int, genesis: Hash) -> Runtime:
    metadata = read_metadata(raw)
    return Runtime(metadata.facts(name, spec, tx, genesis), metadata)


def _unless_none(read: Callable[[Any], T]) -> Callable[[Any], T | None]:
    return lambda result: None if result is None else read(result)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _hash(text: str) -> Hash:
    value = _bytes(text)
    if len(value) != 32:
        raise ValueError("not a hash of 32 bytes")
    return Hash(value)


def _header(header: Any) -> tuple[int, Hash]:
    return int(header["number"], 16), _hash(header["parentHash"])


def _version(version: Any) -> tuple[str, int, int]:
    return (
        str(version["specName"]),
        int(version["specVersion"]),
        int(version["transactionVersion"]),
    )


def _changes(blocks: Any) -> dict[str, bytes | None]:
    changes = (change for block in blocks for change in block["changes"])
    return {key: None if value is None else _bytes(value) for key, value in changes}


def _hex(data: bytes) -> str:
    return f"0x{data.hex()}"
