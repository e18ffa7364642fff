"""sr25519 keys: from seeds, in the operator's file."""

import stat

import pytest

from metering import key_file, signing
from metering.errors import InvalidValueError

ALICE_SEED = "e5be9a5092b81bca64be81d212e7f2f9eba183bb7a90954f7b76361f6edb5c0a"
ALICE = "d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d"


def test_a_seed_gives_the_account_that_substrate_gives():
    """Alice is Alice."""
    assert signing.from_seed(bytes.fromhex(ALICE_SEED)).account.hex() == ALICE


def test_a_signature_holds_for_its_message_and_key_alone():
    """Another message, key, or a cut-off signature does not pass."""
    pair, other = signing.from_seed(b"1" * 32), signing.from_seed(b"2" * 32)
    signature = pair.sign(b"message")

    assert signing.is_signed(pair.account, b"message", signature)
    assert not signing.is_signed(pair.account, b"massage", signature)
    assert not signing.is_signed(other.account, b"message", signature)
    assert not signing.is_signed(pair.account, b"message", signature[:-1])
    assert not signing.is_signed(pair.account, b"message", bytes(64))


def test_a_key_never_shows_its_secret():
    """Not in a log, not in a trace."""
    pair = signing.from_seed(b"1" * 32)

    assert pair.secret.hex() not in repr(pair)
    assert str(pair.secret) not in repr(pair)


def test_the_operators_file_is_made_once_and_for_us_alone(tmp_path):
    """A restart finds the same key; others cannot read it."""
    path = tmp_path / "operator.key"

    made = key_file.read_or_make(path)

    assert key_file.read_or_make(path) == made == key_file.read(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_no_key_is_made_at_a_mistyped_place(tmp_path):
    """Receipts would be another operator's from that start on, and nobody would be told."""
    path = tmp_path / "kyes" / "operator.key"

    with pytest.raises(InvalidValueError, match=r"there is no .*kyes; correct chain.operator_key"):
        key_file.read_or_make(path)

    assert not path.parent.exists()


@pytest.mark.parametrize("content", ["", "0x12", "hello", "0x" + "g" * 64, "é"])
def test_a_file_that_is_no_key_is_refused_and_kept(tmp_path, content):
    """It may be the key of somebody who opened it by mistake."""
    path = tmp_path / "operator.key"
    path.write_text(content, "utf-8")

    with pytest.raises(InvalidValueError, match="operator_key_file"):
        key_file.read_or_make(path)

    assert path.read_text("utf-8") == content
