"""``vilokanam reports`` and ``vilokanam takedowns``: what people report, and what is closed."""

from __future__ import annotations

import argparse
from typing import Any

from mediaserver.cli.client import api_of, show, table, verb
from mediaserver.cli.clock_text import utc


def add(groups: Any) -> None:
    """Add the commands."""
    verbs = groups.add_parser("reports", help="what people report of streams").add_subparsers(
        metavar="VERB", required=True
    )
    listing = verb(verbs, "list", _reports, "list reports, the newest first")
    listing.add_argument("--stream", metavar="SLUG")
    listing.add_argument("--state", choices=("open", "resolved"))
    resolve = verb(verbs, "resolve", _resolve, "say what was made of a report")
    resolve.add_argument("report", help="as `reports list` shows it")
    resolve.add_argument("word", help="such as 'taken down' or 'nothing wrong with it'")

    verbs = groups.add_parser("takedowns", help="streams closed to everybody").add_subparsers(
        metavar="VERB", required=True
    )
    downs = verb(verbs, "list", _takedowns, "list take-downs, the newest first")
    take = verb(verbs, "add", _take, "close a stream to publishers and viewers at once")
    take.add_argument("slug")
    take.add_argument("--reason", required=True, help="everybody reads it at its address")
    take.add_argument("--legal", action="store_true", help="the law demands it: 451, else 410")
    back = verb(verbs, "end", _back, "put a stream back")
    back.add_argument("slug")
    for parser in (listing, downs):
        parser.add_argument("--before", help="what the last page printed")


def _reports(arguments: argparse.Namespace) -> int:
    query = {name: getattr(arguments, name) for name in ("stream", "state", "before")}
    given = {name: value for name, value in query.items() if value is not None}
    answer = api_of(arguments).get("reports", **given)
    rows = [
        (
            item["report"],
            item["stream"],
            utc(item["made_ms"]),
            item["word"] or "open",
            " ".join(item["text"].split()),
        )
        for item in answer["reports"]
    ]
    heads = ("REPORT", "STREAM", "AT", "MADE OF IT", "TEXT")
    show(arguments, answer, "\n".join([table(heads, rows), *_next(answer)]))
    return 0


def _resolve(arguments: argparse.Namespace) -> int:
    body = {"word": arguments.word}
    made = api_of(arguments).post("reports", arguments.report, "resolve", body=body)
    show(arguments, made, f"{made['report']}: {made['word']}")
    return 0


def _takedowns(arguments: argparse.Namespace) -> int:
    query = {} if arguments.before is None else {"before": arguments.before}
    answer = api_of(arguments).get("takedowns", **query)
    rows = [
        (
            item["stream"],
            "down" if item["ended_ms"] is None else f"put back {utc(item['ended_ms'])}",
            "law" if item["is_legal"] else "operator",
            utc(item["made_ms"]),
            item["made_by"],
            item["reason"],
        )
        for item in answer["takedowns"]
    ]
    heads = ("STREAM", "STATE", "DEMANDED BY", "AT", "BY", "WHY")
    show(arguments, answer, "\n".join([table(heads, rows), *_next(answer)]))
    return 0


def _take(arguments: argparse.Namespace) -> int:
    body = {"reason": arguments.reason, "is_legal": arguments.legal}
    made = api_of(arguments).post("streams", arguments.slug, "takedown", body=body)
    show(arguments, made, f"{made['stream']} is down\nended: {made['ended']} players")
    return 0


def _back(arguments: argparse.Namespace) -> int:
    made = api_of(arguments).delete("streams", arguments.slug, "takedown")
    show(arguments, made, f"{made['stream']} is back")
    return 0


def _next(answer: dict[str, Any]) -> list[str]:
    after = answer["next_before"]
    return [] if after is None else [f"there are more: --before {after}"]
