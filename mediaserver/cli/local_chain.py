"""Development chains: money of //Alice, and the demo's chain with all that is done on it.

Imported where it is used: the chain's library takes most of a second to load.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from mediaserver.cli.amounts import asset_of
from mediaserver.cli.client import Api
from mediaserver.cli.errors import CliError
from mediaserver.processes import children
from mediaserver.processes.children import Child
from metering import signing
from metering.chain.node import storage
from metering.chain.node.client import Node
from metering.errors import ChainError, ExtrinsicRejectedError
from metering.escrow import calls
from metering.escrow.call_sender import CallSender, decoded
from metering.escrow.call_service import CallService
from metering.model.amounts import amount_text
from metering.model.credits import rolled
from metering.signing import KeyPair
from metering.units import AccountId, Asset, parse_account

ALICE_SEED: Final = bytes.fromhex(
    "e5be9a5092b81bca64be81d212e7f2f9eba183bb7a90954f7b76361f6edb5c0a"
)
"""``//Alice`` of the well-known development phrase: it is public."""
ARTEFACTS: Final = Path(__file__).resolve().parents[2] / "chain" / "artefacts"
FOLDER: Final = "chain"
"""In the demo's directory: the chain begins anew with each demo, and so must the book beside it."""
OPERATOR_PLANCK: Final = 10**16
"""10,000 UNIT: the bond of 100, and what the demo's viewer is given."""
POLL_S: Final = 1.0
REQUEST_S: Final = 10.0
FUND_REQUEST_S: Final = 30.0
_MARK: Final = "demo.toml"


def alice() -> KeyPair:
    """Return the key that holds the money of a development chain."""
    return signing.from_seed(ALICE_SEED)


async def fund(url: str, account: AccountId, planck: int) -> tuple[int, int]:
    """Send an account money of //Alice; return the block, and what it has free then.

    Raises:
        ExtrinsicRejectedError: //Alice has not as much, as on any chain that carries money.
        ChainUnavailableError: No node answers, or it is not final in time.
    """
    signer = alice()
    async with Node(url, FUND_REQUEST_S) as node:
        sender = CallSender(CallService(node))
        if await sender.free(signer.account) <= planck:
            raise ExtrinsicRejectedError(
                f"//Alice has no {planck} planck at {url}: is it a development chain?"
            )
        block = await sender.do(signer, calls.transfer(account, planck))
        return block, await sender.free(account)


def fresh_folder(data_dir: Path) -> Path:
    """Return an empty directory for the book of a demo with a chain.

    Raises:
        CliError: There is something in it that no demo made, or it cannot be removed.
    """
    folder = data_dir / FOLDER
    try:
        if folder.exists():
            if not (folder / _MARK).exists():
                raise CliError(f"{folder} was not made by a demo: move it away")
            shutil.rmtree(folder)
    except OSError as error:
        raise CliError(f"{folder} cannot be begun anew: {error.strerror}") from error
    return folder


def choose_chain() -> str:
    """Settle on a chain at a free port, for every process of the demo; return its address."""
    if not (ARTEFACTS / "genesis.raw.json").is_file():
        raise CliError(f"there is no {ARTEFACTS}: a demo with a chain runs from a checkout")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"ws://127.0.0.1:{port}"
    os.environ["VILOKANAM_CHAIN__BACKEND"] = "substrate"
    os.environ["VILOKANAM_CHAIN__URL"] = url
    # No more than one block each 6 s by us: chain time stays near the clock's.
    os.environ.setdefault("VILOKANAM_CHAIN__BATCH_PERIOD_S", "6")
    return url


async def start(url: str) -> Child:
    """Start the chain; it prints its address when it answers."""
    port = url.rpartition(":")[2]
    return await children.start("chain", ("mediaserver.cli.main", "chain", "up", "--port", port))


class DemoChain:
    """A client of the demo's chain."""

    def __init__(self, url: str, report: Callable[[str], None]) -> None:
        self._node = Node(url, REQUEST_S)
        self._sender = CallSender(CallService(self._node))
        self._report = report

    async def close(self) -> None:
        """End the connection."""
        await self._node.close()

    async def answers(self) -> bool:
        """Return True once the chain answers."""
        try:
            await self._sender.service.facts()
        except ChainError:
            return False
        return True

    async def endow(self, api: Api) -> None:
        """Give the operator money of //Alice, and register it.

        Raises:
            ChainError: The chain refuses it, or is away.
        """
        operator = parse_account((await asyncio.to_thread(api.get, "operator"))["public_key"])
        await self._sender.do(alice(), calls.transfer(operator, OPERATOR_PLANCK))
        made = await asyncio.to_thread(lambda: api.post("chain", "operator", body={}))
        self._report(f"the operator {short(operator)} is registered, in block {made['block']}")

    async def follow(self, api: Api, slug: str) -> None:
        """Report each batch once it is final, and what it earned, until cancelled."""
        operator = parse_account((await asyncio.to_thread(api.get, "operator"))["public_key"])
        asset = await asyncio.to_thread(asset_of, api)
        creator = parse_account((await asyncio.to_thread(api.get, "streams", slug))["creator"])
        reported = 0
        while True:
            try:
                reported = await self._report_from(reported, operator, creator, asset)
            except ChainError as error:
                self._report(f"the chain does not answer: {error}")
            await asyncio.sleep(POLL_S)

    async def _report_from(
        self, reported: int, operator: AccountId, creator: AccountId, asset: Asset
    ) -> int:
        ours = await self._sender.value(storage.OPERATOR, storage.operator_key(operator))
        last = ours.last_seq if ours else 0
        for seq in range(reported + 1, last + 1):
            reading = await self._sender.service.read(
                [
                    storage.outcome_key(operator, seq),
                    storage.credit_key(creator),
                    storage.credit_key(operator),
                ]
            )
            outcome = decoded(storage.OUTCOME, reading.values[0])
            if outcome is None:
                continue
            earned = [
                amount(rolled(decoded(storage.CREDIT, raw), 0, 1), asset)
                for raw in reading.values[1:]
            ]
            refused = f", {len(outcome.refused)} refused" if outcome.refused else ""
            self._report(
                f"batch {seq} is final in block {outcome.block}: {outcome.entries} "
                f"{'entry' if outcome.entries == 1 else 'entries'}{refused}, {outcome.ticks} "
                f"seconds, {amount_text(outcome.amount, asset)}; so far the creator has earned "
                f"{earned[0]}, the platform {earned[1]}"
            )
        return last


def amount(payout: Any, asset: Asset) -> str:
    """Return all that is owed to an account, in the asset."""
    return amount_text(payout.available + payout.maturing + payout.pending, asset)


def short(account: AccountId) -> str:
    """Return the beginning of an account, for people."""
    return f"0x{account.hex()[:8]}…"
