"""The fake chain and the real runtime get the same calls: what both say and hold is the same.

The real one runs in chopsticks; tests/support/runtime_pair.py compares the two.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from metering.chain.node import storage
from metering.chain.node.metadata import Metadata
from metering.chain.node.scale import Hash
from metering.chain.node.substrate import read_metadata
from metering.ports import Entry
from metering.signing import KeyPair
from metering.testing.fake_node import tables
from metering.testing.fake_node.rpc import Rpc
from metering.testing.fake_node.runtime import UNIT
from metering.testing.fake_node.tables import Call
from metering.testing.fake_node.world import World
from metering.units import EntryKey
from tests.support.runtime_pair import (
    ABSENT,
    ALICE,
    CHEAP,
    CLOSED,
    CREATOR,
    DEAR,
    FOREIGN,
    FRIEND,
    HOUR_S,
    OPERATOR,
    OTHER,
    PEOPLE,
    SHARED,
    VIEWERS,
    Pair,
    Side,
    join,
    line,
    made,
    populate,
)
from tests.support.servers import chopsticks
from tests.support.wallet import of_stream, settle_of, transfer


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
            pair.do(*((ALICE, transfer(person.account, 1000 * UNIT)) for person in some))
        yield pair


def random_entries(chance: random.Random, count: int) -> list[Entry]:
    """Return entries of all kinds, good and bad, each key once."""
    entries: dict[EntryKey, Entry] = {}
    for _ in range(count):
        stream = chance.choice([CHEAP, CHEAP, SHARED, SHARED, FOREIGN, CLOSED, DEAR, ABSENT])
        version = chance.choice([1, 1, 1, 1, 2, 3, 9, *range(1, 14)])
        ticks = chance.choice([1, chance.randrange(1, 60), chance.randrange(1, 4000)])
        entry = line(
            stream, chance.randrange(6), ticks, join=chance.choice([1, 1, 1, 2, 3]), version=version
        )
        entries[entry.key] = entry
    return list(entries.values())


@pytest.mark.timeout(600)
def test_the_fake_and_the_runtime_say_the_same(pair):
    """Hundreds of random entries in random batches, every reason to refuse one among them."""
    chance = random.Random(20261123)
    populate(pair)
    seq = 1
    prices = 0

    for step in range(26):
        acts: list[tuple[KeyPair, Call]] = []
        entries = {entry.key: entry for entry in random_entries(chance, 24)}
        # Viewers 0 and 2 watch at every price there is, and at one that is announced.
        for version in range(1, prices + 2):
            for entry in (line(CHEAP, number, step + 1, version=version) for number in (0, 2)):
                entries[entry.key] = entry
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
    populate(pair)
    pair.travel(0)
    now_s = pair.now_s()
    big = {"operator": OPERATOR.account, "amount": 10**6 * UNIT}
    splits = (storage.Split(FRIEND.account, 600_000), storage.Split(OTHER.account, 600_000))
    first = settle_of(1, [line(CHEAP, 0, 1)])
    wrong = of_stream("settle", **{**first.arguments, "hash": Hash(bytes(32))})
    failing = [
        (OPERATOR, of_stream("register_operator")),
        (FRIEND, of_stream("deregister_operator")),
        (OPERATOR, of_stream("release_bond")),
        (FRIEND, first),
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
    assert {f"TickStream.{name}" for name in tables.ERRORS} - pair.errors <= {
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
    populate(pair)
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
