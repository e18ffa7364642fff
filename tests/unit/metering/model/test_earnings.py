"""Earnings by state: pending, maturing, available; what went out beyond that is a debt."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from metering.model.earnings import Earnings, OpenEntry, by_state, pending_share
from metering.model.ledger import Holder, Role, Share
from metering.units import AccountId, Planck

NOTHING = Planck(0)


def test_what_was_earned_matures_and_what_is_taken_counts_at_once() -> None:
    postings = [(10, Planck(100)), (11, Planck(30)), (12, Planck(-20))]
    found = by_state(postings, Planck(5), Planck(50), Planck(20), matured_ms=10)
    assert found == Earnings(*map(Planck, (5, 30, 30, 0, 50, 20)))


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(-50, 50))),
    st.integers(0, 99),
    st.integers(0, 9),
)
def test_no_planck_is_lost_between_the_states(postings, asked, matured_ms) -> None:
    found = by_state(
        [(at, Planck(planck)) for at, planck in postings],
        NOTHING,
        Planck(asked),
        NOTHING,
        matured_ms,
    )
    balance = sum(planck for _, planck in postings)
    assert found.maturing + found.available - found.debt + found.asked == balance
    assert min(found.available, found.debt) == 0 <= found.maturing


def test_pending_is_the_share_of_what_no_batch_has_settled() -> None:
    """Rounded as the settlement will be: by the cumulative count."""
    stream, bea, pat = UUID(int=1), AccountId(b"b" * 32), AccountId(b"p" * 32)
    shared = OpenEntry(2, 0, Planck(10), (Share(pat, 250_000),))
    entries = [OpenEntry(7, 3, Planck(3)), shared]

    def share_of(account: AccountId) -> Planck:
        return pending_share(entries, Holder(Role.CREATOR, account, stream), bea, 100_000)

    # 21 and 9 planck, of which the platform has 2 and 0; 20, of which it has 2, and Pat 5.
    assert share_of(bea) == (19 - 9) + (20 - 2 - 5)
    assert share_of(pat) == 5
