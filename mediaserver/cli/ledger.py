"""``vilokanam ledger`` and ``vilokanam reconcile``: the books, and the proof that they balance."""

from __future__ import annotations

import argparse
from typing import Any

from mediaserver.cli.amounts import asset_of
from mediaserver.cli.client import add_server_options, api_of, show, table
from mediaserver.cli.errors import EXIT_FAILED
from metering.model.amounts import aligned, amount_text, both_texts
from metering.units import Asset


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
    api = api_of(arguments)
    answer, asset = api.pages("lines", "ledger"), asset_of(api)
    amounts = aligned([int(line["planck"]) for line in answer["lines"]], asset)
    rows = [
        (line["role"], line["stream"] or "", line["account"] or "", amount)
        for line, amount in zip(answer["lines"], amounts, strict=True)
    ]
    text = table(("ROLE", "STREAM", "ACCOUNT", "BALANCE"), rows)
    text += f"\nsum: {amount_text(int(answer['sum']), asset)}"
    if int(answer["covered_ticks"]):
        text += f"\ncovered: {answer['covered_ticks']} s watched and billed to nobody"
    show(arguments, answer, text)
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
    api = api_of(arguments)
    report, asset = api.get("reconcile"), asset_of(api)
    show(arguments, report, "\n".join(report_lines(report, asset)))
    return 0 if report["is_balanced"] else EXIT_FAILED


def report_lines(report: dict[str, Any], asset: Asset) -> list[str]:
    """Return a report in sentences: totals, what was restored or left out, each difference."""
    lines = totals_lines(report, asset)
    lines += [
        f"an older book was restored: at least {restore['lost_ticks']} seconds billed after it "
        f"are lost, {restore['forgiven_from']} to {restore['forgiven_to']} are forgiven"
        for restore in report["restores"]
    ]
    if not report["is_store_read"]:
        lines.append(
            "Redis is away or being rebuilt: seconds that only it has are not in these numbers; "
            "run this again"
        )
    paid = report["payments"]
    if paid["paid"]:
        bought = both_texts(int(paid["planck"]), asset)
        lines.append(f"paid through providers: {paid['paid']} orders, {bought}")
    if int(paid["back"]):
        lines.append(f"went back of that: {both_texts(int(paid['back']), asset)}")
    lines += [f"settled loss: {loss}" for loss in paid["losses"]]
    lines += [f"difference: {difference}" for difference in report["differences"]]
    lines.append("the books balance" if report["is_balanced"] else "the books do not balance")
    return lines


def totals_lines(report: dict[str, Any], asset: Asset) -> list[str]:
    """Return the totals of a report with their units, and in sentences what is settled."""
    totals = report["totals"]
    lines = [
        f"{name.removesuffix('_ticks')}: {value} s"
        for name, value in totals.items()
        if not name.endswith("planck")
    ]
    metered, settled = int(totals["metered"]), int(totals["settled"])
    # A row is of one price: what its seconds cost, divided by their count.
    settled_planck = sum(
        int(row["planck"]) // row["metered"] * row["settled"]
        for row in report["rows"]
        if row["metered"]
    )
    lines.append(f"all metered seconds cost {both_texts(int(totals['planck']), asset)}")
    if int(totals["adopted"]):
        adopted = both_texts(int(totals["adopted_planck"]), asset)
        lines.append(f"the adopted seconds cost {adopted}")
    rest = "" if settled == metered else f"; the other {metered - settled} are on their way"
    if int(totals["refused"]):
        rest += f", {totals['refused']} of them refused by the chain and carried again"
    lines.append(
        f"settled are {settled} of {metered} seconds, {both_texts(settled_planck, asset)}{rest}"
    )
    return lines
