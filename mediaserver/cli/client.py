"""The command line's end of the admin API: over control's unix socket, or over the network."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, quote, urlsplit

from mediaserver.cli.errors import EXIT_USAGE, CliError
from mediaserver.settings.load import load

TIMEOUT_S: Final = 30.0
ANSWER_BYTES_MAX: Final = 256 << 20
"""The receipts of a year of watching are some 10 MB."""


class Api:
    """The admin API of one server."""

    def __init__(self, server: str, socket_path: Path, token: str) -> None:
        """Choose how to reach it.

        Args:
            server: ``http(s)://host[:port]``, or empty to use the socket.
        """
        self._server = server
        self._socket_path = socket_path
        self._token = token

    def get(self, *path: str, **query: str) -> Any:
        """Return the JSON answer of a GET of ``/api/v1/`` and the segments of `path`."""
        return json.loads(self.raw("GET", path, query=query))

    def post(
        self, *path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> Any:
        """Return the JSON answer of a POST."""
        return json.loads(self.raw("POST", path, body=body, headers=headers))

    def patch(self, *path: str, body: Mapping[str, Any]) -> Any:
        """Return the JSON answer of a PATCH."""
        return json.loads(self.raw("PATCH", path, body=body))

    def delete(self, *path: str) -> Any:
        """Return the JSON answer of a DELETE."""
        return json.loads(self.raw("DELETE", path))

    def raw(
        self,
        method: str,
        path: tuple[str, ...],
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Return the body of an answer.

        Raises:
            CliError: The server is not there, or answers with an error: its own words.
        """
        target = "/api/v1/" + "/".join(quote(segment, safe="") for segment in path)
        if query:
            target += "?" + "&".join(f"{k}={quote(v, safe='')}" for k, v in query.items())
        connection = self._connection()
        try:
            connection.request(
                method,
                target,
                body=None if body is None else json.dumps(body),
                headers={"Authorization": f"Bearer {self._token}", **(headers or {})},
            )
            answer = connection.getresponse()
            content = answer.read(ANSWER_BYTES_MAX)
        except (OSError, http.client.HTTPException) as error:
            raise CliError(
                f"no server answers at {self._server or self._socket_path}: {error}; start it "
                "with `vilokanam serve`, or say where it is with --server or --data-dir"
            ) from error
        finally:
            connection.close()
        if answer.status >= http.client.BAD_REQUEST:
            raise CliError(_error_text(answer.status, content))
        return content

    def _connection(self) -> http.client.HTTPConnection:
        if not self._server:
            return _UnixConnection(self._socket_path)
        parts = urlsplit(self._server)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CliError(f"--server {self._server} is not http(s)://host", EXIT_USAGE)
        return _network(parts)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("control", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(str(self._path))


def fetch(url: str) -> str | None:
    """Return the text at an address of a server, None while it answers anything but 200."""
    parts = urlsplit(url)
    connection = _network(parts)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path)
        answer = connection.getresponse()
        return answer.read(ANSWER_BYTES_MAX).decode() if answer.status == 200 else None
    except (OSError, http.client.HTTPException, UnicodeDecodeError):
        return None
    finally:
        connection.close()


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """Add the options by which a server is found."""
    parser.add_argument("--config", type=Path, help="the server's configuration file")
    parser.add_argument("--data-dir", type=Path, help="the server's data directory")
    parser.add_argument("--server", default="", help="its address, such as https://live.example")
    parser.add_argument("--admin-token-file", type=Path, help="file of its admin token")
    parser.add_argument("--json", action="store_true", help="answer as JSON, for scripts")


def api_of(arguments: argparse.Namespace) -> Api:
    """Return the API of the server that the options name.

    Raises:
        ConfigError: The configuration has faults.
        CliError: The admin token cannot be read.
    """
    settings = load(arguments.config, os.environ)
    data_dir: Path = arguments.data_dir or Path(settings.server.data_dir)
    setting = settings.auth.admin_token_file
    path = arguments.admin_token_file or (Path(setting) if setting else data_dir / "admin.token")
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(
            f"the admin token {path} cannot be read; is this the server's data directory? Name it "
            "with --data-dir, --config or --admin-token-file"
        ) from error
    return Api(arguments.server, (data_dir / "run" / "control.sock").absolute(), token)


def show(arguments: argparse.Namespace, answer: Any, text: str) -> None:
    """Print an answer: as JSON when that was asked for, else as `text`."""
    sys.stdout.write((json.dumps(answer, indent=2) if arguments.json else text) + "\n")


def table(heads: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    """Return rows under their heads, each column as wide as it must be."""
    lines = [heads, *[tuple(str(cell) for cell in row) for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _network(parts: SplitResult) -> http.client.HTTPConnection:
    https = http.client.HTTPSConnection
    kind = https if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)


def _error_text(status: int, content: bytes) -> str:
    try:
        body = json.loads(content)
        return f"{body['detail']} ({status} {body['title']})"
    except (ValueError, KeyError, TypeError):
        return f"the server answered {status}"
