"""Files that comments and documents cite are there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = {
    "ice-lab.md",  # docs/developer/index.md says what it was
    "NAME.md",  # a pattern
}
READ = {".py", ".ts", ".lua", ".md", ".toml", ".html", ".css", ".sh", ".rs"}
EXCEPT = ("tests/golden/", "tests/meta/", "changes/", "CHANGELOG.md")


def test_d6_every_cited_document_is_there() -> None:
    """The SDK's README sent people to references/player-lab.md, which is in nobody's clone."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [name for name in done.stdout.splitlines() if (ROOT / name).is_file()]
    names = {name.rpartition("/")[2] for name in files}
    cited, missing = 0, []
    for name in files:
        if Path(name).suffix not in READ or name.startswith(EXCEPT):
            continue
        text = (ROOT / name).read_text(errors="replace")
        for path in re.findall(r"(?<![\w./<{*-])((?:[\w.-]+/)*[\w-]+\.md)\b", text):
            cited += 1
            folder, _, base = path.rpartition("/")
            is_there = base in names and (
                not folder or any(known == path or known.endswith(f"/{path}") for known in files)
            )
            relative = ((ROOT / name).parent / path).exists()
            if not is_there and not relative and base not in OUTSIDE:
                missing.append(f"{name}: {path}")

    assert cited > 50
    assert missing == []


def test_every_program_of_the_makefile_starts() -> None:
    """`make soak` named a file that could not be run: its last program ended at its imports."""
    text = (ROOT / "Makefile").read_text()
    modules = re.findall(r"\$\(BIN\)/python -m (tests[\w.]+)", text)
    files = re.findall(r"\$\(BIN\)/python (tests/[\w/]+\.py)", text)
    assert len(set(modules)) >= 3
    assert not files, "give it as a module (-m), or it finds no other of ours"
    for module in sorted(set(modules)):
        done = subprocess.run(
            [sys.executable, "-c", f"import {module}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{module}: {done.stderr}"
