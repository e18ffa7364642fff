"""``vilokanam people``: who has an account here, what they may do, and invitations."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from mediaserver.cli.client import api_of, show, table, verb
from mediaserver.cli.clock_text import utc


def add(groups: Any) -> None:
    """Add the commands."""
    parser = groups.add_parser(
        "people", aliases=["person"], help="people, their roles, invitations"
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    verb(verbs, "list", _list, "list everybody who has an account here")
    verb(verbs, "show", _show, "one person: roles, streams, ways to sign in").add_argument("person")
    roles = verb(verbs, "roles", _roles, "set what somebody is for the whole server")
    roles.add_argument("person")
    roles.add_argument(
        "roles", nargs="*", help="owner, finance, support, auditor, creator; none takes all away"
    )
    end = verb(verbs, "end-sessions", _end_sessions, "sign somebody out everywhere")
    end.add_argument("person")
    held = verb(verbs, "export", _export, "write all that is held of somebody, as JSON lines")
    held.add_argument("person")
    held.add_argument("--output", type=Path, help="write it to this file instead")
    erase = verb(verbs, "erase", _erase, "close somebody's account and erase what is theirs")
    erase.add_argument("person")
    erase.add_argument(
        "--forfeit-planck", default="0", metavar="N", help="what of their balance may be lost"
    )
    erase.add_argument(
        "--forfeit-shares",
        action="store_true",
        help="what they earned as a payee, and was not paid out, may be lost",
    )
    invite = verb(verbs, "invite", _invite, "make an address that hands something over, once")
    invite.add_argument("--viewer", help="an existing viewer, with their balance")
    invite.add_argument("--stream", help="a stream, to work on as --role")
    invite.add_argument("--role", help="creator or moderator of --stream, or a role for the server")
    verb(verbs, "invitations", _invitations, "list the invitations that nobody took yet")
    back = verb(verbs, "take-back", _take_back, "end an invitation that nobody took yet")
    back.add_argument("invitation")


def _list(arguments: argparse.Namespace) -> int:
    api, people, after = api_of(arguments), list[Any](), ""
    while True:
        answer = api.get("people", **({"after": after} if after else {}))
        people += answer["people"]
        if not (after := answer["next_after"]):
            break
    rows = [
        (item["person"], item["name"], item["account"] or "-", utc(item["created_ms"]))
        for item in people
    ]
    show(arguments, {"people": people}, table(("PERSON", "NAME", "PAYS AS", "SINCE"), rows))
    return 0


def _show(arguments: argparse.Namespace) -> int:
    person = api_of(arguments).get("people", arguments.person)
    lines = [
        f"person: {person['person']}",
        f"name: {person['name']}",
        f"pays as: {person['account'] or 'nobody yet'}",
        f"roles: {', '.join(person['roles']) or 'none'}",
        *(f"stream {stream}: {', '.join(roles)}" for stream, roles in person["streams"].items()),
        *(f"signs in by: {item['kind']}" for item in person["credentials"]),
        f"signed in: {person['sessions']} browsers",
    ]
    show(arguments, person, "\n".join(lines))
    return 0


def _roles(arguments: argparse.Namespace) -> int:
    made = api_of(arguments).put(
        "people", arguments.person, "roles", body={"roles": arguments.roles}
    )
    show(arguments, made, f"{made['name']}: {', '.join(made['roles']) or 'no role'}")
    return 0


def _end_sessions(arguments: argparse.Namespace) -> int:
    answer = api_of(arguments).delete("people", arguments.person, "sessions")
    show(arguments, answer, f"ended: {answer['ended']}")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    answer = api_of(arguments).pages("rows", "people", arguments.person, "export")
    text = "".join(json.dumps(row) + "\n" for row in answer["rows"])
    if arguments.output is None:
        sys.stdout.write(text)
        return 0
    # What is held of somebody is for them alone.
    with os.fdopen(
        os.open(arguments.output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w"
    ) as file:
        file.write(text)
    return 0


def _erase(arguments: argparse.Namespace) -> int:
    body = {
        "forfeit_planck": arguments.forfeit_planck,
        "forfeit_shares": arguments.forfeit_shares,
    }
    answer = api_of(arguments).post("people", arguments.person, "erase", body=body)
    stays = answer["account"] or "nothing"
    show(arguments, answer, f"erased: {answer['person']}\nmoney's rows stay under: {stays}")
    return 0


def _invite(arguments: argparse.Namespace) -> int:
    wanted = {name: getattr(arguments, name) for name in ("viewer", "stream", "role")}
    made = api_of(arguments).post(
        "invitations", body={name: value for name, value in wanted.items() if value is not None}
    )
    lines = (
        f"give this address to one person, by {utc(made['expires_ms'])}:",
        made["url"],
        f"take it back with: vilokanam people take-back {made['id']}",
    )
    show(arguments, made, "\n".join(lines))
    return 0


def _invitations(arguments: argparse.Namespace) -> int:
    answer = api_of(arguments).pages("invitations", "invitations", cursor="before")
    rows = [
        (item["id"], item["kind"], item["role"] or "-", item["target"], utc(item["expires_ms"]))
        for item in answer["invitations"]
    ]
    show(arguments, answer, table(("INVITATION", "TO", "AS", "TARGET", "UNTIL"), rows))
    return 0


def _take_back(arguments: argparse.Namespace) -> int:
    answer = api_of(arguments).delete("invitations", arguments.invitation)
    show(arguments, answer, f"{arguments.invitation} opens nothing any more")
    return 0
