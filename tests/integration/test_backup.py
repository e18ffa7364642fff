"""A backup of a server that runs, and a server made from it."""

import contextlib
import json
import os
import sqlite3
import stat
import uuid
from pathlib import Path

import pytest

from mediaserver.cli.main import main
from mediaserver.processes import secret_files
from mediaserver.processes.bootstrap import begin, parser
from mediaserver.processes.data_dir import DataDir
from metering.book.book import Book
from metering.units import Asset, Planck

UNIT = Asset("UNIT", 12, 1)
SECRETS = ("operator.key", "token.keys", "admin.token", "edge.key")


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server's directory, its book open as a server has it; gives directory and book."""
    monkeypatch.delenv("VILOKANAM_CONFIG", raising=False)
    data_dir = tmp_path / "data"
    before = os.umask(0o022)
    with DataDir(data_dir), contextlib.ExitStack() as stack:
        stack.callback(os.umask, before)  # the commands change it
        settings = begin(parser("").parse_args(["--data-dir", str(data_dir)])).settings
        secret_files.make_missing(settings, data_dir)
        (data_dir / "operator.key").write_text("0x" + "11" * 32 + "\n")
        (data_dir / "shows").mkdir()
        (data_dir / "shows" / f"{uuid.uuid4()}.json").write_text('{"msn": 7}')
        with Book.open(f"sqlite:///{data_dir}/book.sqlite3", UNIT) as book:
            record, _ = book.viewers.create("ann", None, 1)
            book.deposits.add(record.account, Planck(7), "paid-1", "card", 1)
            yield data_dir, book


def vilokanam(*words):
    return main([str(word) for word in words])


def modes(folder: Path):
    """Return the permissions of everything below a directory, itself too."""
    return {
        (path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in [folder, *folder.rglob("*")]
    }


def test_o16_a_backup_of_a_running_server_is_whole_and_for_its_owner_alone(
    server, tmp_path, capsys
) -> None:
    """All of the operator's table is there, read again, and nobody else may read the secrets."""
    data_dir, book = server
    target = tmp_path / "backups" / "monday"
    assert (data_dir / "book.sqlite3-wal").stat().st_size > 0, "the newest rows are in its log"

    assert vilokanam("backup", target, "--data-dir", data_dir, "--json") == 0
    report = json.loads(capsys.readouterr().out)

    shows = [path.name for path in (data_dir / "shows").iterdir()]
    assert set(report["files"]) == {"book.sqlite3", *SECRETS, *(f"shows/{name}" for name in shows)}
    assert modes(target) == {(True, 0o700), (False, 0o600)}
    with sqlite3.connect(target / "book.sqlite3") as copy:
        assert copy.execute("SELECT memo FROM deposits").fetchall() == [("card",)]
    copy.close()
    assert book.viewers.get("ann").deposited == 7
    assert [path.name for path in target.parent.iterdir()] == ["monday"]


def test_o16_a_server_made_from_a_backup_has_book_keys_and_shows(server, tmp_path, capsys) -> None:
    """What was booked is there, and old links, receipts and tokens go on."""
    data_dir, _ = server
    backup, new = tmp_path / "b", tmp_path / "new"
    assert vilokanam("backup", backup, "--data-dir", data_dir) == 0

    assert vilokanam("restore", backup, "--data-dir", new) == 0

    assert "reconcile" in capsys.readouterr().out
    for name in SECRETS:
        assert (new / name).read_bytes() == (data_dir / name).read_bytes()
    with Book.open(f"sqlite:///{new}/book.sqlite3", UNIT) as book:
        assert book.viewers.get("ann").deposited == 7
    assert {path.name for path in (new / "shows").iterdir()} == {
        path.name for path in (data_dir / "shows").iterdir()
    }
    assert modes(new) == {(True, 0o700), (False, 0o600)}


def test_o16_a_restore_never_writes_over_data(server, tmp_path, capsys) -> None:
    """A server that runs there is named; a directory with data is left alone, with the remedy."""
    data_dir, _ = server
    backup = tmp_path / "b"
    vilokanam("backup", backup, "--data-dir", data_dir)
    before = (data_dir / "book.sqlite3").read_bytes()
    capsys.readouterr()

    assert vilokanam("restore", backup, "--data-dir", data_dir) == 1
    running = capsys.readouterr().err
    other = tmp_path / "other"
    other.mkdir()
    (other / "book.sqlite3").write_text("mine")
    assert vilokanam("restore", backup, "--data-dir", other) == 1
    full = capsys.readouterr().err

    assert f"is in use by the server with process id {os.getpid()}" in running
    assert f"mv {other} {other}.old" in full
    assert f"{other}.old/redis" in full
    assert (data_dir / "book.sqlite3").read_bytes() == before
    assert (other / "book.sqlite3").read_text() == "mine"


def test_o16_a_place_that_cannot_be_written_is_named_with_the_remedy(
    server, tmp_path, capsys
) -> None:
    """As it was typed, not by the name of a file of ours beside it."""
    data_dir, _ = server
    (tmp_path / "file").write_text("")
    for place in ("/proc/x", tmp_path / "file" / "b"):
        assert vilokanam("backup", place, "--data-dir", data_dir) == 1
        refused = capsys.readouterr().err

        assert f"{place} cannot be written: " in refused
        assert "give a directory for the backup where you may make one" in refused
        assert "partial" not in refused


@pytest.mark.parametrize("name", ["book.sqlite3", "token.keys", "shows", "backup.json"])
def test_o16_a_backup_that_was_changed_is_refused_before_anything_is_written(
    server, tmp_path, capsys, name
) -> None:
    """A bad disk or a bad copy is found when it is read, not when the server starts."""
    data_dir, _ = server
    backup, new = tmp_path / "b", tmp_path / "new"
    vilokanam("backup", backup, "--data-dir", data_dir)
    capsys.readouterr()
    path = backup / name
    path = next(path.iterdir()) if path.is_dir() else path
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x20
    path.write_bytes(content)

    assert vilokanam("restore", backup, "--data-dir", new) == 1

    refused = capsys.readouterr().err
    assert "take another backup" in refused or "that `vilokanam backup` wrote" in refused
    assert not new.exists()


def test_o16_a_damaged_book_gives_no_backup(server, tmp_path, capsys) -> None:
    """A backup that would not open is not one; the last good one is not written over."""
    data_dir, book = server
    target = tmp_path / "b"
    book.close()
    path = data_dir / "book.sqlite3"
    content = bytearray(path.read_bytes())
    content[4096 : 4096 * 3] = bytes(4096 * 2)
    path.write_bytes(content)
    (data_dir / "book.sqlite3-wal").unlink(missing_ok=True)

    assert vilokanam("backup", target, "--data-dir", data_dir) == 1

    assert f"{path} is damaged: " in capsys.readouterr().err
    assert not target.exists()
    assert list(tmp_path.glob(".b*")) == []
    target.mkdir()
    (target / "x").write_text("")
    assert vilokanam("backup", target, "--data-dir", data_dir) == 1
    assert "is not empty; give a directory that is not there yet" in capsys.readouterr().err


def test_o16_a_secret_that_is_kept_elsewhere_is_not_replaced(server, tmp_path, capsys) -> None:
    """A key file that the settings name outside the data directory stays what it is."""
    data_dir, _ = server
    backup, new, key = tmp_path / "b", tmp_path / "new", tmp_path / "my.token"
    vilokanam("backup", backup, "--data-dir", data_dir)
    key.write_text("another-token-of-mine\n")
    config = tmp_path / "m.toml"
    config.write_text(f'[auth]\nadmin_token_file = "{key}"\n')
    capsys.readouterr()

    assert vilokanam("restore", backup, "--data-dir", new, "--config", config) == 1

    assert f"{key} is another admin.token than the backup's" in capsys.readouterr().err
    assert not new.exists()
