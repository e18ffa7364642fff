"""``vilokanam streams pass``, ``passes``, ``refund-pass``: a price for a whole show, or a month."""

from __future__ import annotations

import argparse
import time
from typing import Any

from mediaserver.cli.amounts import AMOUNT_HELP, asset_of, planck_of
from mediaserver.cli.client import api_of, show, table, verb
from mediaserver.cli.clock_text import clock_text, utc
from metering.model.amounts import amount_text
from metering.model.passes import PassKind
from metering.units import Asset, Planck


def add(verbs: Any) -> None:
    """Add the commands below ``streams``."""
    offer = verb(verbs, "pass", _offer, "sell a pass for a show or a month, or sell it no more")
    offer.add_argument("slug")
    offer.add_argument("kind", choices=[kind.value for kind in PassKind])
    offer.add_argument("amount", metavar="AMOUNT|none", help=f"{AMOUNT_HELP}; none: not sold")
    passes = verb(verbs, "passes", _list, "what passes cost, and those that were sold")
    passes.add_argument("slug")
    passes.add_argument("--before", help="the pass behind which the list begins")
    refund = verb(verbs, "refund-pass", _refund, "give the whole price of a pass back")
    refund.add_argument("id", metavar="pass", help="as `passes` lists it")
    refund.add_argument("--why", required=True, help="kept with it")


def _offer(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    asset, now_s = asset_of(api), time.time()
    path = ("streams", arguments.slug, "passes", arguments.kind)
    if arguments.amount == "none":
        made = api.delete(*path)
    else:
        made = api.put(*path, body={"planck": planck_of(arguments.amount, None, asset)})
    show(arguments, made, _line(made, asset, now_s))
    return 0


def _list(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    asset, now_s = asset_of(api), time.time()
    offers = api.get("streams", arguments.slug, "passes")
    query = {} if arguments.before is None else {"before": arguments.before}
    answer = api.get("streams", arguments.slug, "passes", "sold", **query)
    lines = [_line(item, asset, now_s) for item in (*offers["sold"], *offers["to_come"])]
    rows = [
        (
            item["pass"],
            item["kind"],
            utc(item["created_ms"]),
            amount_text(Planck(int(item["planck"])), asset),
            item["account"],
            "" if item["refunded_ms"] is None else "refunded",
        )
        for item in answer["sold"]
    ]
    lines.append(table(("PASS", "KIND", "BOUGHT", "COST", "ACCOUNT", ""), rows))
    if answer["next_before"]:
        lines.append(f"more: --before {answer['next_before']}")
    shown = {"offers": [*offers["sold"], *offers["to_come"]], **answer}
    show(arguments, shown, "\n".join(lines))
    return 0


def _refund(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    made = api.post("passes", arguments.id, "refund", body={"why": arguments.why})
    price = amount_text(Planck(int(made["planck"])), asset_of(api))
    show(arguments, made, f"{price} given back; the pass covers nothing any more")
    return 0


def _line(made: dict[str, Any], asset: Asset, now_s: float) -> str:
    planck = Planck(int(made["planck"]))
    what = amount_text(planck, asset) if planck else "no longer sold"
    return f"pass for a {made['kind']}: {what}, from {clock_text(made['from_s'], now_s)} on"
