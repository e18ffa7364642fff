"""Wallets: a text that somebody signs with their account's key. The only importer of `eth_keys`.

The text is wrapped in ``<Bytes>``, as the wallets' ``signRaw`` does it, so that no signature of it
can be an extrinsic's. Keys are those of Substrate's MultiSigner: sr25519, ed25519, ecdsa.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Final

from mediaserver.people.credentials import NewCredential
from mediaserver.people.records import CredentialKind
from metering import signing
from metering.errors import InvalidValueError
from metering.units import ACCOUNT_BYTES, AccountId, account_text

_ECDSA_BYTES: Final = 65
_KINDS: Final = {0: "ed25519", 1: "sr25519", 2: "ecdsa"}
"""First byte of a MultiSignature, which some wallets put before a signature."""
ADDRESS_CHARACTERS_MAX: Final = 66
_ANY_NETWORK: Final = 42


def account_of(address: str) -> AccountId:
    """Return the account of an SS58 address of any network, or of ``0x`` and 64 digits.

    Raises:
        InvalidValueError: It is neither.
    """
    from scalecodec.utils.ss58 import ss58_decode  # noqa: PLC0415 -- only who has a wallet

    remedy = "give the address as the wallet shows it, such as 5Grw..., or its public key as 0x..."
    if len(address) > ADDRESS_CHARACTERS_MAX:
        raise InvalidValueError(f"address of {len(address)} characters is none; {remedy}")
    try:
        plain = address[2:] if address.startswith("0x") else ss58_decode(address)
        account = bytes.fromhex(plain)
    except ValueError as error:
        raise InvalidValueError(f"address {address!r} is none: {error}; {remedy}") from error
    if len(account) != ACCOUNT_BYTES:
        raise InvalidValueError(f"address {address!r} has {len(account)} bytes; {remedy}")
    return AccountId(account)


def sign_in_text(origin: str, address: str, nonce: bytes, issued_ms: int, expires_ms: int) -> str:
    """Return what a wallet shows and signs: who asks, for whom, and until when."""
    domain = origin.partition("://")[2]
    return "\n".join(
        (
            f"{domain} wants you to sign in with your account:",
            address,
            "",
            "This moves no money.",
            "",
            f"URI: {origin}",
            f"Nonce: {nonce.hex()}",
            f"Issued At: {_iso(issued_ms)}",
            f"Expiration Time: {_iso(expires_ms)}",
        )
    )


def shown(account: AccountId, text: str, signature: str, label: str) -> NewCredential:
    """Return the way in of a wallet that signed `text`.

    Args:
        signature: ``0x`` and hexadecimal digits, as ``signRaw`` gives it.

    Raises:
        InvalidValueError: The account's key did not sign it.
    """
    try:
        raw = bytes.fromhex(signature.removeprefix("0x"))
    except ValueError:
        raw = b""
    if not is_signed(account, f"<Bytes>{text}</Bytes>".encode(), raw):
        raise InvalidValueError(
            f"the signature is not one of {account_text(account)} over the text that was asked"
        )
    return NewCredential(CredentialKind.WALLET, account_text(account), label, bytes(account))


def address_of(account: AccountId) -> str:
    """Return an account as an SS58 address of no one network."""
    from scalecodec.utils.ss58 import ss58_encode  # noqa: PLC0415 -- only who has a wallet

    address: str = ss58_encode(bytes(account).hex(), ss58_format=_ANY_NETWORK)
    return address


def multi_signature(account: AccountId, message: bytes, signature: str) -> bytes:
    """Return a wallet's signature over a call, its kind before it, as a chain takes it.

    Args:
        signature: ``0x`` and hexadecimal digits, as ``signPayload`` gives it, with or without its
            kind.

    Raises:
        InvalidValueError: The account's key did not sign it.
    """
    try:
        raw = bytes.fromhex(signature.removeprefix("0x"))
    except ValueError:
        raw = b""
    plain = [(kind, raw) for kind in _KINDS]
    marked = [(raw[0], raw[1:])] if raw[:1] and raw[0] in _KINDS else []
    for first, rest in marked + plain:
        if _is_of_kind(_KINDS[first], account, message, rest):
            return bytes((first,)) + rest
    raise InvalidValueError(
        f"the signature is not one of {account_text(account)} over the call that was prepared"
    )


def is_signed(account: AccountId, message: bytes, signature: bytes) -> bool:
    """Return whether a signature is the account's, of any of the three kinds."""
    plain = [(kind, signature) for kind in _KINDS.values()]
    marked = [(_KINDS[first], signature[1:]) for first in signature[:1] if first in _KINDS]
    return any(_is_of_kind(kind, account, message, raw) for kind, raw in plain + marked)


def _is_of_kind(kind: str, account: AccountId, message: bytes, signature: bytes) -> bool:
    match kind:
        case "sr25519":
            return signing.is_signed(account, message, signature)
        case "ed25519":
            return _is_ed25519(account, message, signature)
    return _is_ecdsa(account, message, signature)


def _is_ed25519(account: AccountId, message: bytes, signature: bytes) -> bool:
    # Only who has a wallet: it is 8 MB of an idle control.
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PublicKey,
    )

    try:
        Ed25519PublicKey.from_public_bytes(bytes(account)).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _is_ecdsa(account: AccountId, message: bytes, signature: bytes) -> bool:
    """Return whether the key that signed is the account's: its account is the key's hash."""
    from eth_keys.datatypes import Signature  # noqa: PLC0415
    from eth_keys.exceptions import BadSignature  # noqa: PLC0415

    if len(signature) != _ECDSA_BYTES:
        return False
    digest = hashlib.blake2b(message, digest_size=32).digest()
    try:
        key = Signature(signature).recover_public_key_from_msg_hash(digest)
    except (BadSignature, ValueError):
        return False
    return hashlib.blake2b(key.to_compressed_bytes(), digest_size=32).digest() == bytes(account)


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
