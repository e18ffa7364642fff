"""The settler: the one process that speaks to a chain's node, whose library blocks.

It serves the chain's ports on ``run/chain.sock`` to control, which keeps the book and decides; and
its metrics on ``run/settler.sock``. It keeps nothing: killed at any time it is started again, and
control reads finalized state before it does anything more.

It is a process and not a thread of control because the library holds the interpreter's lock.
Measured on two busy cores, a timer of 1 ms in the loop beside the library's thread (idle: 16 ms
late at worst): decoding the metadata of chain/artefacts takes 1.9 s, at each connection and each
runtime upgrade, and makes the loop 603 ms late; importing the library, 64 ms; signing batches of
512 entries and reading 200 blocks, 6 ms. The same reads over the wire: 11 ms. Memory does not speak
for a thread: library and node add 68 MiB (PSS) to control, while the process is 93 MiB spawned and
60 MiB forked from a parent that has imported the library. With ``chain.backend = "journal"`` there
is neither.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable

from aiohttp import web
from prometheus_client.core import REGISTRY, CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mediaserver import log, metrics
from mediaserver.accounting.remote_chain import SOCKET, chain_handlers, event_handlers
from mediaserver.accounting.remote_escrow import call_handlers
from mediaserver.errors import ConfigError
from mediaserver.ipc.server import CallServer
from mediaserver.processes import bootstrap, operator_key
from mediaserver.processes.bootstrap import EXIT_OK, Start, StartRefusedError
from metering.chain.node.client import Node
from metering.chain.pallet_chain import PalletChain
from metering.escrow.call_service import CallService
from metering.escrow.node_events import NodeEvents

_log = log.get("settler")


class ChainCollector(Collector):
    """What only this process knows of the node: its pool's answers, the operator's money."""

    def __init__(self, chain: PalletChain) -> None:
        self._chain = chain

    def collect(self) -> Iterable[Metric]:
        """Return the families; nothing of the operator's money before it was first read."""
        family = CounterMetricFamily(
            "metering_settlement_pool_answers",
            "Answers of the node's pool to signed bytes",
            labels=("answer",),
        )
        for answer, count in sorted(self._chain.answers.items()):
            family.add_metric((answer,), count)
        yield family
        if self._chain.free_planck is not None:
            yield GaugeMetricFamily(
                "metering_settlement_operator_free_planck",
                "What the operator's account may spend on the chain",
                value=self._chain.free_planck,
            )


async def serve(start: Start, stop: asyncio.Event) -> int:
    """Serve the ports until `stop`; return the exit code.

    Raises:
        StartRefusedError: The operator's key cannot be read, or is another than the book's.
    """
    settings = start.settings.chain
    operator = await asyncio.to_thread(operator_key.of_server, start.settings, start.data_dir)
    node = Node(settings.url, settings.request_timeout_s)
    chain = PalletChain(
        node, operator, era_blocks=settings.era_blocks, in_flight_max=settings.in_flight_max
    )
    collector = ChainCollector(chain)
    REGISTRY.register(collector)
    try:
        handlers = chain_handlers(chain) | event_handlers(NodeEvents(node))
        handlers |= call_handlers(CallService(node))
        async with node, CallServer(start.run_dir / SOCKET, handlers):
            runner = await _metrics_site(start)
            _log.info("settler.process.started", node=settings.url)
            try:
                await stop.wait()
            finally:
                await runner.cleanup()
    finally:
        REGISTRY.unregister(collector)
    return EXIT_OK


async def _metrics_site(start: Start) -> web.AppRunner:
    async def own_metrics(_: web.Request) -> web.Response:
        return web.Response(text=metrics.own_text("settler"))

    async def health(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    app = web.Application()
    app.router.add_routes([web.get("/internal/metrics", own_metrics), web.get("/healthz", health)])
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    socket = start.run_dir / "settler.sock"
    socket.unlink(missing_ok=True)
    await web.UnixSite(runner, str(socket)).start()
    return runner


def main(argv: list[str] | None = None) -> int:
    """Run ``python -m mediaserver.processes.settler``."""
    arguments = bootstrap.parser("The settler: speaks to the chain's node.").parse_args(argv)
    try:
        start = bootstrap.begin(arguments)
        return bootstrap.run(
            "settler",
            start.settings,
            lambda stop: serve(start, stop),
            on_reload=bootstrap.reloader(start),
        )
    except (ConfigError, StartRefusedError) as error:
        return bootstrap.refuse(error)


if __name__ == "__main__":
    sys.exit(main())
