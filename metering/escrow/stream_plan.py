"""What is still to be done so that the chain has a stream as the book has it. Pure.

The book decides; the chain follows. Versions of the price are made in the book's order, so that
they get the book's numbers. A version may begin later on the chain than in the book, where the
chain's notice wants it: its ticks are refused until then, and carried again by later entries.

Source: docs/metering.md, "Streams on the chain"; pallet tick-stream, `create_stream`, `set_price`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from metering.book.records import StreamRecord
from metering.chain.node.storage import Split, StreamInfo
from metering.escrow import calls
from metering.escrow.calls import Call
from metering.units import AccountId

NOTICE_SLACK_S: Final = 30
"""Chain time that may pass until a signed price is in a block: five blocks."""


class State(Enum):
    """How a stream stands on the chain."""

    REGISTERED = "registered"
    WAITING = "waiting"
    """Something is to be done, and it is being tried."""
    UNSIGNED = "unsigned"
    """Something is to be done, and only the creator can sign it."""
    DIFFERS = "differs"
    """The chain has it otherwise, and no call can mend that: a person must look."""


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
    found: StreamInfo | None,
    *,
    operator: AccountId,
    now_s: int,
    notice_s: int,
) -> Plan:
    """Return the next step for a stream.

    Args:
        record: As the book has it.
        found: As the chain has it; None when it does not.
        operator: Who settles.
        now_s: The chain's clock.
        notice_s: Its notice of a new price.
    """
    if found is None:
        first = record.prices[0]
        made = calls.create_stream(
            record.id, operator, record.title, first.planck_per_tick, record.platform_fee_ppm
        )
        return Plan(made, first.number)
    if fault := _fault(record, found, operator):
        return Plan(fault=fault)
    last = found.prices[-1]
    for version in record.prices:
        if version.number > last.number:
            begins = max(version.from_tick, now_s + notice_s + NOTICE_SLACK_S, last.from_ + 1)
            made = calls.set_price(record.id, version.planck_per_tick, begins)
            return Plan(made, version.number)
    return Plan()


def is_there(found: StreamInfo | None, price: int) -> bool:
    """Return True when the chain has the stream and this version of its price."""
    return found is not None and found.prices[-1].number >= price


def _fault(record: StreamRecord, found: StreamInfo, operator: AccountId) -> str:
    """Return why a stream on the chain is not ours to keep, empty when it is."""
    fee = record.platform_fee_ppm
    if found.creator != record.creator:
        return f"its creator on the chain is 0x{found.creator.hex()}"
    if found.operator != operator:
        return f"its operator on the chain is 0x{found.operator.hex()}"
    if found.status:
        return "it is closed on the chain, for good"
    if found.splits != ((Split(operator, fee),) if fee else ()):
        shares = ", ".join(f"0x{one.account.hex()[:8]}… {one.ppm} ppm" for one in found.splits)
        return f"its shares on the chain are {shares or 'none'}, not {fee} ppm for the platform"
    booked = {one.number: one.planck_per_tick for one in record.prices}
    for one in found.prices:
        if booked.get(one.number) != one.price:
            return (
                f"price {one.number} is {one.price} on the chain and {booked.get(one.number)} here"
            )
    return ""
