"""Receipts: what a viewer paid for, signed by the operator, checked without any server.

The signed bytes of one receipt (little-endian, as SCALE writes fixed-width numbers)::

    "VLKR" u8 form=1 | asset: u8 length, symbol, u8 decimals | stream u128 | account [32]
    number u32 | made_ms u64 | previous hash [32] | ticks u64 | amount u128
    u32 lines, each: join u32, price version u32, planck per tick u128,
                     u32 runs, each: first u64, count u32

One that gives something back has form 2: its amount is an i128, and behind its lines is
``u32 lines``, and in the same shape the seconds of earlier lines that are given back. They count
against the amount, each once.

A receipt's hash is blake2b-256 of these bytes; the first one's previous hash is 32 zeros. The
receipts of one viewer and stream are one chain, numbered from 1.

The file that its viewer keeps: receipt_file.py.

Source: docs/metering.md, "Receipt".
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from metering import signing
from metering.model import ticks
from metering.units import AccountId, Asset, Cause, Planck, Run

FIRST_PREVIOUS: Final = bytes(32)
_U128: Final = 16
CAUSES: Final = (Cause.PREVIEW, Cause.CAP, Cause.FREE_LIST, Cause.PASS)
"""Why a line is covered, by its version. Receipts are kept by others: the order stays."""


@dataclass(frozen=True, slots=True)
class ReceiptLine:
    """The ticks of one price version in a receipt.

    What was covered has join 0 and price 0; its version says why, by `CAUSES`. Where `is_back`
    these ticks of an earlier line, or of this receipt, are given back: bad seconds.
    """

    join: int
    version: int
    planck_per_tick: Planck
    runs: tuple[Run, ...]
    is_back: bool = False

    @property
    def amount(self) -> Planck:
        """Return what its ticks cost; below 0 when they are given back."""
        worth = ticks.count(self.runs) * self.planck_per_tick
        return Planck(-worth if self.is_back else worth)

    @property
    def cause(self) -> Cause | None:
        """Return why it is covered; None for what was billed, and for causes of a later version."""
        is_known = self.join == 0 and self.version < len(CAUSES)
        return CAUSES[self.version] if is_known else None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is signed: see the module's layout.

    Attributes:
        stream: Which stream was watched.
        account: Who paid.
        number: From 1, per viewer and stream.
        made_ms: Unix time at which it was made.
        previous: Hash of the receipt before it.
        lines: The ticks, by join number and price version.
        amount: What they cost; below 0 when more is given back.
    """

    stream: UUID
    account: AccountId
    number: int
    made_ms: int
    previous: bytes
    lines: tuple[ReceiptLine, ...]
    amount: Planck

    @property
    def ticks(self) -> int:
        """Return how many seconds this receipt names, covered ones too; not what is given back."""
        return sum(ticks.count(line.runs) for line in self.lines if not line.is_back)

    @property
    def back_ticks(self) -> int:
        """Return how many seconds it gives back."""
        return sum(ticks.count(line.runs) for line in self.lines if line.is_back)

    @property
    def covered_ticks(self) -> int:
        """Return how many of them were covered."""
        return sum(ticks.count(line.runs) for line in self.lines if not line.join)


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A receipt and the operator's signature over its canonical bytes."""

    receipt: Receipt
    signature: bytes


def covered_line(cause: Cause, covered: tuple[Run, ...]) -> ReceiptLine:
    """Return the line of seconds that were watched and cost nothing: covered."""
    return ReceiptLine(0, CAUSES.index(cause), Planck(0), covered)


def make(
    stream: UUID,
    account: AccountId,
    lines: Iterable[ReceiptLine],
    *,
    number: int,
    made_ms: int,
    previous: bytes,
) -> Receipt:
    """Return the receipt of some lines, its amount worked out, its lines in order."""
    ordered = tuple(sorted(lines, key=lambda line: (line.is_back, line.join, line.version)))
    amount = sum(line.amount for line in ordered)
    return Receipt(stream, account, number, made_ms, previous, ordered, Planck(amount))


def canonical_bytes(receipt: Receipt, asset: Asset) -> bytes:
    """Return what the operator signs; the shape is in the module's docstring."""
    symbol = asset.symbol.encode()
    charged = [line for line in receipt.lines if not line.is_back]
    back = [line for line in receipt.lines if line.is_back]
    out = bytearray(b"VLKR\x02" if back else b"VLKR\x01")
    out += bytes([len(symbol)]) + symbol + bytes([asset.decimals])
    out += receipt.stream.int.to_bytes(_U128, "little") + receipt.account
    out += struct.pack("<IQ", receipt.number, receipt.made_ms) + receipt.previous
    amount = receipt.amount.to_bytes(_U128, "little", signed=bool(back))
    out += struct.pack("<Q", receipt.ticks) + amount + _lines_bytes(charged)
    return bytes(out + _lines_bytes(back) if back else out)


def _lines_bytes(lines: Sequence[ReceiptLine]) -> bytes:
    out = bytearray(struct.pack("<I", len(lines)))
    for line in lines:
        out += struct.pack("<II", line.join, line.version)
        out += line.planck_per_tick.to_bytes(_U128, "little") + struct.pack("<I", len(line.runs))
        for run in line.runs:
            out += struct.pack("<QI", run.first, run.count)
    return bytes(out)


def hash_of(receipt: Receipt, asset: Asset) -> bytes:
    """Return blake2b-256 of the canonical bytes: what the next receipt names."""
    return hashlib.blake2b(canonical_bytes(receipt, asset), digest_size=32).digest()


def sign(receipt: Receipt, asset: Asset, operator: signing.KeyPair) -> SignedReceipt:
    """Return the receipt with the operator's signature."""
    return SignedReceipt(receipt, operator.sign(canonical_bytes(receipt, asset)))
