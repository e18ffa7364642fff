"""What finalized state says of a batch, as a table: none dies that may live, none pays twice."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.chain.finality import Decision, FinalState, InclusionStatus, decide, next_nonce
from metering.chain.node.extrinsic import Era, Terms
from metering.chain.node.scale import Hash
from metering.ports import BatchStatus

GENESIS = Hash(b"\x45" * 32)
TERMS = Terms(5, Era(64, 1000), Hash(b"\xb1" * 32), 100, 1, GENESIS)
NOW = FinalState(number=1010, genesis=GENESIS, nonce=5, last_seq=6)
"""Batch 7 was signed with nonce 5 at block 1000."""


@pytest.mark.parametrize(
    ("change", "found", "expected"),
    [
        ({}, InclusionStatus.NOT_ASKED, Decision.WAIT),
        ({"last_seq": 7}, InclusionStatus.NOT_ASKED, Decision.READ_OUTCOME),
        (
            {"last_seq": 9, "nonce": 8, "number": 9999},
            InclusionStatus.NOT_ASKED,
            Decision.READ_OUTCOME,
        ),
        ({"nonce": 6}, InclusionStatus.NOT_ASKED, Decision.LOOK_BACK),
        ({"nonce": 6}, InclusionStatus.FAILED, Decision.FAILED),
        ({"nonce": 6}, InclusionStatus.ABSENT, Decision.USURPED),
        ({"nonce": 6}, InclusionStatus.PRUNED, Decision.USURPED),
        ({"nonce": 6, "number": 1064}, InclusionStatus.FAILED, Decision.FAILED),
        ({"number": 1063}, InclusionStatus.NOT_ASKED, Decision.WAIT),
        ({"number": 1064}, InclusionStatus.NOT_ASKED, Decision.EXPIRED),
        ({"nonce": 4, "number": 1064}, InclusionStatus.NOT_ASKED, Decision.EXPIRED),
        ({"nonce": 4}, InclusionStatus.NOT_ASKED, Decision.WAIT),
        ({"genesis": b"\x01" * 32, "last_seq": 9}, InclusionStatus.NOT_ASKED, Decision.OTHER_CHAIN),
    ],
)
def test_the_order_of_the_questions(change, found, expected):
    """Settled first, then the nonce, then the era; nothing else is asked."""
    assert decide(7, TERMS, replace(NOW, **change), found) is expected


def test_without_signed_bytes_there_is_only_settled_or_not():
    """A batch that was never signed, or whose bytes are proven dead."""
    assert decide(7, None, NOW) is Decision.SIGN
    assert decide(7, None, replace(NOW, last_seq=7)) is Decision.READ_OUTCOME


STATES = st.builds(
    FinalState,
    st.integers(900, 1200),
    st.just(GENESIS),
    st.integers(0, 9),
    st.integers(0, 9),
)


@given(STATES, st.sampled_from(InclusionStatus))
def test_bytes_called_dead_can_never_be_included(state, found):
    """Their nonce is used in finalized state, or every block that may hold them is final."""
    decision = decide(7, TERMS, state, found)

    if decision.status in (BatchStatus.EXPIRED, BatchStatus.FAILED, BatchStatus.USURPED):
        is_nonce_used = state.nonce > TERMS.nonce
        is_era_over = state.number >= TERMS.era.death
        assert state.last_seq < 7
        assert is_nonce_used or is_era_over
        if decision is Decision.EXPIRED:
            assert not is_nonce_used


@given(STATES, STATES, st.sampled_from(InclusionStatus))
def test_what_is_dead_stays_dead_as_the_chain_goes_on(before, after, found):
    """Finalized state only grows; a dead attempt is never waited for again."""
    later = FinalState(
        max(before.number, after.number),
        GENESIS,
        max(before.nonce, after.nonce),
        max(before.last_seq, after.last_seq),
    )
    if decide(7, TERMS, before, found) is not Decision.WAIT:
        assert decide(7, TERMS, later, found) is not Decision.WAIT


@given(
    st.integers(0, 50),
    st.integers(0, 50),
    st.frozensets(st.integers(0, 60), max_size=20),
)
def test_a_new_nonce_is_free_and_leaves_no_gap(final, best, alive):
    """Below it all are used or taken, so nothing waits for a nonce that nobody has."""
    nonce = next_nonce(final, best, alive)

    used = max(final, best)
    assert nonce >= used
    assert nonce not in alive
    assert all(number in alive for number in range(used, nonce))
