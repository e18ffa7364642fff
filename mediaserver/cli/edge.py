"""``vilokanam edge``: what a cache in front of the server is configured with.

It is written where the server's data is, and carried to the machine of the edge: it holds the
edge's key, a secret.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import pwd
import shutil
import signal
import sys
from grp import getgrgid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cdn import nginx
from mediaserver.cli.errors import CliError
from mediaserver.errors import ConfigError
from mediaserver.processes import bootstrap, secret_files
from mediaserver.processes.children import Child, die_with
from mediaserver.settings.load import find
from mediaserver.settings.records import Settings


def add(groups: Any) -> None:
    """Add the commands."""
    verbs = groups.add_parser("edge", help="configure a cache in front").add_subparsers(
        metavar="VERB", required=True
    )
    kinds = verbs.add_parser("config", help="write an edge's configuration").add_subparsers(
        metavar="KIND", required=True
    )
    parser: argparse.ArgumentParser = kinds.add_parser(
        "nginx",
        parents=[bootstrap.parser("")],
        add_help=True,
        conflict_handler="resolve",
        help="print what belongs into nginx's conf.d",
        description="Print an nginx configuration by the table [edge]; it holds the edge's key.",
    )
    parser.add_argument(
        "--standalone",
        type=Path,
        metavar="DIR",
        help="write DIR/nginx.conf for an nginx of its own instead, with cache and log in DIR",
    )
    parser.set_defaults(run=_nginx)


def write_standalone(settings: Settings, data_dir: Path, folder: Path) -> Path:
    """Write ``nginx.conf`` into `folder`, for ``nginx -c``; cache and log lie there too.

    Raises:
        ConfigError: The table [edge] has faults.
        CliError: The key cannot be read, or the file not be written.
    """
    folder = folder.absolute()
    edge = _edge(settings, data_dir, str(folder / "cache"), str(folder / "access.log"))
    path = folder / "nginx.conf"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        user = _owner(folder) if os.geteuid() == 0 else ""
        text = nginx.standalone(edge, str(folder), user)
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
    except OSError as error:
        raise CliError(f"{path} cannot be written: {error.strerror}") from error
    return path


def program() -> str:
    """Return the path of this machine's nginx.

    Raises:
        CliError: There is none.
    """
    # Debian keeps it where only root's PATH looks.
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if program is None:
        raise CliError("there is no nginx on this machine; install it, or go without --edge")
    return program


async def start(config: Path) -> Child:
    """Start nginx with a whole configuration; it ends with us, however we end."""
    process = await asyncio.create_subprocess_exec(
        program(),
        "-c",
        str(config),
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        # Not SIGKILL: its workers would go on without their master.
        preexec_fn=die_with(os.getpid(), signal.SIGTERM),
    )
    return Child("edge", process, asyncio.get_running_loop().time())


def _nginx(arguments: argparse.Namespace) -> int:
    arguments.config = find(arguments.config, os.environ)
    start = bootstrap.begin(arguments)
    settings = start.settings
    if arguments.standalone is not None:
        path = write_standalone(settings, start.data_dir, arguments.standalone)
        sys.stdout.write(f"nginx -c {path}\n")
        sys.stderr.write("It stays in its terminal until Ctrl-C, silent while all is well.\n")
        return 0
    edge = _edge(settings, start.data_dir, settings.edge.cache_dir, settings.edge.access_log)
    sys.stdout.write(nginx.configuration(edge))
    return 0


def _edge(settings: Settings, data_dir: Path, cache_dir: str, access_log: str) -> nginx.Edge:
    table = settings.edge
    origin = urlsplit(table.origin_url)
    if origin.scheme != "http":
        fault = f"{table.origin_url} is not plain HTTP, which the origin speaks"
        remedy = "use http:// over a private network or a tunnel"
        raise ConfigError((f"edge.origin_url: {fault}; {remedy}",))
    path = secret_files.paths(settings, data_dir).edge_key
    if not path.exists():
        raise CliError(
            f"there is no edge key {path}; the server makes it when it first starts: name its "
            "directory with --data-dir or --config"
        )
    return nginx.Edge(
        origin=origin.netloc if origin.port else f"{origin.netloc}:80",
        listen=table.listen,
        server_name=table.server_name,
        tls_certificate=table.tls_certificate,
        tls_key=table.tls_key,
        cache_dir=cache_dir,
        cache_memory_mb=table.cache_memory_mb,
        cache_disk_mb=table.cache_disk_mb,
        fill_wait_ms=table.fill_wait_ms,
        access_log=access_log,
        key=secret_files.admin_token(path),
    )


def _owner(folder: Path) -> str:
    """Return ``user group`` of a folder: root's nginx works as the owner, who may read it."""
    status = folder.stat()
    return f"{pwd.getpwuid(status.st_uid).pw_name} {getgrgid(status.st_gid).gr_name}"
