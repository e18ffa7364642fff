"""Money and joins that flow from the chain to us, from its events. Pure: values in, values out.

Rows of the book are made of *finalized* events alone, each once, under its block's number and its
place in it: a final block keeps its number, so no reorganization before it is seen. What the blocks
after the finalized one add is in escrow_overlay.py.

Source: docs/metering.md, "Deposits from the chain"; pallet tick-stream, its events.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final
from uuid import UUID

from metering.errors import InvalidValueError
from metering.model.join_caps import Join
from metering.units import AccountId, Planck

JoinKey = tuple[UUID, AccountId]
"""Joins are numbered for each stream and viewer."""


@dataclass(frozen=True, slots=True)
class BlockRef:
    """Which block."""

    number: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class PalletEvent:
    """An event of the pallet, decoded.

    Attributes:
        position: Its index among all events of its block.
        name: As the metadata has it.
        fields: By the names of the metadata: integers as int, accounts and hashes as bytes.
    """

    position: int
    name: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EventBlock:
    """A block with the pallet's events.

    Attributes:
        number: Height.
        hash: 32 bytes.
        parent: Hash of the block before.
        at_s: The chain's time in it, Unix seconds.
        events: Of the pallet, in order.
    """

    number: int
    hash: bytes
    parent: bytes
    at_s: int
    events: tuple[PalletEvent, ...] = ()

    @property
    def ref(self) -> BlockRef:
        """Return its name."""
        return BlockRef(self.number, self.hash)


class Kind(Enum):
    """What an event does to an escrow."""

    DEPOSIT = "deposit"
    REQUEST = "request"
    WITHDRAWAL = "withdrawal"


@dataclass(frozen=True, slots=True)
class EscrowEvent:
    """Money that came, is asked back, or left.

    Attributes:
        number: Of its block.
        hash: Of its block.
        position: Its index in the block.
        kind: What happened.
        account: Whose escrow.
        planck: How much; of a request 0 means that an earlier one was taken back.
        ready_s: Chain second from which the requested amount may leave; requests only.
    """

    number: int
    hash: bytes
    position: int
    kind: Kind
    account: AccountId
    planck: Planck
    ready_s: int | None = None

    @property
    def reference(self) -> str:
        """Return the key under which the book takes it once."""
        return f"chain-{self.number}-{self.position}"


@dataclass(frozen=True, slots=True)
class JoinEvent:
    """A join was opened, ended, or removed; or all of a stream ended.

    Attributes:
        number: Of its block.
        position: Its index in the block.
        stream: Which stream.
        account: Whose; None for every viewer's.
        opened: The join that was opened, else None.
        join: Number of the join that ended; None with `opened`, or for all.
        at_s: The chain's time.
    """

    number: int
    position: int
    stream: UUID
    account: AccountId | None
    opened: Join | None
    join: int | None
    at_s: int


def escrow_events(block: EventBlock, operator: AccountId) -> tuple[EscrowEvent, ...]:
    """Return what a block did to the escrows of an operator, in order.

    Raises:
        InvalidValueError: If an event has other fields than the pallet of this release.
    """
    result = []
    for event in block.events:
        kind = _KINDS.get(event.name)
        if kind is None or _bytes(event, "operator") != operator:
            continue
        ready_s = _int(event, "ready_at") if kind is Kind.REQUEST else None
        result.append(
            EscrowEvent(
                block.number,
                block.hash,
                event.position,
                kind,
                AccountId(_bytes(event, "viewer")),
                Planck(_int(event, "amount")),
                ready_s,
            )
        )
    return tuple(result)


def join_events(block: EventBlock) -> tuple[JoinEvent, ...]:
    """Return what a block did to joins, of whatever stream, in order.

    Raises:
        InvalidValueError: If an event has other fields than the pallet of this release.
    """
    result = []
    for event in block.events:
        if event.name not in _JOIN_EVENTS:
            continue
        stream = UUID(int=_int(event, "stream_id"))
        account = join = opened = None
        if event.name != "StreamClosed":
            account = AccountId(_bytes(event, "viewer"))
            join = _int(event, "join")
        if event.name == "SessionOpened" and account is not None and join is not None:
            opened = Join(
                stream,
                account,
                join,
                _int(event, "max_spend"),
                _int(event, "max_price"),
                joined_s=block.at_s,
                expires_s=_int(event, "expires_at"),
            )
            join = None
        result.append(
            JoinEvent(block.number, event.position, stream, account, opened, join, block.at_s)
        )
    return tuple(result)


def frozen_after(frozen: Planck, event: EscrowEvent) -> Planck:
    """Return what is frozen of an escrow after an event.

    A request takes the place of an earlier one; a withdrawal carries one out, whole or in part.
    """
    match event.kind:
        case Kind.REQUEST:
            return event.planck
        case Kind.WITHDRAWAL:
            return Planck(0)
        case Kind.DEPOSIT:
            return frozen


def joins_after(joins: Mapping[int, Join], events: Iterable[JoinEvent]) -> dict[int, Join]:
    """Return the joins of one viewer on one stream, by number, after some events in order.

    Args:
        events: Of that stream, of that viewer or of every viewer; other viewers' are skipped.
    """
    after = dict(joins)
    for event in events:
        if event.opened is not None:
            opened = event.opened
            for number, join in after.items():
                after[number] = _ended(join, event.at_s) if number < opened.number else join
            after[opened.number] = opened
        elif event.join is None:
            after = {number: _ended(join, event.at_s) for number, join in after.items()}
        elif event.join in after:
            after[event.join] = _ended(after[event.join], event.at_s)
    return after


def concerns(event: JoinEvent, key: JoinKey) -> bool:
    """Return whether an event is about a viewer's joins of a stream."""
    stream, account = key
    return event.stream == stream and event.account in (None, account)


def overlaid(joins: Iterable[Join], events: Sequence[JoinEvent]) -> list[Join]:
    """Return joins of any viewers and streams, new ones included, after some events in order."""
    by_key: dict[JoinKey, dict[int, Join]] = defaultdict(dict)
    for join in joins:
        by_key[join.stream, join.account][join.number] = join
    for event in events:
        if event.account is not None:
            by_key.setdefault((event.stream, event.account), {})
    return [
        join
        for key, known in by_key.items()
        for join in joins_after(known, (event for event in events if concerns(event, key))).values()
    ]


def newest(joins: Mapping[int, Join]) -> Join | None:
    """Return the join that was opened last, open or not; None when there is none."""
    return joins[max(joins)] if joins else None


def _ended(join: Join, at_s: int) -> Join:
    """Return a join that is over: an earlier end stays."""
    return replace(join, ended_s=at_s) if join.ended_s is None else join


def _int(event: PalletEvent, name: str) -> int:
    value = event.fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InvalidValueError(
            f"event {event.name} has {name} = {value!r}, not a number: the runtime's pallet is "
            "not the one of this release"
        )
    return value


def _bytes(event: PalletEvent, name: str) -> bytes:
    value = event.fields.get(name)
    if not isinstance(value, bytes):
        raise InvalidValueError(
            f"event {event.name} has {name} = {value!r}, not bytes: the runtime's pallet is not "
            "the one of this release"
        )
    return value


_KINDS: Final = {
    "EscrowDeposited": Kind.DEPOSIT,
    "WithdrawRequested": Kind.REQUEST,
    "EscrowWithdrawn": Kind.WITHDRAWAL,
}
_JOIN_EVENTS: Final = frozenset({"SessionOpened", "SessionEnded", "SessionReaped", "StreamClosed"})
