"""Values of the pallet: round trips, and keys that were computed elsewhere."""

from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.chain.node import storage
from metering.model.credits import Credit
from metering.units import AccountId

U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
U128 = st.integers(0, 2**128 - 1)
BYTES32 = st.binary(min_size=32, max_size=32)

VALUES = {
    "Operators": st.builds(storage.Operator, U128, st.booleans(), U64, BYTES32, st.none() | U64),
    "StreamInfo": st.builds(
        storage.StreamInfo,
        BYTES32,
        BYTES32,
        st.binary(max_size=128),
        st.lists(st.builds(storage.ChainPrice, U32, U128, U64), max_size=16).map(tuple),
        st.lists(st.builds(storage.Split, BYTES32, U32), max_size=8).map(tuple),
        st.integers(0, 1),
        st.none() | U64,
        U64,
        U64,
        U128,
        U32,
    ),
    "Sessions": st.builds(
        storage.ChainSession,
        U128,
        U128,
        U64,
        U64,
        st.none() | U64,
        U64,
        U128,
        st.lists(st.tuples(U32, U64), max_size=8).map(tuple),
    ),
    "LastJoin": U32,
    "Escrows": st.builds(
        storage.Escrow, U128, st.none() | st.builds(storage.Withdrawal, U128, U64)
    ),
    "Credits": st.builds(Credit, U128, U128, U128, U64),
    "Limits": st.builds(storage.Limit, U128, U128, U64),
    "Outcomes": st.builds(
        storage.Outcome,
        BYTES32,
        U32,
        U64,
        U128,
        U32,
        st.lists(st.tuples(U32, st.integers(0, 255)), max_size=20).map(tuple),
    ),
    "TickCount": U32,
    "BatchedTicks": st.lists(st.tuples(BYTES32, U32), max_size=20).map(tuple),
}


def test_every_map_has_a_hasher_and_a_value():
    """What can be read can be found."""
    assert VALUES.keys() == storage.VALUES.keys() == storage.HASHERS.keys()


@pytest.mark.parametrize("item", VALUES)
@given(data=st.data())
def test_a_value_comes_back(item, data):
    """Every field in its place."""
    value = data.draw(VALUES[item])
    codec = storage.VALUES[item]

    assert codec.decode(codec.encode(value)) == value


def test_known_keys():
    """twox128("System") + twox128("Account") is known to everybody who reads chains."""
    system_account = "26aa394eea5630e07c48ae0c9558cef7b99d880ec681799c0cf30e8886371da9"
    alice = bytes.fromhex("d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d")

    assert storage.account_key(AccountId(alice)).hex() == (
        system_account + "de1e86a9a8c739864cf3cc5ec2bea59f" + alice.hex()
    )
    assert storage.events_key().hex() == (
        "26aa394eea5630e07c48ae0c9558cef780d41e5e16056765bc8461851072c9d7"
    )


def test_every_record_names_all_its_fields():
    """A field that is not encoded would come back as an error."""
    for kind in (storage.Operator, storage.StreamInfo, storage.Outcome, storage.Account):
        assert get_type_hints(kind)
