"""The fake chain and the real runtime get the same calls: what both say and hold is the same.

The real one runs in chopsticks. Both are asked by the same JSON-RPC, at the same chain time and
block number; what differs is the fees, which are added back before balances are compared.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest

from metering.chain.node import storage
from metering.chain.node.metadata import ChainEvent, Metadata
from metering.chain.node.scale import Hash
from metering.chain.node.substrate import read_metadata
from metering.ports import Entry
from metering.signing import KeyPair
from metering.testing.fake_node import tables
from metering.testing.fake_node.rpc import Rpc
from metering.testing.fake_node.runtime import UNIT
from metering.testing.fake_node.state import HOLDS
from metering.testing.fake_node.tables import Call
from metering.testing.fake_node.world import World
from metering.units import AccountId, EntryKey
from tests.support.servers import chopsticks
from tests.support.wallet import Ask, account, dev, of_stream, send, settle_of, transfer

HOUR_S = 3600
MAPS = (*storage.VALUES, "Holds")
TOLD = {"Held", "Released", "Transfer"}
"""Events of balances that both have; fees are told differently."""

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
        for one in events:
            if one.name == "TransactionFeePaid":
                who = one.fields["who"]
                self.fees[who] = self.fees.get(who, 0) + one.fields["actual_fee"]
        return events

    def account(self, who: bytes) -> storage.Account:
        key = "0x" + storage.account_key(AccountId(who)).hex()
        found = self.ask("state_getStorage", key)
        if found is None:
            return storage.Account(0, 0, 0, 0, 0, 0, 0, 0)
        return storage.SYSTEM_ACCOUNT.decode(bytes.fromhex(found[2:]))

    def money(self, who: bytes) -> tuple[int, ...]:
        """Return what an account has, as if transactions were free."""
        one = self.account(who)
        paid = self.fees.get(bytes(who), 0)
        return (one.nonce, one.consumers, one.providers, one.free + paid, one.reserved, one.frozen)

    def map(self, item: str) -> dict[str, str]:
        """Return all of a storage map, as bytes in hex."""
        pallet = "Balances" if item == "Holds" else "TickStream"
        prefix = "0x" + storage.prefix(pallet, item).hex()
        keys = self.ask("state_getKeysPaged", prefix, 1000, prefix)
        assert len(keys) < 1000
        found = {key: self.ask("state_getStorage", key) for key in keys}
        if item == "Holds":
            # An empty list of holds and none are the same.
            found = {key: value for key, value in found.items() if value not in ("0x00", None)}
        return found

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
        """Put these calls into the next block of both, and compare what both say and hold."""
        for who, call in acts:
            for side in (self.real, self.fake):
                side.submit(who, call)
        said = [told(side.block()) for side in (self.real, self.fake)]
        assert said[1] == said[0]
        for event in said[0]:
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
        for who in (*(one.account for one in PEOPLE), tables.POT):
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


def told(events: list[ChainEvent]) -> list[ChainEvent]:
    """Return the events that both chains must tell alike, without weights and fees."""
    found = []
    for one in events:
        if one.pallet == "TickStream" or (one.pallet == "Balances" and one.name in TOLD):
            found.append(one)
        if one.pallet == "System" and one.name == "ExtrinsicFailed":
            fields = {"dispatch_error": one.fields["dispatch_error"]}
            found.append(ChainEvent(one.extrinsic, one.pallet, one.name, fields))
        if one.pallet == "System" and one.name == "ExtrinsicSuccess":
            found.append(ChainEvent(one.extrinsic, one.pallet, one.name, {}))
    return found


@pytest.fixture(scope="module")
def metadata() -> Metadata:
    chopsticks.require()
    return read_metadata(chopsticks.metadata_bytes())


@pytest.fixture
def pair(metadata: Metadata) -> Iterator[Pair]:
    """Both chains at block 1, their people funded by //Alice."""
    with chopsticks.launch() as process:
        real = Side("runtime", process.call, metadata)
        number = int(real.ask("chain_getHeader")["number"], 16)
        for _ in range(number, 1):
            process.new_block()
        world = World(1, now_ms=real.now_ms() - 6000, finality_blocks=0)
        world.make_block()
        rpc = Rpc(world, chopsticks.metadata_bytes())
        fake = Side("fake", lambda method, *rest: rpc.answer(method, list(rest)), metadata)
        pair = Pair(real, fake)
        for start in range(0, len(PEOPLE), 5):
            some = PEOPLE[start : start + 5]
            pair.do(*((ALICE, transfer(one.account, 1000 * UNIT)) for one in some))
        yield pair


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


def found(pair: Pair) -> None:
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


def random_entries(chance: random.Random, pair: Pair, count: int) -> list[Entry]:
    """Return entries of all kinds, good and bad, each key once."""
    found: dict[EntryKey, Entry] = {}
    for _ in range(count):
        stream = chance.choice([CHEAP, CHEAP, SHARED, SHARED, FOREIGN, CLOSED, DEAR, ABSENT])
        version = chance.choice([1, 1, 1, 1, 2, 3, 9, *range(1, 14)])
        ticks = chance.choice([1, chance.randrange(1, 60), chance.randrange(1, 4000)])
        one = line(
            stream, chance.randrange(6), ticks, join=chance.choice([1, 1, 1, 2, 3]), version=version
        )
        found[one.key] = one
    return list(found.values())


@pytest.mark.timeout(600)
def test_the_fake_and_the_runtime_say_the_same(pair):
    """Hundreds of random entries in random batches, every reason to refuse one among them."""
    chance = random.Random(20261123)
    found(pair)
    seq = 1
    prices = 0

    for step in range(26):
        acts: list[tuple[KeyPair, Call]] = []
        entries = {one.key: one for one in random_entries(chance, pair, 24)}
        # Viewers 0 and 2 watch at every price there is, and at one that is announced.
        for version in range(1, prices + 2):
            for one in (line(CHEAP, number, step + 1, version=version) for number in (0, 2)):
                entries[one.key] = one
        acts.append((OPERATOR, settle_of(seq, list(entries.values()))))
        seq += 1
        viewer = chance.choice(VIEWERS[3:])
        acts += chance.choice(
            [
                [],
                [(viewer, join(chance.choice([CHEAP, SHARED, CLOSED])))],
                [(viewer, of_stream("leave_stream", stream_id=chance.choice([CHEAP, SHARED])))],
                [(OTHER, settle_of(chance.choice([1, 2, 7]), [line(FOREIGN, 1, 5)]))],
                [(viewer, of_stream("withdraw_escrow", operator=OPERATOR.account))],
                [(CREATOR, of_stream("withdraw_credit"))],
                [(FRIEND, of_stream("withdraw_credit"))],
                [(OPERATOR, of_stream("record_tick", stream_id=1, viewer=FRIEND.account, ticks=9))],
                [
                    (
                        viewer,
                        of_stream(
                            "request_withdraw",
                            operator=OPERATOR.account,
                            amount=chance.choice([0, 10**9, 10**15]),
                        ),
                    )
                ],
            ]
        )
        pair.do(*acts)
        if step in (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13):
            change = {"price": 10**8 + prices, "from": pair.now_s() + 100 + 60 * (step == 3)}
            pair.do((CREATOR, of_stream("set_price", stream_id=CHEAP, **change)))
            prices += 1
            pair.travel(chance.choice([70, 200]))
        if step == 14:
            pair.do((CREATOR, of_stream("close_stream", stream_id=CLOSED)))
        if step in (16, 20):
            pair.travel(HOUR_S + 10)
        if step % 6 == 5:
            pair.compare()

    pair.compare()
    assert pair.entries > 400
    assert pair.settled > 40
    assert pair.reasons == set(tables.REFUSALS)


@pytest.mark.timeout(300)
def test_calls_that_fail_fail_alike(pair):
    """Every error of the pallet that a call can have, and those of balances and origins."""
    found(pair)
    pair.travel(0)
    now_s = pair.now_s()
    big = {"operator": OPERATOR.account, "amount": 10**6 * UNIT}
    splits = (storage.Split(FRIEND.account, 600_000), storage.Split(OTHER.account, 600_000))
    one = settle_of(1, [line(CHEAP, 0, 1)])
    wrong = of_stream("settle", **{**one.arguments, "hash": Hash(bytes(32))})
    failing = [
        (OPERATOR, of_stream("register_operator")),
        (FRIEND, of_stream("deregister_operator")),
        (OPERATOR, of_stream("release_bond")),
        (FRIEND, one),
        (OPERATOR, wrong),
        (OPERATOR, settle_of(2, [line(CHEAP, 0, 1)])),
        (OPERATOR, settle_of(0, [line(CHEAP, 0, 1)])),
        (CREATOR, made(CHEAP, 1)),
        (CREATOR, made(50, 1, operator=FRIEND)),
        (CREATOR, made(50, 1, splits=splits)),
        (FRIEND, of_stream("close_stream", stream_id=CHEAP)),
        (FRIEND, of_stream("close_stream", stream_id=ABSENT)),
        (CREATOR, of_stream("set_price", stream_id=CHEAP, price=1, **{"from": now_s + 5})),
        (FRIEND, of_stream("join_stream", stream_id=CHEAP)),
        (FRIEND, join(CHEAP, duration=0)),
        (FRIEND, join(ABSENT)),
        (FRIEND, of_stream("leave_stream", stream_id=CHEAP)),
        (FRIEND, of_stream("set_limit", max_spend=1, max_price=1, duration=0)),
        (FRIEND, of_stream("deposit", operator=OPERATOR.account, amount=0)),
        (FRIEND, of_stream("deposit", operator=FRIEND.account, amount=5)),
        (FRIEND, of_stream("deposit", **big)),
        (FRIEND, of_stream("request_withdraw", operator=OPERATOR.account, amount=1)),
        (VIEWERS[0], of_stream("request_withdraw", **big)),
        (FRIEND, of_stream("withdraw_escrow", operator=OPERATOR.account)),
        (FRIEND, of_stream("withdraw_credit")),
        (FRIEND, of_stream("reap_session", stream_id=1, viewer=VIEWERS[0].account, join=7)),
        (FRIEND, of_stream("reap_session", stream_id=1, viewer=VIEWERS[0].account, join=1)),
        (FRIEND, of_stream("set_operator_active", operator=OPERATOR.account, active=False)),
        (FRIEND, of_stream("record_tick", stream_id=1, viewer=FRIEND.account, ticks=1)),
        (FRIEND, Call("Sudo", "sudo", {"call": transfer(FRIEND.account, 1)})),
        (FRIEND, transfer(OTHER.account, 10**6 * UNIT)),
    ]
    for act in failing:
        pair.do(act)
    pair.do((CREATOR, of_stream("close_stream", stream_id=CLOSED)))
    pair.do((CREATOR, of_stream("close_stream", stream_id=CLOSED)), (FRIEND, join(CLOSED)))
    off = of_stream("set_operator_active", operator=OTHER.account, active=False)
    pair.do((ALICE, Call("Sudo", "sudo", {"call": off})))
    pair.do((OTHER, settle_of(1, [line(FOREIGN, 0, 1)])))

    pair.compare()
    assert {f"TickStream.{one}" for one in tables.ERRORS} - pair.errors <= {
        "TickStream.Overflow",
        "TickStream.PotMissing",
        "TickStream.TooManyPrices",
        "TickStream.TooManyViewers",
        "TickStream.BelowMinimum",
        "TickStream.NotYet",
    }


@pytest.mark.timeout(300)
def test_whole_lives_end_alike(pair):
    """Bonds go back, sessions are reaped, credit is paid out, a default limit joins."""
    found(pair)
    pair.do((VIEWERS[0], of_stream("set_limit", max_spend=9, max_price=9, duration=60)))
    pair.do((VIEWERS[0], of_stream("join_stream", stream_id=SHARED)))
    pair.do((OPERATOR, settle_of(1, [line(CHEAP, 0, 90), line(SHARED, 1, 33)])))
    pair.do((VIEWERS[0], of_stream("leave_stream", stream_id=CHEAP)))
    asked = {"operator": OPERATOR.account, "amount": 50 * UNIT - 90 * 10**8}
    pair.do((VIEWERS[0], of_stream("request_withdraw", **asked)))
    pair.do((OTHER, of_stream("deregister_operator")))
    pair.do((VIEWERS[0], of_stream("withdraw_escrow", operator=OPERATOR.account)))
    pair.travel(2 * HOUR_S)
    pair.do(
        (VIEWERS[0], of_stream("withdraw_escrow", operator=OPERATOR.account)),
        (OTHER, of_stream("release_bond")),
        (CREATOR, of_stream("withdraw_credit")),
        (FRIEND, of_stream("withdraw_credit")),
        (FRIEND, of_stream("reap_session", stream_id=CHEAP, viewer=VIEWERS[0].account, join=1)),
    )
    pair.do((OTHER, of_stream("register_operator")))
    pair.do((OTHER, Call("Utility", "batch_all", {"calls": (transfer(FRIEND.account, 5),)})))

    pair.compare()
    assert "TickStream.NotYet" in pair.errors


def test_the_tables_of_the_fake_are_the_metadatas(metadata):
    """Every index, name and number that the fake knows is the runtime's."""
    facts = metadata.facts(
        tables.SPEC_NAME, tables.SPEC_VERSION, tables.TX_VERSION, Hash(bytes(32))
    )

    assert facts.calls == {name: one.index for name, one in tables.TICK_STREAM_CALLS.items()}
    assert facts.events == {
        name: index for index, (name, _) in enumerate(tables.EVENTS["TickStream"])
    }
    assert tuple(facts.errors[index] for index in range(len(facts.errors))) == tables.ERRORS
    assert facts.refusals == tables.REFUSALS
    assert tuple(one.name for one in facts.extensions) == tables.EXTENSIONS
    assert {name: index for index, name in facts.pallets.items()} == tables.PALLETS
    assert facts.block_hash_count == tables.BLOCK_HASH_COUNT
    known = {
        "MaxEntries": tables.MAX_ENTRIES,
        "MaxTitleLen": tables.MAX_TITLE_LEN,
        "MaxSplits": tables.MAX_SPLITS,
        "MaxPriceVersions": tables.MAX_PRICE_VERSIONS,
        "MaxSessionPrices": tables.MAX_SESSION_PRICES,
        "MaxViewersPerStream": tables.MAX_VIEWERS_PER_STREAM,
        "MaxTicksPerBatch": tables.MAX_TICKS_PER_BATCH,
        "OutcomesKept": tables.OUTCOMES_KEPT,
        "TickBurst": tables.TICK_BURST,
        "TickRatePpm": tables.TICK_RATE_PPM,
        "WithdrawNotice": tables.WITHDRAW_NOTICE_S,
        "CreditNotice": tables.CREDIT_NOTICE_S,
        "PriceNotice": tables.PRICE_NOTICE_S,
        "OperatorBond": tables.OPERATOR_BOND,
        "MaxJoinDuration": tables.MAX_JOIN_DURATION_S,
    }
    assert {name: facts.constants[name] for name in known} == known
    for pallet, events in tables.OTHER_EVENTS.items():
        found = metadata._variants(metadata._pallets[pallet]["event"])
        assert {name: found[name] for name in events} == events
    assert HOLDS.decode(HOLDS.encode(())) == ()
