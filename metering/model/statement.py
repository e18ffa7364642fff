"""A statement of a month: what a creator or payee earned and what went out, signed. Pure.

Days and months are UTC. Seconds count on the day on which their batch became final, payouts when
they were said to be paid. What is signed is ``VLKS``, a form byte, and the file's content without
its signature as JSON with sorted keys and no spaces, ASCII. The form is 1, and 2 where others have
a part of what viewers paid: then each line says how much.

Source: docs/metering.md, "Earnings".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final
from uuid import UUID

from metering import signing
from metering.errors import InvalidValueError, ReceiptInvalidError
from metering.model.amounts import amount_text
from metering.units import AccountId, Asset, Planck, account_text

FORMAT: Final = "vilokanam-statement-1"
SHARED_FORMAT: Final = "vilokanam-statement-2"
"""Of a stream with a split table."""
EARNED: Final = "earned"
_SETTLED: Final = frozenset({"settlement", "adopted"})
_MONTH: Final = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])", re.ASCII)
_SIGNED: Final = {FORMAT: b"VLKS\x01", SHARED_FORMAT: b"VLKS\x02"}
_AMOUNTS: Final = {
    FORMAT: ("gross", "fee", "planck"),
    SHARED_FORMAT: ("gross", "fee", "others", "planck"),
}
_NOTHING: Final = Planck(0)
_COLUMNS: Final = (
    *("stream", "title", "month", "day", "what", "reference", "note"),
    *("paid_by_viewers", "platform_fee", "other_payees", "amount", "unit"),
)
_FORMULA: Final = ("=", "+", "-", "@")
"""What a spreadsheet takes for a formula when a text begins with it."""


class Part(Enum):
    """Whose a posting of a stream is, seen from one who earns of it."""

    OWN = "own"
    FEE = "fee"
    OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Move:
    """A posting of a stream: to who earns of it, or to the platform."""

    at_ms: int
    kind: str
    reference: str
    part: Part
    planck: Planck


@dataclass(frozen=True, slots=True)
class StatementLine:
    """What was earned on a day, or one thing that went out.

    Attributes:
        day: ``2026-11-30``.
        what: `EARNED`, or the kind of the transfer.
        reference: Of the transfer; empty for what was earned.
        note: The bank's reference of a payout.
        gross: Planck that viewers paid.
        fee: Of that the platform's share.
        others: Of that what others have: payees of the split table, and for a payee the creator.
        planck: The rest, whose statement it is; negative went out.
    """

    day: str
    what: str
    reference: str
    note: str
    gross: Planck
    fee: Planck
    planck: Planck
    others: Planck = _NOTHING


@dataclass(frozen=True, slots=True)
class Statement:
    """A month of a stream, for one who earns of it.

    Attributes:
        month: ``2026-11``.
        is_closed: The month was over when it was made.
        opening: Their planck when it began: earned and not paid out.
        closing: When it ended, or when this was made.
        payee: Whose it is; None: the creator's.
    """

    stream: UUID
    slug: str
    title: str
    creator: AccountId
    month: str
    made_ms: int
    is_closed: bool
    opening: Planck
    lines: tuple[StatementLine, ...]
    closing: Planck
    payee: AccountId | None = None

    @property
    def is_shared(self) -> bool:
        """Return whether others have a part of what viewers paid."""
        return self.payee is not None or any(line.others for line in self.lines)


def bounds_of(month: str) -> tuple[int, int]:
    """Return the first ms of a month and that of the next, Unix time.

    Raises:
        InvalidValueError: It is not a month.
    """
    match = _MONTH.fullmatch(month)
    if match is None:
        raise InvalidValueError(f"{month[:20]!r} is not a month; write it as 2026-11")
    year, number = int(match[1]), int(match[2])
    after = (year + number // 12, number % 12 + 1)
    first, end = (datetime(*at, 1, tzinfo=UTC) for at in ((year, number), after))
    return int(first.timestamp()) * 1000, int(end.timestamp()) * 1000


def sums_of(
    moves: Iterable[Move], month: str, notes: Mapping[str, str]
) -> tuple[Planck, tuple[StatementLine, ...], Planck]:
    """Return opening, lines and closing of a month.

    Args:
        moves: From the first on, in the order in which they were posted.
        notes: Of payouts, by their reference.
    """
    first_ms, end_ms = bounds_of(month)
    opening = 0
    lines: dict[tuple[str, str, str], StatementLine] = {}
    for move in moves:
        own = move.planck if move.part is Part.OWN else 0
        fee = move.planck if move.part is Part.FEE else 0
        if move.at_ms < first_ms:
            opening += own
        elif move.at_ms < end_ms:
            day = datetime.fromtimestamp(move.at_ms // 1000, UTC).date().isoformat()
            is_earned = move.kind in _SETTLED
            at = (day, EARNED, "") if is_earned else (day, move.kind, move.reference)
            empty = StatementLine(*at, notes.get(at[2], ""), Planck(0), Planck(0), Planck(0))
            line = lines.get(at, empty)
            lines[at] = replace(
                line,
                gross=Planck(line.gross + move.planck),
                fee=Planck(line.fee + fee),
                others=Planck(line.others + move.planck - own - fee),
                planck=Planck(line.planck + own),
            )
    closing = opening + sum(line.planck for line in lines.values())
    return Planck(opening), tuple(lines.values()), Planck(closing)


def table(statement: Statement, asset: Asset) -> list[tuple[str, ...]]:
    """Return the rows of a spreadsheet, amounts in the asset; the first are heads."""
    names = tuple(_shown(name) for name in (statement.slug, statement.title, statement.month))
    none = Planck(0)
    opening = StatementLine("", "opening", "", "", none, none, statement.opening)
    closing = StatementLine("", "closing", "", "", none, none, statement.closing)
    rows: list[tuple[str, ...]] = [_COLUMNS]
    for line in (opening, *statement.lines, closing):
        amounts = (
            amount_text(each, asset) for each in (line.gross, line.fee, line.others, line.planck)
        )
        numbers = (amount.split(" ")[0] for amount in amounts)
        words = map(_shown, (line.day, line.what, line.reference, line.note))
        rows.append((*names, *words, *numbers, asset.symbol))
    return rows


def file_bytes(statement: Statement, asset: Asset, operator: signing.KeyPair) -> bytes:
    """Return the signed file of a statement."""
    form = SHARED_FORMAT if statement.is_shared else FORMAT
    content = {
        "format": form,
        "operator": account_text(operator.account),
        "asset": {"symbol": asset.symbol, "decimals": asset.decimals},
        **_without(asdict(statement), "payee"),
        "stream": str(statement.stream),
        "creator": account_text(statement.creator),
        "opening": str(statement.opening),
        "closing": str(statement.closing),
        "lines": [
            _without(asdict(line), "others")
            | {name: str(getattr(line, name)) for name in _AMOUNTS[form]}
            for line in statement.lines
        ],
    }
    if form == SHARED_FORMAT:
        content["payee"] = account_text(statement.payee or statement.creator)
    signature = operator.sign(_SIGNED[form] + _canonical(content))
    return (json.dumps({**content, "signature": signature.hex()}, indent=1) + "\n").encode()


def verify(data: bytes, operator: AccountId) -> dict[str, Any]:
    """Return the content of a signed statement, given the operator's key from a trusted place.

    Raises:
        ReceiptInvalidError: It is none, is not signed by this operator, or its sums are wrong.
    """
    try:
        content = json.loads(data)
        form = content["format"]
        if form not in _SIGNED:
            raise ReceiptInvalidError(f"its `format` is none of {', '.join(_SIGNED)}")
        signature = bytes.fromhex(content.pop("signature"))
        if not signing.is_signed(operator, _SIGNED[form] + _canonical(content), signature):
            raise ReceiptInvalidError("the statement is not signed by this operator")
        total = int(content["opening"])
        for line in content["lines"]:
            total += int(line["planck"])
            others = int(line["others"]) if form == SHARED_FORMAT else 0
            if int(line["gross"]) - int(line["fee"]) - others != int(line["planck"]):
                raise ReceiptInvalidError(f"the line of {line['day']} does not add up")
        if total != int(content["closing"]):
            raise ReceiptInvalidError(f"its lines make {total}, it says {content['closing']}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ReceiptInvalidError(f"it is no statement of a month: {error}") from error
    return dict(content)


def _without(fields: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key != name}


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _shown(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text
