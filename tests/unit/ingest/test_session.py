"""How long a session may wait, and what a PATCH of it means."""

import pytest

from mediaserver.ingest.session import (
    FAULT_RUN_S,
    EndReason,
    FaultRun,
    PatchKind,
    SessionLife,
    SessionState,
    judge_patch,
)


def make_life():
    return SessionLife(created_s=100.0, connect_timeout_s=10.0, media_timeout_s=4.0)


def test_session_that_never_connects_fails_in_time():
    """An offer without candidates, and nobody behind it, does not wait indefinitely."""
    life = make_life()

    assert life.overdue(110.0) is None
    assert life.overdue(110.1) is EndReason.FAILED


def test_encoder_may_start_after_the_handshake():
    """The first media may take as long as connecting."""
    life = make_life()
    life.connected(101.0)

    assert life.overdue(110.9) is None
    assert life.overdue(111.1) is EndReason.MEDIA_TIMEOUT


def test_dead_peer_is_noticed_by_its_media():
    """Once live, silence of media ends the session, whatever else still arrives."""
    life = make_life()
    life.connected(101.0)
    life.media(105.0)
    life.media(106.0)

    assert life.state is SessionState.LIVE
    assert life.overdue(109.9) is None
    assert life.overdue(110.1) is EndReason.MEDIA_TIMEOUT


def test_session_ends_once_and_keeps_its_first_reason():
    """DELETE after a time-out does not change why it ended."""
    life = make_life()

    assert life.end(EndReason.FAILED)
    assert not life.end(EndReason.DELETED)
    assert life.reason is EndReason.FAILED
    assert life.overdue(1e9) is None


@pytest.mark.parametrize(
    ("if_match", "ufrag", "kind"),
    [
        ('"e1"', "old", PatchKind.TRICKLE),
        ('"e1"', "", PatchKind.TRICKLE),
        ('"x", "e1"', "old", PatchKind.TRICKLE),
        ("*", "old", PatchKind.TRICKLE),
        ("*", "new", PatchKind.RESTART),
        ('"*"', "new", PatchKind.RESTART),
        ('"e1"', "new", PatchKind.RESTART),
        ('"e0"', "old", PatchKind.PRECONDITION_FAILED),
        ('W/"e1"', "old", PatchKind.PRECONDITION_FAILED),
        ("e1", "old", PatchKind.PRECONDITION_FAILED),
        ("", "old", PatchKind.PRECONDITION_FAILED),
        (None, "old", PatchKind.PRECONDITION_REQUIRED),
    ],
)
def test_patch_is_judged_by_if_match_and_ufrag(if_match, ufrag, kind):
    """W17 to W19: 204, 200, 412 or 428."""
    assert judge_patch(if_match, '"e1"', ufrag, "old") is kind


def test_a_h3_fault_of_every_packet_is_logged_once_a_second_and_does_not_last():
    """1,000 faults a second are a line a second, and end the session after five."""
    faults = FaultRun()
    logged = sum(faults.count(number / 1000) for number in range(4999))
    before = faults.is_lasting
    faults.count(FAULT_RUN_S)

    assert (logged, before, faults.is_lasting) == (5, False, True)
    assert faults.total == 5000


def test_a_h3_rare_faults_never_end_a_session():
    """A packet that is not understood every few seconds is counted and passed over."""
    faults = FaultRun()
    logged = [faults.count(number * 3.0) for number in range(1000)]

    assert all(logged)
    assert not faults.is_lasting
