"""``vilokanam config``: check a file, print the schema."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from mediaserver.errors import ConfigError
from mediaserver.ingest.bind_check import unusable_addresses
from mediaserver.settings.load import load
from mediaserver.settings.schema import schema


def add(groups: Any) -> None:
    """Add the commands."""
    verbs = groups.add_parser("config", help="check a configuration").add_subparsers(
        metavar="VERB", required=True
    )
    check: argparse.ArgumentParser = verbs.add_parser(
        "check", help="tell every fault of a configuration file, with the environment laid over it"
    )
    check.add_argument("file", type=Path)
    check.set_defaults(run=_check)
    verbs.add_parser("schema", help="print the JSON schema of the file").set_defaults(run=_schema)


def _check(arguments: argparse.Namespace) -> int:
    settings = load(arguments.file, os.environ)
    faults = unusable_addresses(settings.ingest.bind_addresses)
    if faults:
        raise ConfigError(tuple(faults.values()))
    sys.stdout.write(f"{arguments.file}: good\n")
    return 0


def _schema(_: argparse.Namespace) -> int:
    sys.stdout.write(json.dumps(schema(), indent=2) + "\n")
    return 0
