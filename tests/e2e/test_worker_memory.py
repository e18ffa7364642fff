"""A-M8: a stream that takes too much memory is ended, and its creator reads why."""

import pytest

from tests.support.audience import open_stream
from tests.support.servers.vilokanam import Publisher, Server, running, until

pytestmark = pytest.mark.timeout(120)


def test_a_m8_a_stream_above_its_memory_is_ended_and_told(tmp_path):
    """The session ends with its reason, `streams show` says what to change, others go on."""
    server = Server(tmp_path)
    limit = "[server]\nworker_memory_max_mb = 64"
    server.config.write_text(server.config.read_text().replace("[server]", limit))

    def advice():
        shown = server.run("streams", "show", "cam").stdout
        return "more than the 64 MB that a stream may have" in shown

    with running(server):
        key = open_stream(server, "cam", "0")
        publisher = Publisher(server, "cam", key)
        try:
            until(lambda: '"reason": "memory"' in server.log.read_text(), "session ended", 60)
            until(advice, "the reason in streams show")
        finally:
            publisher.stop()
        is_serving = server.api("GET", "streams/cam")["slug"] == "cam"
    print(server.tail())

    assert is_serving
    assert "worker.memory.exceeded" in server.log.read_text()
