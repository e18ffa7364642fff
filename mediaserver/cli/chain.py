"""``vilokanam chain``: chains to develop and to test settlement against."""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path
from typing import Any, Final

from mediaserver.cli import chain_up, onchain
from mediaserver.cli.client import EXIT_USAGE, CliError
from metering.errors import InvalidValueError
from metering.testing.fake_node.faults import RATES, parse
from metering.testing.fake_node.rpc import account_of
from metering.testing.fake_node.world import World
from metering.units import AccountId

ARTEFACTS: Final = Path(__file__).resolve().parents[2] / "chain" / "artefacts"
"""The committed runtime: wasm, raw genesis, metadata."""

DEFAULT_PORT: Final = 9944


def add(groups: Any) -> None:
    """Add the commands."""
    verbs = groups.add_parser("chain", help="chains to settle on").add_subparsers(
        metavar="VERB", required=True
    )
    _add_fake(verbs)
    chain_up.add(verbs)
    onchain.add_chain(verbs)


def _add_fake(verbs: Any) -> None:
    fake: argparse.ArgumentParser = verbs.add_parser(
        "fake",
        help="a node that speaks JSON-RPC, with a model of the pallet behind it and faults by seed",
        description=f"Faults: {', '.join(RATES)}.",
    )
    fake.add_argument("--seed", type=int, default=1, help="of every fault; 1 when not given")
    fake.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 takes a free one")
    fake.add_argument(
        "--block-ms", type=int, default=6000, help="between blocks; 0: only dev_newBlock makes one"
    )
    fake.add_argument(
        "--finality-blocks", type=int, default=2, help="how far finality is behind the best block"
    )
    fake.add_argument(
        "--faults", default="none", help="none, all, or a list such as reorg,drop=0.5"
    )
    fake.add_argument(
        "--fund",
        action="append",
        default=[],
        metavar="ACCOUNT=PLANCK",
        help="give an account (SS58 or 0x…) planck at genesis; may be repeated",
    )
    fake.add_argument(
        "--now-ms", type=int, help="chain time of block 0; the clock's when not given"
    )
    fake.add_argument(
        "--metadata",
        type=Path,
        default=ARTEFACTS / "metadata.hex",
        help="what it answers to state_getMetadata: V14 in hex",
    )
    fake.set_defaults(run=_fake)


def _fake(arguments: argparse.Namespace) -> int:
    try:
        rates = parse(arguments.faults)
        funds = dict(_funded(one) for one in arguments.fund)
        metadata = bytes.fromhex(arguments.metadata.read_text().strip().removeprefix("0x"))
    except InvalidValueError as error:
        raise CliError(str(error), EXIT_USAGE) from error
    except (OSError, ValueError) as error:
        raise CliError(
            f"the runtime's metadata cannot be read from {arguments.metadata}: {error}; "
            "run it from a checkout, or name the file with --metadata",
            EXIT_USAGE,
        ) from error
    now_ms = int(time.time() * 1000) if arguments.now_ms is None else arguments.now_ms
    world = World(
        arguments.seed,
        now_ms=now_ms,
        rates=rates,
        finality_blocks=arguments.finality_blocks,
        funds=funds,
    )
    asyncio.run(_serve(world, metadata, arguments))
    return 0


async def _serve(world: World, metadata: bytes, arguments: argparse.Namespace) -> None:
    from metering.testing.fake_node.node import FakeNode  # noqa: PLC0415 -- only this verb needs it

    node = FakeNode(world, metadata, port=arguments.port, block_ms=arguments.block_ms)
    try:
        async with node:
            print(f"fake chain at {node.url}, seed {arguments.seed}", flush=True)
            await asyncio.Event().wait()
    except OSError as error:
        raise CliError(f"port {arguments.port} cannot be listened on: {error}") from error


def _funded(text: str) -> tuple[AccountId, int]:
    account, is_given, planck = text.partition("=")
    if not is_given or not planck.isdecimal():
        raise InvalidValueError(f"--fund {text}: write ACCOUNT=PLANCK")
    return account_of(account), int(planck)
