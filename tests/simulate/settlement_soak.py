"""Kill -9 of the settler at every step, against a chain with its faults on: is all paid once?

    make soak ROUNDS=1000 SEED=1
    python -m tests.simulate.settlement_soak --rounds 60 --seed 2

The steps are the operations between book and chain (settlement_cells.py), before and after each,
cut off by a crash proxy around each collaborator. A round books some more
watched seconds, starts a settler in a process of its own, and lets it kill itself at the step that
has had the fewest kills. Now and then another process of the same key takes its nonce, the operator
is switched off while a batch waits, or an older book is put back. Every so often all is settled
without kills, and what the chain holds must be what was watched: no entry twice, none lost, the
books balanced.

Prints a table step x kills; exit 1 on an empty cell or any difference. With --chain chopsticks the
real runtime is settled on; there less goes wrong than the kills, so cells may stay empty.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from metering.book.async_book import AsyncBook
from metering.chain.node import client
from metering.chain.node.client import Node
from metering.chain.node.substrate import read_metadata
from metering.chain.pallet_chain import PalletChain
from metering.errors import MeteringError
from metering.settings import ChainSettings
from metering.settlement.settler import Settler
from tests.simulate.settlement_cells import Cell, cells, name_at_runtime, operations
from tests.simulate.settlement_chains import ChainProcess, start_chopsticks, start_fake
from tests.simulate.settlement_scenario import SettlementSoak
from tests.support.book_fixture import OPERATOR
from tests.support.chain_scenario import forget, open_book
from tests.support.crash_proxy import CrashProxy, When, reported

CELLS = cells()
CHECK_EVERY = 50
ROUND_S = 4.0
SETTLE_S = 120.0
SETTLED, TIRED = 0, 3
LONG_ERA = 65536
RESTORED = {
    "book.escrow.cursor",
    "book.adoption.candidates",
    "book.adoption.adopt",
    "chain.settled",
    "node.values",
    "adopted",
}
"""Operations of a book that is older than the chain."""
PERIOD = {"book.settlements.last_sealed_ms"}
"""Of a settler that seals when its period is over."""
SPLIT = {"book.outbox.split"}
"""Of a batch that no block takes."""
BIRTH = {"node.block_hash in sign"}
"""Only eras above 4096 blocks are born before the finalized block."""
IDLE = {"book.outbox.last_seq"}
"""With nothing to settle."""
SCAN = {"node.block_hash in look_back", "node.extrinsics"}
"""Of a nonce that is used, though the batch has not settled."""
FAILED = {"node.head", "node.events"}
"""Of a batch whose extrinsic failed in a block."""
ERA = 64


@dataclass
class Plan:
    """What a settler's process is to do.

    Attributes:
        cell: Where it kills itself; None: it settles all there is.
        nth: At which time that it comes there.
        era_blocks: Of the bytes that it signs.
        is_due: Seal at every turn; None leaves it to the clock.
        for_s: Real time after which it gives up.
    """

    cell: Cell | None
    nth: int = 1
    era_blocks: int = ERA
    is_due: bool | None = True
    for_s: float = ROUND_S


@dataclass
class SoakRounds:
    """The rounds and their table."""

    seed: int
    path: Path
    chain: ChainProcess
    settlement: SettlementSoak
    chance: random.Random
    kills: dict[Cell, int] = field(default_factory=lambda: dict.fromkeys(CELLS, 0))
    faults: str = "all"

    def round(self, cell: Cell) -> None:
        """Feed, get into the situation in which the step comes, and kill there."""
        operation = cell[0]
        plan = Plan(cell, nth=self.chance.choice([1, 1, 1, 2, 3]))
        if operation in IDLE:
            self._settle_all()
            self._live(replace(plan, nth=1))
            return
        self.settlement.feed(self.chance)
        if operation in PERIOD:
            plan.is_due = None
        if operation in SPLIT and self.chain.has_faults:
            self.chain.call("fake_faults", {"heavy": 1})
            plan.nth = 1
        if operation in BIRTH:
            plan.era_blocks, plan.nth = LONG_ERA, 1
            if self.chain.has_faults:
                self.chain.call("fake_faults", {})
        if operation in RESTORED:
            self._go_back()
            plan.nth = 1
        elif operation in SCAN | FAILED:
            self._get_failed(is_ours=operation in FAILED or self.chance.random() < 0.3)
            plan.nth = 1
        elif self.chain.has_faults and self.chance.random() < 0.03:
            self._get_failed(is_ours=self.chance.random() < 0.5)
        self._live(plan)
        if plan.era_blocks == LONG_ERA:
            # Bytes that live so long would outlive the next upgrade of the runtime unusable.
            self._live(Plan(None, for_s=SETTLE_S))
        if self.chain.has_faults:
            self.chain.call("fake_faults", self.faults)

    def settle(self) -> list[str]:
        """Settle all without kills or faults; return what is wrong then."""
        self._calm()
        code = self._live(Plan(None, for_s=SETTLE_S))
        differences = self.settlement.differences()
        if code != SETTLED:
            differences.append(f"not all was settled within {SETTLE_S} s")
        if self.chain.has_faults:
            self.chain.call("fake_faults", self.faults)
        return differences

    def _go_back(self) -> None:
        """Put an older book back, of before the newest batches; its seconds come in again."""
        for _ in range(2):
            self._settle_all()
            if self.settlement.backup is not None:
                break
            self.settlement.back_up()
            self.settlement.feed(self.chance, at_least=1)
        self.settlement.put_back(self.chance)

    def _settle_all(self) -> None:
        self._calm()
        if self._live(Plan(None, for_s=SETTLE_S)) != SETTLED:
            raise SystemExit(f"not all was settled within {SETTLE_S} s")

    def _calm(self) -> None:
        """Let nothing go wrong."""
        if self.chain.has_faults:
            self.chain.call("fake_faults", {})
            self.chain.call("fake_stall", 0)

    def _get_failed(self, *, is_ours: bool) -> None:
        """Have a batch signed and kept, then let its nonce be used up without settling it."""
        self._calm()
        self._live(Plan(("book.outbox.add_attempt", When.AFTER)))
        if is_ours:
            self.settlement.fail_what_waits()
        else:
            self.settlement.usurp()

    def _live(self, plan: Plan) -> int:
        """Start a settler and wait for its end; count its kill."""
        child = os.fork()
        if child == 0:
            code = 70
            try:
                code = asyncio.run(settler_life(self.path, self.chain.url, plan))
            except BaseException:  # noqa: BLE001 -- a child must end here, whatever happens
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        status = wait(child, plan.for_s + 20)
        if os.WIFSIGNALED(status) and plan.cell is not None:
            assert os.WTERMSIG(status) == signal.SIGKILL
            self.kills[plan.cell] += 1
            return -signal.SIGKILL
        code = os.waitstatus_to_exitcode(status)
        if code not in (SETTLED, TIRED):
            raise SystemExit(f"a settler ended with {code}: see above")
        return code


def wait(child: int, for_s: float) -> int:
    """Return the status of a child that ends in time; kill one that hangs."""
    deadline = time.monotonic() + for_s
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return status
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise SystemExit(f"a settler hung for {for_s:.0f} s: no step and no end")


class FixedLease:
    """The lease of a process that has it for its life, with a token above its predecessors'."""

    def __init__(self, token: int) -> None:
        self._token = token

    async def hold(self) -> int:
        """Return the token."""
        return self._token


async def settler_life(path: Path, url: str, plan: Plan) -> int:
    """Be a settler, until killed at the planned step, done, or out of time."""
    left = plan.nth

    def kill(operation: str, when: When) -> None:
        nonlocal left
        if (operation, when) == plan.cell:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def watched(target: Any, name: str) -> Any:
        return CrashProxy(target, name, kill, name_at_runtime)

    async def forgetting() -> int:
        return await forget(book)

    async def adopted() -> None:
        """Stand for the balances that the server would read again."""

    book = open_book(path)
    lease = FixedLease(book.outbox.submitter_token() + 1)
    deadline = time.monotonic() + plan.for_s
    async with Node(url, 1.0) as line:
        chain = PalletChain(
            watched(line, "node"), OPERATOR, era_blocks=plan.era_blocks, in_flight_max=3
        )
        settler = Settler(
            AsyncBook(watched(book, "book")),
            watched(chain, "chain"),
            settings=ChainSettings(batch_period_s=1, batch_entries_max=3),
            now_ms=lambda: int(time.time() * 50_000),
            operator=OPERATOR,
            forget=reported(forgetting, "forget", kill),
            lease=watched(lease, "lease"),
            adopted=reported(adopted, "adopted", kill),
            receipt_wait_ms=0,
        )
        while time.monotonic() < deadline:
            try:
                await settler.turn(is_due=plan.is_due)
            except MeteringError as error:
                print(f"soak: {error}", file=sys.stderr)
            if book.outbox.oldest() is None and all(
                entry.settled + entry.refused == entry.booked for entry in book.cuts.entries()
            ):
                return SETTLED
            await asyncio.sleep(0.005)
    return TIRED


def choose(
    kills: dict[Cell, int], tries: dict[Cell, int], cells: list[Cell], chance: random.Random
) -> Cell:
    """Return a cell with the fewest kills; one that is often missed must not take all rounds."""
    had = {cell: kills[cell] + tries[cell] // 5 for cell in cells}
    fewest = min(had.values())
    return chance.choice([cell for cell in cells if had[cell] == fewest])


def table(kills: dict[Cell, int]) -> str:
    """Return the table step x kills."""
    lines = [f"{'step':54}{'before':>8}{'after':>8}"]
    lines += [
        f"{name:54}{kills[name, When.BEFORE]:8}{kills[name, When.AFTER]:8}" for name in operations()
    ]
    return "\n".join(lines)


def run(
    rounds: int,
    seed: int,
    start: Callable[[int, Path], AbstractContextManager[ChainProcess]],
    *,
    wanted: list[Cell] | None = None,
    may_be_empty: bool = False,
) -> int:
    """Run the rounds, print the table, return the exit code."""
    chance = random.Random(seed)
    wrong: list[str] = []
    began_s = time.monotonic()
    # Decoding it takes half a second, which every settler would need anew.
    cached_metadata = functools.cache(read_metadata)
    vars(client)["read_metadata"] = cached_metadata
    with (
        tempfile.TemporaryDirectory(prefix="vk-soak-") as folder,
        start(seed, Path(folder)) as chain,
    ):
        cached_metadata(bytes.fromhex(chain.call("state_getMetadata")[2:]))
        path = Path(folder) / "book.sqlite3"
        settlement = SettlementSoak.found(path, chain)
        soak = SoakRounds(seed, path, chain, settlement, chance)
        wanted = wanted or CELLS
        tries: dict[Cell, int] = dict.fromkeys(CELLS, 0)
        for number in range(1, rounds + 1):
            cell = choose(soak.kills, tries, wanted, chance)
            tries[cell] += 1
            soak.round(cell)
            if number % CHECK_EVERY == 0 or number == rounds:
                wrong += [f"after {number} rounds: {fault}" for fault in soak.settle()]
                if wrong:
                    break
        kills, ticks, faults = soak.kills, settlement.total(), chain.fault_counts()
    empty = [cell for cell in wanted if not kills[cell]]
    print(table(kills))
    took_s = time.monotonic() - began_s
    print(
        f"rounds {rounds}, seed {seed}, kills {sum(kills.values())}, seconds watched {ticks}, "
        f"{took_s:.0f} s"
    )
    if faults:
        print(f"faults: {faults}")
    for fault in wrong:
        print(f"WRONG: {fault}")
    if empty and not may_be_empty:
        for step, when in empty:
            print(f"EMPTY: {when.value} {step}")
    return int(bool(wrong) or (bool(empty) and not may_be_empty))


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--chain", choices=("fake", "chopsticks"), default="fake")
    parser.add_argument("--may-be-empty", action="store_true", help="few rounds: not all cells")
    chosen = parser.parse_args()
    if chosen.chain == "fake":
        return run(chosen.rounds, chosen.seed, start_fake, may_be_empty=chosen.may_be_empty)
    # Nothing is too heavy there, and no era so long that it begins in the past.
    chosen_cells = [cell for cell in CELLS if cell[0] not in SPLIT | BIRTH]
    return run(chosen.rounds, chosen.seed, start_chopsticks, wanted=chosen_cells, may_be_empty=True)


if __name__ == "__main__":
    sys.exit(main())
