"""``vilokanam streams guests``: who may see a stream by invitation, guest links, its password."""

from __future__ import annotations

import argparse
import getpass
import time
from pathlib import Path
from typing import Any, Final

from mediaserver.cli.client import Api, api_of, show, table, verb
from mediaserver.cli.clock_text import utc
from mediaserver.cli.errors import EXIT_USAGE, CliError
from mediaserver.cli.stream_text import visibility_text

_WAYS: Final = {
    "listed": "put on the list",
    "link": "by a link",
    "password": "by the password",
    "minted": "given a watch link",
}


def add(verbs: Any) -> None:
    """Add the commands below ``streams``."""
    parser = verbs.add_parser("guests", help="guests of a stream, guest links, its password")
    below = parser.add_subparsers(metavar="VERB", required=True)
    _verb(below, "list", _list, "list guests and links")
    put = _verb(below, "add", _add, "make somebody a guest")
    put.add_argument("viewer", nargs="?", help="name or account of a viewer")
    put.add_argument("--person", help="id of a person, in place of a viewer")
    remove = _verb(below, "remove", _remove, "make somebody no guest any more; their players end")
    remove.add_argument("guest", help="as `list` shows it")
    link = _verb(below, "link", _link, "make a link for guests; it is shown this once")
    link.add_argument("--uses", type=int, default=1, help="how many it makes guests: 1")
    link.add_argument("--days", type=int, default=7, help="after which it ends: 7")
    end = _verb(below, "end-link", _end_link, "take a link back")
    end.add_argument("link", help="its id, as `list` shows it")
    end.add_argument(
        "--with-guests", action="store_true", help="remove those whom it made guests, too"
    )
    password = _verb(below, "password", _password, "set the password; guests stay")
    how = password.add_mutually_exclusive_group()
    how.add_argument("--file", type=Path, help="its first line; left out: it is asked for")
    how.add_argument("--none", action="store_true", help="take the password away")


def _verb(verbs: Any, name: str, run: Any, help_text: str) -> argparse.ArgumentParser:
    parser = verb(verbs, name, run, help_text)
    parser.add_argument("slug")
    return parser


def _list(arguments: argparse.Namespace) -> int:
    answer = _all(api_of(arguments), arguments.slug)
    lines = [
        f"{arguments.slug}: {visibility_text(answer)}",
        f"password: {'set' if answer['has_password'] else 'none'}",
    ]
    if answer["guests"]:
        rows = [
            (item["guest"], item["kind"], _WAYS[item["way"]], item["link"] or "-", _at(item))
            for item in answer["guests"]
        ]
        lines += ["", table(("GUEST", "KIND", "CAME", "LINK", "SINCE"), rows)]
    if answer["links"]:
        links = [
            (item["id"], f"{item['uses']} of {item['uses_max']}", _state(item), item["made_by"])
            for item in answer["links"]
        ]
        lines += ["", table(("LINK", "USED", "STATE", "MADE BY"), links)]
    show(arguments, answer, "\n".join(lines))
    return 0


def _all(api: Api, slug: str) -> dict[str, Any]:
    """Return the answer with all its pages of guests."""
    answer: dict[str, Any] = api.get("streams", slug, "guests")
    while after := answer["next_after"]:
        page = api.get("streams", slug, "guests", after=after)
        answer = {**page, "guests": [*answer["guests"], *page["guests"]]}
    return answer


def _at(item: dict[str, Any]) -> str:
    return utc(item["since_ms"])


def _state(item: dict[str, Any]) -> str:
    if item["ended_ms"] is not None:
        return f"taken back {utc(item['ended_ms'])}"
    if item["uses"] >= item["uses_max"]:
        return "used up"
    return f"{'open until' if item['is_open'] else 'over since'} {utc(item['expires_ms'])}"


def _add(arguments: argparse.Namespace) -> int:
    wanted = {"person": arguments.person, "viewer": arguments.viewer}
    body = {key: value for key, value in wanted.items() if value is not None}
    if len(body) != 1:
        raise CliError("name a viewer, or a person with --person", EXIT_USAGE)
    made = api_of(arguments).post("streams", arguments.slug, "guests", body=body)
    show(arguments, made, f"{made['guest']} may see {arguments.slug}")
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    answer = api_of(arguments).delete("streams", arguments.slug, "guests", arguments.guest)
    show(arguments, answer, f"{arguments.guest} is no guest of {arguments.slug} any more")
    return 0


def _link(arguments: argparse.Namespace) -> int:
    body = {
        "uses": arguments.uses,
        "expires_ms": int((time.time() + arguments.days * 86_400) * 1000),
    }
    made = api_of(arguments).post("streams", arguments.slug, "links", body=body)
    count = made["uses_max"]
    lines = (
        f"link: {made['url']}",
        f"for: {count} guest{'s' if count > 1 else ''}, until {utc(made['expires_ms'])}",
        f"take it back with: vilokanam streams guests end-link {arguments.slug} {made['id']}",
    )
    show(arguments, made, "\n".join(lines))
    return 0


def _end_link(arguments: argparse.Namespace) -> int:
    removed = {"guests": "remove"} if arguments.with_guests else {}
    path = ("streams", arguments.slug, "links", arguments.link)
    answer = api_of(arguments).delete(*path, **removed)
    count = answer["removed"]
    gone = f", and {count} guest{'' if count == 1 else 's'} removed" if removed else ""
    show(arguments, answer, f"link {arguments.link} opens nothing any more{gone}")
    return 0


def _password(arguments: argparse.Namespace) -> int:
    body = {} if arguments.none else {"password": _read(arguments.file)}
    answer = api_of(arguments).put("streams", arguments.slug, "password", body=body)
    has = "has a password" if answer["has_password"] else "has no password"
    show(arguments, answer, f"{arguments.slug} {has}; guests stay")
    return 0


def _read(file: Path | None) -> str:
    """Return the password of a file, or one that is typed twice."""
    if file is not None:
        try:
            return (file.read_text().splitlines() or [""])[0]
        except (OSError, UnicodeDecodeError) as error:
            raise CliError(f"the password {file} cannot be read: {error}") from error
    try:
        password = getpass.getpass("Password: ")
        if getpass.getpass("Once more: ") != password:
            raise CliError("these were two different passwords: nothing is changed")
    except EOFError as error:
        raise CliError("no password came: type it at a terminal, or give --file") from error
    return password
