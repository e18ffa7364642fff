"""A vendor's library is imported in one file: what it does to us is undone there."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ADAPTERS = {
    "substrateinterface": {"metering/chain/node/substrate.py"},
    "scalecodec": {"metering/chain/node/substrate.py"},
    "websocket": set(),
    "sr25519": {"metering/signing.py"},
    "xxhash": {"metering/chain/node/storage.py"},
}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("library", sorted(ADAPTERS))
def test_a_library_has_one_importer(library) -> None:
    """Elsewhere it could wait without end, or change our logging."""
    importers = {
        str(path.relative_to(ROOT))
        for room in ("mediaserver", "metering", "cdn")
        for path in (ROOT / room).rglob("*.py")
        if library in imported(path)
    }

    assert importers == ADAPTERS[library]


def test_control_does_not_load_the_chains_library() -> None:
    """It blocks: only the settler, a process of its own, has it."""
    code = (
        "import sys; import mediaserver.processes.control; "
        "sys.exit('substrateinterface' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=60)

    assert done.returncode == 0
