"""``vilokanam keys`` and ``audit``: machines' keys, and who did what."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from mediaserver.cli.client import api_of, show, table, verb
from mediaserver.cli.clock_text import utc
from mediaserver.cli.errors import EXIT_FAILED


def add(groups: Any) -> None:
    """Add the commands."""
    keys = groups.add_parser("keys", aliases=["key"], help="keys of programs, with scopes")
    verbs = keys.add_subparsers(metavar="VERB", required=True)
    make = verb(verbs, "make", _make, "make a key; it is shown this once")
    make.add_argument("name", help="what is going to use it")
    make.add_argument(
        "scopes", nargs="+", help="what it may do, such as streams:read; a wrong one lists all"
    )
    make.add_argument("--days", type=int, help="after which it ends; left out: never")
    verb(verbs, "list", _list, "list the keys, with their last use")
    verb(verbs, "end", _end, "end a key for good").add_argument("prefix")

    audit = groups.add_parser("audit", help="who did what to what, and from where")
    verbs = audit.add_subparsers(metavar="VERB", required=True)
    entries = verb(verbs, "list", _entries, "print the log, oldest first")
    entries.add_argument("--target", default="", help="only of this, such as stream:<id>")
    entries.add_argument("--after", type=int, default=0, help="only behind this number")
    verb(verbs, "export", _export, "print the whole log as JSON lines, to keep elsewhere")
    verb(verbs, "verify", _verify, "check that no entry was changed or left out")


def _make(arguments: argparse.Namespace) -> int:
    body: dict[str, Any] = {"name": arguments.name, "scopes": arguments.scopes}
    if arguments.days is not None:
        body["expires_ms"] = int((time.time() + arguments.days * 86_400) * 1000)
    made = api_of(arguments).post("keys", body=body)
    lines = (
        f"key: {made['key']}",
        f"may: {', '.join(made['scopes'])}",
        f"until: {utc(made['expires_ms']) if made['expires_ms'] else 'it is ended'}",
        f"end it with: vilokanam keys end {made['prefix']}",
    )
    show(arguments, made, "\n".join(lines))
    return 0


def _list(arguments: argparse.Namespace) -> int:
    answer = api_of(arguments).pages("keys", "keys", cursor="before")
    rows = [
        (
            key["prefix"],
            key["name"],
            " ".join(key["scopes"]),
            utc(key["used_ms"]) if key["used_ms"] else "never",
            _end_text(key),
        )
        for key in answer["keys"]
    ]
    show(arguments, answer, table(("PREFIX", "NAME", "SCOPES", "LAST USE", "ENDS"), rows))
    return 0


def _end_text(key: dict[str, Any]) -> str:
    if key["ended_ms"] is not None:
        return f"ended {utc(key['ended_ms'])}"
    return utc(key["expires_ms"]) if key["expires_ms"] else "-"


def _end(arguments: argparse.Namespace) -> int:
    answer = api_of(arguments).delete("keys", arguments.prefix)
    show(arguments, answer, f"{arguments.prefix} opens nothing any more")
    return 0


def _pages(arguments: argparse.Namespace, after: int, target: str) -> Any:
    api = api_of(arguments)
    while True:
        answer = api.get("audit", after=str(after), target=target)
        yield from answer["entries"]
        if answer["next_after"] is None:
            return
        after = answer["next_after"]


def _entries(arguments: argparse.Namespace) -> int:
    entries = list(_pages(arguments, arguments.after, arguments.target))
    rows = [
        (
            str(entry["number"]),
            utc(entry["at_ms"]),
            entry["actor"],
            entry["action"],
            entry["target"],
            _change_text(entry),
            entry["address"] or "-",
        )
        for entry in entries
    ]
    titles = ("NO", "AT", "WHO", "DID", "TO", "CHANGE", "FROM")
    show(arguments, {"entries": entries}, table(titles, rows))
    return 0


def _change_text(entry: dict[str, Any]) -> str:
    """Return what changed, ``name: before -> after``, and what is new without the arrow."""
    before, after = entry["before"], entry["after"]
    names = [*before, *(name for name in after if name not in before)]
    changed = (name for name in names if before.get(name) != after.get(name))
    return ", ".join(
        f"{name}: {before[name]} -> {after.get(name)}"
        if name in before
        else f"{name}: {after[name]}"
        for name in changed
    )


def _export(arguments: argparse.Namespace) -> int:
    for entry in _pages(arguments, 0, ""):
        print(json.dumps(entry))
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    answer = api_of(arguments).get("audit", verify="1", after=str(10**14))
    show(arguments, answer, answer["fault"] or "the audit log is whole")
    return EXIT_FAILED if answer["fault"] else 0
