"""When a book's schema is brought up, and what that costs a server whose book is current."""

import subprocess
import sys
from pathlib import Path

from alembic.script import ScriptDirectory

from metering.book import migrations
from metering.book.book import Book
from metering.book.engine import HEAD, is_current
from metering.units import Asset

ASSET = Asset("UNIT", 12, 1)


def test_the_newest_revision_is_the_one_that_the_engine_expects() -> None:
    """A book that lacks a revision is never taken for current."""
    folder = str(Path(migrations.__file__).parent)

    assert ScriptDirectory(folder).get_current_head() == HEAD


def test_a_book_is_current_once_it_was_opened(tmp_path) -> None:
    """A new file, and one that nobody can read, are brought up or refused by the next to open."""
    url = f"sqlite:///{tmp_path / 'book.sqlite3'}"

    assert not is_current(url)
    Book.open(url, ASSET).close()
    assert is_current(url)
    assert not is_current(f"sqlite:///{tmp_path / 'nowhere' / 'book.sqlite3'}")


def test_opening_a_current_book_loads_no_more_than_it_needs(tmp_path) -> None:
    """Alembic is 10 MB that an idle server need not hold, the PostgreSQL dialect 3 MB."""
    url = f"sqlite:///{tmp_path / 'book.sqlite3'}"
    Book.open(url, ASSET).close()
    program = (
        "import sys\nfrom metering.book.engine import open_engine\n"
        f"open_engine({url!r}).dispose()\n"
        "unneeded = {'alembic', 'sqlalchemy.dialects.postgresql'}\n"
        "print(sorted(unneeded & sys.modules.keys()))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"
