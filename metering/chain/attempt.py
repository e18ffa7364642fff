"""One signed attempt as bytes that explain themselves, kept in the book before they are sent.

A settler that finds them after a crash knows the terms they were signed under, hence their end:

    "VLKA" | version u8 | seq u64 | nonce u32 | era period u32 | birth number u32
    | birth hash [32] | spec version u32 | tx version u32 | genesis [32] | extrinsic Vec<u8>

SCALE, little-endian. The batch's hash and entries stand beside them in the book.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from metering.chain.node.extrinsic import Era, Terms, extrinsic_hash
from metering.chain.node.scale import BYTES, HASH, U8, U32, U64, Hash, Reader
from metering.errors import InvalidValueError

MAGIC: Final = b"VLKA"
VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Attempt:
    """What was signed, and under which terms.

    Attributes:
        seq: Number of the batch.
        terms: Nonce, era, versions, genesis.
        extrinsic: The bytes to send.
    """

    seq: int
    terms: Terms
    extrinsic: bytes = field(repr=False)

    @property
    def hash(self) -> Hash:
        """Return what a node calls the extrinsic."""
        return extrinsic_hash(self.extrinsic)


def encode(attempt: Attempt) -> bytes:
    """Return the bytes that the book keeps."""
    terms = attempt.terms
    return b"".join(
        (
            MAGIC,
            U8.encode(VERSION),
            U64.encode(attempt.seq),
            U32.encode(terms.nonce),
            U32.encode(terms.era.period),
            U32.encode(terms.era.birth),
            HASH.encode(terms.birth_hash),
            U32.encode(terms.spec_version),
            U32.encode(terms.tx_version),
            HASH.encode(terms.genesis),
            BYTES.encode(attempt.extrinsic),
        )
    )


def decode(data: bytes) -> Attempt:
    """Return what kept bytes say.

    Raises:
        InvalidValueError: If they are not an attempt of ours, as when another back end signed them.
    """
    reader = Reader(data)
    if reader.take(len(MAGIC)) != MAGIC:
        raise InvalidValueError("these signed bytes are not an attempt at a Substrate chain")
    version = U8.read(reader)
    if version != VERSION:
        raise InvalidValueError(f"an attempt of version {version} is not known; update the program")
    seq = U64.read(reader)
    nonce, period, birth = U32.read(reader), U32.read(reader), U32.read(reader)
    terms = Terms(
        nonce=nonce,
        era=Era(period, birth),
        birth_hash=HASH.read(reader),
        spec_version=U32.read(reader),
        tx_version=U32.read(reader),
        genesis=HASH.read(reader),
    )
    extrinsic = BYTES.read(reader)
    reader.end()
    return Attempt(seq, terms, extrinsic)
