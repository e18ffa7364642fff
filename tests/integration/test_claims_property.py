"""Law 2 at scale: whatever is fetched, and how often, each tick is paid once at its own price.

Many short lives are driven side by side through two gates, which stand for two HTTP processes, and
the real script. `Reference` is what they are judged by.
"""

from __future__ import annotations

import gc
import os
import random
import socket
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import UUID

from metering.admission.gate import LocalGate
from metering.model import rate_limit, ticks
from metering.model.join_caps import Join, JoinLimits, caps_of, ticks_allowed
from metering.ports import Claim
from metering.settings import MeteringSettings
from metering.store import keys, pending_words, resp
from metering.store.resp import Script
from metering.units import (
    SHARDS,
    Admission,
    Asset,
    Fetch,
    Medium,
    Planck,
    PriceVersion,
    Run,
    SessionId,
    StreamPolicy,
    Verdict,
    shard_of,
)
from tests.support.clock import FakeClock
from tests.support.metering_kit import FAR_MS, NOW, account, clock_now

SEQUENCES = int(os.environ.get("VILOKANAM_SEQUENCES", "2000"))
"""`make soak` asks for 100,000."""
SEED = int(os.environ["VILOKANAM_SEED"])
"""Printed at the head of each run by tests/conftest.py."""
STEPS = 7
LIMITS = JoinLimits(burst_ticks=6, rate_ppm=0, prices_max=2, notice_s=3600)
"""Without a rate the moment of a claim plays no part; test_claims_join.py judges the rate."""
SIDE_BY_SIDE = 2000
BASE = NOW - 3000


@dataclass
class Reference:
    """What a viewer owes, in a few lines: each tick once, at the price of that tick."""

    balance: int
    prices: list[tuple[int, int, int]]
    join: Join | None = None
    paid: dict[int, tuple[int, int]] = field(default_factory=dict)

    def fetch(self, run: Run) -> Verdict:
        new = {}
        for tick in range(run.first, run.end):
            _, version, cost = [p for p in self.prices if p[0] <= tick][-1]
            if cost and tick not in self.paid:
                new[tick] = (version, cost)
        cost = sum(cost for _, cost in new.values())
        if self.join is not None and new and (refusal := self._refusal(self.join, new)):
            return refusal
        if cost > self.balance:
            return Verdict.PURSE
        if self.join is not None and new and self.spent + cost > self.join.max_spend:
            return Verdict.LIMIT
        self.balance -= cost
        self.paid |= new
        return Verdict.GRANTED

    @property
    def spent(self) -> int:
        return sum(cost for _, cost in self.paid.values())

    def _refusal(self, join: Join, new: dict[int, tuple[int, int]]) -> Verdict | None:
        """What the chain would refuse whatever the balance holds."""
        versions = {version for version, _ in self.paid.values()}
        for version, cost in new.values():
            if cost > join.max_price:
                return Verdict.LIMIT
            versions.add(version)
            if len(versions) > LIMITS.prices_max:
                return Verdict.SESSION
        allowed = ticks_allowed(join, LIMITS, NOW)
        return Verdict.PACE if len(self.paid) + len(new) > allowed else None


class Line:
    """A blocking, pipelined connection."""

    def __init__(self, path: str) -> None:
        self.raw = socket.socket(socket.AF_UNIX)
        self.raw.connect(path)
        self.reader = resp.reader()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.raw.close()

    def ask(self, commands: list[bytes]) -> list:
        self.raw.sendall(b"".join(commands))
        replies: list[Any] = []
        while len(replies) < len(commands):
            reply = self.reader.gets()
            if reply is False:
                self.reader.feed(self.raw.recv(1 << 20))
                continue
            assert not isinstance(reply, Exception), reply
            replies.append(reply)
        return replies


class Deaf:
    """Claims that nobody calls: the test carries them itself."""

    is_ready = True

    def set_expected(self, epoch: str, run_id: str) -> None:
        """Take note of nothing."""


class Life:
    """One viewer on one stream."""

    def __init__(self, number: int, rng: random.Random) -> None:
        self.rng = rng
        self.account = account(number)
        self.stream = UUID(int=number)
        self.newest = BASE + 8
        self.deposit = rng.choice((0, 30, 200, 10**6))
        first = rng.choice((0, 1, 10))
        self.reference = Reference(self.deposit, [(0, 1, first)], self._join())
        self.last: Fetch | None = None

    def _join(self) -> Join | None:
        """Half of them are joined on a chain: caps of every tightness."""
        rng = self.rng
        if rng.random() < 0.5:
            return None
        spend, price = _one(rng, (0, 40, 10**6, 2**128 - 1)), _one(rng, (5, 12, 2**128 - 1))
        joined_s = BASE - _one(rng, (0, 10**6))
        return Join(self.stream, self.account, 1, spend, price, joined_s, FAR_MS // 1000)

    def policy(self) -> StreamPolicy:
        versions = tuple(
            PriceVersion(number, tick, Planck(cost)) for tick, number, cost in self.reference.prices
        )
        return StreamPolicy(self.stream, str(self.stream), "", versions)

    def change_price(self) -> None:
        """Announce a price: it starts past the newest tick, so both gates hear in time."""
        cost = self.rng.choice((0, 7, 13))
        self.reference.prices.append((self.newest + 4, len(self.reference.prices) + 1, cost))

    def next_fetch(self) -> Fetch:
        """A part, a segment, audio beside video, a retry, another rendition, an older one."""
        rng = self.rng
        if self.last is not None and rng.random() < 0.2:
            return self.last
        count = _one(rng, (1, 1, 2, 4))
        first = self.newest - count + 1 - int(rng.random() * 8)
        self.last = Fetch(
            self.account,
            SessionId(_one(rng, (1, 2))),
            self.stream,
            Run(first, count),
            count * 500,
            _one(rng, (Medium.VIDEO, Medium.AUDIO)),
        )
        return self.last


def _one(rng: random.Random, values: tuple):
    """Choose, five times as fast as `Random.choice`: this is most of the test's own time."""
    return values[int(rng.random() * len(values))]


class Driver:
    """Carries claims of many lives to Redis, a step of all of them at a time."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.claim = Script("claim")
        self.deposits = Script("deposits")
        self.opening = Script("open_session")
        self.cutting = Script("cut")
        scripts = (self.claim, self.deposits, self.opening, self.cutting)
        line.ask([resp.command(b"SCRIPT", b"LOAD", script.text) for script in scripts])
        line.ask([resp.command(b"FLUSHDB")])
        line.ask([resp.command(b"SET", keys.epoch(shard), b"e") for shard in range(SHARDS)])
        self.cut_number = 0
        self.cuts: list[int] = []
        self.cut: dict[tuple[bytes, int], tuple[Run, ...]] = {}

    def script(self, script: Script, key: bytes, *words: bytes) -> bytes:
        return resp.command(b"EVALSHA", script.sha, b"1", key, *words)

    def open(self, lives: list[Life]) -> None:
        """Fill balances and open two sessions each."""
        commands = [self.top_up(life) for life in lives]
        for life in lives:
            join = life.reference.join
            if join is not None:
                caps = caps_of(join, LIMITS, quantum=1)
                fields = (b"c1", caps.packed, b"l1", b"%d" % caps.spend_units)
                name = keys.counts(life.account, life.stream.bytes)
                commands.append(resp.command(b"HSET", name, *fields))
            for session in (1, 2):
                words: tuple[int, ...] = (1, 0, FAR_MS, 2, 1000, rate_limit.cap_fifths(60_000))
                words += () if join is None else (1,)
                commands.append(
                    self.script(
                        self.opening,
                        keys.sessions(life.account, life.stream.bytes),
                        keys.prefix(shard_of(life.account)),
                        life.account + life.stream.bytes,
                        session.to_bytes(8, "big"),
                        *(b"%d" % word for word in words),
                    )
                )
        self.line.ask(commands)

    def top_up(self, life: Life) -> bytes:
        return self.script(self.deposits, keys.balance(life.account), b"%d" % life.deposit)

    def send(self, claims: list[Claim]) -> list:
        """Send claims grouped by shard; answers in the same order."""
        by_shard: dict[int, list[int]] = {}
        for index, claim in enumerate(claims):
            by_shard.setdefault(shard_of(claim.account), []).append(index)
        commands = [
            resp.claims_command(
                self.claim,
                shard,
                b"e",
                [resp.pack_claim(claims[index]) for index in indices],
                watched_s=86400,
                cap=rate_limit.cap_fifths(60_000),
            )
            for shard, indices in by_shard.items()
        ]
        found: list = [None] * len(claims)
        replies = self.line.ask(commands)
        for indices, reply in zip(by_shard.values(), replies, strict=True):
            for index, answer in zip(indices, resp.answers(reply), strict=True):
                found[index] = answer
        return found

    def cut_all(self) -> None:
        """Cut every shard: ticks must come out once whenever they are cut."""
        self.cut_number += 1
        commands = []
        for shard in range(SHARDS):
            last = self.cuts[shard] if self.cut_number > 1 else 0
            commands.append(
                self.script(self.cutting, keys.meta(shard), b"%d" % (last + 1), b"%d" % last)
            )
        if self.cut_number == 1:
            self.cuts = [0] * SHARDS
        for shard, reply in enumerate(self.line.ask(commands)):
            self.cuts[shard] += bool(reply)
            fields = dict(zip(reply[::2], reply[1::2], strict=True))
            counts = {key[1:]: int(value) for key, value in fields.items() if key[:1] == b"n"}
            bits = [(key, value) for key, value in fields.items() if key[:1] == b"b"]
            for entry in pending_words.cut_lines(bits, counts):
                name = (entry.key.account, entry.key.version)
                old = self.cut.get(name, ())
                assert not ticks.intersection(old, entry.runs), "a tick was cut twice"
                self.cut[name] = ticks.union(old, entry.runs)
                assert ticks.count(self.cut[name]) == entry.cumulative


def test_any_fetches_cost_each_tick_once(redis_server):
    """Retries, renditions, parts, segments, two processes, top-ups: the bill is the ticks seen."""
    rng = random.Random(SEED)
    gc.disable()  # It would walk thousands of lives again and again: half of the time.
    try:
        _all_lives(redis_server.path, rng)
    finally:
        gc.enable()


def _all_lives(path: str, rng: random.Random) -> None:
    with Line(path) as line:
        for start in range(0, SEQUENCES, SIDE_BY_SIDE):
            size = min(SIDE_BY_SIDE, SEQUENCES - start)
            _live(line, [Life(start + number + 1, rng) for number in range(size)], rng)


def _live(line: Line, lives: list[Life], rng: random.Random) -> None:
    clock = clock_now()
    settings = MeteringSettings()
    claims: Any = Deaf()
    gates = tuple(LocalGate(claims, settings, clock) for _ in range(2))
    driver = Driver(line)
    driver.open(lives)
    change_at, cut_at = rng.randrange(STEPS), rng.randrange(STEPS)

    def tell(gate: LocalGate) -> None:
        policies = [life.policy() for life in lives]
        gate.set_policy(policies, Asset(), "e", "r", 0, clock.monotonic())

    for gate in gates:
        tell(gate)
    for step in range(STEPS):
        if step == change_at:
            for life in lives:
                life.change_price()
            tell(gates[0])
        if step == change_at + 1:
            tell(gates[1])
        if step == cut_at:
            driver.cut_all()
        asked = []
        topped = []
        for life in lives:
            life.newest += _one(rng, (0, 1, 2)) if step != change_at else 0
            if rng.random() < 0.1:
                life.deposit += 50
                life.reference.balance += 50
                topped.append(driver.top_up(life))
            gate, fetch = _one(rng, gates), life.next_fetch()
            asked.append((life, gate, fetch, gate.plan(fetch)))
        if topped:
            line.ask(topped)
        _carry(driver, asked, clock, rng)
        clock.move(rng.choice((0.0, 0.3, 0.8, 1.5)))
    driver.cut_all()
    _compare(line, driver, lives)


def _carry(driver: Driver, asked: list, clock: FakeClock, rng: random.Random) -> None:
    """Send what memory could not answer; an answer in seven is lost and the claim repeated."""
    claims = [plan for *_, plan in asked if isinstance(plan, Claim)]
    if rng.random() < 0.15:
        driver.send(claims)
    found = iter(driver.send(claims))
    for life, gate, fetch, plan in asked:
        expected = life.reference.fetch(fetch.run)
        if isinstance(plan, Admission):
            assert plan.verdict is expected, f"seed {SEED}: {fetch}"
            continue
        answer = next(found)
        admission = gate.settle(fetch, plan, answer, clock.monotonic())
        assert admission.verdict is expected, f"seed {SEED}: {fetch} {answer}"
        assert admission.balance_units == life.reference.balance, f"seed {SEED}: {fetch}"


def _compare(line: Line, driver: Driver, lives: list[Life]) -> None:
    balances = line.ask([resp.command(b"HGET", keys.balance(life.account), b"b") for life in lives])
    for life, balance in zip(lives, balances, strict=True):
        assert int(balance) == life.reference.balance, f"seed {SEED}"
        by_version: dict[int, list[Run]] = {}
        for tick, (version, _) in life.reference.paid.items():
            by_version.setdefault(version, []).append(Run(tick, 1))
        for _, version, _ in life.reference.prices:
            expected = ticks.normal(by_version.get(version, ()))
            assert driver.cut.get((life.account, version), ()) == expected, f"seed {SEED}"
        assert int(balance) == life.deposit - life.reference.spent
    joined = [life for life in lives if life.reference.join is not None]
    names = [keys.counts(life.account, life.stream.bytes) for life in joined]
    found = line.ask([resp.command(b"HMGET", name, b"t1", b"a1") for name in names])
    for life, (ticks_had, cost) in zip(joined, found, strict=True):
        had = (int(ticks_had or 0), int(cost or 0))
        assert had == (len(life.reference.paid), life.reference.spent), f"seed {SEED}"
