"""``vilokanam``: one file for each group of verbs; errors become one line and an exit code.

Exit codes: 0 done; 1 it could not be done, or a check found a difference; 2 the command line or the
configuration is wrong.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import ClassVar, Final, NoReturn

from mediaserver.cli.errors import EXIT_FAILED, EXIT_USAGE, CliError, tell
from mediaserver.errors import ConfigError
from mediaserver.processes.bootstrap import StartRefusedError
from metering.errors import MeteringError

_SERVE: Final = "serve"
_MODULES: Final = (
    _SERVE,
    "demo",
    "config",
    "backup",
    "doctor",
    "edge",
    "streams",
    "viewers",
    "people",
    "keys",
    "token",
    "ledger",
    "audience",
    "sessions",
    "stream_rules",
    "moderation",
    "payments",
    "earnings",
    "webhooks",
    "receipt",
    "publish",
    "api",
    "chain",
)
"""Of `mediaserver.cli`, in the order of the help; each adds its commands."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    as_json = "--json" in words
    try:
        # The server stays: it shall not hold what the other commands import.
        arguments = _arguments(words, _parser((_SERVE,) if words[:1] == [_SERVE] else _MODULES))
        code: int = arguments.run(arguments)
    except ConfigError as error:
        return tell(error.faults, EXIT_USAGE, as_json=as_json)
    except CliError as error:
        return tell([str(error)], error.code, as_json=as_json, problem=error.problem)
    except (StartRefusedError, MeteringError) as error:
        return tell([str(error)], EXIT_FAILED, as_json=as_json)
    except KeyboardInterrupt:
        return EXIT_FAILED
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough.
        sys.stderr.close()
        return EXIT_FAILED
    return code


class _Parser(argparse.ArgumentParser):
    """A parser whose complaint is one JSON object where the command line asks for JSON."""

    def error(self, message: str) -> NoReturn:
        if "--json" in self.words:
            raise CliError(f"{self.prog}: {message}", EXIT_USAGE)
        super().error(message)

    words: ClassVar[Sequence[str]] = ()


def _arguments(words: list[str], parser: argparse.ArgumentParser) -> argparse.Namespace:
    _Parser.words = words
    arguments, rest = parser.parse_known_args(words)
    if rest:
        from mediaserver.cli.amounts import with_loose_unit  # noqa: PLC0415 - not for the server

        if rest := with_loose_unit(arguments, rest):
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return arguments


def _parser(modules: Sequence[str] = _MODULES) -> argparse.ArgumentParser:
    parser = _Parser(prog="vilokanam", description="Live media server with per-second metering.")
    # Before `serve` it cannot be given, and importlib.metadata is a megabyte and a half.
    version = "" if modules == (_SERVE,) else _version()
    parser.add_argument("--version", action="version", version=version)
    groups = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in modules:
        importlib.import_module(f"mediaserver.cli.{name}").add(groups)
    return parser


def _version() -> str:
    from importlib import metadata  # noqa: PLC0415 - for those who may ask

    try:
        return f"vilokanam {metadata.version('vilokanam')}"
    except metadata.PackageNotFoundError:
        return "vilokanam, not installed"


if __name__ == "__main__":
    sys.exit(main())
