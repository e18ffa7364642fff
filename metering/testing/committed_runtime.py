"""Where the committed build of the chain's runtime is: wasm, raw genesis, metadata and hashes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_IN_WHEEL: Final = Path(__file__).resolve().parent / "runtime"
"""Put there by setup.py."""
CHECKOUT: Final = Path(__file__).resolve().parents[2] / "chain"
ARTEFACTS: Final = _IN_WHEEL if _IN_WHEEL.is_dir() else CHECKOUT / "artefacts"
