"""What is given back is what the rules say, once, and in the shares in which it came."""

from __future__ import annotations

from dataclasses import replace

import pytest

from metering.model.audit import audit
from metering.model.audit_records import EntryCounts
from metering.model.ledger import Holder, Role
from metering.units import Planck, Run
from tests.unit.metering.model.test_audit import ANN, BEA, CAM, KEY, RECORDS

BACK = Run(1010, 5)
GOOD = replace(
    RECORDS,
    chain=None,
    bad_seconds=((CAM, BACK),),
    given_back=((KEY, (Run(1010, 3),)), (KEY, (Run(1013, 2),))),
    ledger={
        Holder(Role.OUTSIDE): Planck(-8_500),
        Holder(Role.VIEWER, ANN): Planck(5_000),
        Holder(Role.CREATOR, BEA, CAM): Planck(3_150),
        Holder(Role.PLATFORM, stream=CAM): Planck(350),
    },
)
"""Of 61 seconds 40 have settled."""


def test_books_with_bad_seconds_agree() -> None:
    assert audit(GOOD)[1] == ()


def test_what_has_not_settled_may_wait() -> None:
    """Which of the ticks have settled nobody counts; as many as have not may be missing."""
    wide = replace(GOOD, bad_seconds=((CAM, Run(1010, 26)),))

    assert audit(wide)[1] == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bad_seconds": ()}, "second 1010 and what follows is given back without a rule"),
        ({"bad_seconds": ((CAM, Run(1010, 3)),)}, "second 1013 and what follows is given back"),
        ({"bad_seconds": ((CAM, Run(1010, 27)),)}, "settled ticks of bad seconds that are not"),
        ({"given_back": (*GOOD.given_back, (KEY, (Run(1011, 1),)))}, "second 1011 and what follow"),
        ({"given_back": ()}, "planck in the ledger"),
    ],
)
def test_what_goes_back_otherwise_is_named(changes, words) -> None:
    differences = [str(difference) for difference in audit(replace(GOOD, **changes))[1]]

    assert any(words in text for text in differences), differences


def test_settled_ticks_of_a_rule_are_missed_once_all_have_settled() -> None:
    entries = {KEY: EntryCounts(booked=61, settled=61, refused=0, planck_per_tick=Planck(100))}
    missing = replace(GOOD, entries=entries, given_back=GOOD.given_back[:1])

    assert any("not given back" in str(difference) for difference in audit(missing)[1])
