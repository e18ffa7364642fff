"""The server's secrets: made once, kept, refused when they are none."""

from dataclasses import replace

import pytest

from mediaserver.processes import secret_files
from mediaserver.processes.bootstrap import StartRefusedError
from mediaserver.settings.records import Settings


def test_missing_secrets_are_made_for_their_owner_alone_and_kept(tmp_path) -> None:
    """A restart keeps every token good."""
    secret_files.make_missing(Settings(), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    secret_files.make_missing(Settings(), tmp_path)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert set(before) == {"admin.token", "token.keys", "edge.key"}
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert len(set(before.values())) == 3


def test_the_first_key_signs_and_older_ones_stay_good(tmp_path) -> None:
    """Keys rotate without refusing a viewer."""
    path = tmp_path / "token.keys"
    path.write_text(f"2 {'ab' * 32}\n1 {'cd' * 32}\n")

    assert secret_files.token_keys(path) == ((2, b"\xab" * 32), (1, b"\xcd" * 32))


@pytest.mark.parametrize(
    "text",
    ["", "1 abcd\n", f"x {'ab' * 32}", f"1 {'ab' * 32}\n1 {'cd' * 32}", f"4294967296 {'ab' * 32}"],
)
def test_a_file_that_holds_no_keys_is_refused_by_name(tmp_path, text) -> None:
    """A damaged key file is told to the operator, not worked around."""
    path = tmp_path / "token.keys"
    path.write_text(text)

    with pytest.raises(StartRefusedError, match=r"token\.keys"):
        secret_files.token_keys(path)


def test_a_weak_admin_token_is_refused(tmp_path) -> None:
    """An empty or guessable file does not open the admin API."""
    path = tmp_path / "own.token"
    path.write_text("admin\n")
    tree = replace(Settings(), auth=replace(Settings().auth, admin_token_file=str(path)))

    with pytest.raises(StartRefusedError, match=r"own\.token"):
        secret_files.make_missing(tree, tmp_path)
