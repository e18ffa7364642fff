"""When a process takes over the settings that were read before it was forked."""

import os

import pytest

from mediaserver.errors import ConfigError
from mediaserver.processes.bootstrap import begin, parser


def port_of(config) -> int:
    return begin(parser("").parse_args(["--config", str(config)])).settings.server.port


def test_settings_are_read_again_when_the_file_or_the_environment_changed(
    tmp_path, monkeypatch
) -> None:
    """A restarted process has what is in force now, and what is wrong now refuses it."""
    config, secret = tmp_path / "vilokanam.toml", tmp_path / "url"
    config.write_text("[server]\nport = 8001\n")
    assert port_of(config) == port_of(config) == 8001

    config.write_text("[server]\nport = 18002\n")
    assert port_of(config) == 18002

    monkeypatch.setenv("VILOKANAM_SERVER__PORT", "18003")
    assert port_of(config) == 18003

    config.write_text("[server]\nport = 'none'\n[log]\nlevel = 'loud'\n")
    with pytest.raises(ConfigError):
        port_of(config)

    config.unlink()
    with pytest.raises(ConfigError):
        port_of(config)

    config.write_text("")
    secret.write_text("http://one.example/")
    monkeypatch.setenv("VILOKANAM_PRICE__TOP_UP_URL_FILE", str(secret))
    arguments = parser("").parse_args(["--config", str(config)])
    assert begin(arguments).settings.price.top_up_url == "http://one.example/"
    status = secret.stat()
    secret.write_text("http://two.example/")
    os.utime(secret, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert begin(arguments).settings.price.top_up_url == "http://two.example/"
