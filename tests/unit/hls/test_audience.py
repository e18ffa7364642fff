"""Who plays now: exactly with a token, however they fetch; by estimate without one."""

from collections.abc import Iterator
from uuid import UUID

import pytest

from mediaserver.errors import LinkError
from mediaserver.hls.audience import Audience
from mediaserver.ipc import audience as wire
from mediaserver.playback_token import Grant
from metering.units import AccountId, SessionId

STREAM = UUID(int=7)


class Crowd:
    """An audience and the time."""

    def __init__(self, players_max: int = 1000) -> None:
        self.now_s = 1000.0
        self.audience = Audience(lambda: self.now_s, players_max)

    def fetch(self, viewer: int, tab: int = 0, part_ms: int = 500, edge: str = "") -> None:
        grant = Grant(account(viewer), STREAM, SessionId(viewer * 10 + tab + 1), 1 << 40)
        self.audience.watched(STREAM, part_ms, grant, edge)

    def passes(self, seconds: float, each_s: float = 0.1) -> Iterator[float]:
        """Yield the time, step by step."""
        for _ in range(round(seconds / each_s)):
            self.now_s = round(self.now_s + each_s, 3)
            yield self.now_s

    @property
    def viewers(self) -> int:
        return len({who for of in self.audience.reading() for who, _, _ in of.players()})

    @property
    def estimate(self) -> int:
        return sum(of.estimate for of in self.audience.reading())


def account(number: int) -> AccountId:
    return AccountId(number.to_bytes(32, "big"))


def test_a_viewer_with_two_tabs_is_one_viewer_and_two_players() -> None:
    crowd = Crowd()
    crowd.fetch(1)
    crowd.fetch(1, tab=1, edge="10.0.0.2")
    crowd.fetch(2)

    (of_stream,) = crowd.audience.reading()

    assert crowd.viewers == 2
    assert sorted(of_stream.players()) == [
        (account(1), SessionId(11), ""),
        (account(1), SessionId(12), "10.0.0.2"),
        (account(2), SessionId(21), ""),
    ]


@pytest.mark.parametrize("part_ms", [500, 1000, 2000])
def test_who_plays_on_is_counted_at_each_moment_and_who_leaves_within_2_s(part_ms) -> None:
    """A next fetch comes up to 400 ms late; 2 s count from the end of what the player has."""
    crowd = Crowd()
    late = iter((0.0, 0.4, 0.1, 0.3) * 20)
    due_s = crowd.now_s
    for now_s in crowd.passes(20):
        if now_s >= due_s:
            crowd.fetch(1, part_ms=part_ms)
            due_s = now_s + part_ms / 1000 + next(late)
        assert crowd.viewers == 1
    left_s = crowd.now_s

    gone_s = next(now_s for now_s in crowd.passes(10) if crowd.viewers == 0)

    assert gone_s - left_s <= part_ms / 1000 + 2


def test_players_without_a_token_are_estimated_by_the_media_that_they_fetch() -> None:
    """Parts and whole segments, by the same number of people: right after 2 s, gone after 2 s."""
    crowd = Crowd()
    parts, segments = 30, 20
    for step, _ in enumerate(crowd.passes(12)):
        if step % 5 == 0:
            for _ in range(parts):
                crowd.audience.watched(STREAM, 500, None)
        if step % 20 == 0:
            for _ in range(segments):
                crowd.audience.watched(STREAM, 2000, None)
        if step >= 20:
            assert crowd.estimate == parts + segments

    for step, _ in enumerate(crowd.passes(5)):
        if step >= 30:  # what they have lasts 2 s, and the middle of a second is half a second late
            assert crowd.estimate == 0

    assert crowd.audience.reading() == []


def test_no_more_players_are_held_than_there_is_room_for() -> None:
    """What a bound drops is counted; who left makes room."""
    crowd = Crowd(players_max=10)
    for viewer in range(12):
        crowd.fetch(viewer)
    assert (crowd.viewers, crowd.audience.dropped) == (10, 2)

    crowd.now_s += 60
    crowd.fetch(99)

    assert (crowd.viewers, crowd.audience.dropped) == (1, 2)


def test_what_control_is_told_is_what_was_counted() -> None:
    crowd = Crowd()
    for viewer in range(300):
        crowd.fetch(viewer, edge=f"10.0.{viewer}.1" if viewer else "")

    decoded = wire.decode(wire.encode(crowd.audience.reading()))

    assert list(decoded) == crowd.audience.reading()
    assert len({edge for _, _, edge in decoded[0].players()}) == wire.EDGES_MAX + 1
    with pytest.raises(LinkError):
        wire.decode(b'[["x"]]')
