"""End-to-end fixtures: the product in a directory of its own."""

import pytest

from tests.support.servers.vilokanam import Server, running

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def server(tmp_path):
    """A running server; its log is shown when a test fails."""
    with running(Server(tmp_path)) as live:
        yield live
    print(live.tail())
