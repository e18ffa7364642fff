"""``vilokanam receipt``: fetch a viewer's receipts, and verify them without trusting the server."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any, Final

from mediaserver.cli.client import add_server_options, api_of, show
from mediaserver.cli.errors import CliError
from mediaserver.processes import bootstrap
from mediaserver.processes.accepted_key import accept
from mediaserver.processes.data_dir import DataDir
from mediaserver.processes.operator_key import NEW
from mediaserver.settings.load import find
from metering.errors import NoReceiptsError
from metering.model import receipt_file
from metering.model.amounts import both_texts
from metering.units import Cause, account_text, parse_account

FILE_BYTES_MAX: Final = 256 << 20
_WHY: Final = {
    Cause.PREVIEW: "a free preview",
    Cause.CAP: "the cap of a show",
    Cause.FREE_LIST: "the creator's free list",
    Cause.PASS: "a pass",
}


def add(groups: Any) -> None:
    """Add the commands."""
    verbs = groups.add_parser("receipt", help="get and verify receipts").add_subparsers(
        metavar="VERB", required=True
    )
    get: argparse.ArgumentParser = verbs.add_parser(
        "get", help="print the receipts of a viewer and stream"
    )
    add_server_options(get)
    get.add_argument("viewer", help="name or account")
    get.add_argument("stream", help="slug")
    get.add_argument("--output", type=Path, help="write them to this file instead")
    get.set_defaults(run=_get)
    key: argparse.ArgumentParser = verbs.add_parser(
        "operator-key", help="print the public key that the receipts are signed with"
    )
    add_server_options(key)
    key.set_defaults(run=_key)
    accepts: argparse.ArgumentParser = verbs.add_parser(
        "accept-key",
        parents=[bootstrap.parser("")],
        add_help=True,
        conflict_handler="resolve",
        help="let another operator.key sign, where the old one is lost; the server is stopped",
        description="Let another operator.key sign from now on. Receipts that were signed before "
        "are checked with the old account, and on a chain the escrow stays with it: put the old "
        "key back from a backup if there is one. The audit log keeps who signed before.",
    )
    accepts.add_argument(
        "account", help=f"of the key in the file now; `{NEW}` where there is no file"
    )
    accepts.add_argument("--json", action="store_true", help="answer as JSON, for scripts")
    accepts.set_defaults(run=_accept)
    verify: argparse.ArgumentParser = verbs.add_parser(
        "verify", help="check a file of receipts against the operator's public key"
    )
    verify.add_argument("file", type=Path)
    verify.add_argument(
        "--operator-key",
        required=True,
        action="append",
        help="0x and 64 digits, from a place you trust; once more for one that they had before",
    )
    verify.add_argument("--json", action="store_true", help="answer as JSON, for scripts")
    verify.set_defaults(run=_verify)


def _get(arguments: argparse.Namespace) -> int:
    # The signed spelling is the file's own: it is passed on byte for byte.
    content = api_of(arguments).raw("GET", ("receipts", arguments.viewer, arguments.stream))
    if arguments.output is None:
        sys.stdout.write(content.decode())
        return 0
    try:
        arguments.output.write_bytes(content)
    except OSError as error:
        raise CliError(f"{arguments.output} cannot be written: {error.strerror}") from error
    return 0


def _key(arguments: argparse.Namespace) -> int:
    answer = api_of(arguments).get("operator")
    show(arguments, answer, answer["public_key"])
    return 0


def _accept(arguments: argparse.Namespace) -> int:
    os.umask(0o077)
    arguments.config = find(arguments.config, os.environ)
    start = bootstrap.begin(arguments)
    with DataDir(start.data_dir):
        before, account = accept(start, arguments.account)
    answer = {
        "before": None if before is None else account_text(before),
        "public_key": account_text(account),
    }
    earlier = answer["before"] or "another account, which the book does not name"
    show(
        arguments,
        answer,
        f"signs from now on: {account_text(account)}\nsigned before: {earlier}\n"
        "publish both: older receipts are checked with the earlier one",
    )
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    try:
        operators = [parse_account(text) for text in arguments.operator_key]
    except ValueError as error:
        raise CliError(f"--operator-key: {error}") from error
    try:
        with arguments.file.open("rb") as file:
            content = file.read(FILE_BYTES_MAX)
    except OSError as error:
        raise CliError(f"{arguments.file} cannot be read: {error.strerror}") from error
    try:
        proof = receipt_file.verify(content, *operators)
    except NoReceiptsError as error:
        raise CliError(
            f'{arguments.file} is not a file that the page\'s "Save the signed file" (or '
            f"`vilokanam receipt get`) wrote: {error.reason}"
        ) from error
    answer = {
        "stream": str(proof.stream),
        "account": account_text(proof.account),
        "receipts": len(proof.receipts),
        "seconds": proof.ticks - proof.covered_ticks,
        "covered_seconds": proof.covered_ticks,
        "given_back_seconds": proof.back_ticks,
        "covered_by": {str(cause): count for cause, count in proof.covered_by_cause.items()},
        "planck": str(proof.amount),
    }
    worth = both_texts(proof.amount, proof.asset)
    if proof.covered_ticks:
        why = ", ".join(f"{n} by {_WHY[cause]}" for cause, n in proof.covered_by_cause.items())
        worth += f", and {proof.covered_ticks} seconds that were covered, {why}"
    if proof.back_ticks:
        worth += f", less {proof.back_ticks} seconds that were bad and given back"
    show(
        arguments,
        answer,
        f"good: {len(proof.receipts)} receipts of stream {proof.stream} for "
        f"{account_text(proof.account)}: {answer['seconds']} seconds, {worth}",
    )
    return 0
