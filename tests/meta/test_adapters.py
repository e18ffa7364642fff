"""What the product imports of others: declared, and nothing heavy where it is not used.

Which file may import which library is said by the import contracts (pyproject.toml).
"""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OURS = {"mediaserver", "metering", "cdn"}
NAMES = {
    "OpenSSL": "aiortc",  # its certificates; pinned
    "argon2": "argon2-cffi",
    "eth_keys": "eth-keys",
    "prometheus_client": "prometheus-client",
    "sr25519": "py-sr25519-bindings",
    "substrateinterface": "substrate-interface",
    # Of substrate-interface, which is pinned.
    "scalecodec": "substrate-interface",
    "websocket": "substrate-interface",
}
"""Of a package, where it is not the module's."""


def imported() -> set[str]:
    names = set()
    for room in OURS:
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    names |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names.add(node.module.partition(".")[0])
    return names


def test_every_library_is_declared() -> None:
    """What comes along with a dependency of ours goes with its next release."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[^\w-]", text)[0] for text in project["dependencies"]}
    others = imported() - OURS - sys.stdlib_module_names

    assert len(others) > 10
    assert {name for name in others if NAMES.get(name, name) not in declared} == set()


def test_control_does_not_load_the_chains_library() -> None:
    """It blocks: only the settler, a process of its own, has it."""
    code = (
        "import sys; import mediaserver.processes.control; "
        "sys.exit('substrateinterface' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=60)

    assert done.returncode == 0
