"""Receipts: what a viewer paid for, signed by the operator, checked without any server.

The signed bytes of one receipt (little-endian, as SCALE writes fixed-width numbers)::

    "VLKR" u8 form=1 | asset: u8 length, symbol, u8 decimals | stream u128 | account [32]
    number u32 | made_ms u64 | previous hash [32] | ticks u64 | amount u128
    u32 lines, each: join u32, price version u32, planck per tick u128,
                     u32 runs, each: first u64, count u32

A receipt's hash is blake2b-256 of these bytes; the first one's previous hash is 32 zeros. The
receipts of one viewer and stream are one chain, numbered from 1.

A receipt file is JSON in one canonical spelling, so that any flipped bit shows.

Source: docs/metering.md, "Receipt".
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from metering import signing
from metering.errors import InvalidValueError, NoReceiptsError, ReceiptInvalidError
from metering.model import tick_runs as runs
from metering.model import ticks
from metering.units import AccountId, Asset, Cause, Planck, Run, account_text, parse_account

FORMAT: Final = "vilokanam-receipts-1"
FIRST_PREVIOUS: Final = bytes(32)
_U128: Final = 16
_CAUSES: Final = (Cause.PREVIEW, Cause.CAP, Cause.FREE_LIST)
"""Why a line is covered, by its version. Receipts are kept by others: the order stays."""


@dataclass(frozen=True, slots=True)
class ReceiptLine:
    """The ticks of one price version in a receipt.

    What was covered has join 0 and price 0; its version says why, by `_CAUSES`.
    """

    join: int
    version: int
    planck_per_tick: Planck
    runs: tuple[Run, ...]

    @property
    def cause(self) -> Cause | None:
        """Return why it is covered; None for what was billed, and for causes of a later version."""
        is_known = self.join == 0 and self.version < len(_CAUSES)
        return _CAUSES[self.version] if is_known else None


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
        amount: What they cost.
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
        """Return how many seconds this receipt names, covered ones too."""
        return sum(ticks.count(line.runs) for line in self.lines)

    @property
    def covered_ticks(self) -> int:
        """Return how many of them were covered."""
        return sum(ticks.count(line.runs) for line in self.lines if not line.join)


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A receipt and the operator's signature over its canonical bytes."""

    receipt: Receipt
    signature: bytes


@dataclass(frozen=True, slots=True)
class ReceiptFile:
    """All receipts of one viewer and stream, as `verify` found them."""

    asset: Asset
    stream: UUID
    account: AccountId
    receipts: tuple[SignedReceipt, ...]

    @property
    def amount(self) -> Planck:
        """Return what all of them cost together."""
        return Planck(sum(signed.receipt.amount for signed in self.receipts))

    @property
    def ticks(self) -> int:
        """Return how many seconds all of them cover."""
        return sum(signed.receipt.ticks for signed in self.receipts)

    @property
    def covered_ticks(self) -> int:
        """Return how many of them cost nothing: they were covered."""
        return sum(signed.receipt.covered_ticks for signed in self.receipts)

    @property
    def covered_by_cause(self) -> dict[Cause, int]:
        """Return how many cost nothing, by why; causes that none has are left out."""
        lines = [line for signed in self.receipts for line in signed.receipt.lines]
        counts = {
            cause: sum(ticks.count(line.runs) for line in lines if line.cause is cause)
            for cause in _CAUSES
        }
        return {cause: count for cause, count in counts.items() if count}


def covered_line(cause: Cause, covered: tuple[Run, ...]) -> ReceiptLine:
    """Return the line of seconds that were watched and cost nothing: covered."""
    return ReceiptLine(0, _CAUSES.index(cause), Planck(0), covered)


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
    ordered = tuple(sorted(lines, key=lambda line: (line.join, line.version)))
    amount = sum(ticks.count(line.runs) * line.planck_per_tick for line in ordered)
    return Receipt(stream, account, number, made_ms, previous, ordered, Planck(amount))


def canonical_bytes(receipt: Receipt, asset: Asset) -> bytes:
    """Return what the operator signs; the shape is in the module's docstring."""
    symbol = asset.symbol.encode()
    out = bytearray(b"VLKR\x01")
    out += bytes([len(symbol)]) + symbol + bytes([asset.decimals])
    out += receipt.stream.int.to_bytes(_U128, "little") + receipt.account
    out += struct.pack("<IQ", receipt.number, receipt.made_ms) + receipt.previous
    out += struct.pack("<Q", receipt.ticks) + receipt.amount.to_bytes(_U128, "little")
    out += struct.pack("<I", len(receipt.lines))
    for line in receipt.lines:
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


def file_bytes(asset: Asset, operator: AccountId, receipts: Iterable[SignedReceipt]) -> bytes:
    """Return the JSON file of a chain of receipts, for its viewer to keep.

    Raises:
        InvalidValueError: If there is no receipt to write.
    """
    chain = tuple(receipts)
    if not chain:
        raise InvalidValueError("there are no receipts yet: they are made from booked cuts")
    first = chain[0].receipt
    content = {
        "format": FORMAT,
        "operator": account_text(operator),
        "asset": {"symbol": asset.symbol, "decimals": asset.decimals},
        "stream": str(first.stream),
        "account": account_text(first.account),
        "count": len(chain),
        "receipts": [_to_json(signed, asset) for signed in chain],
    }
    return (json.dumps(content, indent=1, ensure_ascii=True) + "\n").encode()


def verify(data: bytes, operator: AccountId) -> ReceiptFile:
    """Return what a receipt file proves, given the operator's public key from a trusted place.

    Checked: the file's spelling, every signature, every amount, numbers and hashes without a gap
    from 1, and that no second is in two receipts. What no file can prove is that it is the newest.

    Raises:
        NoReceiptsError: It is no file of receipts.
        ReceiptInvalidError: Names the first receipt that does not hold, and why.
    """
    file, count = _parse(data, operator)
    previous, seen = FIRST_PREVIOUS, tuple[Run, ...]()
    for number, signed in enumerate(file.receipts, 1):
        receipt = signed.receipt
        if receipt.number != number:
            raise ReceiptInvalidError(f"receipt {number} is missing: {receipt.number} is there")
        if receipt.previous != previous:
            raise ReceiptInvalidError(f"receipt {number} does not follow the one before it")
        try:
            body = canonical_bytes(receipt, file.asset)
        except (struct.error, OverflowError, ValueError) as error:
            raise ReceiptInvalidError(f"receipt {number}: a number does not fit") from error
        if not signing.is_signed(operator, body, signed.signature):
            raise ReceiptInvalidError(f"receipt {number} is not signed by this operator")
        seen = _check_lines(receipt, seen)
        previous = hash_of(receipt, file.asset)
    last = len(file.receipts)
    _require(count == last, f"receipt {last + 1} is missing: the file says {count}")
    if file_bytes(file.asset, operator, file.receipts) != data:
        raise ReceiptInvalidError(
            f"after receipt {last}: the file is not in its canonical spelling"
        )
    return file


def _check_lines(receipt: Receipt, seen: tuple[Run, ...]) -> tuple[Run, ...]:
    """Return all ticks receipted so far; raise when the sums of a signed receipt are wrong."""
    amount = 0
    for line in receipt.lines:
        try:
            runs.require_normal(line.runs)
        except InvalidValueError as error:
            raise ReceiptInvalidError(f"receipt {receipt.number}: {error}") from error
        twice = ticks.intersection(seen, line.runs)
        if twice:
            raise ReceiptInvalidError(
                f"receipt {receipt.number} charges second {twice[0].first} again"
            )
        seen = ticks.union(seen, line.runs)
        amount += ticks.count(line.runs) * line.planck_per_tick
    if amount != receipt.amount:
        raise ReceiptInvalidError(
            f"receipt {receipt.number} says {receipt.amount} planck, its seconds cost {amount}"
        )
    return seen


def _require(is_so: bool, otherwise: str) -> None:
    """Raise unless something holds."""
    if not is_so:
        raise ReceiptInvalidError(otherwise)


def _to_json(signed: SignedReceipt, asset: Asset) -> dict[str, Any]:
    receipt = signed.receipt
    return {
        "number": receipt.number,
        "made_ms": receipt.made_ms,
        "previous": receipt.previous.hex(),
        "lines": [
            {
                "join": line.join,
                "version": line.version,
                "planck_per_tick": str(line.planck_per_tick),
                "runs": runs.to_text(line.runs),
            }
            for line in receipt.lines
        ],
        "ticks": receipt.ticks,
        "amount": str(receipt.amount),
        "hash": hash_of(receipt, asset).hex(),
        "signature": signed.signature.hex(),
    }


def _parse(data: bytes, operator: AccountId) -> tuple[ReceiptFile, Any]:
    """Return a file's content and how many receipts it says it has; nothing is checked yet."""
    # `where` counts receipts, for a message that says which of them cannot be read.
    where = 0
    try:
        # What all receipts share.
        content = json.loads(data)
        if content["format"] != FORMAT:
            raise NoReceiptsError(f"its `format` is not {FORMAT}")
        _require(
            parse_account(content["operator"]) == operator,
            "receipt 0: the file names another operator's key",
        )
        asset = Asset(str(content["asset"]["symbol"]), int(content["asset"]["decimals"]))
        stream, account = UUID(content["stream"]), parse_account(content["account"])

        # The receipts in the file's order; `verify` checks the order and the hashes.
        receipts = []
        for item in content["receipts"]:
            where += 1
            lines = tuple(
                ReceiptLine(
                    int(line["join"]),
                    int(line["version"]),
                    Planck(int(line["planck_per_tick"])),
                    runs.from_text(line["runs"]),
                )
                for line in item["lines"]
            )
            receipt = Receipt(
                stream,
                account,
                int(item["number"]),
                int(item["made_ms"]),
                bytes.fromhex(item["previous"]),
                lines,
                Planck(int(item["amount"])),
            )
            receipts.append(SignedReceipt(receipt, bytes.fromhex(item["signature"])))
        _require(len(receipts) > 0, "receipt 1 is missing: there is none")
        count = content["count"]
    except ReceiptInvalidError:
        raise
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        InvalidValueError,
    ) as error:
        if not where:
            raise NoReceiptsError(_reason(error)) from error
        raise ReceiptInvalidError(f"receipt {where} cannot be read: {_reason(error)}") from error
    return ReceiptFile(asset, stream, account, tuple(receipts)), count


def _reason(error: Exception) -> str:
    """Return in words why a file's content is not what `file_bytes` writes."""
    if isinstance(error, KeyError):
        return f"it has no `{error.args[0]}`"
    if isinstance(error, UnicodeDecodeError):
        return "it is no text"
    if isinstance(error, json.JSONDecodeError):
        return f"it is no JSON ({error})"
    return "its fields have another form"
