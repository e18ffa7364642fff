"""The book's file at a start."""

import importlib
from pathlib import Path

import mediaserver
from mediaserver.processes.book_file import BESIDE


def test_all_tables_beside_the_books_are_brought_up_apart() -> None:
    """What control brings up itself costs it alembic for life, 8 MB."""
    rooms = sorted(
        path.parent.name for path in Path(mediaserver.__file__).parent.glob("*/tables.py")
    )
    found = [importlib.import_module(f"mediaserver.{room}.tables").TABLES for room in rooms]

    assert set(BESIDE) == set(found)
