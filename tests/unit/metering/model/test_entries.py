"""Entries as bytes: what journal and chain both read."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.errors import InvalidValueError
from metering.model.entries import batch_hash, decode, encode
from metering.ports import Entry
from metering.units import AccountId, EntryKey

KEYS = st.builds(
    EntryKey,
    stream=st.uuids(),
    account=st.binary(min_size=32, max_size=32).map(AccountId),
    join=st.integers(0, 2**32 - 1),
    version=st.integers(0, 2**32 - 1),
)
ENTRIES = st.dictionaries(KEYS, st.integers(1, 2**64 - 1), max_size=80).map(
    lambda found: [Entry(key, count) for key, count in found.items()]
)


def test_entries_have_the_bytes_that_the_pallet_reads():
    """Vec<(u128, [u8; 32], u32, u32, u64)>, little-endian, by stream, account, join, version."""
    stream = UUID("00112233-4455-6677-8899-aabbccddeeff")
    account = AccountId(bytes(range(32)))
    entries = [
        Entry(EntryKey(stream, account, 2, 3), 4),
        Entry(EntryKey(UUID(int=1), AccountId(b"\xff" * 32), 0, 1), 2**40),
    ]

    data = encode(entries)

    assert data.hex() == (
        "08"
        "01000000000000000000000000000000" + "ff" * 32 + "00000000"
        "01000000"
        "0000000000010000"
        "ffeeddccbbaa99887766554433221100" + bytes(range(32)).hex() + "02000000"
        "03000000"
        "0400000000000000"
    )
    assert batch_hash(data).hex() == (
        "f9128d116336080245e554bc62fce211982393654f32812399917c156f6b6359"
    )


@given(ENTRIES)
def test_entries_read_back_are_what_was_written(entries):
    """Nothing is lost or reordered beyond the canonical order."""
    data = encode(entries)

    assert encode(decode(data)) == data
    assert set(decode(data)) == set(entries)
    assert encode(reversed(entries)) == data


@given(st.binary(max_size=300))
def test_any_bytes_decode_or_raise_the_named_error(data):
    """A parser of a chain's bytes never dies of them."""
    try:
        entries = decode(data)
    except InvalidValueError:
        return
    assert encode(entries) == data


def test_a_count_of_64_and_of_16384_entries_has_its_compact_form():
    """SCALE compact: one, two and four bytes."""
    account = AccountId(bytes(32))

    for count, head in ((63, "fc"), (64, "0101"), (16384, "02000100")):
        data = encode([Entry(EntryKey(UUID(int=1), account, n, 1), 1) for n in range(count)])
        assert data[: len(head) // 2].hex() == head
        assert len(decode(data)) == count


@pytest.mark.parametrize("cumulative", [0, -1, 2**64])
def test_a_count_that_is_no_u64_is_refused(cumulative):
    """Zero says nothing, and a larger one would wrap."""
    with pytest.raises(InvalidValueError):
        encode([Entry(EntryKey(UUID(int=1), AccountId(bytes(32)), 1, 1), cumulative)])


def test_one_key_twice_is_refused():
    """A batch says one number of each key."""
    entry = Entry(EntryKey(UUID(int=1), AccountId(bytes(32)), 1, 1), 5)

    with pytest.raises(InvalidValueError):
        encode([entry, entry])
