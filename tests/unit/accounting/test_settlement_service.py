"""How often the settler of an idle server looks."""

import pytest

from mediaserver.accounting.settlement_service import idle_s
from metering.settlement.submitter_lease import TTL_MS


@pytest.mark.parametrize(
    ("batch_period_s", "wait_s"), [(1, 1.0), (12, 2.0), (30, 5.0), (3600, 5.0)]
)
def test_an_idle_settler_waits_a_sixth_of_the_batch_period(batch_period_s, wait_s) -> None:
    """A batch is sealed on time, and the submitter's lease is renewed well before it ends."""
    assert idle_s(batch_period_s) == wait_s
    assert idle_s(batch_period_s) * 1000 * 3 <= TTL_MS
