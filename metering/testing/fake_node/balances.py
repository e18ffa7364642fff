"""Balances of the fake chain: free, held, moved; what keeps an account alive.

Only what the pallet tick-stream and its users need of pallet-balances, with the same numbers: no
freezes, no reserves of the old kind, and dust is burnt.

Source: polkadot-sdk, pallet-balances, ``impl_fungible``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from metering.chain.node.runtime_info import PALLET
from metering.chain.node.scale import ACCOUNT, U128
from metering.chain.node.storage import account_key
from metering.testing.fake_node.state import ISSUANCE_KEY, Hold, State, holds_key
from metering.testing.fake_node.tables import EXISTENTIAL_DEPOSIT, PALLETS, event_head
from metering.units import AccountId

_TOKEN: Final = 7
_FUNDS_UNAVAILABLE: Final = bytes((_TOKEN, 0))
_BELOW_MINIMUM: Final = bytes((_TOKEN, 2))
_NOT_EXPENDABLE: Final = bytes((_TOKEN, 8))


class CallFailedError(Exception):
    """A call failed: all it wrote is taken back.

    Attributes:
        name: The error in words.
        encoded: ``DispatchError`` as SCALE.
    """

    def __init__(self, name: str, encoded: bytes) -> None:
        super().__init__(name)
        self.name = name
        self.encoded = encoded


@dataclass(slots=True)
class Turn:
    """What a call runs in.

    Attributes:
        state: What it changes.
        block: Number of the block under way.
        now_s: Chain time in whole seconds.
        events: What it tells, each event's bytes; taken back with the rest when it fails.
    """

    state: State
    block: int
    now_s: int
    events: list[bytes] = field(default_factory=list)


def mint(state: State, who: AccountId, planck: int) -> None:
    """Give new planck to an account: for genesis and for fees returned."""
    account = state.account(who)
    state.put_account(
        who,
        free=account.free + planck,
        providers=account.providers or int(account.free + planck >= EXISTENTIAL_DEPOSIT),
    )
    state.put(ISSUANCE_KEY, (state.get(ISSUANCE_KEY) or 0) + planck)


def burn(state: State, who: AccountId, planck: int) -> None:
    """Take planck out of the world: fees and dust."""
    state.put_account(who, free=state.account(who).free - planck)
    state.put(ISSUANCE_KEY, state.get(ISSUANCE_KEY) - planck)


def spendable(state: State, who: AccountId) -> int:
    """Return how much may leave `free` with the account kept alive."""
    return max(0, state.account(who).free - EXISTENTIAL_DEPOSIT)


def held(state: State, who: AccountId, reason: int) -> int:
    """Return what an account holds for a reason of the pallet."""
    return sum(hold.amount for hold in state.get(holds_key(who)) or () if hold.reason == reason)


def hold(turn: Turn, who: AccountId, reason: int, planck: int) -> None:
    """Move planck from free to held.

    Raises:
        CallFailedError: If that would leave less than the existential deposit free.
    """
    if planck > spendable(turn.state, who):
        raise CallFailedError("Token.FundsUnavailable", _FUNDS_UNAVAILABLE)
    turn.state.put_account(who, free=turn.state.account(who).free - planck)
    _set_held(turn.state, who, reason, held(turn.state, who, reason) + planck)
    turn.events.append(_hold_event("Held", reason, who, planck))


def release(turn: Turn, who: AccountId, reason: int, planck: int) -> None:
    """Move planck from held back to free."""
    _set_held(turn.state, who, reason, held(turn.state, who, reason) - planck)
    turn.state.put_account(who, free=turn.state.account(who).free + planck)
    turn.events.append(_hold_event("Released", reason, who, planck))


def take_held(state: State, who: AccountId, reason: int, planck: int) -> None:
    """Take planck that were held; the caller gives them to somebody, so issuance stays."""
    _set_held(state, who, reason, held(state, who, reason) - planck)


def give(state: State, who: AccountId, planck: int) -> None:
    """Give planck that were taken from somebody."""
    state.put_account(who, free=state.account(who).free + planck)


def transfer(
    turn: Turn, source: AccountId, target: AccountId, planck: int, *, keep_alive: bool
) -> None:
    """Move free planck.

    Raises:
        CallFailedError: If the source has too little, or the target would not live.
    """
    state = turn.state
    account = state.account(source)
    left = account.free - planck
    # An account that holds something is not allowed to die.
    may_die = not keep_alive and not account.consumers
    if left < 0 or (left < EXISTENTIAL_DEPOSIT and not may_die):
        if left >= 0 and not account.consumers:
            raise CallFailedError("Token.NotExpendable", _NOT_EXPENDABLE)
        raise CallFailedError("Token.FundsUnavailable", _FUNDS_UNAVAILABLE)
    is_new = state.account(target).providers == 0
    if is_new and planck < EXISTENTIAL_DEPOSIT:
        raise CallFailedError("Token.BelowMinimum", _BELOW_MINIMUM)
    if source != target:
        state.put_account(source, free=left)
        state.put_account(target, free=state.account(target).free + planck, providers=1)
        if is_new:
            turn.events.append(event_head("System", "NewAccount") + target)
            turn.events.append(event_head("Balances", "Endowed") + target + U128.encode(planck))
        if left < EXISTENTIAL_DEPOSIT:
            _die(turn, source, left)
    turn.events.append(event_head("Balances", "Transfer") + source + target + U128.encode(planck))


def _die(turn: Turn, who: AccountId, dust: int) -> None:
    """Reap an account: its nonce is forgotten too."""
    turn.state.put(account_key(who), None)
    turn.state.put(ISSUANCE_KEY, turn.state.get(ISSUANCE_KEY) - dust)
    turn.events.append(event_head("System", "KilledAccount") + who)
    if dust:
        turn.events.append(event_head("Balances", "DustLost") + who + U128.encode(dust))


def _set_held(state: State, who: AccountId, reason: int, planck: int) -> None:
    """Write what is held for one reason; `reserved` and the consumer count follow."""
    holds: list[Hold] = list(state.get(holds_key(who)) or ())
    before = sum(hold.amount for hold in holds)
    for index, hold in enumerate(holds):
        if hold.reason == reason:
            holds[index] = replace(hold, amount=planck)
            break
    else:
        holds.append(Hold(PALLETS[PALLET], reason, planck))
    holds = [hold for hold in holds if hold.amount]
    after = sum(hold.amount for hold in holds)
    state.put(holds_key(who), tuple(holds))
    account = state.account(who)
    state.put_account(who, reserved=after, consumers=account.consumers + (after > 0) - (before > 0))


def _hold_event(name: str, reason: int, who: AccountId, planck: int) -> bytes:
    head = event_head("Balances", name) + bytes((PALLETS[PALLET], reason))
    return head + ACCOUNT.encode(who) + U128.encode(planck)
