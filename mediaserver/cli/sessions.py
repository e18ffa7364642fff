"""``vilokanam sessions`` and ``vilokanam bars``: who plays where, and who may not."""

from __future__ import annotations

import argparse
import time
from typing import Any

from mediaserver.cli.client import api_of, show, table, verb
from mediaserver.cli.clock_text import utc

_HOUR_MS = 3_600_000


def add(groups: Any) -> None:
    """Add the commands."""
    verbs = groups.add_parser("sessions", help="players: by stream, viewer, edge").add_subparsers(
        metavar="VERB", required=True
    )
    listing = verb(verbs, "list", _list, "list players, the newest first")
    listing.add_argument("--stream", metavar="SLUG")
    listing.add_argument("--viewer", help="name or account")
    listing.add_argument("--edge", help="its address; those who play through it now")
    listing.add_argument("--before", help="what the last page printed")
    end = verb(verbs, "end", _end, "end one player of a stream, for good")
    end.add_argument("slug")
    end.add_argument("session", help="as `sessions list` shows it")

    verbs = groups.add_parser("bars", help="who may not watch").add_subparsers(
        metavar="VERB", required=True
    )
    bars = verb(verbs, "list", _bars, "list who is barred, the newest first")
    bars.add_argument("--before", help="what the last page printed")
    bar = verb(verbs, "add", _add, "bar a viewer; their players end at once")
    bar.add_argument("viewer", help="name or account")
    bar.add_argument("--reason", required=True, help="the viewer reads it")
    bar.add_argument("--hours", type=int, help="how long; without it until it is taken back")
    unbar = verb(verbs, "end", _unbar, "take a bar back")
    unbar.add_argument("bar", help="as `bars list` shows it")
    for parser in (bars, bar, unbar):
        parser.add_argument(
            "--stream", metavar="SLUG", help="of this stream; without it of the whole server"
        )


def _list(arguments: argparse.Namespace) -> int:
    names = ("stream", "viewer", "edge", "before")
    query = {name: getattr(arguments, name) for name in names}
    given = {name: value for name, value in query.items() if value is not None}
    answer = api_of(arguments).get("sessions", **given)
    rows = [
        (
            item["session"],
            item["stream"],
            item["viewer"],
            "playing" if item["is_playing"] else item["state"],
            item["edge"] or "-",
            utc(item["created_ms"]),
        )
        for item in answer["sessions"]
    ]
    heads = ("SESSION", "STREAM", "VIEWER", "STATE", "EDGE", "SINCE")
    text = table(heads, rows) if rows else "no players"
    show(arguments, answer, "\n".join([text, *_next(answer)]))
    return 0


def _end(arguments: argparse.Namespace) -> int:
    made = api_of(arguments).delete("streams", arguments.slug, "sessions", arguments.session)
    show(arguments, made, f"{made['ended']} ended")
    return 0


def _place(arguments: argparse.Namespace) -> tuple[str, ...]:
    return ("bars",) if arguments.stream is None else ("streams", arguments.stream, "bars")


def _bars(arguments: argparse.Namespace) -> int:
    query = {} if arguments.before is None else {"before": arguments.before}
    answer = api_of(arguments).get(*_place(arguments), **query)
    rows = [
        (
            item["bar"],
            item["viewer"],
            "holds" if item["is_open"] else "over",
            "-" if item["until_ms"] is None else utc(item["until_ms"]),
            item["made_by"],
            item["reason"],
        )
        for item in answer["bars"]
    ]
    heads = ("BAR", "VIEWER", "STATE", "UNTIL", "BY", "WHY")
    text = table(heads, rows) if rows else "nobody is barred"
    show(arguments, answer, "\n".join([text, *_next(answer)]))
    return 0


def _add(arguments: argparse.Namespace) -> int:
    body: dict[str, Any] = {"viewer": arguments.viewer, "reason": arguments.reason}
    if arguments.hours is not None:
        body["until_ms"] = int(time.time() * 1000) + arguments.hours * _HOUR_MS
    made = api_of(arguments).post(*_place(arguments), body=body)
    show(arguments, made, f"bar: {made['bar']}\nended: {made['ended']} players")
    return 0


def _unbar(arguments: argparse.Namespace) -> int:
    made = api_of(arguments).delete(*_place(arguments), arguments.bar)
    show(arguments, made, f"{made['viewer']} may watch again, where nothing else is against it")
    return 0


def _next(answer: dict[str, Any]) -> list[str]:
    after = answer["next_before"]
    return [] if after is None else [f"there are more: --before {after}"]
