"""``vilokanam backup`` and ``vilokanam restore``: all that a server must not lose."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from mediaserver.cli.clock_text import clock_text
from mediaserver.cli.errors import CliError
from mediaserver.processes import backup, bootstrap
from mediaserver.processes.backup import BackupReport
from mediaserver.settings.load import find


def add(groups: Any) -> None:
    """Add the commands."""
    for name, run, text in (
        ("backup", _backup, "write book, keys and shows to a new directory; the server may run"),
        ("restore", _restore, "make an empty data directory from a backup"),
    ):
        parser: argparse.ArgumentParser = groups.add_parser(
            name,
            parents=[bootstrap.parser("")],
            add_help=True,
            conflict_handler="resolve",
            help=text,
            description=f"{text.capitalize()}. It holds secrets: keep it encrypted.",
        )
        parser.add_argument("dir", metavar="DIR", type=Path, help="of the backup")
        parser.add_argument("--json", action="store_true", help="answer as JSON, for scripts")
        parser.set_defaults(run=run)


def _backup(arguments: argparse.Namespace) -> int:
    start = _begin(arguments)
    report = backup.make(start.settings, start.data_dir, arguments.dir.absolute())
    _show(arguments, report, f"{arguments.dir}: written and read again", start.data_dir)
    return 0


def _restore(arguments: argparse.Namespace) -> int:
    start = _begin(arguments)
    if not arguments.dir.is_dir():
        raise CliError(f"{arguments.dir} is no directory; give one that `vilokanam backup` wrote")
    report = backup.restore(start.settings, start.data_dir, arguments.dir.absolute())
    text = (
        f"{start.data_dir}: restored from {clock_text(report.made_ms / 1000)}; what was booked "
        "since is lost: book deposits again with their keys, and run `vilokanam reconcile` once "
        "the server has started"
    )
    _show(arguments, report, text, start.data_dir)
    return 0


def _begin(arguments: argparse.Namespace) -> bootstrap.Start:
    os.umask(0o077)
    arguments.config = find(arguments.config, os.environ)
    return bootstrap.begin(arguments)


def _show(arguments: argparse.Namespace, report: BackupReport, text: str, data_dir: Path) -> None:
    answer = {
        "dir": str(arguments.dir),
        "data_dir": str(data_dir),
        "files": list(report.files),
        "size_bytes": report.size_bytes,
        "schema_version": report.schema_version,
        "made_ms": report.made_ms,
    }
    counts = f"{len(report.files)} files, {report.size_bytes} bytes, book {report.schema_version}"
    sys.stdout.write((json.dumps(answer) if arguments.json else f"{text}\n{counts}") + "\n")
