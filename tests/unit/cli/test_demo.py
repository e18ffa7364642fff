"""What the demo starts, and how."""

import os

import pytest

from mediaserver.cli.demo import publisher_command, write_config
from mediaserver.cli.errors import EXIT_USAGE
from mediaserver.cli.local_chain import FOLDER
from mediaserver.cli.main import main
from mediaserver.processes.data_dir import DataDir
from mediaserver.settings.load import load


def test_a_l8_stream_key_is_in_no_argument():
    """Any user of the machine lists the arguments of all processes; an environment is private."""
    command, env = publisher_command("http://127.0.0.1:8080/demo/whip", "s3cret")

    assert not any("s3cret" in argument for argument in command)
    assert env == {"VILOKANAM_STREAM_KEY": "s3cret"}


def test_the_demos_file_says_where_its_server_keeps_its_data(tmp_path):
    """So `vilokanam doctor --config demo-data/demo.toml` finds it, and each other command."""
    path = write_config(tmp_path / 'a "folder"')

    assert load(path, {}).server.data_dir == str(tmp_path / 'a "folder"')


@pytest.mark.parametrize(("folder", "more"), [("", ()), (FOLDER, ("--chain",))])
def test_second_demo_is_refused_before_it_changes_the_first(tmp_path, capsys, folder, more):
    """It gave the first one's stream another key, and with a chain it removed its book."""
    held = tmp_path / folder
    with DataDir(held):
        code = main(["demo", "--data-dir", str(tmp_path), "--port", "0", *more])
        assert (held / "server.lock").exists()

    written = capsys.readouterr()
    assert code == EXIT_USAGE
    assert f"{held} is in use by the server with process id {os.getpid()}" in written.err
    assert "demo:" not in written.err
    assert not (tmp_path / "demo.toml").exists()
