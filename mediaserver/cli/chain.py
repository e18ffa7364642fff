"""``vilokanam chain``, ``operator``, ``payouts``, ``withdraw``, ``escrow``: settlement on a chain.

``chain fake`` and ``chain up`` run the chains of `metering.testing`, by the module's name: the
server itself imports nothing of it. ``chain fund`` speaks to the node, with a key that is public.
All the rest asks the server, which has the keys.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import signal
from pathlib import Path
from typing import Any, Final

from mediaserver.cli.amounts import add_amount, asset_of, planck_of
from mediaserver.cli.client import Api, api_of, show, table, verb
from mediaserver.cli.clock_text import clock_text
from mediaserver.cli.errors import EXIT_USAGE, CliError
from mediaserver.processes.children import die_with
from mediaserver.settings.load import find, load
from metering.errors import InvalidValueError
from metering.model.address import parse_address
from metering.model.amounts import aligned, amount_text, both_texts
from metering.units import account_text

FAKE_NODE: Final = "metering.testing.fake_node.__main__"
LOCAL_CHAIN: Final = "metering.testing.run_chopsticks"


def add(groups: Any) -> None:
    """Add the groups of commands."""
    verbs = groups.add_parser("chain", help="chains to settle on").add_subparsers(
        metavar="VERB", required=True
    )
    _forward(
        verbs,
        "fake",
        _fake,
        "a node that speaks JSON-RPC, with a model of the pallet behind it and faults by seed",
    )
    _forward(verbs, "up", _up, "run the development chain on this machine")
    _add_chain(verbs)
    operator = groups.add_parser("operator", help="this operator on the chain").add_subparsers(
        metavar="VERB", required=True
    )
    verb(operator, "register", _register, "put up the operator's bond; again, nothing happens")
    verb(
        groups, "payouts", _payouts, "what creators and the platform earned on the chain"
    ).add_argument("stream", nargs="?", help="slug: of its creator alone")
    take = verb(groups, "withdraw", _withdraw, "take what is available of what was earned")
    whose = take.add_mutually_exclusive_group(required=True)
    whose.add_argument("stream", nargs="?", help="slug: what its creator earned")
    whose.add_argument("--platform", action="store_true", help="what the platform earned")
    escrow = groups.add_parser(
        "escrow", help="what viewers hold for this operator on the chain"
    ).add_subparsers(metavar="VERB", required=True)
    for name, run, text in (
        ("show", _escrow, "what a viewer holds and asked back"),
        (
            "request-withdraw",
            _request_withdraw,
            "ask escrow back for a viewer whose key the server has",
        ),
        ("withdraw", _withdraw_escrow, "take what was asked back and is ready"),
    ):
        added = verb(escrow, name, run, text)
        added.add_argument("viewer", help="name or account")
        if run is _request_withdraw:
            add_amount(added, "how much; 0 takes an earlier request back")


def _add_chain(verbs: Any) -> None:
    verb(verbs, "status", _status, "the chain's head, the operator on it, what is in flight")
    fund: argparse.ArgumentParser = verbs.add_parser(
        "fund",
        help="send an account money of //Alice: development chains only",
        description="Send an account money of //Alice, whose key is public: on development "
        "chains only. Prints the block once it is final.",
    )
    fund.add_argument("account", help="0x and 64 digits, or SS58")
    add_amount(fund)
    fund.add_argument("--url", help="ws:// of the node, instead of chain.url")
    fund.add_argument("--config", type=Path, help="the server's configuration file")
    fund.add_argument("--json", action="store_true", help="answer as JSON, for scripts")
    fund.set_defaults(run=_fund)


def _forward(verbs: Any, name: str, run: Any, help_text: str) -> None:
    """Add a verb whose arguments, ``--help`` among them, are parsed by the module that it runs."""
    # No argument begins with a NUL, so all of them are positional here.
    parser = verbs.add_parser(name, help=help_text, add_help=False, prefix_chars="\0")
    parser.add_argument("arguments", nargs="*")
    parser.set_defaults(run=run)


def _fake(arguments: argparse.Namespace) -> int:
    code: int = _testing(FAKE_NODE).main(arguments.arguments, "vilokanam chain fake")
    return code


def _up(arguments: argparse.Namespace) -> int:
    # Not SIGKILL: chopsticks removes its temporary files.
    before_exec = die_with(os.getpid(), signal.SIGTERM)
    code: int = _testing(LOCAL_CHAIN).main(
        arguments.arguments, "vilokanam chain up", before_exec=before_exec
    )
    return code


def _testing(module: str) -> Any:
    """Return a module of `metering.testing`.

    Raises:
        CliError: This installation has it not, as when a packager left it out.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise CliError(
            f"{error.name} is not installed: pip install 'vilokanam[testing]', or run from a "
            "checkout"
        ) from error


def _status(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    status, asset = api.get("chain"), asset_of(api)
    ours, settling = status["operator"], status["settlement"]
    registration = "registered" if ours["is_registered"] else "not registered"
    if ours["is_registered"] and not ours["is_active"]:
        registration = "registered, not active"
    lines = [
        f"chain: {status['url']}, {status['spec']}",
        f"finalized: {status['finalized']} (best {status['best']})",
        f"operator: {ours['account']}, {registration}",
        f"bond: {both_texts(int(ours['bond']), asset)}",
        f"free: {both_texts(int(ours['free']), asset)}",
        f"last batch: {ours['last_seq']}",
        f"nonce: {ours['nonce']}",
        f"in flight: {settling['in_flight']} batches, {settling['in_block']} of them in a block",
        f"exposure: {both_texts(int(settling['exposure']), asset)} booked and not final",
        f"lag: {settling['lag_ms'] / 1000:.1f} s",
    ]
    show(arguments, status, "\n".join(lines))
    return 0


def _register(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    made = api.post("chain", "operator", body={})
    bond = both_texts(int(made["bond"]), asset_of(api))
    result = f"registered in block {made['block']}" if made["is_new"] else "was registered before"
    show(arguments, made, f"{made['account']}: {result}; bond {bond}")
    return 0


def _payouts(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    answer = api.get("payouts")
    if arguments.stream is not None:
        payouts = [payout for payout in answer["payouts"] if arguments.stream in payout["streams"]]
        if not payouts:
            raise CliError(f"no stream is called {arguments.stream!r}")
        answer = {"payouts": payouts}
    asset, payouts = asset_of(api), answer["payouts"]
    columns = [
        aligned([int(payout[key]) for payout in payouts], asset)
        for key in ("available", "maturing", "pending")
    ]
    rows = [
        (payout["role"], ", ".join(payout["streams"]), *amounts, payout["account"])
        for payout, *amounts in zip(payouts, *columns, strict=True)
    ]
    heads = ("ROLE", "STREAMS", "AVAILABLE", "MATURING", "PENDING", "ACCOUNT")
    show(arguments, answer, table(heads, rows))
    return 0


def _withdraw(arguments: argparse.Namespace) -> int:
    wanted = {} if arguments.platform else {"stream": arguments.stream}
    api = api_of(arguments)
    made = api.post("payouts", body=wanted)
    amount = both_texts(int(made["planck"]), asset_of(api))
    text = f"{amount} went to {made['account']} in block {made['block']}"
    show(arguments, made, text)
    return 0


def _escrow(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    _show_escrow(arguments, api, api.get("viewers", arguments.viewer, "escrow"))
    return 0


def _request_withdraw(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    body = {"planck": planck_of(arguments.amount, arguments.planck, asset_of(api))}
    made = api.post("viewers", arguments.viewer, "escrow", "request", body=body)
    _show_escrow(arguments, api, made)
    return 0


def _withdraw_escrow(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    made = api.post("viewers", arguments.viewer, "escrow", "withdraw", body={})
    _show_escrow(arguments, api, made)
    return 0


def _show_escrow(arguments: argparse.Namespace, api: Api, escrow: dict[str, Any]) -> None:
    asset = asset_of(api)
    lines = [
        f"account: {escrow['account']}",
        f"held: {both_texts(int(escrow['held']), asset)}",
        f"free: {both_texts(int(escrow['free']), asset)}",
    ]
    if escrow["asked_back"] is not None:
        lines.append(
            f"asked back: {both_texts(int(escrow['asked_back']), asset)}, to be taken from "
            f"{clock_text(escrow['ready_at'])} of the chain's clock on"
        )
    show(arguments, escrow, "\n".join(lines))


def _fund(arguments: argparse.Namespace) -> int:
    try:
        account = parse_address(arguments.account)
    except InvalidValueError as error:
        raise CliError(str(error), EXIT_USAGE) from error
    settings = load(find(arguments.config, os.environ), os.environ)
    asset, url = settings.asset, arguments.url or settings.chain.url
    planck = int(planck_of(arguments.amount, arguments.planck, asset))
    if not planck:
        raise CliError("nothing is to be sent: give an amount above 0", EXIT_USAGE)
    from mediaserver.cli import local_chain  # noqa: PLC0415 -- the chain's library loads slowly

    block, free = asyncio.run(local_chain.fund(url, account, planck))
    answer = {"account": account_text(account), "block": block, "free": str(free)}
    show(
        arguments,
        answer,
        f"{answer['account']} was sent {both_texts(planck, asset)} and has "
        f"{amount_text(free, asset)} free as of block {block}",
    )
    return 0
