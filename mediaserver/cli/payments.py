"""``vilokanam payments``: what people pay in through providers, and what these say of it."""

from __future__ import annotations

import argparse
from typing import Any

from mediaserver.cli.amounts import asset_of
from mediaserver.cli.client import add_server_options, api_of, show, table
from mediaserver.cli.clock_text import utc
from metering.model.amounts import amount_text


def add(groups: Any) -> None:
    """Add the commands."""
    parser = groups.add_parser("payments", help="what people pay in through providers")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    listing = _verb(verbs, "list", _list, "the newest orders")
    listing.add_argument("--state", help="open or paid")
    listing.add_argument("--before", help="the order behind which the list begins")
    _verb(verbs, "show", _show, "one order, and what was told of it").add_argument("order")
    notices = _verb(verbs, "notices", _notices, "what providers told, the newest first")
    notices.add_argument("--outcome", help="such as wrong-amount, unknown-order or paid-twice")
    notices.add_argument("--before", help="the number behind which the list begins")


def _verb(verbs: Any, name: str, run: Any, help_text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=help_text)
    add_server_options(parser)
    parser.set_defaults(run=run)
    return parser


def _list(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    answer, asset = api.get("payments", **_query(arguments, "state", "before")), asset_of(api)
    rows = [
        (
            item["order"],
            item["state"],
            item["provider"],
            f"{item['amount']} {item['currency']}",
            amount_text(int(item["planck"]), asset),
            utc(item["created_ms"]),
            item["payment"] or "-",
        )
        for item in answer["payments"]
    ]
    heads = ("ORDER", "STATE", "PROVIDER", "MINOR UNITS", "BUYS", "SINCE", "PAYMENT")
    show(arguments, answer, "\n".join([table(heads, rows), *_next(answer)]))
    return 0


def _show(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    item, asset = api.get("payments", arguments.order), asset_of(api)
    lines = [
        f"order: {item['order']}",
        f"of account: {item['account']}",
        f"state: {item['state']}",
        f"to pay: {item['amount']} minor units of {item['currency']}, by {item['provider']}",
        f"buys: {amount_text(int(item['planck']), asset)}",
        f"ordered: {utc(item['created_ms'])}",
    ]
    if item["paid_ms"] is not None:
        lines.append(f"paid: {utc(item['paid_ms'])}, by payment {item['payment']}")
    lines.append(_notice_table(item["notices"]))
    show(arguments, item, "\n".join(lines))
    return 0


def _notices(arguments: argparse.Namespace) -> int:
    query = _query(arguments, "outcome", "before")
    answer = api_of(arguments).get("payments", "notices", **query)
    show(arguments, answer, "\n".join([_notice_table(answer["notices"]), *_next(answer)]))
    return 0


def _query(arguments: argparse.Namespace, *names: str) -> dict[str, str]:
    given = {name: getattr(arguments, name) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def _next(answer: dict[str, Any]) -> list[str]:
    after = answer["next_before"]
    return [] if after is None else [f"there are more: --before {after}"]


def _notice_table(notices: list[dict[str, Any]]) -> str:
    rows = [
        (
            item["number"],
            utc(item["received_ms"]),
            item["provider"],
            item["kind"],
            item["payment"] or "-",
            f"{item['amount'] or '-'} {item['currency'] or ''}".strip(),
            item["outcome"],
            item["detail"],
        )
        for item in notices
    ]
    heads = ("NOTICE", "CAME", "PROVIDER", "KIND", "PAYMENT", "MINOR UNITS", "OUTCOME", "WHY")
    return table(heads, rows)
