"""The port is held for the server, by systemd's own program and by a small stand-in for it."""

import contextlib
import shutil
import signal
import subprocess
import threading

import pytest

from tests.support.servers.held import HeldServer
from tests.support.servers.vilokanam import Server, free_port, get, running, until

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def server(tmp_path):
    """A server that a stand-in for systemd starts."""
    held = HeldServer(tmp_path)
    yield held
    held.close()
    print(held.tail())


@contextlib.contextmanager
def activated(server, port):
    """Let systemd's own program listen on a port and start the server when somebody comes."""
    if shutil.which("systemd-socket-activate") is None:
        pytest.skip("no systemd-socket-activate: scripts/need systemd-analyze")
    words = ["systemd-socket-activate", "--listen", f"127.0.0.1:{port}", *server.command()]
    with server.log.open("ab") as log, subprocess.Popen(words, stderr=log) as process:
        until(lambda: "Listening on" in server.tail(), "systemd-socket-activate listens")
        try:
            yield process
        finally:
            process.terminate()


def test_r5_who_connects_before_the_server_runs_starts_it_and_is_answered(tmp_path):
    """The first connection waits until the server is there to take it."""
    server = Server(tmp_path)
    with activated(server, server.port) as process:
        status, _ = get(f"{server.url}/healthz")
        process.terminate()
        code = process.wait(timeout=20)

    assert (status, code) == (200, 0), server.tail()


def test_r5_a_socket_that_disagrees_with_the_configuration_is_refused(tmp_path):
    """Serving at a port that nobody configured helps nobody: both are named, and the remedy."""
    server, other = Server(tmp_path), free_port()
    with activated(server, other) as process:
        threading.Thread(target=get, args=(f"http://127.0.0.1:{other}/",), daemon=True).start()
        code = process.wait(timeout=20)

    assert code == 1
    (refusal,) = [line for line in server.tail().splitlines() if line.startswith("vilokanam: ")]
    assert f"127.0.0.1:{server.port} is configured" in refusal
    assert f"systemd passes 127.0.0.1:{other}" in refusal
    assert "vilokanam config unit --socket" in refusal


@pytest.mark.parametrize("by", ["a socket unit", "the store of a service"])
def test_r5_who_asks_during_a_restart_waits_and_is_answered(server, by):
    """No connection is refused or cut while one server ends and the next begins."""
    if by == "a socket unit":
        server.hold()
    answers, is_over = [], threading.Event()

    def poll():
        while not is_over.is_set():
            answers.append(get(f"{server.url}/healthz"))

    with running(server):
        server.hear()
        poller = threading.Thread(target=poll)
        poller.start()
        until(lambda: len(answers) > 10, "answers before")
        assert server.stop() == 0
        # Nobody runs now.
        asked = threading.Thread(target=lambda: answers.append(get(f"{server.url}/healthz")))
        asked.start()
        server.start()
        asked.join(20)
        is_over.set()
        poller.join(20)

    assert set(answers) == {(200, b"ok\n")}, server.tail()
    assert "FDSTOREREMOVE=1" not in server.told


def test_r5_a_reload_does_not_end_what_could_not_start_again(server):
    """A port that the socket unit does not have is refused while the server still runs."""
    server.hold()
    with running(server):
        text = server.config.read_text()
        server.config.write_text(text.replace(f"port = {server.port}", f"port = {free_port()}"))
        assert server.process is not None
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "server.reload.refused" in server.tail(), "refused")

        assert get(f"{server.url}/healthz")[0] == 200
        assert "vilokanam.socket passes" in server.tail()


def test_r5_another_port_is_another_socket(server):
    """What systemd keeps for the port before is given back, not left open."""
    with running(server):
        server.hear()
        assert [name for name, _ in server.kept] == ["vilokanam-kept"]
        server.stop()
        old, server.port = server.port, free_port()
        server.url = f"http://127.0.0.1:{server.port}"
        server.config.write_text(server.config.read_text().replace(str(old), str(server.port)))
        server.start()
        server.hear()

        assert "FDSTOREREMOVE=1" in server.told
        assert len(server.kept) == 1
        assert get(f"{server.url}/healthz")[0] == 200
        assert get(f"http://127.0.0.1:{old}/healthz")[0] == 0


def test_r5_an_http_process_that_dies_leaves_nobody_refused(tmp_path):
    """Who connects before its successor runs waits for it."""
    server = Server(tmp_path)
    with running(server):
        (pid,) = server.children("processes.http --config")
        subprocess.run(["kill", "-9", str(pid)], check=True)
        until(lambda: pid not in server.children("processes.http --config"), "it is gone")

        assert get(f"{server.url}/healthz")[0] == 200
