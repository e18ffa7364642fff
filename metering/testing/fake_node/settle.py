"""`settle` of the fake chain: what the pallet does with a batch, entry by entry.

Source: docs/metering.md, "Settled exactly once"; chain/pallets/tick-stream, ``settle``.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from uuid import UUID

from metering.chain.node.scale import Hash, vector
from metering.chain.node.storage import (
    ChainPrice,
    ChainSession,
    Escrow,
    Outcome,
    StreamInfo,
    escrow_key,
    operator_key,
    outcome_key,
    session_key,
    stream_key,
)
from metering.testing.fake_node import balances, tables
from metering.testing.fake_node.balances import Turn
from metering.testing.fake_node.common import (
    U64_MAX,
    U128_MAX,
    active_operator,
    count_ticks,
    deposit_event,
    end_of,
    fail,
)
from metering.testing.fake_node.credit import earn
from metering.testing.fake_node.tables import ENTRY, Entry
from metering.units import AccountId

_ENTRIES = vector(ENTRY)


class _RefusedError(Exception):
    """An entry is not taken; nothing of it was written.

    Attributes:
        reason: One of `tables.REFUSALS`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def settle(
    turn: Turn,
    signer: AccountId,
    *,
    seq: int,
    hash: Hash,  # noqa: A002 -- the argument's name in the metadata
    entries: tuple[Entry, ...],
) -> None:
    """Take the operator's next batch: each entry is settled or refused with a reason.

    Raises:
        CallFailedError: If it is not the operator's next batch, or not what its hash says.
    """
    operator = active_operator(turn, signer)
    if seq <= operator.last_seq:
        raise fail("AlreadySettled")
    if seq != operator.last_seq + 1:
        raise fail("SequenceGap")
    if hashlib.blake2b(_ENTRIES.encode(entries), digest_size=32).digest() != hash:
        raise fail("HashMismatch")
    ticks = amount = 0
    refused: list[tuple[int, int]] = []
    for index, entry in enumerate(entries):
        try:
            new_ticks, cost = _settle_entry(turn, signer, entry)
        except _RefusedError as error:
            refused.append((index, tables.REFUSALS.index(error.reason)))
            deposit_event(turn, "EntryRefused", signer, seq, index, error.reason)
            continue
        ticks += new_ticks
        amount += cost
    if amount:
        balances.give(turn.state, tables.POT, amount)
    turn.state.put(operator_key(signer), replace(operator, last_seq=seq, last_hash=hash))
    outcome = Outcome(hash, len(entries), ticks, amount, turn.block, tuple(refused))
    turn.state.put(outcome_key(signer, seq), outcome)
    if seq > tables.OUTCOMES_KEPT:
        turn.state.put(outcome_key(signer, seq - tables.OUTCOMES_KEPT), None)
    deposit_event(
        turn, "BatchSettled", signer, seq, hash, len(entries), len(refused), ticks, amount
    )


def _settle_entry(turn: Turn, signer: AccountId, entry: Entry) -> tuple[int, int]:
    """Return the ticks and the planck that an entry settled, having written them."""
    # The stream is this operator's, and the viewer has joined it.
    uuid = UUID(int=entry.stream)
    stream: StreamInfo | None = turn.state.get(stream_key(uuid))
    if stream is None:
        raise _RefusedError("NoStream")
    if stream.operator != signer:
        raise _RefusedError("NotOperator")
    key = session_key(uuid, entry.viewer, entry.join)
    session: ChainSession | None = turn.state.get(key)
    if session is None:
        raise _RefusedError("NoSession")

    # Counts are cumulative: an entry that is not above the stored one settles nothing.
    by_price = dict(session.by_price)
    stored = by_price.get(entry.version, 0)
    if entry.ticks <= stored:
        return 0, 0

    # The price was in force and the join is not over, its notice included.
    price = _price_of(stream, session, entry, turn.now_s)
    if entry.version not in by_price and len(by_price) >= tables.MAX_SESSION_PRICES:
        raise _RefusedError("TooManyPrices")
    end = end_of(session, stream)
    if turn.now_s > end + tables.WITHDRAW_NOTICE_S:
        raise _RefusedError("Ended")

    # The rate of media time: no more ticks than seconds since the join, plus a burst.
    new_ticks = entry.ticks - stored
    ticks_after = session.ticks + new_ticks
    if ticks_after > U64_MAX:
        raise _RefusedError("Overflow")
    elapsed_s = max(0, min(turn.now_s, end) - session.joined_at)
    if ticks_after > tables.TICK_BURST + elapsed_s * tables.TICK_RATE_PPM // tables.PPM:
        raise _RefusedError("TooFast")

    # The viewer's cap, the counters' sizes and the escrow bound what it may cost.
    cost = new_ticks * price
    if cost > U128_MAX or session.amount + cost > U128_MAX:
        raise _RefusedError("Overflow")
    if session.amount + cost > session.max_spend:
        raise _RefusedError("SpendCap")
    total_ticks, total_amount = stream.total_ticks + new_ticks, stream.total_amount + cost
    if total_ticks > U64_MAX or total_amount > U128_MAX:
        raise _RefusedError("Overflow")
    escrow: Escrow = turn.state.get(escrow_key(signer, entry.viewer)) or Escrow(0, None)
    if cost > escrow.held:
        raise _RefusedError("Escrow")

    # Nothing is written before every check has passed.
    if cost:
        balances.take_held(turn.state, entry.viewer, tables.HOLD_ESCROW, cost)
        after = replace(escrow, held=escrow.held - cost)
        turn.state.put(escrow_key(signer, entry.viewer), after)
    _pay(turn, stream, stored * price, entry.ticks * price)
    by_price[entry.version] = entry.ticks
    turn.state.put(
        key,
        replace(
            session,
            ticks=ticks_after,
            amount=session.amount + cost,
            by_price=tuple(by_price.items()),
        ),
    )
    count_ticks(turn, entry.stream, new_ticks)
    turn.state.put(
        stream_key(uuid),
        replace(
            stream,
            total_ticks=total_ticks,
            total_amount=total_amount,
        ),
    )
    return new_ticks, cost


def _price_of(stream: StreamInfo, session: ChainSession, entry: Entry, now_s: int) -> int:
    version: ChainPrice | None = next(
        (candidate for candidate in stream.prices if candidate.number == entry.version), None
    )
    if version is None:
        raise _RefusedError("NoPrice")
    if version.from_ > now_s:
        raise _RefusedError("PriceNotYet")
    if version.price > session.max_price:
        raise _RefusedError("PriceAboveCap")
    return version.price


def _pay(turn: Turn, stream: StreamInfo, before: int, after: int) -> None:
    """Share what one (session, version) earned between the cumulative amounts before and after."""
    left = after - before
    for split in stream.splits:
        # Roundings of several splits that step at once may exceed a tiny amount.
        share = min(left, after * split.ppm // tables.PPM - before * split.ppm // tables.PPM)
        earn(turn, split.account, share)
        left -= share
    earn(turn, stream.creator, left)
