"""``vilokanam viewers``: create, list, credit."""

from __future__ import annotations

import argparse
from typing import Any

from mediaserver.cli.client import add_server_options, api_of, show, table


def add(groups: Any) -> None:
    """Add the commands."""
    verbs = groups.add_parser("viewers", help="viewers and what they paid in").add_subparsers(
        metavar="VERB", required=True
    )
    create = _verb(verbs, "create", _create, "make a viewer; their key is shown this once")
    create.add_argument("name")
    create.add_argument("--account", help="their wallet's public key: 0x and 64 digits")
    _verb(verbs, "list", _list, "list the viewers with what they paid in and spent")
    credit = _verb(verbs, "credit", _credit, "book a payment of a viewer, once for each key")
    credit.add_argument("viewer", help="name or account")
    credit.add_argument("planck")
    credit.add_argument(
        "--key", required=True, help="your own name of this payment: repeated, it changes nothing"
    )
    credit.add_argument("--memo", default="", help="kept with it")


def _verb(verbs: Any, name: str, run: Any, help_text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=help_text)
    add_server_options(parser)
    parser.set_defaults(run=run)
    return parser


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
    answer = api.get("viewers")
    while answer["next_after"] is not None:
        more = api.get("viewers", after=answer["next_after"])
        answer = {**more, "viewers": answer["viewers"] + more["viewers"]}
    rows = [
        (viewer["name"], viewer["deposited"], viewer["spent"], viewer["balance"], viewer["account"])
        for viewer in answer["viewers"]
    ]
    show(arguments, answer, table(("NAME", "DEPOSITED", "SPENT", "BALANCE", "ACCOUNT"), rows))
    return 0


def _credit(arguments: argparse.Namespace) -> int:
    made = api_of(arguments).post(
        "viewers",
        arguments.viewer,
        "credits",
        body={"planck": arguments.planck, "memo": arguments.memo},
        headers={"Idempotency-Key": arguments.key},
    )
    outcome = "credited" if made["is_new"] else "was credited before"
    show(
        arguments, made, f"{made['name']}: {outcome}; {made['deposited']} planck paid in altogether"
    )
    return 0
