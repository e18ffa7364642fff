"""The chains that the soak settles on, each in a process of its own: fake node or chopsticks."""

from __future__ import annotations

import contextlib
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from metering.errors import ChainUnavailableError
from metering.testing import chopsticks as local
from metering.units import account_text
from tests.support.chain_scenario import funds
from tests.support.servers import chopsticks

VIEWERS = 4
BLOCK_MS = 25


@dataclass
class ChainProcess:
    """A chain that runs elsewhere.

    Attributes:
        url: Where.
        has_faults: It is the fake node, and can be told to go wrong.
    """

    url: str
    has_faults: bool

    def call(self, method: str, *parameters: Any) -> Any:
        """Return the result of a request; a reply that a fault cut off is asked for again."""
        port = urlsplit(self.url).port
        assert port is not None
        for attempt in range(50):
            try:
                return local.call(port, method, *parameters)
            except ChainUnavailableError as error:
                if attempt == 49 or "no answer" not in str(error):
                    raise
                time.sleep(0.02)
        raise AssertionError

    def fault_counts(self) -> str:
        """Return which faults happened how often."""
        if not self.has_faults:
            return ""
        counts = self.call("fake_state")["faults"]
        return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


@contextmanager
def start_fake(seed: int, folder: Path) -> Iterator[ChainProcess]:
    """Start `vilokanam chain fake`; its faults are off until asked for."""
    metadata = folder / "metadata.hex"
    metadata.write_text(with_long_memory(chopsticks.metadata_bytes()).hex())
    command = [sys.executable, "-m", "mediaserver.cli.main", "chain", "fake"]
    command += ["--seed", str(seed), "--port", "0", "--block-ms", str(BLOCK_MS)]
    command += ["--metadata", str(metadata)]
    for who, planck in funds(VIEWERS).items():
        command += ["--fund", f"{account_text(who)}={planck}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert " at ws://" in line, line
            yield ChainProcess(line.split(" at ")[1].split(",")[0], has_faults=True)
        finally:
            process.terminate()
            process.wait(20)


def with_long_memory(metadata: bytes) -> bytes:
    """Return metadata in which the chain keeps 65536 block hashes.

    Eras are capped by it, and only those above 4096 blocks are born before the finalized block.
    """
    name = b"BlockHashCount"
    at = metadata.index(b"\x38" + name) + 1 + len(name)
    # The type's number, compact, then the constant's bytes: a length and a u32.
    start = metadata.index(b"\x10" + (4096).to_bytes(4, "little"), at, at + 10)
    return metadata[: start + 1] + (65536).to_bytes(4, "little") + metadata[start + 5 :]


@contextmanager
def start_chopsticks(seed: int, folder: Path) -> Iterator[ChainProcess]:
    """Start the real runtime, and a process that makes a block four times a second."""
    del seed
    with chopsticks.launch(folder=folder / "chopsticks") as process:
        maker = multiprocessing.get_context("fork").Process(
            target=_make_blocks, args=(process.url,), daemon=True
        )
        maker.start()
        try:
            yield ChainProcess(process.url, has_faults=False)
        finally:
            maker.terminate()
            maker.join()


def _make_blocks(url: str) -> None:
    chain = ChainProcess(url, has_faults=False)
    while True:
        with contextlib.suppress(ChainUnavailableError):
            chain.call("dev_newBlock", {"count": 1})
        time.sleep(0.25)
