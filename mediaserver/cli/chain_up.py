"""``vilokanam chain up``: the development chain on this machine, until Ctrl-C.

chopsticks makes a block as soon as a transaction comes. Between them a beat makes one each
`BEAT_S`, so that chain time goes on: notices pass, credit matures, eras end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Final

from mediaserver.cli.client import CliError
from mediaserver.processes.children import die_with
from metering.errors import ChainUnavailableError
from metering.testing.chopsticks import Chopsticks

CHECKOUT: Final = Path(__file__).resolve().parents[2] / "chain"
ARTEFACTS: Final = CHECKOUT / "artefacts"
TOOLS: Final = CHECKOUT / "npm"
PORT: Final = 9944
BEAT_S: Final = 6.0
"""The slot of the runtime: chain time goes on by as much with each block."""
_LOOK_S: Final = 1.0
_TRIES: Final = 5
"""Looks in a row that chopsticks may miss: it answers nobody while it executes a large block."""


def add(verbs: Any) -> None:
    """Add the command to the group ``chain``."""
    up: argparse.ArgumentParser = verbs.add_parser(
        "up",
        help="run the development chain on this machine",
        description="Run the committed runtime in chopsticks, with a block for each transaction "
        "and one every 6 s, until Ctrl-C. For development: everybody knows its keys.",
    )
    up.add_argument(
        "--port", type=int, default=PORT, help=f"of its WebSocket; {PORT}, 0: a free one"
    )
    up.add_argument(
        "--artefacts",
        type=Path,
        default=ARTEFACTS,
        help="folder of the runtime's genesis.raw.json; the checkout's chain/artefacts",
    )
    up.add_argument(
        "--tools",
        type=Path,
        default=TOOLS,
        help="folder with chopsticks, after `npm ci --ignore-scripts`; the checkout's chain/npm",
    )
    up.add_argument("--json", action="store_true", help="answer as JSON, for scripts")
    up.set_defaults(run=_up)


def _up(arguments: argparse.Namespace) -> int:
    genesis = arguments.artefacts / "genesis.raw.json"
    if not genesis.is_file():
        raise CliError(
            f"there is no chain spec {genesis}; run it from a checkout, or name the folder of "
            "chain/artefacts with --artefacts"
        )
    _require_free(arguments.port)
    chain = Chopsticks(
        arguments.tools,
        genesis,
        port=arguments.port,
        mode="Instant",
        # Not SIGKILL: it removes its temporary files.
        before_exec=die_with(os.getpid(), signal.SIGTERM),
    )
    return asyncio.run(_run(chain, as_json=arguments.json))


def _require_free(port: int) -> None:
    """Raise CliError when a port is taken: chopsticks would not say so."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CliError(
                f"port {port} cannot be listened on: {error.strerror}; choose another with --port"
            ) from error


async def _run(chain: Chopsticks, *, as_json: bool) -> int:
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
            return 0
        await starting
        said = {"url": chain.url, "pid": chain.pid, "log": str(chain.log_file)}
        sys.stdout.write(f"{json.dumps(said) if as_json else f'chain: {chain.url}'}\n")
        sys.stdout.flush()
        if not as_json:
            sys.stderr.write("chain: a block for each transaction, one every 6 s; Ctrl-C ends it\n")
        await beat(chain, stop)
    finally:
        chain.stop()
    return 0


async def beat(chain: Chopsticks, stop: asyncio.Event) -> None:
    """Make a block whenever there was none for `BEAT_S`, until `stop` is set.

    Raises:
        CliError: It ended, or does not answer any more.
    """
    clock = asyncio.get_running_loop().time
    newest, since_s, missed = "", clock(), 0
    while not stop.is_set():
        try:
            head = await asyncio.to_thread(chain.call, "chain_getBlockHash")
            if head != newest:
                newest, since_s = head, clock()
            elif clock() - since_s >= BEAT_S:
                newest, since_s = await asyncio.to_thread(chain.new_block), clock()
            missed = 0
        except ChainUnavailableError as error:
            missed += 1
            if not chain.pid:
                raise CliError(f"chopsticks ended; its log is {chain.log_file}") from error
            if missed >= _TRIES:
                raise CliError(f"chopsticks does not answer any more: {error}") from error
        try:
            async with asyncio.timeout(_LOOK_S):
                await stop.wait()
        except TimeoutError:
            continue
