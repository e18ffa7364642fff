"""The Python client, the nginx edge and the systemd units of examples/ work as they are."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.support.audience import mint, open_stream, open_viewer, wait_live
from tests.support.servers import nginx
from tests.support.servers.vilokanam import ROOT, Publisher, Server, get, running, until

pytestmark = pytest.mark.timeout(180)

EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A server with a live stream."""
    server = Server(tmp_path_factory.mktemp("examples"))
    with running(server):
        publisher = Publisher(server, "cam", open_stream(server, "cam"))
        try:
            wait_live(server, None, "cam")
            yield server
        finally:
            publisher.stop()
    print(server.tail())


def test_the_python_client_is_billed_what_it_watched(live):
    """Twenty seconds by blocking reloads: seen and billed are the same seconds."""
    done = subprocess.run(
        [
            *(sys.executable, "-I", EXAMPLES / "python-client" / "watch.py"),
            *("--server", live.url),
            *("--admin-token-file", live.data_dir / "admin.token"),
            "cam",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert (done.returncode, done.stderr) == (0, "")
    counts = re.fullmatch(r"watched (\d+) seconds, billed (\d+) for (\d+) planck\n", done.stdout)
    assert counts is not None, done.stdout
    watched, billed, planck = map(int, counts.groups())
    assert watched == billed >= 20
    assert planck == billed * 1_000_000


def test_the_nginx_edge_serves_from_its_cache(live, tmp_path):
    """run.sh writes the configuration and starts nginx; a second viewer's part is a HIT."""
    nginx.program()
    port = nginx.free_port()
    table = tmp_path / "config.toml"
    table.write_text(
        live.config.read_text()
        + f'[edge]\norigin_url = "{live.url}"\nlisten = "127.0.0.1:{port}"\n'
    )
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "vilokanam").write_text(
        f'#!/bin/sh\ncd {ROOT} && exec {sys.executable} -m mediaserver.cli.main "$@"\n'
    )
    (programs / "vilokanam").chmod(0o755)
    open_viewer(live, "ann", "600000000")
    prefix = f"http://127.0.0.1:{port}{mint(live, 'ann', 'cam').path}"
    edge = subprocess.Popen(
        ["bash", EXAMPLES / "nginx-edge" / "run.sh", table, tmp_path / "edge"],
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
    )
    try:
        until(lambda: get(f"{prefix}index.m3u8")[0] == 200, "the edge")
        multivariant = get(f"{prefix}index.m3u8")[1].decode()
        playlist = prefix + re.findall(r"^\S+media\.m3u8$", multivariant, re.MULTILINE)[0]
        uri = re.findall(r"^\d+-\S+\.m4s$", get(playlist)[1].decode(), re.MULTILINE)[-1]
        part = f"{playlist.rpartition('/')[0]}/{uri}"
        bodies = {get(part) for _ in range(2)}
    finally:
        edge.terminate()
        edge.wait(timeout=15)

    assert {status for status, _ in bodies} == {200}
    assert len(bodies) == 1
    assert " HIT " in (tmp_path / "edge" / "access.log").read_text()


def test_the_example_configuration_of_the_edge_is_legal():
    """`vilokanam config check` takes it."""
    from mediaserver.settings.load import load

    settings = load(EXAMPLES / "nginx-edge" / "mediaserver.toml", {})

    assert settings.edge.listen in settings.server.public_url


def test_systemd_takes_the_units(tmp_path):
    """`systemd-analyze verify` finds nothing, with the program where the units say it is."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd-analyze: scripts/need systemd-analyze")
    for path in (EXAMPLES / "systemd").glob("vilokanam*"):
        text = path.read_text().replace("/opt/vilokanam/bin/vilokanam", "/bin/true")
        (tmp_path / path.name).write_text(text)

    done = subprocess.run(
        [program, "verify", "--man=no", *sorted(map(str, tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert len(list(tmp_path.iterdir())) == 4
