"""``python -m metering.testing.fake_node``: the fake node as a process (``chain fake``)."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from metering.errors import InvalidValueError
from metering.model.address import parse_address
from metering.testing.committed_runtime import ARTEFACTS
from metering.testing.fake_node.faults import RATES, parse
from metering.testing.fake_node.node import FakeNode
from metering.testing.fake_node.world import World
from metering.units import AccountId

METADATA: Final = ARTEFACTS / "metadata.hex"
"""Of the committed runtime."""
DEFAULT_PORT: Final = 9944
_EXIT_FAILED: Final = 1
_EXIT_USAGE: Final = 2


def main(
    arguments: Sequence[str] | None = None, program: str = "python -m metering.testing.fake_node"
) -> int:
    """Run the node until it is interrupted; return 2 for a wrong command line, 1 for a taken port.

    Args:
        arguments: Of the command line; None is the process's own.
        program: What help calls it; its first word begins each error.
    """
    chosen = parser_for(program).parse_args(arguments)
    try:
        node = _node(chosen)
    except InvalidValueError as error:
        return _fail(program, str(error), _EXIT_USAGE)
    try:
        asyncio.run(_serve(node, chosen.seed))
    except OSError as error:
        return _fail(program, f"port {chosen.port} cannot be listened on: {error}", _EXIT_FAILED)
    return 0


def parser_for(program: str) -> argparse.ArgumentParser:
    """Return the parser of the command line of `program`."""
    parser = argparse.ArgumentParser(
        program,
        description=f"A node with a model of the pallet behind it. Faults: {', '.join(RATES)}.",
    )
    parser.add_argument("--seed", type=int, default=1, help="of every fault; 1 when not given")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 takes a free one")
    parser.add_argument(
        "--block-ms", type=int, default=6000, help="between blocks; 0: only dev_newBlock makes one"
    )
    parser.add_argument(
        "--finality-blocks", type=int, default=2, help="how far finality is behind the best block"
    )
    parser.add_argument(
        "--faults", default="none", help="none, all, or a list such as reorg,drop=0.5"
    )
    parser.add_argument(
        "--fund",
        action="append",
        default=[],
        metavar="ACCOUNT=PLANCK",
        help="give an account (SS58 or 0x…) planck at genesis; may be repeated",
    )
    parser.add_argument(
        "--now-ms", type=int, help="chain time of block 0; the clock's when not given"
    )
    parser.add_argument(
        "--metadata",
        type=Path,
        default=METADATA,
        help="what it answers to state_getMetadata: V14 in hex",
    )
    return parser


def _node(chosen: argparse.Namespace) -> FakeNode:
    """Return the node that the options describe.

    Raises:
        InvalidValueError: An option cannot be read.
    """
    rates = parse(chosen.faults)
    funds = dict(_funding(text) for text in chosen.fund)
    try:
        metadata = bytes.fromhex(chosen.metadata.read_text().strip().removeprefix("0x"))
    except (OSError, ValueError) as error:
        raise InvalidValueError(
            f"the runtime's metadata cannot be read from {chosen.metadata}: {error}; "
            "run it from a checkout, or name the file with --metadata"
        ) from error
    world = World(
        chosen.seed,
        now_ms=int(time.time() * 1000) if chosen.now_ms is None else chosen.now_ms,
        rates=rates,
        finality_blocks=chosen.finality_blocks,
        funds=funds,
    )
    return FakeNode(world, metadata, port=chosen.port, block_ms=chosen.block_ms)


def _funding(text: str) -> tuple[AccountId, int]:
    account, equals, planck = text.partition("=")
    if not equals or not planck.isdecimal():
        raise InvalidValueError(f"--fund {text}: write ACCOUNT=PLANCK")
    return parse_address(account), int(planck)


async def _serve(node: FakeNode, seed: int) -> None:
    async with node:
        sys.stdout.write(f"fake chain at {node.url}, seed {seed}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def _fail(program: str, reason: str, code: int) -> int:
    sys.stderr.write(f"{program.partition(' ')[0]}: {reason}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
