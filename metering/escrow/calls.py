"""The calls that are not settlement, with their arguments as SCALE. Pure.

Source: chain/pallets/tick-stream, its calls; pallet-balances.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from metering.chain.node.runtime_info import PALLET
from metering.chain.node.scale import ACCOUNT, BYTES, U64, U128, compact, vector
from metering.chain.node.storage import SPLIT, Split
from metering.model.ledger import Shares
from metering.units import AccountId

TITLE_BYTES_MAX: Final = 128
"""MaxTitleLen of the pallet."""
_SPLITS: Final = vector(SPLIT)
_ADDRESS_ID: Final = b"\x00"


@dataclass(frozen=True, slots=True)
class Call:
    """A call by its names, its arguments already bytes."""

    pallet: str
    name: str
    data: bytes = b""

    def __str__(self) -> str:
        """Return its name as a person reads it."""
        return f"{self.pallet}.{self.name}"


def transfer(to: AccountId, planck: int) -> Call:
    """Return a transfer that never empties the sender's account for good."""
    return Call(
        "Balances", "transfer_keep_alive", _ADDRESS_ID + ACCOUNT.encode(to) + compact(planck)
    )


def register_operator() -> Call:
    """Return the call by which an operator puts up its bond."""
    return Call(PALLET, "register_operator")


def create_stream(
    stream: UUID, operator: AccountId, title: str, price: int, splits: tuple[Split, ...]
) -> Call:
    """Return the call by which a creator makes a stream.

    A title longer than the chain takes is cut after a whole character.
    """
    data = b"".join(
        (
            U128.encode(stream.int),
            ACCOUNT.encode(operator),
            BYTES.encode(title_bytes(title)),
            U128.encode(price),
            _SPLITS.encode(splits),
        )
    )
    return Call(PALLET, "create_stream", data)


def splits_of(operator: AccountId, platform_fee_ppm: int, shares: Shares) -> tuple[Split, ...]:
    """Return a stream's table as the chain has it: the operator has the platform's share."""
    own = (Split(operator, platform_fee_ppm),) if platform_fee_ppm else ()
    return (*own, *(Split(share.account, share.ppm) for share in shares))


def set_price(stream: UUID, price: int, from_s: int) -> Call:
    """Return the call by which a creator announces the next price version."""
    return Call(
        PALLET, "set_price", U128.encode(stream.int) + U128.encode(price) + U64.encode(from_s)
    )


def deposit(operator: AccountId, planck: int) -> Call:
    """Return the call by which a viewer puts planck in escrow for an operator."""
    return Call(PALLET, "deposit", ACCOUNT.encode(operator) + U128.encode(planck))


def request_withdraw(operator: AccountId, planck: int) -> Call:
    """Return the call that requests a withdrawal from escrow; 0 cancels the request."""
    return Call(PALLET, "request_withdraw", ACCOUNT.encode(operator) + U128.encode(planck))


def withdraw_escrow(operator: AccountId) -> Call:
    """Return the call by which a viewer takes what was asked back and is ready."""
    return Call(PALLET, "withdraw_escrow", ACCOUNT.encode(operator))


def withdraw_credit() -> Call:
    """Return the call by which a creator or a platform takes all that is available."""
    return Call(PALLET, "withdraw_credit")


def join_with_caps(stream: UUID, max_spend: int, max_price: int, duration_s: int) -> Call:
    """Return the call by which a viewer joins a stream."""
    data = b"".join(
        (
            U128.encode(stream.int),
            U128.encode(max_spend),
            U128.encode(max_price),
            U64.encode(duration_s),
        )
    )
    return Call(PALLET, "join_with_caps", data)


def leave_stream(stream: UUID) -> Call:
    """Return the call by which a viewer ends their join of a stream."""
    return Call(PALLET, "leave_stream", U128.encode(stream.int))


def title_bytes(title: str) -> bytes:
    """Return a title in UTF-8, cut to what the chain takes after a whole character."""
    return title.encode()[:TITLE_BYTES_MAX].decode(errors="ignore").encode()
