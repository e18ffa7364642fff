"""The three figures that a complaint is compared with."""

from prometheus_client import CollectorRegistry

from mediaserver.hls.live_store import LiveStore
from mediaserver.ipc.messages import Health
from mediaserver.metrics import own_text
from mediaserver.processes.answer_times import AnswerTimes
from mediaserver.processes.availability import PLATFORM_KINDS, Availability, Reading
from tests.support.builders import Show
from tests.support.clock import FakeClock


class Watched:
    """Figures over readings that a test writes."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.now = Reading(0, {}, 0, may_claim=True)
        self.figures = Availability(lambda: self.now, self.clock.monotonic, stale_s=2.0)

    def second(self, **changes) -> None:
        values = {name: getattr(self.now, name) for name in Reading.__slots__} | changes
        self.now = Reading(**values)
        self.clock.move(1)
        self.figures.tick()

    def of(self, figure: str) -> tuple[float, float]:
        seconds = self.figures.seconds
        return seconds[figure, "good"], seconds[figure, "bad"]


def test_payment_is_bad_while_nobody_can_claim_or_a_claim_had_no_answer() -> None:
    """Also while nobody watches: what cannot be claimed would be refused."""
    watched = Watched()
    for second in range(30):
        watched.second(may_claim=not 10 <= second < 20)
    watched.second(unanswered_claims=1)
    watched.second(unanswered_claims=1)

    assert watched.of("payment") == (21, 11)
    assert watched.of("platform") == (32, 0)


def test_a_stream_is_on_air_with_or_without_media() -> None:
    """A frozen show costs its figure; a show that is not on air costs nothing."""
    watched = Watched()
    for second in range(10):
        watched.second(edges={"cam": second})
    for _ in range(5):
        watched.second(edges={"cam": 9})
    for _ in range(5):
        watched.second(edges={})
    watched.second(edges={"cam": 10})
    watched.second(edges={"cam": 11})

    # From its second look on; a pause of two seconds is within what parts may be late.
    assert watched.of("stream") == (9 + 2 + 1, 3)


def test_a_loop_that_stood_still_counts_what_passed() -> None:
    """Nothing is lost between two looks."""
    watched = Watched()
    watched.clock.move(6)
    watched.second(failed_answers=1)

    assert watched.of("platform") == (0, 7)
    registry = CollectorRegistry()
    registry.register(watched.figures)
    assert (
        'mediaserver_availability_seconds_total{figure="platform",outcome="bad",process="http-0"} '
        "7.0" in own_text("http-0", registry)
    )


def test_the_platform_fails_by_its_own_pages_and_api_alone() -> None:
    """Media has a figure of its own, and a viewer's mistake is none of ours."""
    times = AnswerTimes()
    for kind, status in (("page", 503), ("api", 500), ("api", 404), ("part", 503), ("other", 503)):
        times.observe(kind, status, 0.1)

    assert times.failed(PLATFORM_KINDS) == 2


def test_who_is_on_air_is_not_the_publisher_who_left() -> None:
    """A publisher's own pause costs no figure; a worker that died does."""
    clock = FakeClock()
    store = LiveStore(clock, reconnect_wait_s=60, waiters_max=10)
    show, feed = Show(), store.feed("worker-1")
    for message in [*show.open(), *show.segments(2)]:
        feed.apply(message)
    first = store.edges()
    for message in show.segments(1):
        feed.apply(message)
    assert set(first) == {"cam"}
    assert store.edges() != first

    feed.apply(Health("waiting", {}, ()))
    assert store.edges() == {}
    feed.apply(Health("live", {}, ()))
    feed.close()
    assert set(store.edges()) == {"cam"}
