"""Account addresses as people write them: SS58, or 32 bytes in hexadecimal.

Source: Substrate, ``sp_core::crypto::Ss58Codec``.
"""

from __future__ import annotations

import hashlib
from typing import Final

from metering.errors import InvalidValueError
from metering.units import ACCOUNT_BYTES, AccountId

_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_RAW_BYTES: Final = 1 + ACCOUNT_BYTES + 2
"""Network prefix, account, checksum."""


def parse_address(address: str) -> AccountId:
    """Return the account of an SS58 address of any one-byte network prefix, or of hex with ``0x``.

    Raises:
        InvalidValueError: If it is neither.
    """
    if address.startswith("0x"):
        try:
            raw = bytes.fromhex(address[2:])
        except ValueError as error:
            raise InvalidValueError(f"{address!r} is not hexadecimal") from error
        if len(raw) != ACCOUNT_BYTES:
            raise InvalidValueError(f"{address!r} is not {ACCOUNT_BYTES} bytes")
        return AccountId(raw)
    value = 0
    for letter in address:
        if letter not in _BASE58:
            raise InvalidValueError(f"{address!r} is no SS58 address")
        value = value * 58 + _BASE58.index(letter)
    is_short = value < 1 << 8 * _RAW_BYTES
    raw = value.to_bytes(_RAW_BYTES, "big") if is_short else b""
    checksum = hashlib.blake2b(b"SS58PRE" + raw[:-2], digest_size=64).digest()[:2]
    if raw[-2:] != checksum:
        raise InvalidValueError(f"{address!r} is no SS58 address of an account")
    return AccountId(raw[1 : 1 + ACCOUNT_BYTES])
