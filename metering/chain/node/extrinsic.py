"""Signed extrinsics of version 4, by hand: what is signed, what is sent, what it is called.

    compact length | 0x84 | 0x00 account [32] | 0x01 signature [64] | extra | call

Signed is ``call | extra | additional``, or its blake2b-256 when that is longer than 256 bytes. Each
extension of the runtime adds its part to *extra* and to *additional*, in the runtime's order. One
that we do not know and that adds something cannot be signed for: the runtime's facts say so.

Source: polkadot-sdk, ``UncheckedExtrinsic``, ``SignedPayload``, ``Era``; substrate-interface 1.8.1
makes the same bytes (tests/contract/test_extrinsic.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from metering.chain.node.runtime_info import Extension, RuntimeFacts
from metering.chain.node.scale import ACCOUNT, HASH, U8, U32, U64, Hash, Reader, compact
from metering.errors import InvalidValueError, RuntimeUnsupportedError
from metering.units import AccountId

ERA_BLOCKS_MIN: Final = 4
ERA_BLOCKS_MAX: Final = 65536
SIGNED_V4: Final = 0x84
_PAYLOAD_BYTES_MAX: Final = 256
_MULTI_ADDRESS_ID: Final = 0
_MULTI_SIGNATURE_SR25519: Final = 1
_MULTI_SIGNATURE_BYTES: Final = {0: 64, 1: 64, 2: 65}
"""Of ed25519, sr25519 and ecdsa, by the byte that says which."""


@dataclass(frozen=True, slots=True)
class Era:
    """A mortal era: bytes signed with it live for `period` blocks from their birth.

    Attributes:
        period: In blocks, a power of two from 4 to 65536.
        birth: Number of the block whose hash is signed; it is the first at which they are valid.
    """

    period: int
    birth: int

    @property
    def death(self) -> int:
        """Return the first block that can no longer hold them."""
        return self.birth + self.period

    def encode(self) -> bytes:
        """Return the era's two bytes."""
        factor = max(self.period >> 12, 1)
        phase = self.birth % self.period
        low = min(15, max(1, self.period.bit_length() - 2))
        return (low | phase // factor << 4).to_bytes(2, "little")


@dataclass(frozen=True, slots=True)
class Terms:
    """What an extrinsic is signed under, beside its call.

    Attributes:
        nonce: Of the account.
        era: When it may be included.
        birth_hash: Hash of the block at `era.birth`.
        spec_version: Of the runtime.
        tx_version: Of the runtime.
        genesis: Hash of the chain's first block.
    """

    nonce: int
    era: Era
    birth_hash: Hash
    spec_version: int
    tx_version: int
    genesis: Hash


@dataclass(frozen=True, slots=True)
class Signed:
    """The parts of a signed extrinsic of ours.

    Attributes:
        account: Who signed.
        signature: sr25519, 64 bytes.
        body: extra and call; how long extra is depends on the runtime that it was made for.
    """

    account: AccountId
    signature: bytes
    body: bytes


def era_at(finalized: int, period: int) -> Era:
    """Return the era of `period` blocks that is born at, or just before, `finalized`.

    Long eras are born at multiples of ``period / 4096``; up to 4096 blocks nothing is rounded.

    Raises:
        InvalidValueError: If `period` is not a power of two in range.
    """
    if not ERA_BLOCKS_MIN <= period <= ERA_BLOCKS_MAX or period & (period - 1):
        raise InvalidValueError(
            f"an era of {period} blocks cannot be: take a power of two from {ERA_BLOCKS_MIN} to "
            f"{ERA_BLOCKS_MAX}"
        )
    if finalized < 0:
        raise InvalidValueError(f"block {finalized} is below 0")
    factor = max(period >> 12, 1)
    return Era(period, finalized // factor * factor)


def settle_call(facts: RuntimeFacts, seq: int, batch_hash: bytes, entries: bytes) -> bytes:
    """Return the call ``settle(seq, hash, entries)``.

    Args:
        batch_hash: blake2b-256 of `entries`.
        entries: SCALE bytes, count included (entries.py).
    """
    return call(facts, "settle", U64.encode(seq) + HASH.encode(Hash(batch_hash)) + entries)


def call(facts: RuntimeFacts, name: str, arguments: bytes) -> bytes:
    """Return a call of the pallet, its arguments already encoded.

    Raises:
        RuntimeUnsupportedError: If the runtime has no such call.
    """
    return bytes((facts.pallet, facts.call(name))) + arguments


def signing_payload(facts: RuntimeFacts, call_bytes: bytes, terms: Terms) -> bytes:
    """Return the bytes to sign.

    Raises:
        RuntimeUnsupportedError: If the runtime has an extension that we cannot fill in.
    """
    extra, additional = _extensions(facts, terms)
    payload = call_bytes + extra + additional
    if len(payload) > _PAYLOAD_BYTES_MAX:
        return hashlib.blake2b(payload, digest_size=32).digest()
    return payload


def signed_extrinsic(
    facts: RuntimeFacts, call_bytes: bytes, terms: Terms, account: AccountId, signature: bytes
) -> bytes:
    """Return the bytes to send.

    Args:
        signature: As `assembled` takes it.

    Raises:
        RuntimeUnsupportedError: If the runtime has an extension that we cannot fill in.
        InvalidValueError: If the signature is of no kind that a chain takes.
    """
    return assembled(extra_of(facts, terms), call_bytes, account, signature)


def extra_of(facts: RuntimeFacts, terms: Terms) -> bytes:
    """Return what the runtime's extensions add to an extrinsic.

    Raises:
        RuntimeUnsupportedError: If the runtime has an extension that we cannot fill in.
    """
    return _extensions(facts, terms)[0]


def assembled(extra: bytes, call_bytes: bytes, account: AccountId, signature: bytes) -> bytes:
    """Return the bytes to send.

    Args:
        signature: 64 bytes are sr25519's; else a MultiSignature, its kind before it.

    Raises:
        InvalidValueError: If the signature is of no kind that a chain takes.
    """
    if len(signature) == 64:
        signature = bytes((_MULTI_SIGNATURE_SR25519,)) + signature
    if _MULTI_SIGNATURE_BYTES.get(signature[0] if signature else -1) != len(signature) - 1:
        raise InvalidValueError(
            f"a signature has 64 bytes, or its kind before it, not {len(signature)}"
        )
    body = b"".join(
        (
            bytes((SIGNED_V4, _MULTI_ADDRESS_ID)),
            ACCOUNT.encode(account),
            signature,
            extra,
            call_bytes,
        )
    )
    return compact(len(body)) + body


def sign(
    facts: RuntimeFacts,
    call_bytes: bytes,
    terms: Terms,
    account: AccountId,
    signer: Callable[[bytes], bytes],
) -> bytes:
    """Return the bytes to send, signed with `signer` (`metering.keys.KeyPair.sign`)."""
    signature = signer(signing_payload(facts, call_bytes, terms))
    return signed_extrinsic(facts, call_bytes, terms, account, signature)


def parse(extrinsic: bytes) -> Signed:
    """Return the parts of the bytes of a signed extrinsic of version 4.

    Raises:
        InvalidValueError: If they are unsigned, of another version or kind, or not whole.
    """
    reader = Reader(extrinsic)
    if reader.compact() != reader.left:
        raise InvalidValueError("an extrinsic is not as long as it says")
    head = (reader.uint(1), reader.uint(1))
    if head != (SIGNED_V4, _MULTI_ADDRESS_ID):
        raise InvalidValueError("an extrinsic is not signed by an account in version 4")
    account = ACCOUNT.read(reader)
    if reader.uint(1) != _MULTI_SIGNATURE_SR25519:
        raise InvalidValueError("an extrinsic is not signed with sr25519")
    return Signed(account, reader.take(64), reader.take(reader.left))


def extrinsic_hash(extrinsic: bytes) -> Hash:
    """Return what a node calls an extrinsic: blake2b-256 of its bytes, length included."""
    return Hash(hashlib.blake2b(extrinsic, digest_size=32).digest())


def _extensions(facts: RuntimeFacts, terms: Terms) -> tuple[bytes, bytes]:
    """Return extra and additional: what every extension adds, in the runtime's order."""
    extra, additional = bytearray(), bytearray()
    for extension in facts.extensions:
        if extension.is_empty:
            continue
        if extension.fault:
            raise RuntimeUnsupportedError(extension.fault)
        in_extra, in_additional = _FILL[extension.name](terms)
        extra += in_extra
        additional += in_additional
    return bytes(extra), bytes(additional)


def _none(_: Terms) -> tuple[bytes, bytes]:
    """CheckMetadataHash switched off: mode 0, and no hash is signed."""
    return b"\x00", b"\x00"


_FILL: Final[dict[str, Callable[[Terms], tuple[bytes, bytes]]]] = {
    "CheckSpecVersion": lambda terms: (b"", U32.encode(terms.spec_version)),
    "CheckTxVersion": lambda terms: (b"", U32.encode(terms.tx_version)),
    "CheckGenesis": lambda terms: (b"", HASH.encode(terms.genesis)),
    "CheckMortality": lambda terms: (terms.era.encode(), HASH.encode(terms.birth_hash)),
    "CheckEra": lambda terms: (terms.era.encode(), HASH.encode(terms.birth_hash)),
    "CheckNonce": lambda terms: (compact(terms.nonce), b""),
    "ChargeTransactionPayment": lambda _: (compact(0), b""),
    "CheckMetadataHash": _none,
}
assert _FILL.keys() == Extension.known(), "every extension that facts.py knows is filled in here"
assert U8.encode(SIGNED_V4) == b"\x84"
