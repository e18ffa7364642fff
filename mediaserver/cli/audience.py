"""``vilokanam streams audience`` and ``vilokanam usage``: who watches, and who watched what."""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from typing import Any, Final

from mediaserver.cli.amounts import asset_of
from mediaserver.cli.client import add_server_options, api_of, show, table
from mediaserver.cli.clock_text import utc
from metering.model.amounts import amount_text

MINUTES_SHOWN: Final = 15
_PAGE: Final = "1000"


def add(groups: Any) -> None:
    """Add the commands of usage."""
    parser = groups.add_parser("usage", help="what each viewer watched, by the minute")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    export = verbs.add_parser("export", help="print it, a line for each viewer, stream and minute")
    add_server_options(export)
    export.add_argument("--csv", action="store_true", help="as CSV; JSON lines without it")
    export.add_argument("--after", default="0", help="where the last export ended: what it printed")
    export.add_argument("--stream", metavar="SLUG", help="of this stream alone")
    export.add_argument("--viewer", help="of this viewer alone")
    export.set_defaults(run=_export)


def add_to_streams(verbs: Any) -> None:
    """Add the verb of streams."""
    parser = verbs.add_parser("audience", help="who watches now, and in the last minutes")
    add_server_options(parser)
    parser.add_argument("slug")
    parser.add_argument(
        "--minutes", type=int, default=MINUTES_SHOWN, help="how far back: 15; at most 1000"
    )
    parser.set_defaults(run=_audience)


def _audience(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    now = api.get("streams", arguments.slug, "audience")
    begin_s = int(time.time()) // 60 * 60 - 60 * arguments.minutes
    past = api.get(
        "streams", arguments.slug, "audience", "minutes", **{"from": str(begin_s), "limit": _PAGE}
    )
    asset = asset_of(api)
    text = [f"watching now: {now['viewers']} viewers, {now['players']} players"]
    if now["estimated_players"]:
        text.append(f"without a token: about {now['estimated_players']} players")
    text += [f"through {edge}: {count}" for edge, count in sorted(now["players_by_edge"].items())]
    if not now["is_complete"]:
        text.append("an HTTP process did not answer: its players are not counted")
    rows = [
        (
            utc(minute["minute"] * 1000),
            minute["viewers"],
            minute["peak"],
            minute["watch_seconds"],
            amount_text(int(minute["planck"]), asset),
        )
        for minute in past["minutes"]
    ]
    text.append(table(("MINUTE", "VIEWERS", "PEAK", "SECONDS", "INCOME"), rows))
    show(arguments, {"now": now, "minutes": past["minutes"]}, "\n".join(text))
    return 0


def _export(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    query = {"after": arguments.after, "limit": _PAGE}
    if arguments.stream is not None:
        query["stream"] = arguments.stream
    if arguments.viewer is not None:
        query["viewer"] = arguments.viewer
    writer: Any = None
    is_end = False
    while not is_end:
        page = api.get("usage", **query)
        for line in page["usage"]:
            if not arguments.csv:
                sys.stdout.write(json.dumps(line) + "\n")
                continue
            if writer is None:
                writer = csv.DictWriter(sys.stdout, fieldnames=list(line), lineterminator="\n")
                writer.writeheader()
            writer.writerow(line)
        query["after"], is_end = str(page["next_after"]), page["is_end"]
    sys.stdout.flush()
    sys.stderr.write(f"what comes next: --after {query['after']}\n")
    return 0
