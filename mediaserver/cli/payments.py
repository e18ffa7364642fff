"""``vilokanam payments``: what people pay in through providers, and what these say of it."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Any

from mediaserver.cli.amounts import asset_of
from mediaserver.cli.client import api_of, show, table, verb
from mediaserver.cli.clock_text import utc, utc_second
from metering.model.amounts import amount_text
from metering.units import Asset


def add(groups: Any) -> None:
    """Add the commands."""
    parser = groups.add_parser("payments", help="what people pay in through providers")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    listing = verb(verbs, "list", _list, "the newest orders")
    listing.add_argument("--state", help="open or paid")
    listing.add_argument("--before", help="the order behind which the list begins")
    verb(verbs, "show", _show, "one order, and what was told of it").add_argument("order")
    notices = verb(verbs, "notices", _notices, "what providers told, the newest first")
    notices.add_argument("--outcome", help="such as wrong-amount, unknown-order or paid-twice")
    notices.add_argument("--before", help="the number behind which the list begins")
    refund = verb(verbs, "refund", _refund, "give back a part of what an order brought")
    refund.add_argument("order")
    refund.add_argument("amount", type=int, help="in the minor unit of its currency, such as cents")
    refund.add_argument("--why", required=True, help="kept with it")
    refund.add_argument(
        "--key", required=True, help="your own name of this refund: repeated, it changes nothing"
    )
    refund.add_argument(
        "--reference", help="it was given back by hand already: the provider's id of that"
    )
    refunds = verb(verbs, "refunds", _refunds, "what is to be given back, the newest first")
    refunds.add_argument("--state", help="asked, done or refused")
    refunds.add_argument("--before", help="the refund behind which the list begins")
    done = verb(verbs, "refund-done", _refund_done, "note that a refund was made by hand")
    done.add_argument("refund")
    done.add_argument("--reference", required=True, help="the provider's id of it")
    seconds = verb(
        verbs,
        "refund-seconds",
        _refund_seconds,
        "give seconds of a show that were bad back to everyone who paid for them",
    )
    seconds.add_argument("stream", help="slug")
    when = "Unix second of the media, or a time as 2026-11-30T20:15:00Z"
    seconds.add_argument("--from", dest="first", required=True, type=_tick, help=f"first {when}")
    seconds.add_argument("--to", dest="last", required=True, type=_tick, help="last one, likewise")
    seconds.add_argument("--show", type=int, help="its number: refused when they are of another")
    seconds.add_argument("--why", required=True, help="kept with it")
    seconds.add_argument(
        "--key", required=True, help="your own name of this refund: repeated, it changes nothing"
    )
    bad = verb(verbs, "refunded-seconds", _refunded_seconds, "what of a stream was given back")
    bad.add_argument("stream", help="slug")
    bad.add_argument("--before", help="the number behind which the list begins")


def _list(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    answer, asset = api.get("payments", **_query(arguments, "state", "before")), asset_of(api)
    rows = [
        (
            item["order"],
            item["state"],
            item["provider"],
            _money(item, item["amount"]),
            amount_text(int(item["planck"]), asset),
            utc(item["created_ms"]),
            item["payment"] or "-",
        )
        for item in answer["payments"]
    ]
    heads = ("ORDER", "STATE", "PROVIDER", "AMOUNT", "BUYS", "SINCE", "PAYMENT")
    show(arguments, answer, "\n".join([table(heads, rows), *_next(answer)]))
    return 0


def _show(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    item, asset = api.get("payments", arguments.order), asset_of(api)
    lines = [
        f"order: {item['order']}",
        f"of account: {item['account']}",
        f"state: {item['state']}",
        f"to pay: {_money(item, item['amount'])} ({item['amount']} minor units)",
        f"by: {item['provider']}",
        f"buys: {amount_text(int(item['planck']), asset)}",
        f"ordered: {utc(item['created_ms'])}",
    ]
    if item["paid_ms"] is not None:
        lines.append(f"paid: {utc(item['paid_ms'])}, by payment {item['payment']}")
    if int(item["given_back"]):
        back = item["given_back"]
        lines.append(f"given back: {_money(item, back)} ({back} minor units)")
    if item["refunds"]:
        lines.append(_refund_table(item["refunds"], asset))
    lines.append(_notice_table(item["notices"]))
    show(arguments, item, "\n".join(lines))
    return 0


def _notices(arguments: argparse.Namespace) -> int:
    query = _query(arguments, "outcome", "before")
    answer = api_of(arguments).get("payments", "notices", **query)
    show(arguments, answer, "\n".join([_notice_table(answer["notices"]), *_next(answer)]))
    return 0


def _refund(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    body = {"amount": arguments.amount, "why": arguments.why}
    if arguments.reference is not None:
        body["reference"] = arguments.reference
    headers = {"Idempotency-Key": arguments.key}
    made = api.post("payments", arguments.order, "refunds", body=body, headers=headers)
    show(arguments, made, _refund_table([made], asset_of(api)))
    return 0


def _refunds(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    answer = api.get("payments", "refunds", **_query(arguments, "state", "before"))
    text = "\n".join([_refund_table(answer["refunds"], asset_of(api)), *_next(answer)])
    show(arguments, answer, text)
    return 0


def _refund_done(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    body = {"reference": arguments.reference}
    made = api.post("payments", "refunds", arguments.refund, "done", body=body)
    show(arguments, made, _refund_table([made], asset_of(api)))
    return 0


def _tick(text: str) -> int:
    """Return a second of Unix time, given as such or as a time of the calendar, UTC."""
    if text.isascii() and text.isdigit():
        return int(text)
    when = datetime.fromisoformat(text)
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())


def _refund_seconds(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    body = {"from_tick": arguments.first, "to_tick": arguments.last, "why": arguments.why}
    if arguments.show is not None:
        body["show"] = arguments.show
    headers = {"Idempotency-Key": arguments.key}
    made = api.post("streams", arguments.stream, "refunds", body=body, headers=headers)
    later = "what of them has not settled yet is given back when it has"
    show(arguments, made, "\n".join([_seconds_table([made], asset_of(api)), later]))
    return 0


def _refunded_seconds(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    answer = api.get("streams", arguments.stream, "refunds", **_query(arguments, "before"))
    text = "\n".join([_seconds_table(answer["refunds"], asset_of(api)), *_next(answer)])
    show(arguments, answer, text)
    return 0


def _seconds_table(refunds: list[dict[str, Any]], asset: Asset) -> str:
    rows = [
        (
            item["number"],
            utc_second(item["from_tick"]),
            utc_second(item["to_tick"]),
            item["show"] or "-",
            item["viewers"],
            item["seconds"],
            amount_text(int(item["planck"]), asset),
            item["why"],
        )
        for item in refunds
    ]
    heads = ("REFUND", "FROM", "TO", "SHOW", "VIEWERS", "SECONDS PAID", "GIVEN BACK", "WHY")
    return table(heads, rows)


def _refund_table(refunds: list[dict[str, Any]], asset: Asset) -> str:
    rows = [
        (
            item["refund"],
            item["state"],
            item["order"],
            item["amount"],
            amount_text(int(item["planck"]), asset),
            utc(item["created_ms"]),
            item["reference"] or "-",
            item["detail"] or item["why"],
        )
        for item in refunds
    ]
    heads = ("REFUND", "STATE", "ORDER", "MINOR UNITS", "TAKES", "ASKED", "REFERENCE", "WHY")
    return table(heads, rows)


def _money(item: dict[str, Any], minor: str) -> str:
    """Return an amount as people write it, in the unit that the server names for it."""
    currency, decimals = item["currency"], item["currency_decimals"]
    if decimals is None:
        return f"{minor} minor units of {currency or 'no currency'}"
    return amount_text(int(minor), Asset(currency, decimals, 1))


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
            "-" if item["amount"] is None else _money(item, item["amount"]),
            item["outcome"],
            item["detail"],
        )
        for item in notices
    ]
    heads = ("NOTICE", "CAME", "PROVIDER", "KIND", "PAYMENT", "AMOUNT", "OUTCOME", "WHY")
    return table(heads, rows)
