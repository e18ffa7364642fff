"""Automatic top-ups: one payment a crossing however often asked, within the mosts, or none."""

import asyncio
import random
from typing import Any

import pytest

from mediaserver.payments import auto_charges, auto_charging, auto_rules, inbox, orders
from mediaserver.payments.auto_charging import AGAIN_MS, ASK_FOR_MS, WAIT_FOR_MS
from mediaserver.payments.auto_records import AutoState, ChargeState, Spent, held_by, periods
from mediaserver.payments.records import Notice, PaymentStatus
from metering.model.ledger import balance_and_debt
from metering.units import Planck
from tests.support.auto_top_up_fixture import (
    CENTS,
    DAY_MS,
    NOW_MS,
    PERSON,
    Acquirer,
    allowed,
    begin,
    charges_of,
    make_allowed,
    payments_of,
    rule_of,
    watch,
)
from tests.support.book_fixture import PRICE
from tests.support.payments_fixture import back, paid


class Viewer:
    """A viewer, and what their server does."""

    def __init__(self, **changed: Any) -> None:
        self.fixture = make_allowed(**changed)
        self.book, self.acquirer = self.fixture.book, Acquirer()
        self.payments = payments_of(self.book, self.acquirer)
        self.now_ms, self.cuts = NOW_MS, 0

    def watch(self, seconds: int) -> None:
        self.cuts += 1
        watch(self.book, self.fixture, self.cuts, seconds)

    def look(self) -> bool:
        return begin(self.book, self.payments, self.now_ms) is not None

    def ask(self) -> None:
        """Ask the provider for all that is due."""
        with self.book.viewing() as connection:
            due = auto_charges.due(connection, self.now_ms, 100)
        for charge in due:
            asyncio.run(auto_charging.ask(self.payments, charge, self.now_ms))

    def hear(self, notice: Notice) -> None:
        with self.book.together() as connection:
            inbox.take(self.book, connection, "webhook", notice, b"", self.now_ms, is_live=True)

    def pays(self, status: PaymentStatus = PaymentStatus.PAID, event: str = "") -> None:
        """Have the provider tell of the newest payment."""
        newest = charges_of(self.book)[0].id
        with self.book.viewing() as connection:
            order = orders.get(connection, newest)
        event = event or f"{status} {order.id}"
        self.hear(paid(order, event, f"p {order.id}", status=status))

    @property
    def seconds(self) -> int:
        account = self.fixture.accounts[0]
        stayed = self.book.viewers.get(account).stayed
        balance, _ = balance_and_debt(stayed, self.book.cuts.spent(account))
        return int(balance // PRICE)

    @property
    def states(self) -> list[str]:
        """Of all payments, the oldest first."""
        return [charge.state.value for charge in reversed(charges_of(self.book))]


def test_a_crossing_is_one_payment_however_often_it_is_looked_at_and_asked() -> None:
    viewer = Viewer()
    viewer.watch(90)
    assert not viewer.look()  # 10 seconds are not below 10
    viewer.watch(1)
    assert [viewer.look() for _ in range(5)] == [True, False, False, False, False]
    viewer.acquirer.outcome = "lost"
    viewer.ask()
    viewer.now_ms += AGAIN_MS
    viewer.acquirer.outcome = "paid"
    viewer.ask()
    viewer.ask()
    for event in ("e1", "e1", "e2"):
        viewer.pays(event=event)

    assert list(viewer.acquirer.taken.values()) == [20 * CENTS]
    assert (viewer.acquirer.asked, viewer.seconds, viewer.states) == (2, 29, ["paid"])
    assert not viewer.look()
    viewer.watch(20)
    assert viewer.look()


def test_declined_or_slow_nothing_is_there_and_nothing_else_is_asked() -> None:
    """The picture stops as if there were none; who filled it by hand may cross again."""
    viewer = Viewer()
    viewer.watch(95)
    viewer.look()
    viewer.acquirer.outcome = "declined"
    viewer.ask()
    assert (viewer.seconds, viewer.states) == (5, ["declined"])
    viewer.watch(5)
    assert not viewer.look()
    deposit = viewer.book.deposits.add
    deposit(viewer.fixture.accounts[0], 50 * PRICE, "by hand", "", 1)  # type: ignore[arg-type]
    assert not viewer.look()
    viewer.watch(45)
    assert viewer.look()

    viewer.acquirer.outcome = "away"
    for _ in range(ASK_FOR_MS // AGAIN_MS + 5):
        viewer.ask()
        viewer.now_ms += AGAIN_MS
    assert (viewer.seconds, viewer.states) == (5, ["declined", "lost"])
    assert not viewer.look()


def test_after_three_declined_it_is_off_and_its_owner_is_to_be_told() -> None:
    viewer = Viewer()
    viewer.watch(80)
    viewer.acquirer.outcome = "declined"
    for number in range(1, 4):
        viewer.watch(15)
        assert viewer.look()
        viewer.ask()
        key = f"by hand {number}"
        account = viewer.fixture.accounts[0]
        viewer.book.deposits.add(account, 15 * PRICE, key, "", 1)  # type: ignore[arg-type]
        assert not viewer.look()

    rule = rule_of(viewer.book)
    assert (rule.state, rule.means) == (AutoState.OFF, "")
    assert rule.why.startswith("3 payments one after the other were declined")
    with viewer.book.viewing() as connection:
        assert [item.person for item in auto_rules.not_told(connection)] == [PERSON]
    viewer.watch(15)
    assert not viewer.look()


def test_a_payment_in_between_begins_the_count_of_declined_ones_anew() -> None:
    viewer = Viewer(day_max=10**6, month_max=10**6)
    viewer.watch(71)
    for outcome in ("declined", "declined", "paid", "declined", "declined"):
        viewer.watch(20)
        assert viewer.look()
        viewer.acquirer.outcome = outcome
        viewer.ask()
        if outcome == "paid":
            viewer.pays()
        else:
            key = f"by hand {viewer.cuts}"
            account = viewer.fixture.accounts[0]
            viewer.book.deposits.add(account, 20 * PRICE, key, "", 1)  # type: ignore[arg-type]
        viewer.look()
    assert rule_of(viewer.book).state is AutoState.ON


@pytest.mark.parametrize("status", [PaymentStatus.DISPUTED, PaymentStatus.LOST])
def test_a_dispute_ends_it(status) -> None:
    viewer = Viewer()
    viewer.watch(95)
    viewer.look()
    viewer.ask()
    viewer.pays()
    order = charges_of(viewer.book)[0]
    viewer.hear(back(f"p {order.id}", status, order.amount, "d1"))
    assert rule_of(viewer.book).state is AutoState.OFF
    assert "disputed" in rule_of(viewer.book).why


def test_a_provider_without_a_word_is_given_up_and_heard_all_the_same() -> None:
    """It counts as paid meanwhile, and once: what comes late is booked."""
    viewer = Viewer()
    viewer.watch(95)
    viewer.look()
    viewer.ask()
    viewer.now_ms += WAIT_FOR_MS + 1
    with viewer.book.together() as connection:
        auto_charges.lose_old(connection, viewer.now_ms - WAIT_FOR_MS, viewer.now_ms)
    assert viewer.states == ["lost"]
    viewer.pays()
    assert (viewer.seconds, viewer.states) == (25, ["paid"])


def test_what_is_lost_counts_to_the_mosts_as_if_it_had_been_paid() -> None:
    """It may have been taken."""
    viewer = Viewer(day_max=30 * CENTS, month_max=30 * CENTS)
    viewer.watch(95)
    assert viewer.look()
    viewer.ask()
    with viewer.book.together() as connection:
        auto_charges.lose_old(connection, viewer.now_ms + 1, viewer.now_ms + 1)
    planck = Planck(50 * PRICE)
    viewer.book.deposits.add(viewer.fixture.accounts[0], planck, "by hand", "", 1)
    assert not viewer.look()
    viewer.watch(50)
    assert (viewer.states, viewer.look()) == (["lost"], False)


def test_what_was_not_asked_within_an_hour_is_not_begun_any_more() -> None:
    """Control was away for a night: who watched then is not charged in the morning."""
    viewer = Viewer()
    viewer.watch(95)
    viewer.look()
    viewer.now_ms += 8 * ASK_FOR_MS
    viewer.ask()
    assert (viewer.acquirer.taken, viewer.states) == ({}, ["lost"])


def test_a_day_and_a_month_have_a_most_and_begin_anew() -> None:
    viewer = Viewer(day_max=45 * CENTS, month_max=65 * CENTS)
    viewer.watch(80)
    for is_asked in (True, True, False):
        viewer.watch(15)
        assert viewer.look() is is_asked
        viewer.ask()
        if is_asked:
            viewer.pays()
        viewer.watch(5)
    viewer.now_ms += DAY_MS
    assert viewer.look()
    viewer.ask()
    viewer.pays()
    viewer.now_ms += DAY_MS
    viewer.watch(15)
    assert not viewer.look()
    viewer.now_ms += 20 * DAY_MS
    assert viewer.look()


def test_what_cannot_be_ordered_any_more_ends_it_in_words() -> None:
    viewer = Viewer(currency="USD")
    viewer.watch(95)
    assert not viewer.look()
    assert "currency" in rule_of(viewer.book).why


def test_it_begins_with_the_payment_that_saves_the_means_and_with_no_other() -> None:
    viewer = Viewer(state=AutoState.SETTING_UP, setup_order="no such")
    viewer.watch(95)
    assert not viewer.look()
    with viewer.book.together() as connection:
        auto_rules.save_means(connection, "another", "cus_1:pm_1", 1)
        auto_rules.save_means(connection, "no such", "cus_1:pm_1", 1)
    assert (rule_of(viewer.book).state, rule_of(viewer.book).means) == ("on", "cus_1:pm_1")
    assert "cus_1" not in repr(rule_of(viewer.book))
    assert viewer.look()


def test_a_day_and_a_month_begin_at_midnight_utc() -> None:
    day, month = periods(NOW_MS + 5)
    assert (day, month) == (NOW_MS, NOW_MS - 15 * DAY_MS)


def test_the_most_may_be_reached_and_not_passed() -> None:
    rule = allowed(make_allowed().accounts[0], amount=5, day_max=10, month_max=12)
    assert [held_by(rule, Spent(day, day)) for day in (5, 6)] == ["", "day"]
    assert [held_by(rule, Spent(0, month)) for month in (7, 8)] == ["", "month"]


@pytest.mark.parametrize("seed", range(8))
def test_random_lives_never_pass_a_most_and_pay_once_a_crossing(seed) -> None:
    """Any order of watching, looks, crashes of an answer, notices twice and late, days passing."""
    chance = random.Random(seed)
    viewer = Viewer(day_max=50 * CENTS, month_max=90 * CENTS)
    for step in range(100):
        match chance.randrange(7):
            case 0 | 1:
                if viewer.seconds:
                    viewer.watch(chance.randint(1, viewer.seconds))
            case 2:
                viewer.look()
            case 3:
                viewer.acquirer.outcome = chance.choice(
                    ["paid", "paid", "lost", "away", "declined"]
                )
                viewer.ask()
                viewer.now_ms += AGAIN_MS
            case 4:
                for charge in charges_of(viewer.book)[:2]:
                    if charge.id in viewer.acquirer.taken:
                        _tell(viewer, charge.id, step if chance.random() < 0.5 else 0)
            case 5:
                viewer.now_ms += chance.choice([3_600_000, DAY_MS, 9 * DAY_MS])
            case _:
                rule = rule_of(viewer.book)
                if rule.state is AutoState.OFF:
                    with viewer.book.together() as connection:
                        again = allowed(rule.account, crossing=rule.crossing)
                        auto_rules.put(connection, again)

        _hold(viewer)
    assert viewer.book.ledger.unbalanced() == []


def _tell(viewer: Viewer, order_id: str, number: int) -> None:
    with viewer.book.viewing() as connection:
        order = orders.get(connection, order_id)
    viewer.hear(paid(order, f"e {order_id} {number}", f"p {order_id}"))


def _hold(viewer: Viewer) -> None:
    """Hold the laws: by what the provider took, not by what our rows say."""
    charges = charges_of(viewer.book)
    assert len({charge.crossing for charge in charges}) == len(charges)
    days, months = dict[int, int](), dict[int, int]()
    for charge in charges:
        if amount := viewer.acquirer.taken.get(charge.id, 0):
            day, month = periods(charge.created_ms)
            days[day] = days.get(day, 0) + amount
            months[month] = months.get(month, 0) + amount
            assert charge.state is not ChargeState.DECLINED
    assert max(days.values(), default=0) <= 50 * CENTS
    assert max(months.values(), default=0) <= 90 * CENTS
    booked = viewer.book.deposits.with_keys(inbox.KEY_PREFIX)
    taken = viewer.acquirer.taken
    assert sum(planck for _, planck in booked.values()) <= sum(taken.values()) * (PRICE // CENTS)
