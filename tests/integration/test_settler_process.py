"""The settler as it is run: a process of its own between control and the node, killed at will."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from mediaserver.accounting.remote_chain import SOCKET, RemoteChain
from mediaserver.ipc.client import CallClient
from mediaserver.processes.bootstrap import EXIT_CONFIG, EXIT_OK
from metering.chain import attempt
from metering.chain.node.metadata import Metadata
from metering.chain.node.runtime_info import Extension
from metering.errors import ChainUnavailableError, RuntimeUnsupportedError
from metering.model.batch_state import Action
from metering.ports import BatchStatus, InFlight
from metering.settings import ChainSettings
from metering.settlement.settler import Settler
from tests.support.book_fixture import OPERATOR, InlineBook
from tests.support.chain_scenario import ChainScenario, forget, open_scenario
from tests.support.wallet import of_stream

SEED = b"operator".ljust(32, b".")


@pytest.fixture
def data_dir():
    # A unix socket's path has 107 bytes at most; tmp_path may be longer.
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


class Process:
    """The settler of a data directory; started again by the tests that want it."""

    def __init__(self, data_dir: Path, url: str) -> None:
        self.data_dir = data_dir
        (data_dir / "run").mkdir()
        (data_dir / "operator.key").write_text(f"0x{SEED.hex()}\n")
        self.config = data_dir / "c.toml"
        self.config.write_text(
            f'[chain]\nbackend = "substrate"\nurl = "{url}"\nrequest_timeout_s = 5\n'
        )
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "mediaserver.processes.settler",
            "--config",
            str(self.config),
            "--data-dir",
            str(self.data_dir),
            stderr=asyncio.subprocess.DEVNULL,
        )

    async def end(self, number: int = signal.SIGKILL) -> int:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        return await self.process.wait()


@contextlib.asynccontextmanager
async def running(data_dir: Path, url: str) -> AsyncIterator[tuple[Process, RemoteChain]]:
    process = Process(data_dir, url)
    calls = CallClient(data_dir / "run" / SOCKET, timeout_s=20)
    await process.start()
    try:
        yield process, RemoteChain(calls)
    finally:
        await calls.close()
        await process.end()


async def when_up(chain: RemoteChain) -> None:
    """Wait until the process answers: it imports a large library first."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(ChainUnavailableError):
                await chain.limits()
                return
            await asyncio.sleep(0.05)


def settler_of(scenario: ChainScenario, chain: RemoteChain) -> Settler:
    book = scenario.fixture.book
    return Settler(
        InlineBook(book),
        chain,
        settings=ChainSettings(batch_period_s=1, batch_entries_max=2),
        now_ms=scenario.fixture.clock,
        operator=OPERATOR,
        forget=lambda: forget(book),
        receipt_wait_ms=0,
    )


async def test_batches_settle_through_the_process_and_its_death_costs_nothing(data_dir):
    """Killed after it sent a batch: control waits, the next one goes on from finalized state."""
    async with (
        open_scenario() as scenario,
        running(data_dir, scenario.node.url) as (process, chain),
    ):
        await when_up(chain)
        settler = settler_of(scenario, chain)
        scenario.watch(7, 11, 0)
        await settler.turn(is_due=True)
        assert scenario.fixture.book.outbox.oldest() is not None

        assert await process.end() == -signal.SIGKILL
        assert await settler.turn(is_due=True) is Action.WAIT  # and control goes on
        scenario.watch(3, 0, 5)
        await process.start()
        await when_up(chain)
        await scenario.settle_all(settler)

        scenario.world.finalize()
        await scenario.check()
        assert all(one.number == 1 for one in scenario.fixture.book.outbox.attempts(1))


async def test_it_tells_its_health_and_what_the_pool_said(data_dir):
    """On a socket that /metrics of the server gathers."""
    async with open_scenario() as scenario, running(data_dir, scenario.node.url) as (_, chain):
        await when_up(chain)
        scenario.watch(7)
        await scenario.settle_all(settler_of(scenario, chain))
        connector = aiohttp.UnixConnector(str(data_dir / "run" / "settler.sock"))
        async with aiohttp.ClientSession(connector=connector) as session:
            async with session.get("http://settler/internal/metrics") as answer:
                text = await answer.text()
            async with session.get("http://settler/healthz") as answer:
                assert answer.status == 200

    assert 'metering_settlement_pool_answers_total{answer="taken",process="settler"}' in text
    assert 'metering_settlement_operator_free_planck{process="settler"}' in text


async def test_it_ends_in_order_when_told_to(data_dir):
    """Within the drain time-out, whatever the node does."""
    async with (
        open_scenario() as scenario,
        running(data_dir, scenario.node.url) as (process, chain),
    ):
        await when_up(chain)

        assert await process.end(signal.SIGTERM) == EXIT_OK


async def test_without_a_node_it_lives_and_says_so(data_dir):
    """The server does not restart it in a circle; control's batches wait."""
    async with running(data_dir, "ws://127.0.0.1:1") as (process, chain):
        async with asyncio.timeout(60):
            while True:
                with pytest.raises(ChainUnavailableError) as met:
                    await chain.limits()
                if "127.0.0.1:1" in str(met.value):
                    break
                await asyncio.sleep(0.05)

        assert process.process is not None
        assert process.process.returncode is None


async def test_a_key_file_that_is_none_stops_it_with_a_word(data_dir):
    """An operator must act: the server does not start it again."""
    process = Process(data_dir, "ws://127.0.0.1:1")
    (data_dir / "operator.key").write_text("nonsense")
    await process.start()
    assert process.process is not None

    async with asyncio.timeout(60):
        assert await process.process.wait() == EXIT_CONFIG


# What the back end does on a runtime that changes, without a process


async def test_an_upgrade_is_followed_and_what_it_killed_is_signed_again():
    """Signed under 100 and not in a block when 101 came: dead once its era is over."""
    async with open_scenario() as scenario:
        chain = scenario.chain(era_blocks=8)
        scenario.watch(7)
        book = scenario.fixture.book
        book.settlements.seal(1, 10)
        batch = book.settlements.get(1)
        old = await chain.sign(1, batch.hash, batch.entries)
        scenario.world.make_block(is_upgrade=True)
        scenario.world.finalize()

        await chain.submit(old)
        for _ in range(9):
            scenario.world.make_block()
        scenario.world.finalize()
        (found,) = (await chain.look([InFlight(1, batch.hash, old)])).findings

        assert found.status is BatchStatus.EXPIRED
        new = await chain.sign(1, batch.hash, batch.entries)
        before, after = attempt.decode(old).terms, attempt.decode(new).terms
        assert after.spec_version > before.spec_version
        assert after.nonce == before.nonce
        await chain.submit(new)
        scenario.world.make_block()
        scenario.world.finalize()
        (found,) = (await chain.look([InFlight(1, batch.hash, new)])).findings
        assert found.status is BatchStatus.FINAL


async def test_an_unknown_extension_stops_settlement_and_loses_nothing(monkeypatch):
    """It is named; when the program or the runtime is mended, what waited settles."""
    async with open_scenario() as scenario:
        scenario.watch(7, 11)
        settler = scenario.settler()
        whole = Metadata.facts

        def strange(self, *args):
            facts = whole(self, *args)
            return replace(facts, extensions=(*facts.extensions, Extension("CheckMoon", "u8", "")))

        monkeypatch.setattr(Metadata, "facts", strange)
        with pytest.raises(RuntimeUnsupportedError, match="CheckMoon"):
            await scenario.chain().sign(1, bytes(32), b"\x00")
        assert await settler.turn(is_due=True) is Action.WAIT
        assert scenario.world.forks.head.number < 30
        assert scenario.fixture.book.outbox.attempts(1) == []

        monkeypatch.setattr(Metadata, "facts", whole)
        await scenario.settle_all(scenario.settler())
        scenario.world.finalize()
        await scenario.check()


async def test_an_operator_that_is_switched_off_waits_and_goes_on():
    """No fee is burnt on batches that must fail."""
    async with open_scenario() as scenario:
        scenario.watch(7)
        scenario.do(OPERATOR, of_stream("deregister_operator"))
        scenario.world.finalize()
        settler = scenario.settler()

        assert await settler.turn(is_due=True) is Action.WAIT
        assert scenario.fixture.book.outbox.attempts(1) == []


async def test_reconcile_reads_the_chains_own_sessions():
    """A count that somebody changed in the book differs from what the chain keeps."""
    async with open_scenario() as scenario:
        scenario.watch(7, 11)
        await scenario.settle_all()
        scenario.world.finalize()
        book = scenario.fixture.book
        even = await scenario.reconciled()
        with book.streams._writing() as connection:
            connection.exec_driver_sql("UPDATE entries SET settled = settled - 1, booked = booked")

        odd = await scenario.reconciled()

    assert even.differences == ()
    assert any(one.what == "settled on the chain" for one in odd.differences)
