"""The operator's key: another one than the book's receipts are signed by is never taken silently.

It came back from no backup, or was pasted from another server: viewers' receipts would no longer be
the operator's, and nobody would know.
"""

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path

import pytest

from mediaserver.cli.main import main
from mediaserver.people import audit
from mediaserver.processes import secret_files
from mediaserver.processes.bootstrap import EXIT_CONFIG
from mediaserver.processes.data_dir import DataDir
from mediaserver.settings.records import Settings
from metering.book.book import Book
from metering.signing import from_seed
from metering.units import Asset, account_text

pytestmark = pytest.mark.timeout(120)

ROOT = Path(__file__).resolve().parents[2]
OLD, NEW = (account_text(from_seed(bytes([n]) * 32).account) for n in (0x11, 0x22))


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    """A server's directory whose book was signed by OLD, with the key of NEW in it."""
    monkeypatch.delenv("VILOKANAM_CONFIG", raising=False)
    monkeypatch.setenv("VILOKANAM_SERVER__DATA_DIR", str(tmp_path / "data"))
    place = tmp_path / "data"
    before = os.umask(0o022)
    with contextlib.ExitStack() as stack:
        stack.callback(os.umask, before)  # the commands change it
        with DataDir(place), Book.open(f"sqlite:///{place}/book.sqlite3", Asset()) as book:
            secret_files.make_missing(Settings(), place)
            assert book.operators.is_ours(from_seed(b"\x11" * 32).account, 1)
        place.chmod(0o700)
        put(place, "22")
        yield place


def put(place: Path, byte: str) -> None:
    """Write the key of a repeated byte."""
    (place / "operator.key").write_text(f"0x{byte * 32}\n")
    (place / "operator.key").chmod(0o600)


def doctor(capsys) -> dict[str, str]:
    """Return what doctor says of the key."""
    main(["doctor", "--json"])
    findings = json.loads(capsys.readouterr().out)["findings"]
    [found] = [finding for finding in findings if finding["check"] == "operator.key"]
    return found


async def refused(place: Path, module: str) -> str:
    """Start a process that must refuse; return what it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"mediaserver.processes.{module}",
        "--data-dir",
        str(place),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(110):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == EXIT_CONFIG
    return output.decode()


@pytest.mark.parametrize("module", ["control", "settler"])
async def test_another_key_is_refused_with_both_accounts_and_both_ways_on(data_dir, module):
    """Nothing is signed by a key that no viewer knows."""
    words = await refused(data_dir, module)

    assert f"is the key of {NEW}" in words
    assert f"signed by {OLD}" in words
    assert "from the backup" in words
    assert f"vilokanam receipt accept-key {NEW}" in words


@pytest.mark.parametrize("module", ["control", "settler"])
async def test_a_key_that_is_gone_is_not_made_anew(data_dir, module):
    """A restore that left it out is told, and nothing is in the place of the real one."""
    (data_dir / "operator.key").unlink()

    words = await refused(data_dir, module)

    assert f"signed by {OLD}" in words
    assert "vilokanam receipt accept-key new" in words
    assert not (data_dir / "operator.key").exists()


def test_doctor_and_config_check_name_another_key(data_dir, capsys):
    """Before the start refuses it."""
    found = doctor(capsys)
    assert (found["state"], OLD in found["text"], NEW in found["text"]) == ("fault", True, True)
    assert found["remedy"].startswith("put the old key back from the backup")
    assert main(["config", "check"]) == 2
    assert f"signed by {OLD}" in capsys.readouterr().err

    put(data_dir, "11")
    assert doctor(capsys)["state"] == "good"


def test_doctor_finds_a_broken_key_and_warns_of_a_new_one(data_dir, capsys):
    """The first ten bytes of it are none; who removes it must know what hangs on it."""
    whole = (data_dir / "operator.key").read_text()
    (data_dir / "operator.key").write_text(whole[:10])

    found = doctor(capsys)

    assert found["state"] == "fault"
    assert "is no operator key" in found["text"]
    assert found["remedy"].startswith("put it back from the backup")
    assert "receipts" in found["remedy"]


def test_who_lost_the_key_goes_on_with_another_by_one_command(data_dir, capsys):
    """It names both accounts, and the audit log keeps them."""
    assert main(["receipt", "accept-key", OLD]) == 1, "another account than the file's"
    assert main(["receipt", "accept-key", "new"]) == 1, "a key is there"
    capsys.readouterr()

    assert main(["receipt", "accept-key", NEW, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"before": OLD, "public_key": NEW}

    assert doctor(capsys)["state"] == "good"
    with (
        Book.open(f"sqlite:///{data_dir}/book.sqlite3", Asset()) as book,
        book.viewing() as connection,
    ):
        [entry] = audit.page(connection)
        known = [account_text(account) for account in book.operators.accounts()]
    assert known == [NEW, OLD]
    assert (entry.action, entry.before, entry.after) == (
        "operator.accept_key",
        {"account": OLD},
        {"account": NEW},
    )


def test_a_new_key_is_made_where_the_file_is_gone(data_dir, capsys):
    """One command, no tool of another program."""
    (data_dir / "operator.key").unlink()

    assert main(["receipt", "accept-key", "new", "--json"]) == 0

    assert json.loads(capsys.readouterr().out)["before"] == OLD
    assert doctor(capsys)["state"] == "good"
    assert (data_dir / "operator.key").stat().st_mode & 0o777 == 0o600
