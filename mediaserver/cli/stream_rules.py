"""``vilokanam rules``: from which countries, networks and pages streams may be watched."""

from __future__ import annotations

import argparse
from typing import Any, Final

from mediaserver.cli.client import api_of, show, table, verb

_LISTS: Final = ("countries", "networks", "referrers")


def add(groups: Any) -> None:
    """Add the commands."""
    verbs = groups.add_parser("rules", help="from where streams may be watched").add_subparsers(
        metavar="VERB", required=True
    )
    shown = verb(verbs, "show", _show, "show the rules of a stream, or of the server")
    put = verb(verbs, "set", _set, "set all rules anew: what is left out is taken back")
    for name in _LISTS:
        for kind in ("allow", "deny"):
            put.add_argument(
                f"--{kind}-{name}",
                nargs="+",
                default=[],
                metavar=name[:3].upper(),
                help=_HELP[name],
            )
    for parser in (shown, put):
        parser.add_argument(
            "--stream", metavar="SLUG", help="of this stream; without it of the whole server"
        )


_HELP: Final = {
    "countries": "two letters each, such as DE",
    "networks": "such as 192.0.2.0/24",
    "referrers": "hosts of pages, such as shop.example.org or *.example.org",
}


def _place(arguments: argparse.Namespace) -> tuple[str, ...]:
    return ("rules",) if arguments.stream is None else ("streams", arguments.stream, "rules")


def _show(arguments: argparse.Namespace) -> int:
    answer = api_of(arguments).get(*_place(arguments))
    show(arguments, answer, _text(answer))
    return 0


def _set(arguments: argparse.Namespace) -> int:
    body = {
        f"{kind}_{name}": getattr(arguments, f"{kind}_{name}")
        for name in _LISTS
        for kind in ("allow", "deny")
    }
    made = api_of(arguments).put(*_place(arguments), body=body)
    show(arguments, made, f"{_text(made)}\nended: {made['ended']} players")
    return 0


def _text(answer: dict[str, Any]) -> str:
    rows = [
        (name, " ".join(answer[f"allow_{name}"]) or "-", " ".join(answer[f"deny_{name}"]) or "-")
        for name in _LISTS
    ]
    fault = [f"countries: {answer['country_fault']}"] if answer["country_fault"] else []
    return "\n".join([table(("", "ALLOW", "DENY"), rows), *fault])
