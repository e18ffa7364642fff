"""The pallet tick-stream once more, in Python: the rules that the fake node lives by.

The same checks in the same order with the same numbers as chain/pallets/tick-stream, written
independently of it; tests/contract/test_fake_is_the_runtime.py gives both the same batches and
compares outcomes, events and storage, byte for byte.

`settle` is in settle.py; here is all that surrounds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from metering.chain.node.scale import Hash
from metering.chain.node.storage import (
    ChainPrice,
    ChainSession,
    Escrow,
    Limit,
    Operator,
    StreamInfo,
    Withdrawal,
    batched_ticks_key,
    escrow_key,
    last_join_key,
    limit_key,
    operator_key,
    session_key,
    stream_key,
)
from metering.testing.fake_node import balances, tables
from metering.testing.fake_node.balances import Turn
from metering.testing.fake_node.common import (
    CLOSED,
    OPEN,
    active_operator,
    count_ticks,
    deposit_event,
    end_of,
    fail,
    operator_of,
    stream_of,
)
from metering.testing.fake_node.credit import withdraw_credit
from metering.units import AccountId


def _stream_of_creator(turn: Turn, stream_id: int, creator: AccountId) -> StreamInfo:
    stream = stream_of(turn, stream_id)
    if stream.creator != creator:
        raise fail("Unauthorized")
    return stream


def record_tick(
    turn: Turn, signer: AccountId, *, stream_id: int, viewer: AccountId, ticks: int
) -> None:
    """Count ticks: no money moves."""
    if stream_of(turn, stream_id).operator != signer:
        raise fail("Unauthorized")
    count_ticks(turn, stream_id, ticks)
    key = batched_ticks_key(UUID(int=stream_id))
    last = (*(turn.state.get(key) or ()), (viewer, ticks))
    turn.state.put(key, last[-tables.MAX_TICKS_PER_BATCH :])
    deposit_event(turn, "TickRecorded", stream_id, viewer, ticks)


def register_operator(turn: Turn, signer: AccountId) -> None:
    """Hold the bond; who was an operator before goes on from the same sequence number."""
    before: Operator | None = turn.state.get(operator_key(signer))
    if before is not None and before.bond:
        raise fail("AlreadyRegistered")
    if turn.state.account(tables.POT).free < tables.EXISTENTIAL_DEPOSIT:
        raise fail("PotMissing")
    balances.hold(turn, signer, tables.HOLD_BOND, tables.OPERATOR_BOND)
    seq, batch_hash = (before.last_seq, before.last_hash) if before else (0, Hash(bytes(32)))
    turn.state.put(
        operator_key(signer), Operator(tables.OPERATOR_BOND, True, seq, batch_hash, None)
    )
    deposit_event(turn, "OperatorRegistered", signer, tables.OPERATOR_BOND)


def deregister_operator(turn: Turn, signer: AccountId) -> None:
    """Stop settling at once; the bond waits."""
    operator = active_operator(turn, signer)
    released_at = turn.now_s + tables.WITHDRAW_NOTICE_S
    turn.state.put(operator_key(signer), replace(operator, active=False, released_at=released_at))
    deposit_event(turn, "OperatorDeregistered", signer)


def release_bond(turn: Turn, signer: AccountId) -> None:
    """Give the bond back after the notice."""
    operator = operator_of(turn, signer)
    if operator.released_at is None:
        raise fail("NothingToRelease")
    if turn.now_s < operator.released_at:
        raise fail("NotYet")
    balances.release(turn, signer, tables.HOLD_BOND, operator.bond)
    turn.state.put(operator_key(signer), replace(operator, bond=0, released_at=None))
    deposit_event(turn, "BondReleased", signer, operator.bond)


def set_operator_active(turn: Turn, _root: AccountId, *, operator: AccountId, active: bool) -> None:
    """Let root switch an operator off and on."""
    record = operator_of(turn, operator)
    if not record.bond or record.released_at is not None:
        raise fail("NotRegistered")
    turn.state.put(operator_key(operator), replace(record, active=active))
    deposit_event(turn, "OperatorActivitySet", operator, active)


def create_stream(
    turn: Turn,
    signer: AccountId,
    *,
    stream_id: int,
    operator: AccountId,
    title: bytes,
    price: int,
    splits: tuple[Any, ...],
) -> None:
    """Open a stream under a number of the creator's choice."""
    if turn.state.get(stream_key(UUID(int=stream_id))) is not None:
        raise fail("StreamExists")
    active_operator(turn, operator)
    if sum(split.ppm for split in splits) > tables.PPM:
        raise fail("BadSplits")
    first = ChainPrice(1, price, turn.now_s)
    turn.state.put(
        stream_key(UUID(int=stream_id)),
        StreamInfo(signer, operator, title, (first,), splits, OPEN, None, turn.now_s, 0, 0, 0),
    )
    deposit_event(turn, "StreamCreated", stream_id, signer, operator)
    deposit_event(turn, "PriceSet", stream_id, 1, price, turn.now_s)


def set_price(turn: Turn, signer: AccountId, *, stream_id: int, price: int, **rest: int) -> None:
    """Announce the next price version."""
    from_s = rest["from"]
    stream = _stream_of_creator(turn, stream_id, signer)
    if stream.status == CLOSED:
        raise fail("StreamClosed")
    prices = stream.prices
    if from_s < turn.now_s + tables.PRICE_NOTICE_S or from_s <= prices[-1].from_:
        raise fail("PriceTooSoon")
    if len(prices) >= tables.MAX_PRICE_VERSIONS:
        if turn.now_s <= prices[1].from_ + tables.WITHDRAW_NOTICE_S:
            raise fail("TooManyPrices")
        prices = prices[1:]
    number = prices[-1].number + 1
    after = (*prices, ChainPrice(number, price, from_s))
    turn.state.put(stream_key(UUID(int=stream_id)), replace(stream, prices=after))
    deposit_event(turn, "PriceSet", stream_id, number, price, from_s)


def close_stream(turn: Turn, signer: AccountId, *, stream_id: int) -> None:
    """Close a stream for good."""
    stream = _stream_of_creator(turn, stream_id, signer)
    if stream.status == CLOSED:
        raise fail("StreamClosed")
    after = replace(stream, status=CLOSED, closed_at=turn.now_s)
    turn.state.put(stream_key(UUID(int=stream_id)), after)
    deposit_event(turn, "StreamClosed", stream_id)


def set_limit(
    turn: Turn, signer: AccountId, *, max_spend: int, max_price: int, duration: int
) -> None:
    """Keep a viewer's default caps."""
    if not 0 < duration <= tables.MAX_JOIN_DURATION_S:
        raise fail("BadDuration")
    turn.state.put(limit_key(signer), Limit(max_spend, max_price, duration))
    deposit_event(turn, "LimitSet", signer)


def join_stream(turn: Turn, signer: AccountId, *, stream_id: int) -> None:
    """Join with the viewer's default caps."""
    limit: Limit | None = turn.state.get(limit_key(signer))
    if limit is None:
        raise fail("NoLimit")
    join_with_caps(
        turn,
        signer,
        stream_id=stream_id,
        max_spend=limit.max_spend,
        max_price=limit.max_price,
        duration=limit.duration,
    )


def join_with_caps(
    turn: Turn, signer: AccountId, *, stream_id: int, max_spend: int, max_price: int, duration: int
) -> None:
    """Open the viewer's next join; an open one ends now."""
    stream = stream_of(turn, stream_id)
    if stream.status == CLOSED:
        raise fail("StreamClosed")
    if not 0 < duration <= tables.MAX_JOIN_DURATION_S:
        raise fail("BadDuration")
    if stream.viewers >= tables.MAX_VIEWERS_PER_STREAM:
        raise fail("TooManyViewers")
    uuid = UUID(int=stream_id)
    last = turn.state.get(last_join_key(uuid, signer)) or 0
    before: ChainSession | None = turn.state.get(session_key(uuid, signer, last))
    if before is not None and before.ended_at is None and turn.now_s < before.expires_at:
        _end(turn, stream_id, signer, last, before)
    join = last + 1
    expires_at = turn.now_s + duration
    turn.state.put(last_join_key(uuid, signer), join)
    turn.state.put(
        session_key(uuid, signer, join),
        ChainSession(max_spend, max_price, turn.now_s, expires_at, None, 0, 0, ()),
    )
    turn.state.put(stream_key(uuid), replace(stream, viewers=stream.viewers + 1))
    deposit_event(turn, "SessionOpened", stream_id, signer, join, max_spend, max_price, expires_at)
    deposit_event(turn, "ViewerJoined", stream_id, signer)


def leave_stream(turn: Turn, signer: AccountId, *, stream_id: int) -> None:
    """End the viewer's open join."""
    uuid = UUID(int=stream_id)
    join = turn.state.get(last_join_key(uuid, signer)) or 0
    session: ChainSession | None = turn.state.get(session_key(uuid, signer, join))
    if session is None or session.ended_at is not None:
        raise fail("NotJoined")
    _end(turn, stream_id, signer, join, session)


def _end(turn: Turn, stream_id: int, viewer: AccountId, join: int, session: ChainSession) -> None:
    key = session_key(UUID(int=stream_id), viewer, join)
    turn.state.put(key, replace(session, ended_at=turn.now_s))
    deposit_event(turn, "SessionEnded", stream_id, viewer, join)


def reap_session(
    turn: Turn, _signer: AccountId, *, stream_id: int, viewer: AccountId, join: int
) -> None:
    """Forget a join that can have no more entries."""
    uuid = UUID(int=stream_id)
    session: ChainSession | None = turn.state.get(session_key(uuid, viewer, join))
    if session is None:
        raise fail("NoSession")
    stream: StreamInfo | None = turn.state.get(stream_key(uuid))
    if turn.now_s <= end_of(session, stream) + tables.WITHDRAW_NOTICE_S:
        raise fail("NotYet")
    turn.state.put(session_key(uuid, viewer, join), None)
    if stream is not None:
        turn.state.put(stream_key(uuid), replace(stream, viewers=max(0, stream.viewers - 1)))
    deposit_event(turn, "SessionReaped", stream_id, viewer, join)


def deposit(turn: Turn, signer: AccountId, *, operator: AccountId, amount: int) -> None:
    """Hold planck for one operator's streams."""
    active_operator(turn, operator)
    if not amount:
        raise fail("ZeroAmount")
    balances.hold(turn, signer, tables.HOLD_ESCROW, amount)
    key = escrow_key(operator, signer)
    escrow: Escrow = turn.state.get(key) or Escrow(0, None)
    after = replace(escrow, held=escrow.held + amount)
    turn.state.put(key, after)
    deposit_event(turn, "EscrowDeposited", signer, operator, amount, after.held)


def request_withdraw(turn: Turn, signer: AccountId, *, operator: AccountId, amount: int) -> None:
    """Give notice; an earlier one is replaced, and nothing asked for cancels it."""
    key = escrow_key(operator, signer)
    escrow: Escrow | None = turn.state.get(key)
    if escrow is None:
        raise fail("NoEscrow")
    if amount > escrow.held:
        raise fail("NotEnough")
    ready_at = turn.now_s + tables.WITHDRAW_NOTICE_S
    withdrawal = Withdrawal(amount, ready_at) if amount else None
    turn.state.put(key, replace(escrow, withdrawal=withdrawal))
    deposit_event(turn, "WithdrawRequested", signer, operator, amount, ready_at)


def withdraw_escrow(turn: Turn, signer: AccountId, *, operator: AccountId) -> None:
    """Pay out what notice was given for, as far as it is still there."""
    key = escrow_key(operator, signer)
    escrow: Escrow | None = turn.state.get(key)
    if escrow is None or escrow.withdrawal is None:
        raise fail("NoWithdrawal")
    if turn.now_s < escrow.withdrawal.ready_at:
        raise fail("NotYet")
    amount = min(escrow.withdrawal.amount, escrow.held)
    balances.release(turn, signer, tables.HOLD_ESCROW, amount)
    left = escrow.held - amount
    turn.state.put(key, Escrow(left, None) if left else None)
    deposit_event(turn, "EscrowWithdrawn", signer, operator, amount, left)


RULES: Final[dict[str, Callable[..., None]]] = {
    "record_tick": record_tick,
    "join_stream": join_stream,
    "register_operator": register_operator,
    "deregister_operator": deregister_operator,
    "release_bond": release_bond,
    "create_stream": create_stream,
    "set_price": set_price,
    "close_stream": close_stream,
    "set_limit": set_limit,
    "join_with_caps": join_with_caps,
    "leave_stream": leave_stream,
    "deposit": deposit,
    "request_withdraw": request_withdraw,
    "withdraw_escrow": withdraw_escrow,
    "withdraw_credit": withdraw_credit,
    "reap_session": reap_session,
    "set_operator_active": set_operator_active,
}
"""What each call does; `settle` is in settle.py."""
