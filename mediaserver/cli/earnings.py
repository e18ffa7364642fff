"""``vilokanam earnings``: what creators earned by state, and its way out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Final

from mediaserver.cli.amounts import AMOUNT_HELP, asset_of, planck_of
from mediaserver.cli.client import api_of, show, table, verb
from mediaserver.cli.clock_text import utc
from mediaserver.cli.errors import CliError
from mediaserver.payments.payouts import decimal_text
from metering.model import statement as model
from metering.model.amounts import amount_text, both_texts
from metering.units import Asset, parse_account

FILE_BYTES_MAX: Final = 8 << 20
"""A statement has a line a day, and one for each payout."""


def add(groups: Any) -> None:
    """Add the commands."""
    parser = groups.add_parser("earnings", help="what creators earned, and its way out")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    verb(verbs, "show", _show, "what a stream earned, by state").add_argument("stream")
    statement = verb(verbs, "statement", _statement, "what a stream earned in a month, signed")
    statement.add_argument("stream")
    statement.add_argument("month", help="such as 2026-11; days and months are UTC")
    statement.add_argument("--account", help="of a payee: 0x and 64 digits; left out: the creator")
    statement.add_argument("--csv", action="store_true", help="a table, not signed")
    statement.add_argument("--output", type=Path, help="write it to this file instead")
    check = verbs.add_parser("verify", help="check a signed statement against the operator's key")
    check.add_argument("file", type=Path)
    check.add_argument(
        "--operator-key", required=True, help="0x and 64 digits, from a place you trust"
    )
    check.add_argument("--json", action="store_true", help="answer as JSON, for scripts")
    check.set_defaults(run=_verify)
    request = verb(verbs, "request", _request, "ask to be paid what is available")
    request.add_argument("stream")
    request.add_argument("amount", nargs="?", help=f"left out: all; {AMOUNT_HELP}")
    request.add_argument("--payee", required=True, help="the name on the bank account")
    request.add_argument("--account", help="of a payee whose earnings are meant: 0x and 64 digits")
    request.add_argument("--bank-account", required=True, help="an IBAN, or bank code and number")
    request.add_argument(
        "--key", required=True, help="your own name of this request: repeated, it changes nothing"
    )
    listing = verb(verbs, "requests", _requests, "the newest requests to be paid")
    listing.add_argument("stream", nargs="?", help="only of this stream")
    listing.add_argument("--state", help="requested, approved, paid or refused")
    listing.add_argument("--before", help="the request behind which the list begins")
    verb(verbs, "approve", _approve, "let a bank pay a request").add_argument("payout")
    refuse = verb(verbs, "refuse", _refuse, "refuse a request: it is available again")
    refuse.add_argument("payout")
    refuse.add_argument("--why", required=True, help="the creator reads it")
    paid = verb(verbs, "paid", _paid, "note that a bank has paid")
    paid.add_argument("payout")
    paid.add_argument("--reference", required=True, help="the bank's name of its transfer")
    export = verb(verbs, "bank-file", _bank_file, "what is approved, as CSV for a bank")
    export.add_argument("--output", type=Path, help="write it to this file instead")


def _show(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    answer, asset = api.get("streams", arguments.stream, "earnings"), asset_of(api)
    days = answer["maturing_days"]
    lines = [
        f"stream: {answer['title'] or answer['stream']} ({answer['stream']})",
        f"pending: {both_texts(int(answer['pending']), asset)}, in no batch that is final",
        f"maturing: {both_texts(int(answer['maturing']), asset)}, settled within {days} days",
        f"available: {both_texts(int(answer['available']), asset)}",
        f"asked for: {both_texts(int(answer['asked']), asset)}",
        f"paid out: {both_texts(int(answer['paid_out']), asset)}",
    ]
    if int(answer["debt"]):
        lines.append(f"owed: {both_texts(int(answer['debt']), asset)}, taken from what comes next")
    for payee in answer["payees"]:
        left = amount_text(int(payee["available"]), asset)
        held = int(payee["pending"]) + int(payee["maturing"])
        lines.append(f"payee {payee['account']}: {left}, and {amount_text(held, asset)} to come")
    show(arguments, answer, "\n".join(lines))
    return 0


def _statement(arguments: argparse.Namespace) -> int:
    # The signed spelling is the file's own: it is passed on byte for byte.
    query = {"form": "csv" if arguments.csv else "json"}
    if arguments.account is not None:
        query["account"] = arguments.account
    path = ("streams", arguments.stream, "statements", arguments.month)
    _write_out(api_of(arguments).raw("GET", path, query=query), arguments.output)
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    try:
        operator = parse_account(arguments.operator_key)
    except ValueError as error:
        raise CliError(f"--operator-key: {error}") from error
    try:
        with arguments.file.open("rb") as file:
            content = model.verify(file.read(FILE_BYTES_MAX), operator)
    except OSError as error:
        raise CliError(f"{arguments.file} cannot be read: {error.strerror}") from error
    asset = Asset(str(content["asset"]["symbol"]), int(content["asset"]["decimals"]))
    closing = both_texts(int(content["closing"]), asset)
    if content.get("payee", content["creator"]) != content["creator"]:
        closing += f", of payee {content['payee']}"
    kind = "whole" if content["is_closed"] else "so far"
    text = f"good: {content['title'] or content['slug']}, {content['month']} ({kind}): {closing}"
    show(arguments, content, text)
    return 0


def _request(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    asset = asset_of(api)
    body = {"payee": arguments.payee, "bank_account": arguments.bank_account}
    if arguments.account is not None:
        body["account"] = arguments.account
    if arguments.amount is not None:
        body["planck"] = planck_of(arguments.amount, None, asset)
    headers = {"Idempotency-Key": arguments.key}
    made = api.post("streams", arguments.stream, "payouts", body=body, headers=headers)
    show(arguments, made, _table([made], asset))
    return 0


def _requests(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    given = {"state": arguments.state, "before": arguments.before}
    query = {name: value for name, value in given.items() if value is not None}
    path = ("streams", arguments.stream, "payouts") if arguments.stream else ("payout-requests",)
    answer = api.get(*path, **query)
    text = _table(answer["payouts"], asset_of(api))
    if answer["next_before"] is not None:
        text += f"\nmore: --before {answer['next_before']}"
    show(arguments, answer, text)
    return 0


def _approve(arguments: argparse.Namespace) -> int:
    return _decide(arguments, "approve", {})


def _refuse(arguments: argparse.Namespace) -> int:
    return _decide(arguments, "refuse", {"why": arguments.why})


def _paid(arguments: argparse.Namespace) -> int:
    return _decide(arguments, "paid", {"reference": arguments.reference})


def _decide(arguments: argparse.Namespace, act: str, body: dict[str, str]) -> int:
    api = api_of(arguments)
    made = api.post("payout-requests", arguments.payout, act, body=body)
    show(arguments, made, _table([made], asset_of(api)))
    return 0


def _bank_file(arguments: argparse.Namespace) -> int:
    _write_out(api_of(arguments).raw("GET", ("payout-requests", "bank-file")), arguments.output)
    return 0


def _write_out(content: bytes, output: Path | None) -> None:
    """Write a file as it came, to standard output where no other place is named.

    Raises:
        CliError: It cannot be written.
    """
    if output is None:
        sys.stdout.write(content.decode())
        return
    try:
        output.write_bytes(content)
    except OSError as error:
        raise CliError(f"{output} cannot be written: {error.strerror}") from error


def _table(payouts: list[dict[str, Any]], asset: Asset) -> str:
    rows = [
        (
            item["payout"],
            item["stream"],
            item["state"],
            f"{decimal_text(int(item['amount']), item['currency_decimals'])} {item['currency']}",
            amount_text(int(item["planck"]), asset),
            item["payee"],
            utc(item["created_ms"]),
            item["reference"] or item["why"] or "-",
        )
        for item in payouts
    ]
    heads = ("PAYOUT", "STREAM", "STATE", "PAYS", "TAKES", "PAYEE", "ASKED", "REFERENCE OR WHY")
    return table(heads, rows)
