"""The link between control and the settler process: named operations over a unix socket.

A frame is a u32 length, big-endian, and that many bytes of JSON; bytes are base64. A request is
``{"v": 1, "id": n, "op": name, "args": [...]}``, its answer ``{"id": n, "ok": value}`` or
``{"id": n, "error": [class, text, detail]}``, in any order. Who breaks a bound or the version loses
the connection. A peer that dies costs `ChainUnavailableError`: ask again.

What is said over it is in the files that end in ``_wire``.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import structlog

from metering import errors
from metering.errors import BatchTooLargeError, ChainError, ChainUnavailableError, MeteringError

SOCKET: Final = "chain.sock"
"""Its file name, in the run directory."""
VERSION: Final = 1
"""Raised when any operation changes shape: both ends are of one release."""
FRAME_BYTES_MAX: Final = 32 << 20
"""A batch of 100,000 entries, the most that the configuration allows, is 9 MB in base64."""
REQUESTS_MAX: Final = 16
"""Of one connection at once."""
CALL_TIMEOUT_S: Final = 120.0
"""Above the longest answer, a search through the blocks of an era, each bounded by itself."""
CONNECT_TIMEOUT_S: Final = 2.0
_HEAD: Final = struct.Struct("!I")

Operation = Callable[..., Awaitable[Any]]
"""Takes JSON values, returns one."""

_log = structlog.get_logger(room="settlement")


class RemoteServer:
    """Serves operations on a unix socket; an async context manager.

    Args:
        path: Of the socket; one that is there is replaced.
        operations: By name.
    """

    def __init__(self, path: Path, operations: Mapping[str, Operation]) -> None:
        self._path = path
        self._operations = dict(operations)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        self._server = await asyncio.start_unix_server(self._meet, self._path)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        answers: set[asyncio.Task[None]] = set()
        try:
            while True:
                request = await _read(reader)
                if len(answers) >= REQUESTS_MAX:
                    _log.warning("settlement.link.refused", error="too many requests at once")
                    break
                answer = asyncio.create_task(self._answer(request, writer))
                answers.add(answer)
                answer.add_done_callback(answers.discard)
        except (asyncio.IncompleteReadError, OSError):
            pass  # the other end is gone
        except (ValueError, KeyError, TypeError) as error:
            _log.warning("settlement.link.refused", error=str(error))
        except asyncio.CancelledError:
            pass  # the server ends; asyncio's own callback would log it as an error
        finally:
            self._tasks.discard(task)
            for answer in list(answers):
                answer.cancel()
            await asyncio.gather(*answers, return_exceptions=True)
            writer.close()

    async def _answer(self, request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        number = request["id"]
        try:
            operation = self._operation(request)
            answer: dict[str, Any] = {"id": number, "ok": await operation(*request["args"])}
        except MeteringError as error:
            detail = error.entries_max if isinstance(error, BatchTooLargeError) else None
            answer = {"id": number, "error": [type(error).__name__, str(error), detail]}
        except Exception as error:  # noqa: BLE001 -- a fault of ours must not leave control waiting
            _log.exception("settlement.link.failed", op=request.get("op"))
            text = f"the settler failed: {type(error).__name__}"
            answer = {"id": number, "error": ["ChainUnavailableError", text, None]}
        with contextlib.suppress(OSError):
            writer.write(_frame(answer))
            await writer.drain()

    def _operation(self, request: dict[str, Any]) -> Operation:
        if request["v"] != VERSION:
            raise ChainUnavailableError(
                f"control speaks version {request['v']} of the link, the settler {VERSION}"
            )
        operation = self._operations.get(request["op"])
        if operation is None:
            raise ChainUnavailableError(f"the settler knows no operation {request['op']}")
        return operation


class Remote:
    """The other end: one connection, made when it is needed and again after each failure.

    Args:
        path: Of the settler's socket.
        timeout_s: Most that any call may take.
    """

    def __init__(self, path: Path, timeout_s: float = CALL_TIMEOUT_S) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()

    async def close(self) -> None:
        """End the connection; who waits gets `ChainUnavailableError`."""
        reading = self._reading
        self._drop("the connection to the settler was closed")
        if reading is not None:
            await asyncio.gather(reading, return_exceptions=True)

    async def call(self, operation: str, *args: Any) -> Any:
        """Return what an operation answers.

        Raises:
            ChainUnavailableError: The settler is away or too slow; it may have done it.
            ChainError: As the operation raised it.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._call(operation, args)
        except TimeoutError as error:
            self._drop("the settler did not answer")
            raise ChainUnavailableError(
                f"the settler did not answer {operation} within {self._timeout_s:g} s"
            ) from error

    async def _call(self, operation: str, args: Sequence[Any]) -> Any:
        async with self._connecting:
            if self._writer is None:
                await self._connect()
            writer = self._writer
        assert writer is not None
        number = next(self._numbers)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            frame = _frame({"v": VERSION, "id": number, "op": operation, "args": list(args)})
            writer.write(frame)
            await writer.drain()
            return await future
        except OSError as error:
            raise ChainUnavailableError(f"the settler is away: {error}") from error
        finally:
            self._waiting.pop(number, None)

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                reader, self._writer = await asyncio.open_unix_connection(self._path)
        except (OSError, TimeoutError) as error:
            raise ChainUnavailableError(f"the settler is away: {error}") from error
        self._reading = asyncio.create_task(self._read(reader, self._writer))

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reason = "the settler is away"
        try:
            while True:
                answer = await _read(reader)
                future = self._waiting.get(answer["id"])
                if future is None or future.done():
                    continue
                if "error" in answer:
                    future.set_exception(_error(*answer["error"]))
                else:
                    future.set_result(answer["ok"])
        except (asyncio.IncompleteReadError, OSError):
            pass
        except (ValueError, KeyError, TypeError) as error:
            reason = f"the settler broke the protocol: {error}"
        finally:
            if self._writer is writer:
                self._drop(reason)

    def _drop(self, reason: str) -> None:
        writer, self._writer = self._writer, None
        reading, self._reading = self._reading, None
        if writer is not None:
            writer.close()
        if reading is not None and reading is not asyncio.current_task():
            reading.cancel()
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(ChainUnavailableError(reason))


def _error(name: str, text: str, detail: Any) -> MeteringError:
    kind = getattr(errors, name, None)
    if kind is BatchTooLargeError:
        return BatchTooLargeError(text, int(detail))
    if isinstance(kind, type) and issubclass(kind, ChainError):
        return kind(text)
    return ChainUnavailableError(f"{name}: {text}")


async def _read(reader: asyncio.StreamReader) -> dict[str, Any]:
    """Return the next frame.

    Raises:
        ValueError: It is too large, or not an object.
        asyncio.IncompleteReadError: The other end is gone.
    """
    (length,) = _HEAD.unpack(await reader.readexactly(_HEAD.size))
    if length > FRAME_BYTES_MAX:
        raise ValueError(f"a frame of {length} bytes is too large")
    found = json.loads(await reader.readexactly(length))
    if not isinstance(found, dict) or not isinstance(found.get("id"), int):
        raise ValueError("a frame is not a request nor an answer")  # noqa: TRY004 -- of bytes
    return found


def _frame(value: dict[str, Any]) -> bytes:
    raw = json.dumps(value, separators=(",", ":")).encode()
    return _HEAD.pack(len(raw)) + raw


def to_text(data: bytes) -> str:
    """Return bytes as they stand in a frame."""
    return base64.b64encode(data).decode()


def to_bytes(text: str) -> bytes:
    """Return the bytes that a frame holds.

    Raises:
        ValueError: If it holds none.
    """
    return base64.b64decode(text, validate=True)
