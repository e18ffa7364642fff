"""What is done on the chain: registering, earnings, escrows; ``chain status``, ``chain fund``.

All but ``chain fund`` ask the server, which has the keys. ``chain fund`` speaks to the node itself,
with a key that everybody has.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from pathlib import Path
from typing import Any

from mediaserver.cli.client import EXIT_USAGE, CliError, add_server_options, api_of, show, table
from mediaserver.settings.load import load
from metering.errors import InvalidValueError
from metering.testing.fake_node.rpc import account_of
from metering.units import account_text


def add(groups: Any) -> None:
    """Add the groups of commands."""
    operator = groups.add_parser("operator", help="this operator on the chain").add_subparsers(
        metavar="VERB", required=True
    )
    _verb(operator, "register", _register, "put up the operator's bond; again, nothing happens")
    _verb(
        groups, "payouts", _payouts, "what creators and the platform earned on the chain"
    ).add_argument("stream", nargs="?", help="slug: of its creator alone")
    take = _verb(groups, "withdraw", _withdraw, "take what is available of what was earned")
    whose = take.add_mutually_exclusive_group(required=True)
    whose.add_argument("stream", nargs="?", help="slug: what its creator earned")
    whose.add_argument("--platform", action="store_true", help="what the platform earned")
    escrow = groups.add_parser(
        "escrow", help="what viewers hold for this operator on the chain"
    ).add_subparsers(metavar="VERB", required=True)
    for name, run, text in (
        ("show", _escrow, "what a viewer holds and asked back"),
        ("request-withdraw", _ask_back, "ask escrow back for a viewer whose key the server has"),
        ("withdraw", _take_back, "take what was asked back and is ready"),
    ):
        verb = _verb(escrow, name, run, text)
        verb.add_argument("viewer", help="name or account")
        if run is _ask_back:
            verb.add_argument("planck", help="how much; 0 takes an earlier request back")


def add_chain(verbs: Any) -> None:
    """Add the verbs of the group ``chain``."""
    _verb(verbs, "status", _status, "the chain's head, the operator on it, what is in flight")
    fund: argparse.ArgumentParser = verbs.add_parser(
        "fund",
        help="send an account money of //Alice: development chains only",
        description="Send an account money of //Alice, whose key everybody has: on development "
        "chains only. Prints the block once it is final.",
    )
    fund.add_argument("account", help="0x and 64 digits, or SS58")
    fund.add_argument("planck")
    fund.add_argument("--url", help="ws:// of the node, instead of chain.url")
    fund.add_argument("--config", type=Path, help="the server's configuration file")
    fund.add_argument("--json", action="store_true", help="answer as JSON, for scripts")
    fund.set_defaults(run=_fund)


def _verb(verbs: Any, name: str, run: Any, help_text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=help_text)
    add_server_options(parser)
    parser.set_defaults(run=run)
    return parser


def _status(arguments: argparse.Namespace) -> int:
    found = api_of(arguments).get("chain")
    ours, settling = found["operator"], found["settlement"]
    standing = "registered" if ours["is_registered"] else "not registered"
    if ours["is_registered"] and not ours["is_active"]:
        standing = "registered, not active"
    lines = [
        f"chain: {found['url']}, {found['spec']}",
        f"finalized: {found['finalized']} (best {found['best']})",
        f"operator: {ours['account']}, {standing}",
        f"bond: {ours['bond']}",
        f"free: {ours['free']}",
        f"last batch: {ours['last_seq']}",
        f"nonce: {ours['nonce']}",
        f"in flight: {settling['in_flight']} batches, {settling['in_block']} of them in a block",
        f"exposure: {settling['exposure']} planck booked and not final",
        f"lag: {settling['lag_ms'] / 1000:.1f} s",
    ]
    show(arguments, found, "\n".join(lines))
    return 0


def _register(arguments: argparse.Namespace) -> int:
    made = api_of(arguments).post("chain", "operator", body={})
    said = f"registered in block {made['block']}" if made["is_new"] else "was registered before"
    show(arguments, made, f"{made['account']}: {said}; bond {made['bond']} planck")
    return 0


def _payouts(arguments: argparse.Namespace) -> int:
    answer = api_of(arguments).get("payouts")
    if arguments.stream is not None:
        some = [one for one in answer["payouts"] if arguments.stream in one["streams"]]
        if not some:
            raise CliError(f"no stream is called {arguments.stream!r}")
        answer = {"payouts": some}
    rows = [
        (
            one["role"],
            ", ".join(one["streams"]),
            one["available"],
            one["maturing"],
            one["pending"],
            one["account"],
        )
        for one in answer["payouts"]
    ]
    heads = ("ROLE", "STREAMS", "AVAILABLE", "MATURING", "PENDING", "ACCOUNT")
    show(arguments, answer, table(heads, rows))
    return 0


def _withdraw(arguments: argparse.Namespace) -> int:
    wanted = {} if arguments.platform else {"stream": arguments.stream}
    made = api_of(arguments).post("payouts", body=wanted)
    text = f"{made['planck']} planck went to {made['account']} in block {made['block']}"
    show(arguments, made, text)
    return 0


def _escrow(arguments: argparse.Namespace) -> int:
    _show_escrow(arguments, api_of(arguments).get("viewers", arguments.viewer, "escrow"))
    return 0


def _ask_back(arguments: argparse.Namespace) -> int:
    body = {"planck": arguments.planck}
    made = api_of(arguments).post("viewers", arguments.viewer, "escrow", "request", body=body)
    _show_escrow(arguments, made)
    return 0


def _take_back(arguments: argparse.Namespace) -> int:
    made = api_of(arguments).post("viewers", arguments.viewer, "escrow", "withdraw", body={})
    _show_escrow(arguments, made)
    return 0


def _show_escrow(arguments: argparse.Namespace, found: dict[str, Any]) -> None:
    lines = [f"account: {found['account']}", f"held: {found['held']}", f"free: {found['free']}"]
    if found["asked_back"] is not None:
        lines.append(f"asked back: {found['asked_back']}, from chain second {found['ready_at']} on")
    show(arguments, found, "\n".join(lines))


def _fund(arguments: argparse.Namespace) -> int:
    try:
        account = account_of(arguments.account)
    except InvalidValueError as error:
        raise CliError(str(error), EXIT_USAGE) from error
    if not arguments.planck.isdecimal() or not int(arguments.planck):
        raise CliError(f"{arguments.planck} is not planck: a whole number above 0", EXIT_USAGE)
    url = arguments.url or load(arguments.config, os.environ).chain.url
    from mediaserver.cli import development  # noqa: PLC0415 -- the chain's library loads slowly

    block, free = asyncio.run(development.fund(url, account, int(arguments.planck)))
    answer = {"account": account_text(account), "block": block, "free": str(free)}
    show(arguments, answer, f"{answer['account']} has {free} planck free as of block {block}")
    return 0
