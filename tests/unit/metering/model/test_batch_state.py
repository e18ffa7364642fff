"""A batch's life as a table."""

from hypothesis import given
from hypothesis import strategies as st

from metering.model.batch_state import Action, AttemptOutcome, BatchState, action, advance

STATES = st.sampled_from(BatchState)
OUTCOMES = st.sampled_from(AttemptOutcome)


@given(STATES, st.lists(OUTCOMES, max_size=30))
def test_only_finalized_state_closes_a_batch(state, outcomes):
    """Without FINAL there is no way to the end, and from the end none back."""
    reached = state
    for outcome in outcomes:
        reached = advance(reached, outcome)

    was_final = state is BatchState.FINALIZED or AttemptOutcome.FINAL in outcomes
    assert (reached is BatchState.FINALIZED) == was_final


@given(STATES)
def test_nothing_is_signed_or_sent_before_finalized_state_was_read(state):
    """After a crash the chain may know more than the book."""
    assert action(state, AttemptOutcome.NOTHING) in (Action.WAIT, Action.STOP, Action.CLOSE)


@given(STATES, OUTCOMES)
def test_nothing_new_is_signed_while_old_bytes_may_live(state, outcome):
    """Signing happens only where nothing was signed or it is proven dead."""
    after = advance(state, outcome)

    if action(after, outcome) is Action.SIGN:
        assert after is BatchState.SEALED
        assert state is BatchState.SEALED or outcome is AttemptOutcome.EXPIRED


def test_what_was_sent_and_is_not_final_is_sent_again():
    """A pool may drop it."""
    assert action(BatchState.SENT, AttemptOutcome.NOT_FINAL) is Action.SUBMIT
    assert action(BatchState.SENT, AttemptOutcome.ACCEPTED) is Action.WAIT


def test_a_refusal_for_good_waits_for_a_person_and_may_still_settle():
    """And a batch that took effect all the same is settled."""
    rejected = advance(BatchState.SIGNED, AttemptOutcome.REJECTED)

    assert action(rejected, AttemptOutcome.REJECTED) is Action.STOP
    assert advance(rejected, AttemptOutcome.FINAL) is BatchState.FINALIZED
