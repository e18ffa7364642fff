"""`vilokanam config`, and how any command finds the configuration."""

import json
import sys
import tomllib
from pathlib import Path

import pytest

from mediaserver.cli.main import main
from mediaserver.settings import load as load_module
from mediaserver.settings.load import find
from mediaserver.settings.schema import schema
from mediaserver.settings.shipped import unit_text

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A working directory, and a place for the machine's file."""
    monkeypatch.chdir(tmp_path)
    everywhere = tmp_path / "etc" / "mediaserver.toml"
    monkeypatch.setattr(load_module, "DEFAULT_PATHS", (Path("mediaserver.toml"), everywhere))
    monkeypatch.delenv("VILOKANAM_CONFIG", raising=False)
    everywhere.parent.mkdir()
    return everywhere


def test_o13_a_configuration_is_found_where_a_guide_puts_it(machine, tmp_path) -> None:
    """The command line wins, then the variable, then this directory, then the machine's file."""
    assert find(None, {}) is None
    machine.write_text("")
    assert find(None, {}) == machine
    Path("mediaserver.toml").write_text("")
    assert find(None, {}) == Path("mediaserver.toml")
    assert find(None, {"VILOKANAM_CONFIG": "/x.toml"}) == Path("/x.toml")
    assert find(Path("y.toml"), {"VILOKANAM_CONFIG": "/x.toml"}) == Path("y.toml")


def test_o13_a_command_without_options_asks_the_server_of_the_machine(machine, capsys) -> None:
    """After the guide's install `vilokanam streams list` is enough; else what was tried is told."""
    assert main(["streams", "list"]) == 1
    lost = capsys.readouterr().err
    machine.write_text('[server]\ndata_dir = "/nonexistent/vilokanam"\n')
    assert main(["streams", "list"]) == 1
    found = capsys.readouterr().err

    assert "data/admin.token cannot be read: No such file or directory" in lost
    assert "VILOKANAM_CONFIG is not set" in lost
    assert "none is there" in lost
    assert "/nonexistent/vilokanam/admin.token cannot be read" in found
    assert main(["config", "check"]) == 0
    assert "mediaserver.toml: good\n" in capsys.readouterr().out


def test_config_show_says_what_is_in_force_and_whence_and_no_secret(
    machine, capsys, monkeypatch
) -> None:
    """What is shown is a legal file of the same settings, but for what must not be seen."""
    machine.write_text(
        '[server]\nport = 9000\n[metering]\nredis_url = "redis://bob:s3cret@redis:6379/2"\n'
        '[chain]\nurl = "wss://node.example/v1/ap1key"\n'
    )
    monkeypatch.setenv("VILOKANAM_LOG__LEVEL", "debug")

    assert main(["config", "show"]) == 0
    text = capsys.readouterr().out
    assert main(["config", "show", "--json"]) == 0
    tree = json.loads(capsys.readouterr().out)

    assert "port = 9000  # from the file\n" in text
    assert 'level = "debug"  # VILOKANAM_LOG__LEVEL\n' in text
    assert "http_processes = 1\n" in text
    assert "s3cret" not in text + str(tree)
    assert "ap1key" not in text + str(tree)
    assert 'redis_url = "redis://***@redis:6379/2"' in text
    shown = tomllib.loads(text)
    assert tree.pop("file") == str(machine)
    assert shown == tree
    assert shown["transcode"]["rungs"] == [{"name": "360p", "height": 360, "video_kbps": 700}]


def test_config_example_and_unit_are_the_files_of_the_repository(capsys) -> None:
    """An installed package has the reference and the unit without a checkout."""
    assert main(["config", "example"]) == 0
    assert capsys.readouterr().out == (ROOT / "config/mediaserver.toml").read_text()
    assert main(["config", "unit"]) == 0
    unit = capsys.readouterr().out
    assert unit == unit_text(Path(sys.executable).parent / "vilokanam")
    guides = Path("/opt/vilokanam/bin/vilokanam")
    assert unit_text(guides) == (ROOT / "examples/systemd/vilokanam.service").read_text()
    assert "ExecStart=/srv/v/vilokanam serve" in unit_text(Path("/srv/v/vilokanam"))
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert set(shipped["package-data"]["mediaserver.settings"]) == {
        "mediaserver.toml",
        "vilokanam.service",
        "vilokanam.socket",
    }


def test_r5_the_socket_unit_is_of_the_port_that_is_configured(machine, capsys) -> None:
    """It has the addresses of the configuration in force, as the server compares them."""
    shipped = (ROOT / "examples/systemd/vilokanam.socket").read_text()
    assert main(["config", "unit", "--socket"]) == 0
    assert capsys.readouterr().out == shipped
    machine.write_text('[server]\nhost = "::1"\nport = 81\n')
    assert main(["config", "unit", "--socket"]) == 0
    text = capsys.readouterr().out
    other = Path("other.toml")
    other.write_text('[server]\nhost = "no-such-host.invalid"\n')

    assert text == shipped.replace("127.0.0.1:8080", "[::1]:81")
    assert main(["config", "unit", "--socket", "--config", str(other)]) == 2
    assert "no-such-host.invalid does not resolve" in capsys.readouterr().err


def test_o29_the_schema_explains_every_key() -> None:
    """An editor that completes a name says what it means."""
    silent = []
    for table, records in schema()["properties"].items():
        for key, spec in records["properties"].items():
            if len(spec.get("description", "")) < 20:
                silent.append(f"{table}.{key}")
            for name, item in spec.get("items", {}).get("properties", {}).items():
                if "description" not in item:
                    silent.append(f"{table}.{key}.{name}")

    assert silent == []
    price = schema()["properties"]["price"]["properties"]
    assert price["quantum_planck"]["description"].startswith("Planck in one unit that Redis counts")


def test_o13_config_check_takes_its_file_as_all_other_commands_do(machine, capsys) -> None:
    """It was "unrecognized arguments: --config", with the usage of another command."""
    bad = Path("bad.toml")
    bad.write_text("[server]\nprot = 1\n")

    assert main(["config", "check", "--config", "bad.toml"]) == 2
    assert "server.prot" in capsys.readouterr().err
    assert main(["config", "check", "bad.toml", "--config", "bad.toml"]) == 2
    assert "give it once" in capsys.readouterr().err


def test_config_check_tells_every_file_that_a_start_would_miss(machine, capsys) -> None:
    """It said "good", and after a reload by such a file the server was gone for good."""
    Path("short").write_text("too-short")
    Path("bad.toml").write_text(
        '[payments]\nwebhook_secret_file = "/none/pay"\n'
        '[people]\nmail_url = "smtps://mail.example.org"\nmail_password_file = "/none/mail"\n'
        'mail_from = "live@example.org"\n'
        '[[webhooks.targets]]\nname = "crm"\nurl = "https://crm.example.org/"\n'
        'secret_file = "/none/crm"\n'
        '[hooks]\nask = ["may_watch"]\nurl = "https://crm.example.org/"\n'
        'secret_file = "/none/decide"\n'
    )
    assert main(["config", "check", "bad.toml"]) == 2
    faults = capsys.readouterr().err
    assert "payments.webhook_secret_file: /none/pay cannot be read" in faults
    assert "people.mail_password_file: /none/mail cannot be read" in faults
    assert "webhooks.targets[0].secret_file: /none/crm cannot be read" in faults
    assert "hooks.secret_file: /none/decide cannot be read" in faults

    Path("bad.toml").write_text(
        '[[webhooks.targets]]\nname = "crm"\nurl = "https://crm.example.org/"\n'
        'secret_file = "short"\n'
    )
    assert main(["config", "check", "bad.toml"]) == 2
    assert "webhooks.targets crm: secret_file: short" in capsys.readouterr().err

    Path("bad.toml").write_text(
        '[hooks]\nask = ["may_watch"]\nurl = "https://crm.example.org/"\nsecret_file = "short"\n'
    )
    assert main(["config", "check", "bad.toml"]) == 2
    assert "hooks.secret_file: short holds no secret" in capsys.readouterr().err
