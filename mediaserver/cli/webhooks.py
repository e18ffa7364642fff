"""``vilokanam webhooks``: the servers that are told what happens, and telling again."""

from __future__ import annotations

import argparse
from typing import Any

from mediaserver.cli.client import add_server_options, api_of, show, table
from mediaserver.cli.clock_text import utc


def add(groups: Any) -> None:
    """Add the commands."""
    parser = groups.add_parser("webhooks", help="your servers that are told what happens")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    _verb(verbs, "list", _list, "the targets, what waits for each and what was given up")
    listing = _verb(verbs, "deliveries", _deliveries, "what was told, the newest first")
    listing.add_argument("--target", help="of this one alone")
    listing.add_argument("--state", help="waiting, sent or dead")
    listing.add_argument("--before", help="where the list begins, as its last page says")
    replay = _verb(verbs, "replay", _replay, "tell again what was given up, or some events")
    replay.add_argument("target")
    replay.add_argument("event", nargs="*", help="their ids; none: all that was given up")
    _verb(verbs, "test", _test, "tell a target that this is a test").add_argument("target")


def _verb(verbs: Any, name: str, run: Any, help_text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=help_text)
    add_server_options(parser)
    parser.set_defaults(run=run)
    return parser


def _list(arguments: argparse.Namespace) -> int:
    answer = api_of(arguments).get("webhooks")
    rows = [
        (
            item["target"],
            item["host"],
            ", ".join(item["events"]) or "all",
            item["waiting"],
            "-" if item["oldest_waiting_ms"] is None else utc(item["oldest_waiting_ms"]),
            item["dead"],
            item["sent"],
        )
        for item in answer["targets"]
    ]
    heads = ("TARGET", "HOST", "EVENTS", "WAITING", "SINCE", "DEAD", "SENT")
    show(arguments, answer, table(heads, rows))
    return 0


def _deliveries(arguments: argparse.Namespace) -> int:
    names = ("target", "state", "before")
    given = {name: getattr(arguments, name) for name in names}
    query = {name: value for name, value in given.items() if value is not None}
    answer = api_of(arguments).get("webhooks", "deliveries", **query)
    rows = [
        (
            item["event"],
            item["kind"],
            item["target"],
            item["state"],
            item["tries"],
            utc(item["created_ms"]),
            "-" if item["next_ms"] is None else utc(item["next_ms"]),
            item["detail"],
        )
        for item in answer["deliveries"]
    ]
    heads = ("EVENT", "KIND", "TARGET", "STATE", "TRIES", "SINCE", "NEXT", "DETAIL")
    after = answer["next_before"]
    more = [] if after is None else [f"there are more: --before {after}"]
    show(arguments, answer, "\n".join([table(heads, rows), *more]))
    return 0


def _replay(arguments: argparse.Namespace) -> int:
    body = {"events": arguments.event}
    answer = api_of(arguments).post("webhooks", arguments.target, "replay", body=body)
    show(arguments, answer, f"{answer['events']} events are told to {answer['target']} again")
    return 0


def _test(arguments: argparse.Namespace) -> int:
    answer = api_of(arguments).post("webhooks", arguments.target, "test", body={})
    show(arguments, answer, f"event {answer['event']} is told to {answer['target']}")
    return 0
