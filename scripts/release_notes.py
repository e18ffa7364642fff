"""Move the notes of changes/ into CHANGELOG.md, under the version of pyproject.toml.

Prints the commit and the tag to make. Called again before the tag, it adds the notes that came in
between.
"""

from __future__ import annotations

import re
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

KINDS: Final = ("added", "changed", "fixed", "removed", "security")
UNRELEASED: Final = "## Unreleased\n\nSee [changes/](changes/): what is not in a release yet.\n"
WIDTH_MAX: Final = 120


def main(root: Path) -> int:
    """Write the change log and remove the notes; return 1 when there are none."""
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    notes = sorted((root / "changes").glob("*.md"))
    if not notes:
        print("no notes in changes/: nothing to release")
        return 1
    log = root / "CHANGELOG.md"
    day = datetime.now(UTC).date().isoformat()
    log.write_text(with_notes(log.read_text(), version, day, texts_of(notes)))
    for note in notes:
        note.unlink()
    print(f"CHANGELOG.md: {len(notes)} notes under {version}; now:")
    print(f'    git add -A && git commit -m "release: {version}" && git tag v{version}')
    return 0


def texts_of(notes: list[Path]) -> dict[str, list[str]]:
    """Return the notes of each kind, by name, each one paragraph.

    Raises:
        SystemExit: A name says no kind.
    """
    texts: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for note in notes:
        kind = note.name.removesuffix(".md").rpartition(".")[2]
        if kind not in texts:
            sys.exit(f"{note.name} is of no kind; call it NAME.<{'|'.join(KINDS)}>.md")
        texts[kind].append(" ".join(note.read_text().split()))
    return texts


def with_notes(log: str, version: str, day: str, texts: dict[str, list[str]]) -> str:
    """Return the change log with notes under a version, newest version first."""
    head, _, rest = log.partition("## Unreleased")
    released = rest[rest.find("\n## ") + 1 :] if "\n## " in rest else ""
    section = re.match(rf"## {re.escape(version)} .*?(?=\n## |\Z)", released, re.DOTALL)
    kept = _bullets(section[0]) if section else {kind: [] for kind in KINDS}
    older = released[section.end() :].lstrip("\n") if section else released
    lines = [f"## {version} ({day})"]
    for kind in KINDS:
        bullets = kept[kind] + texts[kind]
        if bullets:
            lines += ["", f"### {kind.title()}", ""]
            lines += [line for text in bullets for line in _wrapped(text)]
    return f"{head}{UNRELEASED}\n" + "\n".join(lines) + "\n" + (f"\n{older}" if older else "")


def _bullets(section: str) -> dict[str, list[str]]:
    bullets: dict[str, list[str]] = {}
    for kind in KINDS:
        match = re.search(
            rf"^### {kind.title()}\n(.*?)(?=^### |\Z)", section, re.MULTILINE | re.DOTALL
        )
        found = re.split(r"^- ", match[1], flags=re.MULTILINE)[1:] if match else []
        bullets[kind] = [" ".join(text.split()) for text in found]
    return bullets


def _wrapped(text: str) -> list[str]:
    lines, line = [], "-"
    for word in text.split():
        if len(line) + 1 + len(word) > WIDTH_MAX:
            lines.append(line)
            line = " "
        line = f"{line} {word}"
    return [*lines, line]


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parents[1]))
