"""``python -m metering.testing.run_chopsticks``: a development chain; ``vilokanam chain up``.

chopsticks makes a block as soon as a transaction arrives. Between transactions one is made each
`BLOCK_S`, so that chain time goes on: notices pass, credit matures, eras end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from metering.errors import ChainUnavailableError
from metering.testing.chopsticks import Chopsticks
from metering.testing.committed_runtime import ARTEFACTS, CHECKOUT

TOOLS: Final = CHECKOUT / "npm"
PORT: Final = 9944
BLOCK_S: Final = 6.0
"""The slot of the runtime: chain time goes on by as much with each block."""
_POLL_S: Final = 1.0
_MISSES_MAX: Final = 5
"""Polls in a row that may fail: chopsticks answers nothing while it executes a large block."""


def main(
    arguments: Sequence[str] | None = None,
    program: str = "python -m metering.testing.run_chopsticks",
    before_exec: Callable[[], None] | None = None,
) -> int:
    """Run the chain until SIGINT or SIGTERM; return 1 when it cannot start, or ends by itself.

    Args:
        arguments: Of the command line; None is the process's own.
        program: What help calls it; its first word begins each error.
        before_exec: Run in the child before chopsticks; to tie its life to this process.
    """
    chosen = parser_for(program).parse_args(arguments)
    try:
        _require_genesis(chosen.artefacts / "genesis.raw.json")
        _require_free(chosen.port)
        chain = Chopsticks(
            chosen.tools,
            chosen.artefacts / "genesis.raw.json",
            port=chosen.port,
            mode="Instant",
            before_exec=before_exec,
        )
        asyncio.run(_run(chain, as_json=chosen.json))
    except ChainUnavailableError as error:
        sys.stderr.write(f"{program.partition(' ')[0]}: {error}\n")
        return 1
    return 0


def parser_for(program: str) -> argparse.ArgumentParser:
    """Return the parser of the command line of `program`."""
    parser = argparse.ArgumentParser(
        program,
        description="Run the committed runtime in chopsticks, with a block for each transaction "
        "and one every 6 s, until Ctrl-C. For development: its keys are public.",
    )
    parser.add_argument(
        "--port", type=int, default=PORT, help=f"of its WebSocket; {PORT}, 0: a free one"
    )
    parser.add_argument(
        "--artefacts",
        type=Path,
        default=ARTEFACTS,
        help="folder of the runtime's genesis.raw.json; the checkout's chain/artefacts",
    )
    parser.add_argument(
        "--tools",
        type=Path,
        default=TOOLS,
        help="folder with chopsticks, after `npm ci --ignore-scripts`; the checkout's chain/npm",
    )
    parser.add_argument("--json", action="store_true", help="answer as JSON, for scripts")
    return parser


def _require_genesis(genesis: Path) -> None:
    if not genesis.is_file():
        raise ChainUnavailableError(
            f"there is no chain spec {genesis}; run it from a checkout, or name the folder of "
            "chain/artefacts with --artefacts"
        )


def _require_free(port: int) -> None:
    """Raise ChainUnavailableError when a port is taken: chopsticks would not report it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ChainUnavailableError(
                f"port {port} cannot be listened on: {error.strerror}; choose another with --port"
            ) from error


async def _run(chain: Chopsticks, *, as_json: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        starting = asyncio.ensure_future(asyncio.to_thread(chain.start))
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            chain.stop()
            await asyncio.gather(starting, return_exceptions=True)
            return
        await starting
        answer = {"url": chain.url, "pid": chain.pid, "log": str(chain.log_file)}
        sys.stdout.write(f"{json.dumps(answer) if as_json else f'chain: {chain.url}'}\n")
        sys.stdout.flush()
        if not as_json:
            sys.stderr.write("chain: a block for each transaction, one every 6 s; Ctrl-C ends it\n")
        await make_blocks(chain, stop)
    finally:
        chain.stop()


async def make_blocks(chain: Chopsticks, stop: asyncio.Event) -> None:
    """Make a block whenever there was none for `BLOCK_S`, until `stop` is set.

    Raises:
        ChainUnavailableError: chopsticks ended, or does not answer any more.
    """
    clock = asyncio.get_running_loop().time
    newest, since_s, misses = "", clock(), 0
    while not stop.is_set():
        try:
            head = await asyncio.to_thread(chain.call, "chain_getBlockHash")
            if head != newest:
                newest, since_s = head, clock()
            elif clock() - since_s >= BLOCK_S:
                newest, since_s = await asyncio.to_thread(chain.new_block), clock()
            misses = 0
        except ChainUnavailableError as error:
            misses += 1
            if not chain.pid:
                raise ChainUnavailableError(
                    f"chopsticks ended; its log is {chain.log_file}"
                ) from error
            if misses >= _MISSES_MAX:
                raise ChainUnavailableError(
                    f"chopsticks does not answer any more: {error}"
                ) from error
        try:
            async with asyncio.timeout(_POLL_S):
                await stop.wait()
        except TimeoutError:
            continue


if __name__ == "__main__":
    sys.exit(main())
