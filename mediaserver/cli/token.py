"""``vilokanam token``: the right of one player to watch one stream at one viewer's cost."""

from __future__ import annotations

import argparse
import time
from typing import Any

from mediaserver.cli.client import add_server_options, api_of, show
from mediaserver.cli.clock_text import clock_text, span_text
from mediaserver.cli.errors import EXIT_USAGE, CliError
from mediaserver.playback_token import TTL_MAX_S, TTL_MIN_S


def add(groups: Any) -> None:
    """Add the command."""
    verbs = groups.add_parser("token", help="viewers' tokens").add_subparsers(
        metavar="VERB", required=True
    )
    parser: argparse.ArgumentParser = verbs.add_parser("mint", help="open a viewer session")
    add_server_options(parser)
    parser.add_argument("viewer", help="name or account")
    parser.add_argument("stream", help="slug")
    parser.add_argument("--ttl-s", type=int, help=f"seconds it lives, {TTL_MIN_S} to {TTL_MAX_S}")
    parser.set_defaults(run=_mint)


def _mint(arguments: argparse.Namespace) -> int:
    body: dict[str, Any] = {"viewer": arguments.viewer, "stream": arguments.stream}
    if arguments.ttl_s is not None:
        body["ttl_s"] = arguments.ttl_s
    try:
        made = api_of(arguments).post("tokens", body=body)
    except CliError as error:
        if not any(fault.startswith("ttl_s:") for fault in error.problem.get("faults", ())):
            raise
        raise CliError(
            f"--ttl-s {arguments.ttl_s}: a link lives {TTL_MIN_S} to {TTL_MAX_S} seconds "
            f"({span_text(TTL_MIN_S)} to {span_text(TTL_MAX_S)})",
            EXIT_USAGE,
            error.problem,
        ) from error
    now_s = time.time()
    show(
        arguments,
        made,
        f"watch: {made['watch_url']}\nhls: {made['hls_url']}\nsession: {made['session']}\n"
        f"expires: {clock_text(made['expires_ms'] / 1000, now_s)}, "
        f"in {span_text(made['expires_ms'] / 1000 - now_s)}",
    )
    return 0
