"""The live store: what is held, for how long, and which worker counts."""

import pytest
from msgspec.structs import replace

from mediaserver.errors import LinkError
from mediaserver.hls.addresses import Init, PartAddress, Segment
from mediaserver.hls.live_store import LiveStore
from mediaserver.ipc.messages import Health, InitMade, SegmentEnded, ShowEnded
from tests.support.builders import INIT, OPENED, START_MS, Show
from tests.support.clock import FakeClock


def store_of(clock: FakeClock, **more: int) -> LiveStore:
    return LiveStore(clock, reconnect_wait_s=60, waiters_max=10, **more)


def test_a_lost_worker_is_waited_for_then_the_show_ends() -> None:
    """Viewers see a pause for a minute, then an end; nothing hangs indefinitely."""
    clock = FakeClock()
    store = store_of(clock)
    show, feed = Show(), store.feed("worker-1")
    for message in [*show.open(), *show.segments(3), *show.begin(1)]:
        feed.apply(message)
    assert store.state("cam") == "live"

    feed.close()
    clock.seconds += 65
    store.expire()
    assert store.state("cam") == "restarting"
    clock.seconds += 1
    store.expire()

    assert store.state("cam") == "offline"
    current = store.current("cam")
    assert current is not None
    assert current.window.is_ended


def test_a_worker_that_comes_back_goes_on_where_it_was() -> None:
    """A new connection tells everything again; the old one's end is no longer heard."""
    clock = FakeClock()
    store = store_of(clock)
    show, first, second = Show(), store.feed("worker-1"), store.feed("worker-1")
    for message in [*show.open(), *show.segments(3)]:
        first.apply(message)
    for message in list(show.messages):
        second.apply(message)
    first.apply(ShowEnded())
    first.close()
    clock.seconds += 100
    store.expire()

    assert store.state("cam") == "live"
    current = store.current("cam")
    assert current is not None
    assert current.size_bytes == store.size_bytes


def test_a_new_show_takes_over_and_the_old_one_can_be_played_out() -> None:
    """Old addresses hold until they have aged; old numbers never return."""
    clock = FakeClock()
    store = store_of(clock)
    old, new, feed = Show(), Show(opened=replace(OPENED, show=6)), store.feed("worker-1")
    for message in [*old.open(), *old.segments(3), *new.open(), *new.segments(1)]:
        feed.apply(message)

    past = store.show("cam", 5)
    assert past is not None
    assert past.window.is_ended
    assert Segment("cam", 5, "source", 0, START_MS // 1000, 2) in past.media
    assert store.multivariant("cam") is not None
    with pytest.raises(LinkError, match="older"):
        store.feed("worker-2").apply(OPENED)
    clock.seconds += 120
    store.expire()
    assert store.show("cam", 5) is None
    current = store.current("cam")
    assert current is not None
    assert store.size_bytes == current.size_bytes


def test_an_ended_show_leaves_memory_after_a_while() -> None:
    """Nothing is kept indefinitely."""
    clock = FakeClock()
    store = store_of(clock)
    show, feed = Show(), store.feed("worker-1")
    for message in [*show.open(), *show.segments(3)]:
        feed.apply(message)
    feed.apply(ShowEnded())
    feed.close()
    clock.seconds += 301
    store.expire()

    assert store.slugs() == ()
    assert store.size_bytes == 0


def test_memory_is_bounded_by_the_oldest_segments() -> None:
    """More media than fits shortens windows; the live edge stays."""
    store = store_of(FakeClock(), bytes_max=60_000)
    show, feed = Show(), store.feed("worker-1")
    for message in [*show.open(), *show.segments(60)]:
        feed.apply(message)

    current = store.current("cam")
    assert current is not None
    assert store.size_bytes == current.size_bytes <= 60_000
    assert store.size_bytes == sum(
        media.size_bytes for place, media in current.media.items() if isinstance(place, PartAddress)
    )
    assert store.dropped["segments"] > 0
    assert current.window.listed("source")[-1].msn == 59


def test_everything_a_playlist_names_can_be_had() -> None:
    """Whatever was evicted, no list names what is gone, and nothing is kept that was evicted."""
    store = store_of(FakeClock())
    show, feed = Show(), store.feed("worker-1")
    for message in [*show.open(), *show.segments(100), *show.begin(2)]:
        feed.apply(message)

    current = store.current("cam")
    assert current is not None
    for name in ("source", "360p", "audio"):
        for entry in current.window.listed(name):
            for part in entry.parts:
                slot = part.slot
                key = (slot.msn, slot.part, slot.first_tick, slot.tick_count)
                assert PartAddress("cam", 5, name, *key) in current.media
            if entry.is_ended:
                key3 = (entry.msn, entry.named_run.first, entry.named_run.count)
                whole = current.media[Segment("cam", 5, name, *key3)]
                assert sum(map(len, whole.chunks)) == whole.size_bytes
    assert min(place.msn for place in current.media) == current.window.first_msn


def test_a_segment_shares_the_bytes_of_its_parts() -> None:
    """A second copy of every byte would halve what a machine can hold."""
    store = store_of(FakeClock())
    show, feed = Show(), store.feed("worker-1")
    for message in [*show.open(), *show.segment()]:
        feed.apply(message)

    current = store.current("cam")
    assert current is not None
    tick = START_MS // 1000
    whole = current.media[Segment("cam", 5, "source", 0, tick, 2)]
    part = current.media[PartAddress("cam", 5, "source", 0, 0, tick, 1)]
    assert whole.chunks[0] is part.chunks[0]
    assert whole.etag != part.etag


def test_a_message_before_its_show_breaks_the_link() -> None:
    """A faulty worker costs its own connection."""
    with pytest.raises(LinkError, match="before its show"):
        store_of(FakeClock()).feed("worker-1").apply(SegmentEnded("source", 0, 1, 1))


def test_inits_are_bounded() -> None:
    """A codec that changes each second does not fill memory."""
    store = store_of(FakeClock())
    feed = store.feed("worker-1")
    feed.apply(OPENED)
    for number in range(200):
        feed.apply(InitMade("source", f"{number:016x}", b"init"))

    current = store.current("cam")
    assert current is not None
    assert len(current.inits) == 64
    assert Init("cam", 5, "source", f"{199:016x}") in current.inits


def test_the_page_knows_the_state_and_boots_with_the_best_rendition() -> None:
    """The watch page starts its picture without asking again."""
    store = store_of(FakeClock())
    show, feed = Show(), store.feed("worker-1")
    assert (store.state("cam"), store.multivariant("cam"), store.boot_playlist("cam")) == (
        "offline",
        None,
        None,
    )
    for message in show.open():
        feed.apply(message)
    assert (store.state("cam"), store.multivariant("cam")) == ("waiting", None)
    for message in show.begin(1):
        feed.apply(message)
    feed.apply(Health("waiting", {}, ("OBS is gone.",)))

    boot = store.boot_playlist("cam")
    assert boot is not None
    assert boot[0] == "5/source/media.m3u8"
    assert f"init-{INIT}.mp4" in boot[1]
    assert store.state("cam") == "waiting"
    health = store.health("cam")
    assert health is not None
    assert health.advice == ("OBS is gone.",)


def test_v12_worker_that_ends_or_is_lost_is_not_told_as_an_absent_publisher() -> None:
    """Viewers read that the creator's connection dropped while the server restarted."""
    store = store_of(FakeClock())
    show, feed = Show(), store.feed("worker-1")
    for message in [*show.open(), *show.segments(3), Health("restarting", {}, ())]:
        feed.apply(message)
    draining = store.state("cam")

    feed.close()
    lost = store.state("cam")
    feed = store.feed("worker-2")
    for message in [*show.open(), Health("waiting", {}, ())]:
        feed.apply(message)

    assert (draining, lost) == ("restarting", "restarting")
    assert store.state("cam") == "waiting"
