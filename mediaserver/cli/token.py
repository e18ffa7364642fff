"""``vilokanam token``: the right of one player to watch one stream at one viewer's cost."""

from __future__ import annotations

import argparse
from typing import Any

from mediaserver.cli.client import add_server_options, api_of, show


def add(groups: Any) -> None:
    """Add the command."""
    verbs = groups.add_parser("token", help="viewers' tokens").add_subparsers(
        metavar="VERB", required=True
    )
    parser: argparse.ArgumentParser = verbs.add_parser("mint", help="open a viewer session")
    add_server_options(parser)
    parser.add_argument("viewer", help="name or account")
    parser.add_argument("stream", help="slug")
    parser.add_argument("--ttl-s", type=int, help="how long it lives")
    parser.set_defaults(run=_mint)


def _mint(arguments: argparse.Namespace) -> int:
    body: dict[str, Any] = {"viewer": arguments.viewer, "stream": arguments.stream}
    if arguments.ttl_s is not None:
        body["ttl_s"] = arguments.ttl_s
    made = api_of(arguments).post("tokens", body=body)
    show(
        arguments,
        made,
        f"watch: {made['watch_url']}\nhls: {made['hls_url']}\nsession: {made['session']}",
    )
    return 0
