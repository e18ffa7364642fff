"""``vilokanam ledger`` and ``vilokanam reconcile``: the books, and the proof that they balance."""

from __future__ import annotations

import argparse
from typing import Any

from mediaserver.cli.client import add_server_options, api_of, show, table
from mediaserver.cli.errors import EXIT_FAILED


def add(groups: Any) -> None:
    """Add the commands."""
    verbs = groups.add_parser("ledger", help="who holds what").add_subparsers(
        metavar="VERB", required=True
    )
    ledger: argparse.ArgumentParser = verbs.add_parser("show", help="the balance of every holder")
    add_server_options(ledger)
    ledger.set_defaults(run=_show)
    batches: argparse.ArgumentParser = verbs.add_parser("batches", help="the newest batches")
    add_server_options(batches)
    batches.set_defaults(run=_batches)
    retry: argparse.ArgumentParser = verbs.add_parser(
        "retry", help="have a rejected or conflict batch signed and sent again"
    )
    retry.add_argument("seq", metavar="SEQ", help="number of the batch, from `ledger batches`")
    add_server_options(retry)
    retry.set_defaults(run=_retry)
    reconcile: argparse.ArgumentParser = groups.add_parser(
        "reconcile",
        help="prove the books from the seconds themselves; exit code 1 names a difference",
    )
    add_server_options(reconcile)
    reconcile.set_defaults(run=_reconcile)


def _show(arguments: argparse.Namespace) -> int:
    answer = api_of(arguments).get("ledger")
    rows = [
        (line["role"], line["stream"] or "", line["account"] or "", line["planck"])
        for line in answer["lines"]
    ]
    text = table(("ROLE", "STREAM", "ACCOUNT", "PLANCK"), rows)
    show(arguments, answer, f"{text}\nsum: {answer['sum']}")
    return 0


def _batches(arguments: argparse.Namespace) -> int:
    answer = api_of(arguments).get("batches")
    rows = [
        (
            batch["seq"],
            batch["state"],
            batch["entries"],
            batch["hash"],
            len(batch["attempts"]),
            batch["reason"] or "",
        )
        for batch in answer["batches"]
    ]
    heads = ("SEQ", "STATE", "ENTRIES", "HASH", "ATTEMPTS", "REASON")
    show(arguments, answer, table(heads, rows))
    return 0


def _retry(arguments: argparse.Namespace) -> int:
    answer = api_of(arguments).post("batches", arguments.seq, "retry", body={})
    batch = answer["batch"]
    lines = [f"batch {batch['seq']} was {answer['was']}: {batch['reason'] or 'no reason is kept'}"]
    lines += [
        f"  attempt {attempt['number']}: {attempt['reason'] or 'no reason is kept'}"
        for attempt in batch["attempts"]
    ]
    lines.append(
        f"batch {batch['seq']} is {batch['state']}: the settler signs it and sends it again; "
        "see `vilokanam ledger batches`"
    )
    show(arguments, answer, "\n".join(lines))
    return 0


def _reconcile(arguments: argparse.Namespace) -> int:
    report = api_of(arguments).get("reconcile")
    lines = [f"{name}: {value}" for name, value in report["totals"].items()]
    lines += [
        f"an older book was restored: {restore['lost_ticks']} seconds billed after it are lost, "
        f"{restore['forgiven_from']} to {restore['forgiven_to']} are forgiven"
        for restore in report["restores"]
    ]
    lines += [f"difference: {difference}" for difference in report["differences"]]
    lines.append("the books balance" if report["is_balanced"] else "the books do not balance")
    show(arguments, report, "\n".join(lines))
    return 0 if report["is_balanced"] else EXIT_FAILED
