"""A wallet's signature over a call: each kind that a chain takes, as the chain takes it."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eth_keys.datatypes import PrivateKey

from mediaserver.people import wallets
from metering.chain.node.extrinsic import assembled
from metering.errors import InvalidValueError
from metering.units import AccountId
from tests.support.wallet import account

CALL = b"\x07\x0c a call"


def signed() -> list[tuple[AccountId, int, bytes]]:
    """Return account, kind and signature over the call, of a key of each kind."""
    sr = account("ann")
    ed = Ed25519PrivateKey.from_private_bytes(b"e" * 32)
    ec = PrivateKey(b"c" * 32)
    digest = hashlib.blake2b(CALL, digest_size=32).digest()
    ec_account = hashlib.blake2b(ec.public_key.to_compressed_bytes(), digest_size=32).digest()
    return [
        (sr.account, 1, sr.sign(CALL)),
        (AccountId(ed.public_key().public_bytes_raw()), 0, ed.sign(CALL)),
        (AccountId(ec_account), 2, ec.sign_msg_hash(digest).to_bytes()),
    ]


@pytest.mark.parametrize("item", signed(), ids=["sr25519", "ed25519", "ecdsa"])
def test_a_signature_has_its_kind_before_it_however_the_wallet_gave_it(item) -> None:
    who, kind, raw = item
    marked = bytes([kind]) + raw

    for given in (raw, marked):
        assert wallets.multi_signature(who, CALL, f"0x{given.hex()}") == marked
    assert marked in assembled(b"extra", CALL, who, marked)


@pytest.mark.parametrize("item", signed(), ids=["sr25519", "ed25519", "ecdsa"])
def test_a_signature_over_other_bytes_or_of_another_kind_counts_for_nothing(item) -> None:
    who, kind, raw = item

    for message, given in ((CALL + b"1", raw), (CALL, bytes([(kind + 1) % 3]) + raw), (CALL, b"")):
        with pytest.raises(InvalidValueError, match="the signature is not one of"):
            wallets.multi_signature(who, message, f"0x{given.hex()}")


@pytest.mark.parametrize("signature", [b"", b"\x01" * 63, b"\x03" * 65, b"\x02" * 65])
def test_what_no_chain_takes_is_not_assembled(signature) -> None:
    with pytest.raises(InvalidValueError):
        assembled(b"", CALL, account("ann").account, signature)


def test_an_address_of_a_wallet_leads_back_to_its_account() -> None:
    who = account("ann").account
    assert wallets.account_of(wallets.address_of(who)) == who
