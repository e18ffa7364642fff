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
from mediaserver.settings.load import CONFIG_VARIABLE, DEFAULT_PATHS, find, load

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

    def pages(self, rows: str, *path: str, cursor: str = "after", **query: str) -> Any:
        """Return the last answer of a list, with the rows of all its pages."""
        answer = self.get(*path, **query)
        while (place := answer[f"next_{cursor}"]) is not None:
            more = self.get(*path, **query, **{cursor: place})
            answer = {**more, rows: answer[rows] + more[rows]}
        return answer

    def post(
        self, *path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> Any:
        """Return the JSON answer of a POST."""
        return json.loads(self.raw("POST", path, body=body, headers=headers))

    def patch(self, *path: str, body: Mapping[str, Any]) -> Any:
        """Return the JSON answer of a PATCH."""
        return json.loads(self.raw("PATCH", path, body=body))

    def put(self, *path: str, body: Mapping[str, Any]) -> Any:
        """Return the JSON answer of a PUT."""
        return json.loads(self.raw("PUT", path, body=body))

    def delete(self, *path: str, **query: str) -> Any:
        """Return the JSON answer of a DELETE."""
        return json.loads(self.raw("DELETE", path, query=query))

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
            problem = _problem(answer.status, content)
            raise CliError(f"{problem['detail']} ({answer.status} {problem['title']})", 1, problem)
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


def verb(verbs: Any, name: str, run: Any, help_text: str) -> argparse.ArgumentParser:
    """Add a verb of a command that asks a server; return its parser, for options of its own."""
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=help_text)
    add_server_options(parser)
    parser.set_defaults(run=run)
    return parser


def api_of(arguments: argparse.Namespace) -> Api:
    """Return the API of the server that the options name.

    Raises:
        ConfigError: The configuration has faults.
        CliError: The admin token cannot be read.
    """
    config = find(arguments.config, os.environ)
    settings = load(config, os.environ)
    data_dir: Path = arguments.data_dir or Path(settings.server.data_dir)
    setting = settings.auth.admin_token_file
    path = arguments.admin_token_file or (Path(setting) if setting else data_dir / "admin.token")
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        # Before the first server there is none.
        likely = (
            "`vilokanam serve` makes it when it first starts: start the server, if none runs. "
            if isinstance(error, FileNotFoundError)
            else ""
        )
        raise CliError(
            f"the admin token {path} cannot be read: {reason}. {likely}"
            f"{_looked_for(arguments.config, config)}; name the server's data directory with "
            "--data-dir, its configuration with --config, or the file with --admin-token-file"
        ) from error
    return Api(arguments.server, (data_dir / "run" / "control.sock").absolute(), token)


def _looked_for(given: Path | None, config: Path | None) -> str:
    """Return which configuration was looked for, and which was taken."""
    if given is not None:
        return f"The configuration was {given} (--config)"
    if os.environ.get(CONFIG_VARIABLE):
        return f"The configuration was {config} ({CONFIG_VARIABLE})"
    tried = " and ".join(map(str, DEFAULT_PATHS))
    taken = "none is there" if config is None else f"{config} was taken"
    return f"{CONFIG_VARIABLE} is not set; {tried} were looked for, {taken}"


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


def _problem(status: int, content: bytes) -> dict[str, Any]:
    """Return the problem that a server answered with, whatever its body is."""
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    known = {"status": status, "title": "Error", "detail": f"the server answered {status}"}
    return {**known, **body} if isinstance(body, dict) else known
