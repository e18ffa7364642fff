"""No file of the product or its tests is longer than a reader keeps in mind.

Rust is left out: a committed build of the pallet names the hash of its sources (`chain/artefacts/
TREE`), so that splitting one of them asks for a new build of the wasm; `weights.rs` is generated.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINES_MAX = 400
ROOMS = ("mediaserver", "metering", "cdn", "bench", "tests", "examples", "scripts", "web")
WRITTEN = (".css", ".html", ".js", ".lua", ".mjs", ".py", ".template", ".ts", ".tsx")


def lengths() -> dict[str, int]:
    return {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.suffix in WRITTEN and not {"static", "node_modules", "dist"} & set(path.parts)
    }


def test_no_file_is_above_400_lines() -> None:
    """A file is one thing with one reason to change."""
    assert {name: lines for name, lines in lengths().items() if lines > LINES_MAX} == {}


def test_the_rooms_are_there() -> None:
    """A room that was renamed is not skipped in silence."""
    assert [room for room in ROOMS if not (ROOT / room).is_dir()] == []
