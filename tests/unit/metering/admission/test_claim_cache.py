from __future__ import annotations

from metering.admission.claim_cache import Memory
from metering.ports import Claim
from metering.units import AccountId, Medium, PricedRun, Run, SessionId, Units

WHO = AccountId(bytes(32))
STREAM = bytes(16)
SESSION = SessionId(1)


def priced(first: int, count: int = 1, version: int = 1) -> tuple[PricedRun, ...]:
    return (PricedRun(Run(first, count), version, Units(5)),)


def claim(first: int, count: int = 1, session: SessionId = SESSION, who: AccountId = WHO) -> Claim:
    return Claim(who, STREAM, session, priced(first, count), 0, 0)


def may(memory: Memory, first: int, count: int = 1, *, at: float = 10.5) -> bool:
    return memory.may_serve(WHO, STREAM, SESSION, priced(first, count), at)


def test_committed_ticks_are_served_within_a_second_of_the_answer():
    """Parts and audio of a second that was just paid need no second claim."""
    memory = Memory(10, 60_000)
    memory.committed(claim(100, 2), 10.0, 1000)
    memory.committed(claim(102, 2), 10.0, 1000)

    assert may(memory, 100, 4)
    assert not may(memory, 100, 5)
    assert not may(memory, 99)
    assert not may(memory, 100, at=11.0)
    assert not memory.may_serve(WHO, STREAM, SessionId(2), priced(100), 10.5)


def test_two_unsent_seconds_must_be_told_first():
    """A player that takes media faster is seen by the store."""
    memory = Memory(10, 60_000)
    memory.committed(claim(100), 10.0, 1000)
    memory.delivered(WHO, STREAM, Medium.VIDEO, 1500)
    assert may(memory, 100)
    memory.delivered(WHO, STREAM, Medium.AUDIO, 500)
    assert not may(memory, 100)

    assert memory.take(WHO, STREAM) == (1500, 500)
    assert memory.take(WHO, STREAM) == (0, 0)
    assert may(memory, 100)
    memory.give_back(WHO, STREAM, 1500, 500)
    assert memory.take(WHO, STREAM) == (1500, 500)


def test_committed_since_tells_every_tick_committed_from_then_on():
    """After a loss, what this process knows is offered again, with its session and price."""
    memory = Memory(10, 60_000)
    for second in range(50):
        memory.committed(claim(100 + second), 0.0, 1000 * second)
    memory.committed(claim(500, 1, SessionId(2)), 0.0, 49_500)

    offered = list(memory.committed_since(40_000))

    ticks = {t for claimed in offered for p in claimed.runs for t in range(p.run.first, p.run.end)}
    assert ticks >= {*range(140, 150), 500}
    assert min(ticks) >= 130
    assert {claimed.session for claimed in offered} == {1, 2}
    assert all(claimed.video_ms == claimed.audio_ms == 0 for claimed in offered)


def test_memory_is_bounded_and_says_what_it_forgot():
    """A million viewers cost no more than the limit; the least recent goes first."""
    memory = Memory(3, 60_000)
    accounts = [AccountId(bytes([n]) * 32) for n in range(5)]
    for who in accounts:
        memory.committed(claim(100, who=who), 10.0, 1000)
        memory.committed(claim(200, who=accounts[0]), 10.0, 1000)
    for session in range(100):
        for tick in range(3):
            memory.committed(claim(10_000 * tick, 1, SessionId(session), accounts[0]), 10.0, 1000)

    assert len(memory) == 3
    assert memory.forgotten_total == 2
    assert memory.may_serve(accounts[0], STREAM, SessionId(99), priced(20_000), 10.5)
    assert not memory.may_serve(accounts[1], STREAM, SESSION, priced(100), 10.5)
    assert sum(1 for _ in memory.committed_since(0)) <= 12 + 2


def test_a_refused_session_is_not_confirmed_by_what_it_was_given_back():
    """Unsent media alone lets nobody be served from memory."""
    memory = Memory(10, 60_000)
    memory.give_back(WHO, STREAM, 100, 0)

    assert not memory.may_serve(WHO, STREAM, SESSION, (), 0.0)


def test_a_m2_what_is_unsent_outlives_the_session_that_got_it():
    """Minting again forgives nothing: the next claim of the account carries it."""
    memory = Memory(10, 60_000)
    memory.committed(claim(100), 10.0, 1000)
    memory.delivered(WHO, STREAM, Medium.VIDEO, 1500)
    for number in range(2, 12):  # more sessions than are remembered
        memory.committed(claim(100, 1, SessionId(number)), 10.0, 1000)

    memory.delivered(WHO, STREAM, Medium.AUDIO, 500)

    assert not memory.may_serve(WHO, STREAM, SessionId(11), priced(100), 10.5)
    assert memory.take(WHO, STREAM) == (1500, 500)
    assert memory.take(WHO, bytes(15) + b"x") == (0, 0)
