"""Attempts explain themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.chain import attempt
from metering.chain.attempt import Attempt
from metering.chain.node.extrinsic import Era, Terms
from metering.errors import InvalidValueError

U32 = st.integers(0, 2**32 - 1)
HASH = st.binary(min_size=32, max_size=32)
ATTEMPTS = st.builds(
    Attempt,
    st.integers(0, 2**64 - 1),
    st.builds(Terms, U32, st.builds(Era, U32, U32), HASH, U32, U32, HASH),
    st.binary(max_size=300),
)


@given(ATTEMPTS)
def test_what_was_kept_comes_back(made):
    """Every term, and the bytes to send."""
    assert attempt.decode(attempt.encode(made)) == made


@given(ATTEMPTS, st.integers(0, 400))
def test_a_cut_attempt_is_refused_by_name(made, length):
    """A half-written row is never sent."""
    kept = attempt.encode(made)

    with pytest.raises(InvalidValueError):
        attempt.decode(kept[: min(length, len(kept) - 1)])


def test_bytes_of_the_journal_are_no_attempt():
    """An operator who changes the back end with batches on their way learns it."""
    with pytest.raises(InvalidValueError, match="not an attempt"):
        attempt.decode(bytes(200))
