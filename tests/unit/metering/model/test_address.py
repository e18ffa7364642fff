"""Addresses: SS58 of any one-byte network, or hexadecimal."""

import pytest

from metering.errors import InvalidValueError
from metering.model.address import parse_address

ALICE = bytes.fromhex("d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d")


@pytest.mark.parametrize(
    "address",
    [
        "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
        "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5",
        "0x" + ALICE.hex(),
    ],
)
def test_an_account_has_one_key_in_every_writing(address):
    """Substrate's prefix 42, Polkadot's 0, and the bytes themselves."""
    assert parse_address(address) == ALICE


@pytest.mark.parametrize(
    "address",
    [
        "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQZ",
        "5Grw",
        "",
        "Alice",
        "z" * 60,
        "0x1234",
        "0x" + "zz" * 32,
    ],
)
def test_an_address_with_a_wrong_letter_is_refused(address):
    """The checksum and the length are checked."""
    with pytest.raises(InvalidValueError):
        parse_address(address)
