"""The farewell of a session: a close_notify that is encrypted ahead and sent when its worker died.

A worker that is killed cannot say goodbye, and a publisher's stack notices that nobody listens only
by lost connectivity: libdatachannel, which OBS uses, after 26 s and more. So a session's DTLS
encrypts its close_notify as soon as it is connected, and it is kept in the run directory with the
addresses of both ends. The next worker sends it from the same port. It can end that one session and
holds no key.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from mediaserver import log

KEPT: Final = ".farewell"
LEFT: Final = ".left"
"""Suffix of a farewell whose worker is gone; who unlinks the file sends it."""
LEFT_MAX: Final = 2000
"""Twice server.workers_max: more were not written by workers of ours."""
REPEATS_S: Final = (0.0, 0.1, 0.3)
"""Waits before each sending: UDP may lose one, and DTLS drops what it has seen."""
BYTES_MAX: Final = 4096

_log = log.get("ingest")


@dataclass(frozen=True, slots=True)
class Farewell:
    """What is sent, and between which addresses.

    Attributes:
        host: Our socket's address.
        port: Our socket's port.
        peer_host: The publisher's address.
        peer_port: The publisher's port.
        record: DTLS record of a close_notify, hex.
    """

    host: str
    port: int
    peer_host: str
    peer_port: int
    record: str

    def encode(self) -> bytes:
        """Return it as JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, data: bytes) -> Farewell:
        """Return what `encode` made.

        Raises:
            ValueError: If it is something else.
        """
        try:
            body = json.loads(data)
            made = cls(
                str(body["host"]),
                int(body["port"]),
                str(body["peer_host"]),
                int(body["peer_port"]),
                str(body["record"]),
            )
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"not a farewell: {error!r}") from error
        bytes.fromhex(made.record)
        return made


class Farewells:
    """The farewells of one worker's sessions, as files ``<worker>.<session>.farewell``.

    Written by a thread; nothing waits for them, and a disk that fails costs only the farewell.
    """

    def __init__(self, run_dir: Path, worker: str) -> None:
        self._run_dir = run_dir
        self._worker = worker
        self._wanted: dict[str, Farewell | None] = {}
        self._writing: asyncio.Task[None] | None = None

    def keep(self, session_id: str, farewell: Farewell) -> None:
        """Keep a session's farewell, in place of the one before."""
        self._want(session_id, farewell)

    def drop(self, session_id: str) -> None:
        """Forget a session's farewell: the session has ended."""
        self._want(session_id, None)

    async def flushed(self) -> None:
        """Return when the files are as was asked."""
        while self._writing is not None:
            await asyncio.shield(self._writing)

    def _want(self, session_id: str, farewell: Farewell | None) -> None:
        self._wanted[session_id] = farewell
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        try:
            while self._wanted:
                session_id = next(iter(self._wanted))
                farewell = self._wanted.pop(session_id)
                path = self._run_dir / f"{self._worker}.{session_id}{KEPT}"
                try:
                    await asyncio.to_thread(_store, path, farewell)
                except OSError as error:
                    _log.warning("whip.farewell.not_kept", session_id=session_id, cause=str(error))
        finally:
            self._writing = None


class SessionFarewell:
    """The farewell of one session, which follows the session from pair to pair.

    Attributes:
        record: What `Dtls.farewell` returned; empty before.
    """

    def __init__(self, farewells: Farewells | None, session_id: str) -> None:
        self.record = b""
        self._farewells = farewells
        self._session_id = session_id
        self._kept: Farewell | None = None

    def follow(self, route: tuple[tuple[str, int], tuple[str, int]] | None) -> None:
        """Keep it for this pair of addresses, ours and the publisher's, if they are new."""
        if self._farewells is None or route is None or not self.record:
            return
        farewell = Farewell(*route[0], *route[1], self.record.hex())
        if farewell != self._kept:
            self._kept = farewell
            self._farewells.keep(self._session_id, farewell)

    def drop(self) -> None:
        """Forget it: the session has ended, and said so itself."""
        self.record = b""
        if self._farewells is not None and self._kept is not None:
            self._farewells.drop(self._session_id)


def leave(run_dir: Path, worker: str = "*") -> None:
    """Mark the farewells of a worker that is gone, or of all, as left to the next worker."""
    for path in run_dir.glob(f"{worker}.*{KEPT}"):
        with contextlib.suppress(OSError):
            path.rename(path.with_suffix(LEFT))


async def say(run_dir: Path) -> int:
    """Send the farewells that were left, and forget them; return how many were sent."""
    # Not in a thread: the directory is small, and an idle worker would keep the thread.
    taken = _take(run_dir)
    if not taken:
        return 0
    sent = sum(await asyncio.gather(*map(_say, taken)))
    _log.info("whip.farewell.sent", sessions=sent)
    return sent


def _store(path: Path, farewell: Farewell | None) -> None:
    if farewell is None:
        path.unlink(missing_ok=True)
        return
    fresh = path.with_suffix(".new")
    fresh.touch(0o600)
    fresh.write_bytes(farewell.encode())
    fresh.rename(path)


def _take(run_dir: Path) -> list[Farewell]:
    taken = []
    for path in list(run_dir.glob(f"*{LEFT}"))[:LEFT_MAX]:
        try:
            with path.open("rb") as file:
                data = file.read(BYTES_MAX)
            path.unlink()  # fails where another worker was first
            taken.append(Farewell.decode(data))
        except (OSError, ValueError) as error:
            _log.warning("whip.farewell.not_sent", file=path.name, cause=str(error))
    return taken


async def _say(farewell: Farewell) -> bool:
    family = socket.AF_INET6 if ":" in farewell.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sending:
            sending.setblocking(False)
            # From the same port: the publisher's stack and its router know no other.
            sending.bind((farewell.host, farewell.port))
            for wait_s in REPEATS_S:
                await asyncio.sleep(wait_s)
                sending.sendto(
                    bytes.fromhex(farewell.record), (farewell.peer_host, farewell.peer_port)
                )
    except (OSError, OverflowError) as error:
        _log.warning("whip.farewell.not_sent", port=farewell.port, cause=str(error))
        return False
    return True
