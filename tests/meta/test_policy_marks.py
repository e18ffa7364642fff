"""What HTTP processes are told of a stream is marked by all who write it (`book/touched.py`)."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLES = (
    *("streams", "prices", "show_caps", "named_prices"),
    *("stream_visibility", "stream_rules", "bars", "takedowns"),
)
WRITES = re.compile(rf"\b(?:insert|update|delete)\((?:schema\.)?(?:{'|'.join(TABLES)})\b")


def test_who_writes_what_processes_are_told_marks_the_stream() -> None:
    """An unmarked price would be told in its turn alone, minutes later where there are many."""
    rooms = (ROOT / "metering", ROOT / "mediaserver")
    texts = {path: path.read_text() for room in rooms for path in room.rglob("*.py")}
    writers = {
        path.name: text
        for path, text in texts.items()
        if WRITES.search(text) and "migrations" not in path.parts
    }

    assert len(writers) >= len(TABLES) - 1
    assert [name for name, text in writers.items() if not re.search(r"\bmark\(", text)] == []
