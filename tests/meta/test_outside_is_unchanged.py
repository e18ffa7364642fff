"""What leaves the server is as the version before issue 10 had it.

tests/golden/outside/ was written by the code of that version. A line that is wanted and new is
added by hand, below a comment that says why; a line that goes or changes breaks somebody's
database, player, dashboard or script.
"""

from pathlib import Path

import pytest

from tests.support import outside

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "outside"


def lines(text: str) -> list[str]:
    return sorted(line for line in text.splitlines() if not line.startswith("# "))


@pytest.mark.parametrize("name", outside.FILES)
def test_what_leaves_the_server_is_as_before(name):
    """Names, schemas, addresses and signed bytes, to the byte."""
    assert lines(outside.text_of(name)) == lines((GOLDEN / f"{name}.txt").read_text())


def test_every_golden_file_is_compared():
    """A file that nobody reads holds nothing."""
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(outside.FILES)
