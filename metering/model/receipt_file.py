"""The file of a viewer's receipts of a stream: written for them to keep, and checked by anybody.

It is JSON in one canonical spelling, so that any flipped bit shows. A program that knows only form
1 of receipts (receipt.py) cannot check one that gives something back, so a file with one says so in
its format.

Source: docs/metering.md, "Receipt".
"""

from __future__ import annotations

import json
import struct
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from metering import signing
from metering.errors import InvalidValueError, NoReceiptsError, ReceiptInvalidError
from metering.model import tick_runs as runs
from metering.model import ticks
from metering.model.receipt import (
    CAUSES,
    FIRST_PREVIOUS,
    Receipt,
    ReceiptLine,
    SignedReceipt,
    canonical_bytes,
    hash_of,
)
from metering.units import AccountId, Asset, Cause, Planck, account_text, parse_account

FORMAT: Final = "vilokanam-receipts-1"
BACK_FORMAT: Final = "vilokanam-receipts-2"
"""Of a file that gives something back: who knows form 1 alone must not call its receipts forged."""


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
    def back_ticks(self) -> int:
        """Return how many seconds all of them give back: bad seconds."""
        return sum(signed.receipt.back_ticks for signed in self.receipts)

    @property
    def covered_by_cause(self) -> dict[Cause, int]:
        """Return how many cost nothing, by why; causes that none has are left out."""
        lines = [line for signed in self.receipts for line in signed.receipt.lines]
        counts = {
            cause: sum(ticks.count(line.runs) for line in lines if line.cause is cause)
            for cause in CAUSES
        }
        return {cause: count for cause, count in counts.items() if count}


def file_bytes(
    asset: Asset,
    operator: AccountId,
    receipts: Iterable[SignedReceipt],
    earlier: Collection[AccountId] = (),
) -> bytes:
    """Return the JSON file of a chain of receipts, for its viewer to keep.

    Args:
        operator: Whose key signs now. A file whose newest receipt is by an earlier one names that.
        earlier: Whose keys the operator had before; a receipt by another than its file's says so.

    Raises:
        InvalidValueError: If there is no receipt to write.
    """
    chain = tuple(receipts)
    if not chain:
        raise InvalidValueError("there are no receipts yet: they are made from booked cuts")
    first = chain[0].receipt
    signers = [_signer(signed, asset, operator, earlier) for signed in chain]
    gives_back = any(signed.receipt.back_ticks for signed in chain)
    content = {
        "format": BACK_FORMAT if gives_back else FORMAT,
        "operator": account_text(signers[-1]),
        "asset": {"symbol": asset.symbol, "decimals": asset.decimals},
        "stream": str(first.stream),
        "account": account_text(first.account),
        "count": len(chain),
        "receipts": [
            _to_json(signed, asset)
            | ({} if signer == signers[-1] else {"operator": account_text(signer)})
            for signed, signer in zip(chain, signers, strict=True)
        ],
    }
    return (json.dumps(content, indent=1, ensure_ascii=True) + "\n").encode()


def _signer(
    signed: SignedReceipt, asset: Asset, operator: AccountId, earlier: Collection[AccountId]
) -> AccountId:
    """Return who signed a receipt; the operator of now where no earlier one did."""
    if earlier:
        body = canonical_bytes(signed.receipt, asset)
        for account in earlier:
            if account != operator and signing.is_signed(account, body, signed.signature):
                return account
    return operator


def verify(data: bytes, *operators: AccountId) -> ReceiptFile:
    """Return what a receipt file proves, given the operator's public key from a trusted place.

    Args:
        operators: One, or more where the operator's key is another than it was.

    Checked: the file's spelling, every signature, every amount, numbers and hashes without a gap
    from 1, that no second is charged in two receipts, and that what is given back was charged at
    that price and is given back once. What no file can prove is that it is the newest.

    Raises:
        NoReceiptsError: It is no file of receipts.
        ReceiptInvalidError: Names the first receipt that does not hold, and why.
    """
    file, count, signers = _parse(data, operators)
    previous, seen = FIRST_PREVIOUS, _Seen()
    for number, (signed, signer) in enumerate(zip(file.receipts, signers, strict=True), 1):
        receipt = signed.receipt
        if receipt.number != number:
            raise ReceiptInvalidError(f"receipt {number} is missing: {receipt.number} is there")
        if receipt.previous != previous:
            raise ReceiptInvalidError(f"receipt {number} does not follow the one before it")
        try:
            body = canonical_bytes(receipt, file.asset)
        except (struct.error, OverflowError, ValueError) as error:
            raise ReceiptInvalidError(f"receipt {number}: a number does not fit") from error
        if signer not in operators:
            raise ReceiptInvalidError(
                f"receipt {number} is signed by {account_text(signer)}, it says, and not by this "
                "operator's key; if the operator says that it was theirs before, give it too, as "
                "another --operator-key"
            )
        if not signing.is_signed(signer, body, signed.signature):
            raise ReceiptInvalidError(f"receipt {number} is not signed by this operator")
        _check_lines(receipt, seen)
        previous = hash_of(receipt, file.asset)
    last = len(file.receipts)
    _require(count == last, f"receipt {last + 1} is missing: the file says {count}")
    others = {*signers} - {signers[-1]}
    if file_bytes(file.asset, signers[-1], file.receipts, others) != data:
        raise ReceiptInvalidError(
            f"after receipt {last}: the file is not in its canonical spelling"
        )
    return file


@dataclass(slots=True)
class _Seen:
    """What the receipts up to one name: all ticks, those of each price, and those given back."""

    named: ticks.Runs = ()
    charged: dict[tuple[int, int, Planck], ticks.Runs] = field(default_factory=dict)
    back: ticks.Runs = ()


def _check_lines(receipt: Receipt, seen: _Seen) -> None:
    """Add the lines of a signed receipt to those seen; raise when they or its sum are wrong."""
    where, amount = f"receipt {receipt.number}", 0
    for line in receipt.lines:
        try:
            runs.require_normal(line.runs)
        except InvalidValueError as error:
            raise ReceiptInvalidError(f"{where}: {error}") from error
        at = line.join, line.version, line.planck_per_tick
        known = seen.charged.get(at, ())
        if line.is_back:
            alien = ticks.difference(line.runs, known if line.join else ())
            if alien:
                raise ReceiptInvalidError(
                    f"{where} gives back second {alien[0].first}, which none charged like this"
                )
            twice = ticks.intersection(seen.back, line.runs)
            if twice:
                raise ReceiptInvalidError(f"{where} gives back second {twice[0].first} again")
            seen.back = ticks.union(seen.back, line.runs)
        else:
            twice = ticks.intersection(seen.named, line.runs)
            if twice:
                raise ReceiptInvalidError(f"{where} charges second {twice[0].first} again")
            seen.named = ticks.union(seen.named, line.runs)
            seen.charged[at] = ticks.union(known, line.runs)
        amount += line.amount
    if amount != receipt.amount:
        raise ReceiptInvalidError(
            f"{where} says {receipt.amount} planck, its seconds cost {amount}"
        )


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
            | ({"back": True} if line.is_back else {})
            for line in receipt.lines
        ],
        "ticks": receipt.ticks,
        "amount": str(receipt.amount),
        "hash": hash_of(receipt, asset).hex(),
        "signature": signed.signature.hex(),
    }


def _parse(
    data: bytes, operators: Collection[AccountId]
) -> tuple[ReceiptFile, Any, list[AccountId]]:
    """Return a file's content, how many receipts it says it has, and whose each says that it is.

    Nothing is checked yet but that the file is one of these operators.
    """
    # `where` counts receipts, for a message that says which of them cannot be read.
    where = 0
    try:
        # What all receipts share.
        content = json.loads(data)
        if content["format"] not in {FORMAT, BACK_FORMAT}:
            raise NoReceiptsError(f"its `format` is not {FORMAT} or {BACK_FORMAT}")
        operator = parse_account(content["operator"])
        _require(
            operator in operators,
            "receipt 0: the file names another operator's key: it says that it is signed by "
            f"{account_text(operator)}",
        )
        asset = Asset(str(content["asset"]["symbol"]), int(content["asset"]["decimals"]))
        stream, account = UUID(content["stream"]), parse_account(content["account"])

        # The receipts in the file's order; `verify` checks the order and the hashes.
        receipts, signers = [], []
        for item in content["receipts"]:
            where += 1
            lines = tuple(
                ReceiptLine(
                    int(line["join"]),
                    int(line["version"]),
                    Planck(int(line["planck_per_tick"])),
                    runs.from_text(line["runs"]),
                    bool(line.get("back", False)),
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
            signers.append(parse_account(item["operator"]) if "operator" in item else operator)
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
    return ReceiptFile(asset, stream, account, tuple(receipts)), count, signers


def _reason(error: Exception) -> str:
    """Return in words why a file's content is not what `file_bytes` writes."""
    if isinstance(error, KeyError):
        return f"it has no `{error.args[0]}`"
    if isinstance(error, UnicodeDecodeError):
        return "it is no text"
    if isinstance(error, json.JSONDecodeError):
        return f"it is no JSON ({error})"
    return "its fields have another form"
