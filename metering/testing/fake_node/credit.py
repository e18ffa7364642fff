"""What accounts earned on the fake chain, and when they may have it.

Source: chain/pallets/tick-stream, ``credit``.
"""

from __future__ import annotations

from dataclasses import replace

from metering.chain.node.storage import credit_key
from metering.model.credits import Credit
from metering.testing.fake_node import balances, tables
from metering.testing.fake_node.balances import Turn
from metering.testing.fake_node.common import deposit_event, fail
from metering.units import AccountId


def rolled(credit: Credit, now_s: int) -> Credit:
    """Return a credit with its buckets moved on to the notice period of now."""
    period = now_s // tables.CREDIT_NOTICE_S
    if period == credit.period:
        return credit
    if period == credit.period + 1:
        return Credit(credit.available + credit.maturing, 0, credit.pending, period)
    return Credit(credit.available + credit.maturing + credit.pending, 0, 0, period)


def earn(turn: Turn, who: AccountId, planck: int) -> None:
    """Add to what an account earned; it matures in two notice periods."""
    if not planck:
        return
    period = turn.now_s // tables.CREDIT_NOTICE_S
    credit = rolled(turn.state.get(credit_key(who)) or Credit(0, 0, 0, period), turn.now_s)
    turn.state.put(credit_key(who), replace(credit, pending=credit.pending + planck))


def withdraw_credit(turn: Turn, signer: AccountId) -> None:
    """Pay out all that is available."""
    stored: Credit | None = turn.state.get(credit_key(signer))
    credit = rolled(stored or Credit(0, 0, 0, 0), turn.now_s)
    if not credit.available:
        raise fail("NothingToWithdraw")
    free = turn.state.account(signer).free
    if free + credit.available < tables.EXISTENTIAL_DEPOSIT:
        raise fail("BelowMinimum")
    balances.transfer(turn, tables.POT, signer, credit.available, keep_alive=True)
    left = replace(credit, available=0)
    turn.state.put(credit_key(signer), left if left.pending or left.maturing else None)
    deposit_event(turn, "CreditWithdrawn", signer, credit.available)
