"""What is still to be done so that the chain has a stream as the book has it. Pure.

The book decides; the chain follows. Versions of the price are made in the book's order, so that
they get the book's numbers. A version may begin later on the chain than in the book, where the
chain's notice wants it: its ticks are refused until then, and carried again by later entries.

Source: docs/metering.md, "Streams on the chain"; pallet tick-stream, `create_stream`, `set_price`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from metering.book.records import StreamRecord
from metering.chain.node.storage import Split, StreamInfo
from metering.escrow import calls
from metering.escrow.calls import Call
from metering.model.splits import SplitTable, table_at
from metering.units import AccountId

NOTICE_SLACK_S: Final = 30
"""Chain time that may pass until a signed price is in a block: five blocks."""


class State(Enum):
    """Whether a stream is on the chain, and as the book has it."""

    REGISTERED = "registered"
    WAITING = "waiting"
    """Something is to be done, and it is being tried."""
    UNSIGNED = "unsigned"
    """Something is to be done, and only the creator can sign it."""
    DIFFERS = "differs"
    """The chain has other values, and no call can change them: an operator must act."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done.

    Attributes:
        call: The next step, None when there is none.
        price: Number of the price version that it makes, 0 when there is none.
        fault: Why the chain can not be made to agree, empty when it can.
    """

    call: Call | None = None
    price: int = 0
    fault: str = ""


def plan(
    record: StreamRecord,
    info: StreamInfo | None,
    *,
    operator: AccountId,
    now_s: int,
    notice_s: int,
    tables: Sequence[SplitTable] = (),
) -> Plan:
    """Return the next step for a stream.

    Args:
        info: The stream on the chain; None when it is not there.
        now_s: The chain's clock.
        notice_s: The chain's notice of a new price.
        tables: The stream's split tables; the chain keeps the one that it was made with.
    """
    splits = calls.splits_of(operator, record.platform_fee_ppm, table_at(tables, 0).shares)
    if later := [table for table in tables if table.from_tick]:
        return Plan(
            fault=f"its split changes at {later[0].from_tick}, and a chain keeps the one that a "
            "stream was made with: make another stream"
        )
    if info is None:
        first = record.prices[0]
        made = calls.create_stream(record.id, operator, record.title, first.planck_per_tick, splits)
        return Plan(made, first.number)
    if fault := _fault(record, info, operator, splits):
        return Plan(fault=fault)
    last = info.prices[-1]
    for version in record.prices:
        if version.number > last.number:
            begins = max(version.from_tick, now_s + notice_s + NOTICE_SLACK_S, last.from_ + 1)
            made = calls.set_price(record.id, version.planck_per_tick, begins)
            return Plan(made, version.number)
    return Plan()


def is_there(info: StreamInfo | None, price: int) -> bool:
    """Return True when the chain has the stream and this version of its price."""
    return info is not None and info.prices[-1].number >= price


def _fault(
    record: StreamRecord, info: StreamInfo, operator: AccountId, splits: tuple[Split, ...]
) -> str:
    """Return why a stream on the chain is not ours to keep, empty when it is."""
    if info.creator != record.creator:
        return f"its creator on the chain is 0x{info.creator.hex()}"
    if info.operator != operator:
        return f"its operator on the chain is 0x{info.operator.hex()}"
    if info.status:
        return "it is closed on the chain, for good"
    if info.splits != splits:
        there, ours = _shares_text(info.splits), _shares_text(splits)
        return f"its shares on the chain are {there}, and {ours} here"
    booked = {price.number: price.planck_per_tick for price in record.prices}
    for price in info.prices:
        own = booked.get(price.number)
        if own != price.price:
            return f"price {price.number} is {price.price} on the chain and {own} here"
    return ""


def _shares_text(splits: tuple[Split, ...]) -> str:
    return ", ".join(f"0x{split.account.hex()[:8]}… {split.ppm} ppm" for split in splits) or "none"
