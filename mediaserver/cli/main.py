"""``vilokanam``: one file for each group of verbs; errors become one line and an exit code.

Exit codes: 0 done; 1 it could not be done, or a check found a difference; 2 the command line or the
configuration is wrong.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Final

from mediaserver.cli.errors import EXIT_FAILED, EXIT_USAGE, CliError
from mediaserver.errors import ConfigError
from mediaserver.processes.bootstrap import StartRefusedError
from metering.errors import MeteringError

_SERVE: Final = "serve"
_MODULES: Final = (
    _SERVE,
    "demo",
    "config",
    "edge",
    "streams",
    "viewers",
    "token",
    "ledger",
    "receipt",
    "publish",
    "chain",
)
"""Of `mediaserver.cli`, in the order of the help; each adds its commands."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    # The server stays: it shall not hold what the other commands import.
    parser = _parser((_SERVE,) if words[:1] == [_SERVE] else _MODULES)
    arguments = parser.parse_args(words)
    try:
        code: int = arguments.run(arguments)
    except ConfigError as error:
        for fault in error.faults:
            _tell(fault)
        return EXIT_USAGE
    except CliError as error:
        _tell(str(error))
        return error.code
    except (StartRefusedError, MeteringError) as error:
        _tell(str(error))
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_FAILED
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough.
        sys.stderr.close()
        return EXIT_FAILED
    return code


def _parser(modules: Sequence[str] = _MODULES) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vilokanam", description="Live media server with per-second metering."
    )
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


def _tell(line: str) -> None:
    sys.stderr.write(f"vilokanam: {line}\n")


if __name__ == "__main__":
    sys.exit(main())
