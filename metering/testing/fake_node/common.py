"""What the rules of the fake chain share: errors, events, and who and what there is.

Source: chain/pallets/tick-stream.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from metering.chain.node.runtime_info import PALLET
from metering.chain.node.storage import (
    ChainSession,
    Operator,
    StreamInfo,
    operator_key,
    stream_key,
    tick_count_key,
)
from metering.testing.fake_node import tables
from metering.testing.fake_node.balances import CallFailedError, Turn
from metering.units import AccountId

OPEN: Final = 0
CLOSED: Final = 1
U32_MAX: Final = 2**32 - 1
U64_MAX: Final = 2**64 - 1
U128_MAX: Final = 2**128 - 1
_MODULE: Final = 3


def fail(name: str) -> CallFailedError:
    """Return the error of the pallet with this name, to be raised."""
    encoded = bytes((_MODULE, tables.PALLETS[PALLET], tables.ERRORS.index(name), 0, 0, 0))
    return CallFailedError(name, encoded)


def deposit_event(turn: Turn, name: str, *values: Any) -> None:
    """Emit an event of the pallet."""
    turn.events.append(tables.event_bytes(PALLET, name, *values))


def operator_of(turn: Turn, who: AccountId) -> Operator:
    """Return a registered operator.

    Raises:
        CallFailedError: If there is none.
    """
    operator: Operator | None = turn.state.get(operator_key(who))
    if operator is None:
        raise fail("NotRegistered")
    return operator


def active_operator(turn: Turn, who: AccountId) -> Operator:
    """Return an operator that may settle.

    Raises:
        CallFailedError: If there is none, or it was switched off.
    """
    operator = operator_of(turn, who)
    if not operator.bond:
        raise fail("NotRegistered")
    if not operator.active:
        raise fail("NotActive")
    return operator


def stream_of(turn: Turn, stream_id: int) -> StreamInfo:
    """Return a stream.

    Raises:
        CallFailedError: If there is none.
    """
    stream: StreamInfo | None = turn.state.get(stream_key(UUID(int=stream_id)))
    if stream is None:
        raise fail("StreamNotFound")
    return stream


def count_ticks(turn: Turn, stream_id: int, ticks: int) -> None:
    """Add to the platform's count, which stops at the end of a u32."""
    key = tick_count_key(UUID(int=stream_id))
    turn.state.put(key, min(U32_MAX, (turn.state.get(key) or 0) + ticks))


def end_of(session: ChainSession, stream: StreamInfo | None) -> int:
    """Return the chain second at which a join stops taking ticks, as far as is known now."""
    ends = [session.expires_at]
    ends += [] if session.ended_at is None else [session.ended_at]
    ends += [] if stream is None or stream.closed_at is None else [stream.closed_at]
    return min(ends)
