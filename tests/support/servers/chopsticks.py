"""The committed runtime in chopsticks, for tests; skipped where it is not installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from metering.testing.chopsticks import Chopsticks

ROOT = Path(__file__).resolve().parents[3]
TOOLS = ROOT / "chain" / "npm"
ARTEFACTS = ROOT / "chain" / "artefacts"
GENESIS = ARTEFACTS / "genesis.raw.json"
METADATA = ARTEFACTS / "metadata.hex"


def require() -> None:
    """Skip a test when chopsticks or the runtime is missing."""
    if not (TOOLS / "node_modules" / "@acala-network" / "chopsticks").is_dir():
        pytest.skip("chopsticks is not installed: make chain-tools")
    if not GENESIS.is_file() or not METADATA.is_file():
        pytest.skip("there is no committed runtime: make chain")


def metadata_bytes() -> bytes:
    """Return the committed runtime's metadata."""
    return bytes.fromhex(METADATA.read_text().strip().removeprefix("0x"))


def launch(**options: object) -> Chopsticks:
    """Return chopsticks with the committed runtime, not started yet."""
    return Chopsticks(TOOLS, GENESIS, **options)  # type: ignore[arg-type]
