"""No file of the product or its tests is longer than a reader keeps in mind."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINES_MAX = 400


def lengths() -> dict[str, int]:
    return {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for room in ("mediaserver", "metering", "cdn", "bench", "tests", "web/sdk", "web/app")
        for path in (ROOT / room).rglob("*")
        if path.suffix in (".py", ".lua", ".ts", ".tsx")
        and not {"static", "node_modules", "dist"} & set(path.parts)
    }


def test_no_file_is_above_400_lines():
    """A file is one thing with one reason to change."""
    too_long = {name: lines for name, lines in lengths().items() if lines > LINES_MAX}

    assert too_long == {}
