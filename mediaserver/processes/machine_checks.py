"""Checks of `vilokanam doctor` that ask this machine alone: files, disk, limits, clock, server."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
import resource
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from mediaserver.people import countries
from mediaserver.processes import descriptors, operator_key, secret_files
from mediaserver.processes.bootstrap import StartRefusedError
from mediaserver.processes.finding import Finding, fault, good, warning
from mediaserver.processes.listeners import listen, places
from mediaserver.processes.service_manager import missing, socket_unit
from mediaserver.settings.records import Settings

DISK_FAULT_BYTES: Final = 256 << 20
"""A day of books of a small server; below it Redis cannot rewrite its file."""
DISK_WARNING_BYTES: Final = 2 << 30
_ADJTIMEX_BYTES: Final = 512
"""Larger than any `struct timex`; all of it zero asks and sets nothing."""
_TCP_LISTEN: Final = "0A"
"""The state of a listening socket in /proc/net/tcp."""
_TIME_ERROR: Final = 5
"""adjtimex(2): the clock is not synchronized."""


def check_files(settings: Settings, data_dir: Path) -> Iterator[Finding]:
    """Yield what is wrong with the data directory and the secrets."""
    if not data_dir.is_dir():
        yield warning(
            "data directory",
            f"{data_dir} is not there",
            "the first start makes it; is it the server's? name it by server.data_dir",
        )
        return
    if not os.access(data_dir, os.R_OK | os.W_OK | os.X_OK):
        yield fault(
            "data directory",
            f"{data_dir} cannot be written by this user",
            "run doctor as the server's user, or give the directory to them",
        )
        return
    if data_dir.stat().st_mode & 0o077:
        yield warning("data directory", f"others may look into {data_dir}", f"chmod 700 {data_dir}")
    else:
        yield good("data directory", f"{data_dir}, for its owner alone")
    where = secret_files.paths(settings, data_dir)
    names = (where.admin_token, where.token_keys, where.edge_key, where.operator_key)
    for path in (*names, data_dir / "book.sqlite3"):
        with contextlib.suppress(OSError):
            if path.stat().st_mode & 0o077:
                yield fault("secrets", f"others may read {path}", f"chmod 600 {path}")
    try:
        if where.token_keys.exists():
            secret_files.contents(settings, data_dir)
            yield good("secrets", "admin token, token keys and edge key can be used")
    except StartRefusedError as error:
        yield fault("secrets", str(error), "see docs/operator/security.md")
    if told := operator_key.fault(settings, data_dir):
        what, remedy = re.split(r"[:;] (?=put|give)", told, maxsplit=1)
        yield fault("operator.key", what, remedy)
    elif where.operator_key.exists():
        yield good("operator.key", "it can be used, and signs for this book")


def check_countries(settings: Settings) -> Iterator[Finding]:
    """Yield whether the file of countries can be read, where one is named."""
    path = settings.watch.country_file
    if not path:
        return
    try:
        built_s = countries.read(path).metadata().build_epoch
    except (OSError, ValueError) as error:
        does = "let everybody" if settings.watch.country_failure == "open" else "let nobody"
        yield fault(
            "countries",
            f"{path} cannot be read: {error}",
            f"rules of countries {does} watch until it can: put a MaxMind DB (.mmdb) there",
        )
    else:
        yield good("countries", f"{path}, built {datetime.fromtimestamp(built_s, UTC):%Y-%m-%d}")


def check_disk(data_dir: Path) -> Finding:
    """Return how much room is left below the data directory."""
    place = next(path for path in (data_dir, *data_dir.parents) if path.exists())
    usage = shutil.disk_usage(place)
    text = f"{usage.free / 1e9:.1f} of {usage.total / 1e9:.1f} GB are free at {place}"
    if usage.free < DISK_FAULT_BYTES:
        return fault("disk", text, "make room: Redis and the book stop to write")
    if usage.free < DISK_WARNING_BYTES:
        return warning("disk", text, "make room before it is full")
    return good("disk", text)


def check_page(settings: Settings, index: Path) -> Finding:
    """Return whether the watch page came with this installation."""
    if not settings.hls.is_page_enabled:
        return good("page", "switched off by hls.is_page_enabled")
    if index.is_file():
        return good("page", "built")
    return fault("page", "it has not been built", "make page, and install again")


def check_limits(pid: int | None) -> Finding:
    """Return how many descriptors the server may open; ours when none runs."""
    most, whose = resource.getrlimit(resource.RLIMIT_NOFILE)[1], "this shell"
    with contextlib.suppress(OSError):
        if pid is not None:
            limits = Path(f"/proc/{pid}/limits").read_text()
            hard = re.search(r"^Max open files\s+\S+\s+(\d+|unlimited)", limits, re.MULTILINE)
            if hard is not None:
                whose = f"the server, process {pid}"
                most = resource.RLIM_INFINITY if hard[1] == "unlimited" else int(hard[1])
    text = f"{whose} may open {'any number of' if most == resource.RLIM_INFINITY else most} files"
    if most != resource.RLIM_INFINITY and most < descriptors.ENOUGH:
        return warning("limits", text, "LimitNOFILE=65536 in the unit, or ulimit -Hn 65536")
    return good("limits", text)


def check_clock() -> Finding:
    """Return whether the kernel says that this machine's clock is kept by NTP."""
    libc = ctypes.CDLL(None, use_errno=True)
    state = libc.adjtimex(ctypes.create_string_buffer(_ADJTIMEX_BYTES))
    if state < 0:
        return warning("clock", "the kernel does not say how it is kept", "see that NTP runs")
    if state == _TIME_ERROR:
        return warning(
            "clock",
            "it is not synchronized, and seconds are billed by it",
            "run chrony or systemd-timesyncd",
        )
    return good("clock", "synchronized")


async def check_server(settings: Settings, pid: int | None) -> Finding:
    """Return whether the server that runs is ready, or whether one could listen."""
    server = settings.server
    if pid is None:
        try:
            for each in listen(server.host, server.port):
                each.close()
        except StartRefusedError as error:
            if unit := await socket_unit(places(server.host, server.port)):
                return good("server", f"none runs; {unit} holds port {server.port} for it")
            text, _, remedy = str(error).partition("; ")
            return fault("server", text, remedy)
        return good("server", f"none runs; port {server.port} is free")
    ports = listening_ports(pid)
    if ports and server.port not in ports:
        return fault(
            "server",
            f"process {pid} listens on port {', '.join(map(str, sorted(ports)))}, and server.port "
            f"is {server.port} here",
            "give doctor the --config and the VILOKANAM_ variables that it was started with",
        )
    faults = await missing(server.host, server.port)
    if faults:
        return fault(
            "server", f"process {pid} is not ready: {'; '.join(faults)}", "look into its log"
        )
    return good("server", f"process {pid} is ready on port {server.port}")


def listening_ports(pid: int) -> set[int]:
    """Return the TCP ports that a process listens on, as /proc has them; proc(5)."""
    inodes = set()
    with contextlib.suppress(OSError):
        for name in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                inodes.add(str(name.readlink()).removeprefix("socket:[").removesuffix("]"))
    ports = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _TCP_LISTEN and fields[9] in inodes:
                    ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


def server_pid(data_dir: Path) -> int | None:
    """Return the process id of the server that holds a data directory, None when none does."""
    try:
        lock = os.open(data_dir / "server.lock", os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(lock, 32, 0).decode(errors="replace").strip()
        return int(text) if text.isdecimal() else None
    finally:
        os.close(lock)
    return None
