"""``vilokanam viewers``: create, list, credit; their sessions."""

from __future__ import annotations

import argparse
from typing import Any

from mediaserver.cli.amounts import add_amount, asset_of, planck_of
from mediaserver.cli.client import api_of, show, table, verb
from mediaserver.cli.clock_text import clock_text
from metering.model.amounts import aligned, both_texts


def add(groups: Any) -> None:
    """Add the commands."""
    verbs = groups.add_parser("viewers", help="viewers and what they paid in").add_subparsers(
        metavar="VERB", required=True
    )
    create = verb(verbs, "create", _create, "make a viewer; their key is shown this once")
    create.add_argument("name")
    create.add_argument("--account", help="their wallet's public key: 0x and 64 digits")
    verb(verbs, "list", _list, "list the viewers with what they paid in and spent")
    credit = verb(verbs, "credit", _credit, "book a payment of a viewer, once for each key")
    credit.add_argument("viewer", help="name or account")
    add_amount(credit)
    credit.add_argument(
        "--key", required=True, help="your own name of this payment: repeated, it changes nothing"
    )
    credit.add_argument("--memo", default="", help="kept with it")
    refund = verb(verbs, "refund", _refund, "take back a credit, once for each key")
    refund.add_argument("viewer", help="name or account")
    add_amount(refund)
    refund.add_argument("--deposit", required=True, help="the --key of the credit")
    refund.add_argument(
        "--key", required=True, help="your own name of this refund: repeated, it changes nothing"
    )
    refund.add_argument("--why", required=True, help="kept with it")
    sessions = verb(verbs, "sessions", _sessions, "list a viewer's players and links")
    sessions.add_argument("viewer", help="name or account")
    end = verb(verbs, "end-sessions", _end, "end a viewer's players and links, for good")
    end.add_argument("viewer", help="name or account")
    end.add_argument("--session", help="only this one, as `viewers sessions` shows it")


def _create(arguments: argparse.Namespace) -> int:
    body = {"name": arguments.name}
    if arguments.account is not None:
        body["account"] = arguments.account
    made = api_of(arguments).post("viewers", body=body)
    show(
        arguments,
        made,
        f"viewer: {made['name']}\naccount: {made['account']}\nviewer key: {made['viewer_key']}",
    )
    return 0


def _list(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    answer = api.pages("viewers", "viewers")
    asset, viewers = asset_of(api), answer["viewers"]
    columns = [
        aligned([int(viewer[key]) for viewer in viewers], asset)
        for key in ("deposited", "spent", "balance", "debt")
    ]
    rows = [
        (viewer["name"], *amounts, viewer["account"])
        for viewer, *amounts in zip(viewers, *columns, strict=True)
    ]
    show(
        arguments, answer, table(("NAME", "DEPOSITED", "SPENT", "BALANCE", "DEBT", "ACCOUNT"), rows)
    )
    return 0


def _credit(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    asset = asset_of(api)
    planck = planck_of(arguments.amount, arguments.planck, asset)
    made = api.post(
        "viewers",
        arguments.viewer,
        "credits",
        body={"planck": planck, "memo": arguments.memo},
        headers={"Idempotency-Key": arguments.key},
    )
    outcome = "credited" if made["is_new"] else "was credited before:"
    show(
        arguments,
        made,
        f"{made['name']}: {outcome} {both_texts(int(planck), asset)}; "
        f"{both_texts(int(made['deposited']), asset)} paid in altogether",
    )
    return 0


def _refund(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    asset = asset_of(api)
    planck = planck_of(arguments.amount, arguments.planck, asset)
    made = api.post(
        "viewers",
        arguments.viewer,
        "refunds",
        body={"deposit": arguments.deposit, "planck": planck, "why": arguments.why},
        headers={"Idempotency-Key": arguments.key},
    )
    outcome = "taken back" if made["is_new"] else "was taken back before:"
    owes = f"; owes {both_texts(int(made['debt']), asset)}" if int(made["debt"]) else ""
    show(
        arguments,
        made,
        f"{made['name']}: {outcome} {both_texts(int(planck), asset)}; balance "
        f"{both_texts(int(made['balance']), asset)}{owes}",
    )
    return 0


def _sessions(arguments: argparse.Namespace) -> int:
    answer = api_of(arguments).get("viewers", arguments.viewer, "sessions")
    rows = [
        (
            item["session"],
            item["stream"] or "-",
            item["state"],
            clock_text(item["created_ms"] / 1000),
            clock_text(item["ends_ms"] / 1000),
        )
        for item in answer["sessions"]
    ]
    show(arguments, answer, table(("SESSION", "STREAM", "STATE", "SINCE", "ENDS"), rows))
    return 0


def _end(arguments: argparse.Namespace) -> int:
    one = () if arguments.session is None else (arguments.session,)
    made = api_of(arguments).delete("viewers", arguments.viewer, "sessions", *one)
    after = ": their links mint nothing and play nothing more" if made["ended"] else ""
    show(arguments, made, f"{made['ended']} ended{after}")
    return 0
