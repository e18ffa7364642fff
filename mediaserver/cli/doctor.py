"""``vilokanam doctor``: a line for each thing that may be wrong, with what to do about it."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mediaserver.api.pages import STATIC_DIR
from mediaserver.cli.config import faults_of
from mediaserver.cli.errors import EXIT_FAILED
from mediaserver.errors import ConfigError
from mediaserver.processes import bootstrap, machine_checks, network_checks
from mediaserver.processes.finding import Finding, State, fault, good
from mediaserver.settings.load import examine, find


def add(groups: Any) -> None:
    """Add the command."""
    parser: argparse.ArgumentParser = groups.add_parser(
        "doctor",
        parents=[bootstrap.parser("")],
        add_help=True,
        conflict_handler="resolve",
        help="look at configuration, machine and network; exit code 1 names a fault",
        description="Look at configuration, machine and network, while a server runs or before. "
        "Run it as the server's user. Exit code 1: something must be mended.",
    )
    parser.add_argument("--json", action="store_true", help="answer as JSON, for scripts")
    parser.set_defaults(run=_doctor)


def _doctor(arguments: argparse.Namespace) -> int:
    findings = asyncio.run(_all(arguments))
    is_good = all(finding.state is not State.FAULT for finding in findings)
    if arguments.json:
        shown = [
            {
                "check": finding.check,
                "state": finding.state.value,
                "text": finding.text,
                "remedy": finding.remedy or None,
            }
            for finding in findings
        ]
        sys.stdout.write(json.dumps({"is_good": is_good, "findings": shown}, indent=2) + "\n")
    else:
        for finding in findings:
            remedy = f"; {finding.remedy}" if finding.remedy else ""
            line = f"{finding.state.value:<8} {finding.check}: {finding.text}{remedy}"
            sys.stdout.write(line + "\n")
    return 0 if is_good else EXIT_FAILED


async def _all(arguments: argparse.Namespace) -> list[Finding]:
    path = find(arguments.config, os.environ)
    findings = [*_configuration(path)]
    try:
        # With defaults for what is faulty: the rest is looked at all the same.
        settings, _ = examine(path, os.environ)
    except ConfigError:
        return findings
    data_dir = (arguments.data_dir or Path(settings.server.data_dir)).absolute()
    pid = machine_checks.server_pid(data_dir)
    findings += await asyncio.to_thread(lambda: [*machine_checks.check_files(settings, data_dir)])
    findings += machine_checks.check_countries(settings)
    findings.append(machine_checks.check_disk(data_dir))
    findings.append(machine_checks.check_page(settings, STATIC_DIR / "index.html"))
    findings.append(machine_checks.check_limits(pid))
    findings.append(machine_checks.check_clock())
    findings.append(await machine_checks.check_server(settings, pid))
    findings += [item async for item in network_checks.check_redis(settings, data_dir, pid)]
    findings += await asyncio.to_thread(network_checks.check_udp, settings)
    findings.append(await network_checks.check_public_url(settings))
    return findings


def _configuration(path: Path | None) -> Iterator[Finding]:
    try:
        faults = faults_of(path)
    except ConfigError as error:
        faults = error.faults
    for text in faults:
        what, _, remedy = text.rpartition("; ")
        yield fault("configuration", what or text, remedy if what else "")
    if not faults:
        yield good("configuration", str(path or "defaults, as no file was found"))
