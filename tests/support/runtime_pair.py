"""The fake chain and the real runtime side by side: the same calls go to both.

Both are asked by the same JSON-RPC, at the same chain time and block number; what differs is the
fees, which are added back before balances are compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from metering.chain.node import storage
from metering.chain.node.metadata import ChainEvent, Metadata
from metering.ports import Entry
from metering.signing import KeyPair
from metering.testing.fake_node import tables
from metering.testing.fake_node.runtime import UNIT
from metering.testing.fake_node.tables import Call
from metering.units import AccountId, EntryKey
from tests.support.wallet import Ask, account, dev, of_stream, send

HOUR_S = 3600
MAPS = (*storage.VALUES, "Holds")
EVENTS_OF_BALANCES = {"Held", "Released", "Transfer"}
"""Events of balances that both have; fees are reported differently."""

ALICE = dev("Alice")
OPERATOR, OTHER = account("operator one"), account("operator two")
CREATOR, FRIEND = account("creator"), account("friend")
VIEWERS = [account(f"viewer {number}") for number in range(6)]
PEOPLE = [OPERATOR, OTHER, CREATOR, FRIEND, *VIEWERS]


@dataclass
class Side:
    """One of the two chains, and what is known of it."""

    name: str
    ask: Ask
    metadata: Metadata
    fees: dict[bytes, int] = field(default_factory=dict)

    def submit(self, who: KeyPair, call: Call) -> None:
        send(self.ask, who, call)

    def block(self) -> list[ChainEvent]:
        self.ask("dev_newBlock", {"count": 1})
        raw = bytes.fromhex(self.ask("state_getStorage", "0x" + storage.events_key().hex())[2:])
        events = list(self.metadata.events(raw))
        for event in events:
            if event.name == "TransactionFeePaid":
                who = event.fields["who"]
                self.fees[who] = self.fees.get(who, 0) + event.fields["actual_fee"]
        return events

    def account(self, who: bytes) -> storage.Account:
        key = "0x" + storage.account_key(AccountId(who)).hex()
        raw = self.ask("state_getStorage", key)
        if raw is None:
            return storage.Account(0, 0, 0, 0, 0, 0, 0, 0)
        return storage.SYSTEM_ACCOUNT.decode(bytes.fromhex(raw[2:]))

    def money(self, who: bytes) -> tuple[int, ...]:
        """Return what an account has, as if transactions were free."""
        held = self.account(who)
        paid = self.fees.get(bytes(who), 0)
        return (
            held.nonce,
            held.consumers,
            held.providers,
            held.free + paid,
            held.reserved,
            held.frozen,
        )

    def map(self, item: str) -> dict[str, str]:
        """Return all of a storage map, as bytes in hex."""
        pallet = "Balances" if item == "Holds" else "TickStream"
        prefix = "0x" + storage.prefix(pallet, item).hex()
        keys = self.ask("state_getKeysPaged", prefix, 1000, prefix)
        assert len(keys) < 1000
        values = {key: self.ask("state_getStorage", key) for key in keys}
        if item == "Holds":
            # An empty list of holds and none are the same.
            values = {key: value for key, value in values.items() if value not in ("0x00", None)}
        return values

    def now_ms(self) -> int:
        raw = self.ask("state_getStorage", "0x" + storage.now_key().hex())
        return int.from_bytes(bytes.fromhex(raw[2:]), "little")


@dataclass
class Pair:
    """Both chains at once."""

    real: Side
    fake: Side
    reasons: set[str] = field(default_factory=set)
    errors: set[str] = field(default_factory=set)
    entries: int = 0
    settled: int = 0

    def do(self, *acts: tuple[KeyPair, Call]) -> None:
        """Put these calls into the next block of both, and compare their events."""
        for who, call in acts:
            for side in (self.real, self.fake):
                side.submit(who, call)
        events = [comparable(side.block()) for side in (self.real, self.fake)]
        assert events[1] == events[0]
        for event in events[0]:
            if event.name == "EntryRefused":
                self.reasons.add(str(event.fields["reason"]))
            if event.name == "BatchSettled":
                self.entries += event.fields["entries"]
                self.settled += event.fields["entries"] - event.fields["refused"]
            if event.name == "ExtrinsicFailed":
                self.errors.add(self.real.metadata.error(event.fields["dispatch_error"]))

    def compare(self) -> None:
        """Compare all storage of the pallet, all holds and all balances."""
        for item in MAPS:
            assert self.fake.map(item) == self.real.map(item), item
        for who in (*(person.account for person in PEOPLE), tables.POT):
            assert self.fake.money(who) == self.real.money(who), who
        assert self.fake.now_ms() == self.real.now_ms()

    def travel(self, seconds: int) -> None:
        """Let chain time pass."""
        at_ms = self.real.now_ms() + seconds * 1000
        for side in (self.real, self.fake):
            side.ask("dev_timeTravel", at_ms)
        self.do()

    def now_s(self) -> int:
        return self.real.now_ms() // 1000


def comparable(events: list[ChainEvent]) -> list[ChainEvent]:
    """Return the events that both chains must have alike, without weights and fees."""
    kept = []
    for event in events:
        if event.pallet == "TickStream" or (
            event.pallet == "Balances" and event.name in EVENTS_OF_BALANCES
        ):
            kept.append(event)
        if event.pallet == "System" and event.name == "ExtrinsicFailed":
            fields = {"dispatch_error": event.fields["dispatch_error"]}
            kept.append(ChainEvent(event.extrinsic, event.pallet, event.name, fields))
        if event.pallet == "System" and event.name == "ExtrinsicSuccess":
            kept.append(ChainEvent(event.extrinsic, event.pallet, event.name, {}))
    return kept


def join(stream: int, max_spend: int = UNIT, max_price: int = UNIT, duration: int = 86400) -> Call:
    return of_stream(
        "join_with_caps",
        stream_id=stream,
        max_spend=max_spend,
        max_price=max_price,
        duration=duration,
    )


def made(stream: int, price: int, operator: KeyPair = OPERATOR, splits: Any = ()) -> Call:
    return of_stream(
        "create_stream",
        stream_id=stream,
        operator=operator.account,
        title=b"Talks",
        price=price,
        splits=splits,
    )


def line(stream: int, viewer: int, ticks: int, *, join: int = 1, version: int = 1) -> Entry:
    who = AccountId(VIEWERS[viewer].account)
    return Entry(EntryKey(UUID(int=stream), who, join, version), ticks)


CHEAP, SHARED, FOREIGN, CLOSED, DEAR, ABSENT = 1, 2, 3, 4, 5, 99
FRIENDS = (storage.Split(FRIEND.account, 333_333), storage.Split(OTHER.account, 100_000))


CAPS = {2: {"max_price": 10**8}, 4: {"max_spend": 10**11}}
"""Viewers who agreed to less."""


def populate(pair: Pair) -> None:
    """Register operators, make streams, let viewers deposit and join."""
    pair.do((OPERATOR, of_stream("register_operator")), (OTHER, of_stream("register_operator")))
    pair.do(
        (CREATOR, made(CHEAP, 10**8)),
        (CREATOR, made(SHARED, 7, splits=FRIENDS)),
        (CREATOR, made(FOREIGN, 5, operator=OTHER)),
        (CREATOR, made(CLOSED, 10**6)),
        (CREATOR, made(DEAR, 2**127)),
    )
    for number, viewer in enumerate(VIEWERS):
        held = 10**9 if number == 5 else 50 * UNIT
        pair.do(
            (viewer, of_stream("deposit", operator=OPERATOR.account, amount=held)),
            (viewer, join(CHEAP, **CAPS.get(number, {}))),
            (viewer, join(SHARED, duration=30 if number == 3 else 86400)),
            (viewer, join(FOREIGN)),
            (viewer, join(CLOSED)),
            (viewer, join(DEAR, max_spend=2**128 - 1, max_price=2**128 - 1)),
        )
