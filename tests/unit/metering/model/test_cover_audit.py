"""A second that is covered and billed is named."""

from uuid import UUID

from metering.model.audit_records import Records
from metering.model.cover_audit import billed_too, covered_of, over_cap
from metering.units import AccountId, CutLine, EntryKey, Planck, Run, ShowCap

STREAM = UUID(int=7)
WHO, OTHER = AccountId(b"\x01" * 32), AccountId(b"\x02" * 32)


def _records(*runs: Run) -> Records:
    key = EntryKey(STREAM, WHO, 1, 1)
    return Records(((key, runs[:1]),), (CutLine(key, runs[1:], 0),), {}, {}, {}, {})


def test_what_is_covered_and_billed_is_named_by_its_first_second():
    """Booked or pending: who had it for nothing pays nothing for it."""
    covered = covered_of([((STREAM, WHO), (Run(100, 5),)), ((STREAM, WHO), (Run(200, 5),))])

    (difference,) = billed_too(_records(Run(104, 3), Run(204, 3)), covered)

    assert "second 104 and what follows is covered and billed" in str(difference)
    assert difference.actual == 2


def test_what_is_covered_for_one_may_be_billed_to_another():
    """Each account has its own preview."""
    covered = covered_of([((STREAM, OTHER), (Run(100, 5),))])

    assert billed_too(_records(Run(100, 5), Run(110, 1)), covered) == ()


def test_a_show_that_cost_more_than_its_cap_is_named():
    """Booked and pending together; a show whose cap was lifted may cost anything."""
    caps = {STREAM: (ShowCap(100, Planck(50)), ShowCap(200, Planck(0)))}
    shows, prices = {STREAM: (100, 200)}, {(STREAM, 1): Planck(10)}

    (difference,) = over_cap(_records(Run(104, 3), Run(150, 3), Run(204, 30)), shows, caps, prices)

    assert "planck of show 100, at most: expected 50, found 60" in str(difference)
    assert over_cap(_records(Run(104, 3), Run(150, 2)), shows, caps, prices) == ()
