"""sr25519: accounts from seeds, signatures and their check. The only importer of `sr25519`.

No files here: keyfile.py reads and makes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import sr25519

from metering.errors import InvalidValueError
from metering.units import ACCOUNT_BYTES, AccountId

SEED_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A signing key; its secret never shows in a repr.

    Attributes:
        account: The public key.
        secret: 64 bytes, expanded.
    """

    account: AccountId
    secret: bytes = field(repr=False)

    def sign(self, message: bytes) -> bytes:
        """Return a 64-byte signature; sr25519 signatures differ each time they are made."""
        signature: bytes = sr25519.sign((bytes(self.account), self.secret), message)
        return signature


def from_seed(seed: bytes) -> KeyPair:
    """Return the key pair of a 32-byte seed, as substrate derives it.

    Raises:
        InvalidValueError: If the seed is of another length.
    """
    if len(seed) != SEED_BYTES:
        raise InvalidValueError(f"a seed has {SEED_BYTES} bytes, not {len(seed)}")
    public, secret = sr25519.pair_from_seed(seed)
    return KeyPair(AccountId(bytes(public)), bytes(secret))


def is_signed(account: AccountId, message: bytes, signature: bytes) -> bool:
    """Return True when `signature` over `message` was made with the account's key."""
    if len(account) != ACCOUNT_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        return bool(sr25519.verify(signature, message, bytes(account)))
    except ValueError:  # not a point of the curve, or not a signature's form
        return False
