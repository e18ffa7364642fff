"""Cuts become batches: the same cuts, the same bytes."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.errors import InvalidValueError
from metering.model.batch import seal
from metering.model.entries import batch_hash, decode
from metering.units import AccountId, EntryKey

LINES = st.lists(
    st.tuples(
        st.builds(
            EntryKey,
            stream=st.integers(0, 2).map(lambda n: UUID(int=n)),
            account=st.integers(0, 3).map(lambda n: AccountId(bytes([n]) * 32)),
            join=st.integers(0, 1),
            version=st.integers(1, 2),
        ),
        st.integers(1, 1000),
    ),
    max_size=40,
)


@given(LINES, st.randoms(), st.integers(1, 10))
def test_a_batch_built_twice_has_the_same_bytes_and_id(lines, random, entries_max):
    """In whatever order the cuts are read."""
    shuffled = list(lines)
    random.shuffle(shuffled)

    assert seal(lines, 5, entries_max) == seal(shuffled, 5, entries_max)


@given(LINES, st.integers(1, 10))
def test_batches_carry_every_key_once_with_its_newest_count(lines, entries_max):
    """No gap in the numbers, none above its bound, nothing left out."""
    batches = seal(lines, 1, entries_max)
    carried = [entry for batch in batches for entry in decode(batch.entries)]
    newest: dict[EntryKey, int] = {}
    for key, count in lines:
        newest[key] = max(count, newest.get(key, 0))

    assert {entry.key: entry.cumulative for entry in carried} == newest
    assert len(carried) == len(newest)
    assert [batch.seq for batch in batches] == list(range(1, len(batches) + 1))
    assert all(0 < batch.count <= entries_max for batch in batches)
    assert all(batch.hash == batch_hash(batch.entries) for batch in batches)


def test_a_bound_of_nothing_is_refused():
    """Config refuses it too; here it would never end."""
    with pytest.raises(InvalidValueError):
        seal([], 1, 0)
