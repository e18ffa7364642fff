"""Signatures of wallets, of each kind of key, over the text that was asked and no other."""

import pytest
from substrateinterface import Keypair, KeypairType

from mediaserver.people import wallets
from metering.errors import InvalidValueError
from metering.units import AccountId

TEXT = wallets.sign_in_text("http://localhost:8080", "5Grw", b"n" * 32, 1_000, 301_000)
WRAPPED = f"<Bytes>{TEXT}</Bytes>"
KINDS = {KeypairType.ED25519: b"\0", KeypairType.SR25519: b"\1", KeypairType.ECDSA: b"\2"}


def pair(kind: int) -> Keypair:
    if kind == KeypairType.ECDSA:
        return Keypair.create_from_private_key("11" * 32, ss58_format=42, crypto_type=kind)
    return Keypair.create_from_seed("22" * 32, ss58_format=42, crypto_type=kind)


def account(kind: int) -> AccountId:
    if kind == KeypairType.ECDSA:
        import hashlib

        from eth_keys.datatypes import PrivateKey

        key = PrivateKey(bytes.fromhex("11" * 32)).public_key.to_compressed_bytes()
        return AccountId(hashlib.blake2b(key, digest_size=32).digest())
    return AccountId(bytes(pair(kind).public_key))


def signed(kind: int, message: str) -> bytes:
    if kind == KeypairType.ECDSA:
        import hashlib

        from eth_keys.datatypes import PrivateKey

        digest = hashlib.blake2b(message.encode(), digest_size=32).digest()
        return PrivateKey(bytes.fromhex("11" * 32)).sign_msg_hash(digest).to_bytes()
    return pair(kind).sign(message)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_key_signs_in_with_and_without_its_mark(kind) -> None:
    signature = signed(kind, WRAPPED)
    for raw in (signature, KINDS[kind] + signature):
        shown = wallets.shown(account(kind), TEXT, f"0x{raw.hex()}", "wallet")
        assert shown.subject == f"0x{account(kind).hex()}"


@pytest.mark.parametrize("kind", KINDS)
def test_another_text_or_account_or_none_wrapped_does_not(kind) -> None:
    for message in (TEXT, WRAPPED + " ", WRAPPED.replace("5Grw", "5Grx")):
        raw = signed(kind, message)
        with pytest.raises(InvalidValueError):
            wallets.shown(account(kind), TEXT, raw.hex(), "")
    with pytest.raises(InvalidValueError):
        wallets.shown(AccountId(bytes(32)), TEXT, signed(kind, WRAPPED).hex(), "")


@pytest.mark.parametrize(
    "signature", ["", "0x", "zz", "0x" + "00" * 64, "0x" + "ff" * 65, "00" * 500]
)
def test_what_is_no_signature_is_refused(signature) -> None:
    with pytest.raises(InvalidValueError):
        wallets.shown(account(KeypairType.SR25519), TEXT, signature, "")


def test_the_text_says_who_asks_and_until_when() -> None:
    assert TEXT.startswith("localhost:8080 wants you to sign in")
    assert "This moves no money." in TEXT
    assert "Issued At: 1970-01-01T00:00:01Z" in TEXT
    assert "Expiration Time: 1970-01-01T00:05:01Z" in TEXT
    assert (b"n" * 32).hex() in TEXT


@pytest.mark.parametrize("network", [0, 2, 42])
def test_an_address_of_any_network_is_the_same_account(network) -> None:
    known = account(KeypairType.SR25519)
    assert wallets.account_of(f"0x{known.hex()}") == known
    key = Keypair(public_key=bytes(known), ss58_format=network)
    assert wallets.account_of(key.ss58_address) == known


@pytest.mark.parametrize(
    "address", ["", "5Grw", "0x12", "0xzz", "5" * 48, "a" * 500, "0x" + "0" * 66]
)
def test_what_is_no_address_is_named(address) -> None:
    with pytest.raises(InvalidValueError, match="address"):
        wallets.account_of(address)
