"""One suite for every back end of `metering.ports.Chain`; later ones join by a case in `BACKENDS`.

A case gives the chain, and `finalize`: what makes everything submitted so far final.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

import pytest

from metering.batch import Batch, seal
from metering.book.book import Book
from metering.chain import journal
from metering.chain.journal import Journal
from metering.errors import ChainUnavailableError, ExtrinsicRejectedError
from metering.ports import Chain, Fate, Finding, InFlight
from metering.units import AccountId, Asset, EntryKey
from tests.fakes.chain import MemoryChain
from tests.fakes.money import OPERATOR, FakeClock, inline


@dataclass
class Case:
    chain: Chain
    finalize: Callable[[], None]


def journal_case() -> Case:
    clock = FakeClock()
    chain = Journal(Book.open("sqlite://", Asset()), inline, OPERATOR, clock, 1000)

    def finalize() -> None:
        clock.at_ms += 1000

    return Case(chain, finalize)


def memory_case() -> Case:
    chain = MemoryChain(in_flight_max=4)
    return Case(chain, chain.make_blocks)


BACKENDS = {"journal": journal_case, "memory": memory_case}


@pytest.fixture(params=sorted(BACKENDS))
def case(request):
    return BACKENDS[request.param]()


def make_batch(seq: int, cumulative: int = 5) -> Batch:
    key = EntryKey(UUID(int=1), AccountId(b"v" * 32), 1, 1)
    return seal([(key, cumulative)], seq, 10)[0]


async def find(chain: Chain, batch: Batch, signed: bytes | None = None) -> Finding:
    look = await chain.look([InFlight(batch.seq, batch.hash, signed)])
    (finding,) = look.findings
    assert finding.seq == batch.seq
    return finding


async def submit(chain: Chain, batch: Batch) -> bytes:
    signed = await chain.sign(batch.seq, batch.hash, batch.entries)
    await chain.submit(signed)
    return signed


async def test_an_outcome_is_learnt_later_and_only_when_final(case):
    """Submitting says nothing."""
    batch = make_batch(1)
    assert await case.chain.last_settled() == 0

    signed = await submit(case.chain, batch)

    assert (await find(case.chain, batch, signed)).fate is Fate.WAITING
    assert await case.chain.last_settled() == 0
    case.finalize()
    found = await find(case.chain, batch, signed)
    assert found.fate is Fate.FINAL
    outcome = found.outcome
    assert outcome is not None
    assert (outcome.seq, outcome.hash, outcome.refused) == (1, batch.hash, ())
    assert await case.chain.last_settled() == 1
    assert (await find(case.chain, make_batch(2))).fate is Fate.WAITING


async def test_the_same_bytes_again_change_nothing(case):
    """Before and after they are final."""
    batch = make_batch(1)
    signed = await submit(case.chain, batch)
    await case.chain.submit(signed)
    case.finalize()
    before = await find(case.chain, batch, signed)

    await case.chain.submit(signed)
    case.finalize()

    assert before.fate is Fate.FINAL
    assert await find(case.chain, batch, signed) == before
    assert await case.chain.last_settled() == 1


async def test_a_number_taken_keeps_its_first_content(case):
    """At or below the last settled one, a batch is a no-op."""
    first = make_batch(1)
    await submit(case.chain, first)
    case.finalize()

    other = make_batch(1, cumulative=9)
    signed = await submit(case.chain, other)
    case.finalize()

    assert (await find(case.chain, first)).fate is Fate.FINAL
    found = await find(case.chain, other, signed)
    assert found.fate is Fate.OTHER_CONTENT
    assert found.outcome is not None
    assert found.outcome.hash == first.hash


async def test_numbers_leave_no_gap(case):
    """Batch 3 takes no effect before batch 2, whether it is refused or ignored."""
    await submit(case.chain, make_batch(1))
    case.finalize()

    third = make_batch(3)
    with suppress(ExtrinsicRejectedError):
        await submit(case.chain, third)
    case.finalize()

    assert (await find(case.chain, third)).fate is not Fate.FINAL
    assert await case.chain.last_settled() == 1


async def test_signing_alone_has_no_effect(case):
    """Bytes that were kept and never sent settle nothing."""
    batch = make_batch(1)

    await case.chain.sign(batch.seq, batch.hash, batch.entries)
    case.finalize()

    assert (await find(case.chain, batch)).fate is Fate.WAITING


async def test_one_look_tells_of_all_batches_in_order(case):
    """Final, waiting and unknown, all as of one moment."""
    batches = [make_batch(seq, 5 * seq) for seq in (1, 2, 3)]
    await submit(case.chain, batches[0])
    case.finalize()

    look = await case.chain.look([InFlight(one.seq, one.hash, None) for one in batches])

    assert [one.seq for one in look.findings] == [1, 2, 3]
    assert [one.fate for one in look.findings] == [Fate.FINAL, Fate.WAITING, Fate.WAITING]
    assert look.last_settled == 1
    assert look.best >= look.finalized


async def test_several_in_flight_settle_in_order(case):
    """As many as the chain takes at once, signed one after the other before any is final."""
    limits = await case.chain.limits()
    batches = [make_batch(seq, 5 * seq) for seq in range(1, limits.in_flight_max + 1)]
    alive: list[bytes] = []
    for batch in batches:
        alive.append(await case.chain.sign(batch.seq, batch.hash, batch.entries, alive))
    for signed in alive:
        await case.chain.submit(signed)
    case.finalize()

    look = await case.chain.look(
        [InFlight(one.seq, one.hash, signed) for one, signed in zip(batches, alive, strict=True)]
    )

    assert all(one.fate is Fate.FINAL for one in look.findings)
    assert look.last_settled == len(batches)


# What the journal alone promises


def make_journal(records: int = 3) -> tuple[Book, Journal]:
    book = Book.open("sqlite://", Asset())
    return book, Journal(book, inline, OPERATOR, FakeClock(), 0)


async def filled(records: int = 3) -> Book:
    book, chain = make_journal()
    for seq in range(1, records + 1):
        await submit(chain, make_batch(seq, seq * 5))
    return book


async def test_a_journal_left_alone_verifies():
    """Every hash and signature."""
    assert journal.verify(await filled()) is None


@pytest.mark.parametrize(
    ("statement", "number", "reason"),
    [
        ("UPDATE journal SET at_ms = at_ms + 1 WHERE number = 2", 2, "hash"),
        ("UPDATE journal SET signed = substr(signed, 1, 200) WHERE number = 2", 2, "hash"),
        ("UPDATE journal SET hash = zeroblob(32) WHERE number = 1", 1, "hash"),
        ("UPDATE journal SET previous = zeroblob(32) WHERE number = 3", 3, "follow"),
        ("DELETE FROM journal WHERE number = 2", 2, "missing"),
    ],
)
async def test_the_first_break_of_a_journal_is_named(statement, number, reason):
    """Whatever was changed behind our back."""
    book = await filled()
    with book._writing() as connection:
        connection.exec_driver_sql(statement)

    found = journal.verify(book)

    assert found is not None
    assert found.number == number
    assert reason in found.reason


async def test_a_record_rehashed_by_somebody_else_has_no_signature():
    """Who can write the database cannot write the operator's signature."""
    from metering.book.journal_rows import FIRST_PREVIOUS, JournalRecord, record_hash

    book = Book.open("sqlite://", Asset())
    batch = make_batch(1)
    forged = journal._HEAD.pack(1, batch.hash, OPERATOR.account, bytes(64)) + batch.entries
    book.journal_append(1, forged, 1, 1)
    (record,) = book.journal_records(0, 5)
    assert record.hash == record_hash(JournalRecord(1, 1, forged, 1, 1, FIRST_PREVIOUS, b""))

    found = journal.verify(book)

    assert found is not None
    assert "not signed" in found.reason


@pytest.mark.parametrize("harm", ["cut", "entry", "hash", "signature", "operator"])
async def test_a_journal_refuses_bytes_that_the_operator_did_not_sign(harm):
    """For good: the same bytes will never be taken."""
    _, chain = make_journal()
    batch = make_batch(1)
    signed = bytearray(await chain.sign(1, batch.hash, batch.entries))
    at = {"entry": -1, "hash": 8, "signature": 80, "operator": 40}.get(harm)
    if at is None:
        del signed[50:]
    else:
        signed[at] ^= 1

    with pytest.raises(ExtrinsicRejectedError):
        await chain.submit(bytes(signed))

    assert await chain.last_settled() == 0


async def test_a_journal_whose_book_is_away_is_unavailable(tmp_path):
    """Not rejected: the same bytes may be sent again."""
    path = tmp_path / "book.sqlite3"
    book = Book.open(f"sqlite:///{path}", Asset())
    chain = Journal(book, inline, OPERATOR, FakeClock(), 0)
    book.close()
    path.unlink()
    path.mkdir()

    with pytest.raises(ChainUnavailableError):
        await chain.last_settled()
