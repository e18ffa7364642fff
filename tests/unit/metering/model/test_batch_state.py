"""A batch's life as a table."""

from hypothesis import given
from hypothesis import strategies as st

from metering.model.batch_state import Action, AttemptOutcome, BatchState, action, advance

STATES = st.sampled_from(BatchState)
SAID = st.sampled_from(AttemptOutcome)


@given(STATES, st.lists(SAID, max_size=30))
def test_only_finalized_state_closes_a_batch(state, heard):
    """Without FINAL there is no way to the end, and from the end none back."""
    reached = state
    for said in heard:
        reached = advance(reached, said)

    was_final = state is BatchState.FINALIZED or AttemptOutcome.FINAL in heard
    assert (reached is BatchState.FINALIZED) == was_final


@given(STATES)
def test_every_life_asks_first(state):
    """After a crash the chain may know more than the book."""
    expected = Action.CLOSE if state is BatchState.FINALIZED else Action.ASK

    assert action(state, AttemptOutcome.NOTHING) is expected


@given(STATES, SAID)
def test_nothing_new_is_signed_while_old_bytes_may_live(state, said):
    """Signing happens only where nothing was signed or it is proven dead."""
    after = advance(state, said)

    if action(after, said) is Action.SIGN:
        assert after is BatchState.SEALED
        assert state is BatchState.SEALED or said is AttemptOutcome.EXPIRED


def test_silence_changes_nothing_and_waits():
    """A node that is away is no reason to give up or to sign again."""
    for state in BatchState:
        if state not in (BatchState.FINALIZED, BatchState.REJECTED, BatchState.CONFLICT):
            assert advance(state, AttemptOutcome.UNAVAILABLE) is state
            assert action(state, AttemptOutcome.UNAVAILABLE) is Action.WAIT


def test_what_was_sent_and_is_not_final_is_sent_again():
    """A pool may drop it."""
    assert action(BatchState.SENT, AttemptOutcome.NOT_FINAL) is Action.SUBMIT
    assert action(BatchState.SENT, AttemptOutcome.ACCEPTED) is Action.WAIT


def test_a_refusal_for_good_waits_for_a_person_but_still_asks():
    """And a batch that took effect all the same is settled."""
    rejected = advance(BatchState.SIGNED, AttemptOutcome.REJECTED)

    assert action(rejected, AttemptOutcome.REJECTED) is Action.STOP
    assert action(rejected, AttemptOutcome.NOTHING) is Action.ASK
    assert advance(rejected, AttemptOutcome.FINAL) is BatchState.FINALIZED
