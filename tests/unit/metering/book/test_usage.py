"""Minutes of streams and viewers are the book's ticks exactly, whatever ends the process."""

from collections import Counter

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from metering.book.book import Book
from metering.book.migrations.versions import r0014_usage
from metering.book.usage import oldest_hour
from metering.units import AccountId, Cut, CutLine, EntryKey, Planck, Run, shard_of
from tests.support.book_fixture import PRICE, make_book

START = 1_700_000_000 // 3600 * 3600
CHANGE = START + 3630
"""The price changes within a minute, and an hour after the start."""


class Watching:
    """A book that gets cuts, and the ticks that it should have, by account."""

    def __init__(self, viewers: int = 4) -> None:
        self.fixture = make_book(viewers=viewers)
        self.book = self.fixture.book
        self.stream = self.fixture.stream.id
        self.book.streams.add_price(self.fixture.stream.slug, Planck(7), CHANGE)
        self.seen: dict[int, set[int]] = {viewer: set() for viewer in range(viewers)}
        self._booked: Counter[EntryKey] = Counter()
        self._numbers: Counter[int] = Counter()

    def watch(self, viewer: int, first: int, count: int) -> None:
        """Book a cut with what of a run this viewer has not seen."""
        lines = []
        for version, low, high in ((1, 0, CHANGE), (2, CHANGE, 1 << 60)):
            new = [
                tick
                for tick in range(first, first + count)
                if low <= tick < high and tick not in self.seen[viewer]
            ]
            if new:
                key = self.fixture.key(viewer, version=version)
                self._booked[key] += len(new)
                lines.append(CutLine(key, runs_of(new), self._booked[key]))
            self.seen[viewer].update(new)
        if lines:
            shard = shard_of(self.fixture.accounts[viewer])
            self._numbers[shard] += 1
            self.book.cuts.book([Cut(shard, self._numbers[shard], tuple(lines))], 1)

    def assert_minutes(self) -> None:
        """Compare every number with the ticks themselves."""
        at = Counter(tick for ticks in self.seen.values() for tick in ticks)
        minutes = self.book.usage.minutes(self.stream, 0, 1 << 40, 10**6)
        assert {
            minute.minute * 60 + second: count
            for minute in minutes
            for second, count in enumerate(minute.seconds)
            if count
        } == dict(at)
        for minute in minutes:
            ticks = range(minute.minute * 60, minute.minute * 60 + 60)
            assert minute.peak == max(at[tick] for tick in ticks)
            assert minute.ticks == sum(at[tick] for tick in ticks)
            assert minute.viewers == sum(
                any(tick in seen for tick in ticks) for seen in self.seen.values()
            )
            assert minute.planck == sum(at[t] * (7 if t >= CHANGE else PRICE) for t in ticks)
        assert sum(minute.planck for minute in minutes) == sum(
            self.book.cuts.spent(account) for account in self.fixture.accounts
        )

        of_viewers: Counter[tuple[AccountId, int]] = Counter()
        for hour in self.book.usage.changed(0, 10**6):
            for place, ticks_in_minute in enumerate(hour.minutes):
                of_viewers[hour.account, hour.hour * 60 + place] += ticks_in_minute
        assert +of_viewers == Counter(
            (self.fixture.accounts[viewer], tick // 60)
            for viewer, seen in self.seen.items()
            for tick in seen
        )


def _roll_killed(book: Book) -> None:
    with book.together():
        book.usage.roll()
        raise KeyboardInterrupt


def runs_of(ticks: list[int]) -> tuple[Run, ...]:
    runs: list[Run] = []
    for tick in sorted(ticks):
        if runs and runs[-1].end == tick:
            runs[-1] = Run(runs[-1].first, runs[-1].count + 1)
        else:
            runs.append(Run(tick, 1))
    return tuple(runs)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.integers(0, 3), st.integers(0, 8000), st.integers(1, 200)),
            st.sampled_from(["roll", "killed"]),
        ),
        max_size=25,
    )
)
def test_minutes_are_the_ticks_of_the_book_exactly(acts) -> None:
    """In any order, late and across a price change; a process that is killed in a roll too."""
    world = Watching()
    for act in acts:
        if act == "roll":
            world.book.usage.roll(lines_max=2)
        elif act == "killed":
            with pytest.raises(KeyboardInterrupt):
                _roll_killed(world.book)
        else:
            viewer, first, count = act
            world.watch(viewer, START + first, count)

    while not world.book.usage.roll(lines_max=3).is_all:
        pass

    world.assert_minutes()
    world.book.close()


def test_a_reader_who_keeps_the_last_of_each_hour_has_all_of_them() -> None:
    """Hours that change are told again behind what was read; a roll is never split over pages."""
    world = Watching()
    kept: dict[tuple[AccountId, int], int] = {}
    after = 0
    for step in range(6):
        for viewer in range(4):
            world.watch(viewer, START + 40 * step, 40)
        while not world.book.usage.roll(lines_max=1).is_all:
            pass
        if step in {2, 5}:
            while page := world.book.usage.changed(after, 3):
                kept |= {(hour.account, hour.hour): sum(hour.minutes) for hour in page}
                after = page[-1].revision

    assert kept == {(who, START // 3600): 240 for who in world.fixture.accounts}
    only = world.fixture.accounts[1]
    assert {hour.account for hour in world.book.usage.changed(0, 9, account=only)} == {only}
    assert world.book.usage.changed(0, 9, stream=world.stream, account=only)
    world.book.close()


def test_minutes_are_forgotten_when_they_are_older_than_they_are_kept() -> None:
    """Days after, by whole hours; ticks stay in the book."""
    world = Watching(viewers=2)
    world.watch(0, START + 3500, 200)
    world.watch(1, START + 3500, 200)
    world.book.usage.roll()
    now_ms = (START + 3600 + 5 * 86400) * 1000

    assert world.book.usage.forget(oldest_hour(now_ms, 5)) == 4  # two viewers' hour, two minutes
    assert world.book.usage.forget(oldest_hour(now_ms, 5)) == 0

    assert [m.minute for m in world.book.usage.minutes(world.stream, 0, 1 << 40, 9)] == [
        START // 60 + 60,
        START // 60 + 61,
    ]
    assert world.book.cuts.spent(world.fixture.accounts[0]) > 0
    world.book.close()


def test_what_an_older_program_merged_is_rolled_up_once() -> None:
    """A book that is brought up has the minutes of its history too."""
    world = Watching()
    for viewer in range(4):
        world.watch(viewer, START + 100 * viewer, 4000)
    world.book.usage.roll()
    # As it was left by the older program: all is history, and nothing is in the minutes.
    with world.book.together() as connection:
        connection.execute(text("UPDATE cuts SET is_forgotten = 1"))
        connection.execute(text("UPDATE cut_lines SET receipt = 1"))
    assert world.book.cuts.compact() == 8
    with world.book.together() as connection:
        for table in ("viewer_hours", "stream_minutes", "usage_backlog"):
            connection.execute(text(f"DROP TABLE {table}"))
        connection.execute(text("DELETE FROM meta WHERE name IN ('rolled_cut', 'usage_revision')"))

    with (
        world.book.together() as connection,
        Operations.context(MigrationContext.configure(connection)),
    ):
        r0014_usage.upgrade()
    while not world.book.usage.roll(lines_max=3).is_all:
        pass

    world.assert_minutes()
    world.book.close()
