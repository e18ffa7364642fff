"""End-to-end fixtures: the product in a directory of its own."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness import Server, running

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def server(tmp_path):
    """A running server; its log is shown when a test fails."""
    with running(Server(tmp_path)) as live:
        yield live
    print(live.tail())
