"""``vilokanam``: one file for each group of verbs; errors become one line and an exit code.

Exit codes: 0 done; 1 it could not be done, or a check found a difference; 2 the command line or the
configuration is wrong.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import metadata

from mediaserver.cli import (
    chain,
    config,
    demo,
    edge,
    ledger,
    publish,
    receipt,
    serve,
    streams,
    token,
    viewers,
)
from mediaserver.cli.client import EXIT_FAILED, EXIT_USAGE, CliError
from mediaserver.errors import ConfigError
from mediaserver.processes.bootstrap import StartRefusedError
from metering.errors import MeteringError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vilokanam", description="Live media server with per-second metering."
    )
    parser.add_argument("--version", action="version", version=_version())
    groups = parser.add_subparsers(metavar="COMMAND", required=True)
    for room in (
        serve,
        demo,
        config,
        edge,
        streams,
        viewers,
        token,
        ledger,
        receipt,
        publish,
        chain,
    ):
        room.add(groups)
    return parser


def _version() -> str:
    try:
        return f"vilokanam {metadata.version('vilokanam')}"
    except metadata.PackageNotFoundError:
        return "vilokanam, not installed"


def _tell(line: str) -> None:
    sys.stderr.write(f"vilokanam: {line}\n")


if __name__ == "__main__":
    sys.exit(main())
