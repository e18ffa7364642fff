"""``vilokanam config``: check a file, show what is in force, print what comes with the package."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from mediaserver.errors import ConfigError
from mediaserver.ingest.bind_check import unusable_addresses
from mediaserver.processes import operator_key
from mediaserver.processes.configured_files import unusable_files
from mediaserver.processes.listen_check import host_fault
from mediaserver.processes.listeners import places
from mediaserver.settings import effective, shipped
from mediaserver.settings.load import CONFIG_VARIABLE, DEFAULT_PATHS, examine, find, load
from mediaserver.settings.people_rules import people_notes
from mediaserver.settings.schema import schema

WHERE = f"left out: {CONFIG_VARIABLE}, {', '.join(map(str, DEFAULT_PATHS))}"


def add(groups: Any) -> None:
    """Add the commands."""
    verbs = groups.add_parser("config", help="check and show a configuration").add_subparsers(
        metavar="VERB", required=True
    )
    check: argparse.ArgumentParser = verbs.add_parser(
        "check", help="tell every fault of a configuration file, with the environment laid over it"
    )
    check.add_argument("file", type=Path, nargs="?", help=WHERE)
    check.add_argument("--config", type=Path, help="the same, as other commands take it")
    check.add_argument("--json", action="store_true", help="answer as JSON, for scripts")
    check.set_defaults(run=_check)
    shown: argparse.ArgumentParser = verbs.add_parser(
        "show", help="print what is in force and where it comes from; secrets are hidden"
    )
    shown.add_argument("--config", type=Path, help=f"the configuration file; {WHERE}")
    shown.add_argument("--json", action="store_true", help="answer as JSON, for scripts")
    shown.set_defaults(run=_show)
    for name, run, text in (
        ("schema", _schema, "print the JSON schema of the file"),
        ("example", _example, "print the reference: every key with its default, and why"),
    ):
        verbs.add_parser(name, help=text).set_defaults(run=run)
    unit: argparse.ArgumentParser = verbs.add_parser("unit", help="print a systemd unit")
    unit.add_argument(
        "--socket",
        action="store_true",
        help="instead of the server's own, the one that holds its port: systemd listens there from "
        "the boot on, and the server needs no right to a port below 1024",
    )
    unit.add_argument("--config", type=Path, help=f"says where the port is; {WHERE}")
    unit.set_defaults(run=_unit)


def faults_of(path: Path | None) -> tuple[str, ...]:
    """Return all that is wrong with a configuration, by itself and on this machine.

    Raises:
        ConfigError: The file cannot be read.
    """
    settings, faults = examine(path, os.environ)
    if not any("ingest.bind_addresses" in fault for fault in faults):
        faults += tuple(unusable_addresses(settings.ingest.bind_addresses).values())
    if not any("server.host" in fault for fault in faults):
        faults += tuple(filter(None, (host_fault(settings.server.host),)))
    return faults + tuple(unusable_files(settings))


def _check(arguments: argparse.Namespace) -> int:
    if arguments.file is not None and arguments.config is not None:
        raise ConfigError(("FILE and --config name one file: give it once",))
    path = find(arguments.file or arguments.config, os.environ)
    faults = faults_of(path)
    if faults:
        raise ConfigError(faults)
    settings = load(path, os.environ)
    data_dir = Path(settings.server.data_dir).absolute()
    # Who may not look into it is told nothing of it.
    if os.access(data_dir, os.R_OK | os.X_OK) and (told := operator_key.fault(settings, data_dir)):
        raise ConfigError((told,))
    notes = list(people_notes(settings))
    answer = {"file": None if path is None else str(path), "is_good": True, "notes": notes}
    text = "\n".join(
        (f"{path or 'no file, so the defaults'}: good", *map("note: {}".format, notes))
    )
    sys.stdout.write((json.dumps(answer) if arguments.json else text) + "\n")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    path = find(arguments.config, os.environ)
    settings = load(path, os.environ)
    if arguments.json:
        tree = {"file": None if path is None else str(path), **effective.plain(settings)}
        sys.stdout.write(json.dumps(tree, indent=2) + "\n")
        return 0
    by_file, _ = examine(path, {})
    lines = [
        f"# In force: {path or 'defaults'}, with the environment laid over it. Secrets are hidden.",
        "",
        *effective.toml_lines(settings, by_file),
    ]
    sys.stdout.write("\n".join(lines).rstrip() + "\n")
    return 0


def _schema(_: argparse.Namespace) -> int:
    sys.stdout.write(json.dumps(schema(), indent=2) + "\n")
    return 0


def _example(_: argparse.Namespace) -> int:
    sys.stdout.write(shipped.reference_text())
    return 0


def _unit(arguments: argparse.Namespace) -> int:
    if arguments.socket:
        server = load(find(arguments.config, os.environ), os.environ).server
        where = places(server.host, server.port)
        if not where:
            raise ConfigError((host_fault(server.host),))
        sys.stdout.write(shipped.socket_unit_text(where))
        return 0
    # Beside the interpreter that runs us: where pip put it.
    program = Path(sys.executable).parent / shipped.GUIDES_PROGRAM.name
    sys.stdout.write(shipped.unit_text(program if program.exists() else shipped.GUIDES_PROGRAM))
    return 0
