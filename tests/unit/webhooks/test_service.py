"""Facts of the book are told to receivers that fail, are slow, or are away: all, in order."""

import time
from collections import defaultdict
from random import Random
from uuid import UUID

import pytest
from aiohttp import web

from mediaserver.webhooks import outbox
from mediaserver.webhooks.records import Delivery, DeliveryState
from mediaserver.webhooks.schema import events
from mediaserver.webhooks.service import HOUR_MS, Webhooks
from metering.book.async_book import AsyncBook
from metering.errors import InvalidValueError, UnknownNameError
from metering.units import Planck, SessionId
from tests.support.book_fixture import BookFixture, make_book
from tests.support.webhook_receiver import Receiver, taken, telling


class Clock:
    """Near the real time, as signatures are at most five minutes old."""

    def __init__(self, ahead_s: float = -240) -> None:
        self.ahead_ms = int(ahead_s * 1000)

    def __call__(self) -> int:
        return int(time.time() * 1000) + self.ahead_ms


async def opened(fixture: BookFixture, settings, clock=None) -> Webhooks:
    webhooks = Webhooks(AsyncBook(fixture.book), settings, clock or Clock())
    await webhooks.open()
    return webhooks


async def drain(webhooks: Webhooks, clock: Clock, name: str = "r0") -> int:
    """Run rounds until nothing is left, the clock moved on where a delivery waits."""
    rounds = 0
    while (wait_s := await webhooks.round(name)) is not None:
        clock.ahead_ms += int(wait_s * 1000) + 1
        rounds += 1
    return rounds


async def deliveries(webhooks: Webhooks) -> list[Delivery]:
    return await webhooks.read(lambda connection: outbox.page(connection, limit=200))


async def watch(webhooks: Webhooks, fixture: BookFixture, numbers, stream=None) -> None:
    """Have sessions begin and end."""
    where = stream or fixture.stream.id
    await webhooks.write(lambda _: sessions(fixture, numbers, where, webhooks._now_ms()))


def sessions(fixture: BookFixture, numbers, stream: UUID, at_ms: int = 1) -> None:
    for number in numbers:
        session = SessionId(number)
        fixture.book.sessions.add(session, fixture.accounts[0], stream, 1, at_ms, 10**15)
        fixture.book.sessions.end(session, "left", at_ms)


async def test_a_receiver_that_fails_a_third_gets_each_event_in_its_streams_order(tmp_path) -> None:
    """At least once each, one id each, and no later event of a stream before an earlier one."""
    random, fixture, clock = Random(7), make_book(), Clock()

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=random.choice([200, 200, 503]))

    async with Receiver(answer) as receiver:
        webhooks = await opened(fixture, telling(tmp_path, receiver), clock)
        streams = [fixture.stream.id]
        create = fixture.book.streams.create
        made = await webhooks.write(
            lambda _: [create(f"other{n}", "S", Planck(0), 1, 0)[0].id for n in range(3)]
        )
        streams += made
        for number in range(1, 41):
            await watch(webhooks, fixture, [number], streams[number % 4])

        await drain(webhooks, clock)

        assert {row.state for row in await deliveries(webhooks)} == {DeliveryState.SENT}
        by_stream = defaultdict(list)
        for _, body in receiver.taken():
            facts = body["data"]
            by_stream[facts["stream"]["id"]].append((body["type"], int(facts["session"], 16)))
        assert sum(map(len, by_stream.values())) == 80
        for number, stream in enumerate(streams):
            mine = [n for n in range(1, 41) if n % 4 == number]
            expected = [(f"viewer.{kind}", n) for n in mine for kind in ("joined", "left")]
            assert by_stream[str(stream)] == expected
        assert any(status == 503 for _, _, status in receiver.came)


async def test_a_slow_target_keeps_no_other_waiting_and_a_dead_one_is_caught_up(tmp_path) -> None:
    """Each target is served by itself; who was away gets the same ids when they are back."""
    fixture, clock = make_book(), Clock()
    slow, quick = Receiver(), Receiver()
    async with quick:
        async with slow:
            settings = telling(tmp_path, slow, quick)
        webhooks = await opened(fixture, settings, clock)
        await watch(webhooks, fixture, [1, 2])
        await webhooks.round("r0")
        await drain(webhooks, clock, "r1")
        assert len(quick.taken()) == 4
        assert slow.taken() == []
        async with slow:
            await drain(webhooks, clock, "r0")
            assert slow.taken() == quick.taken()


async def test_what_nobody_takes_is_given_up_and_told_again_on_demand(tmp_path) -> None:
    """A dead letter keeps its id and its words; the next of the stream goes on without it."""
    fixture, clock = make_book(), Clock(0)
    async with Receiver() as receiver:
        settings = telling(tmp_path, receiver, give_up_h=24)
    webhooks = await opened(fixture, settings, clock)
    await watch(webhooks, fixture, [1])
    await drain(webhooks, clock)
    assert clock.ahead_ms >= 24 * HOUR_MS
    dead = await deliveries(webhooks)
    assert [row.state for row in dead] == [DeliveryState.DEAD] * 2
    assert dead[0].detail.startswith("Client")
    clock.ahead_ms = 0
    async with receiver:
        count = await webhooks.write(lambda c: outbox.replay(c, "r0", [], clock()))
        await drain(webhooks, clock)
        assert (count, receiver.kinds()) == (2, ["viewer.joined", "viewer.left"])
        await webhooks.write(lambda c: outbox.replay(c, "r0", [dead[0].id], clock()))
        await drain(webhooks, clock)
        assert receiver.came[-1][0] == dead[0].id


async def test_a_fact_that_is_taken_back_is_never_told(tmp_path) -> None:
    fixture = make_book()
    async with Receiver() as receiver:
        webhooks = await opened(fixture, telling(tmp_path, receiver))

        def fails(_: object) -> None:
            sessions(fixture, [1], fixture.stream.id)
            raise InvalidValueError("no")

        with pytest.raises(InvalidValueError):
            await webhooks.write(fails)
        assert await deliveries(webhooks) == []
        await watch(webhooks, fixture, [1])
        assert len(await deliveries(webhooks)) == 2


async def test_shows_are_told_to_be_live_and_ended_once(tmp_path) -> None:
    """Also over a restart; what pauses is live still; what another process has is left alone."""
    fixture, clock = make_book(), Clock()
    stream = fixture.stream.id
    async with Receiver() as receiver:
        webhooks = await opened(fixture, telling(tmp_path, receiver), clock)
        await webhooks.saw_shows({}, {stream: 5}, is_whole=True)
        await webhooks.saw_shows({stream: 5}, {}, is_whole=True)
        await webhooks.saw_shows({}, {stream: 5}, is_whole=True)
        again = await opened(fixture, telling(tmp_path, receiver), clock)
        await again.saw_shows({}, {}, is_whole=False)
        await again.saw_shows({stream: 6}, {}, is_whole=False)
        await again.saw_shows({}, {}, is_whole=True)
        await drain(again, clock)
        shows = [(body["type"], body["data"]["show"]) for _, body in receiver.taken()]
        live, ended = "stream.live", "stream.ended"
        assert shows == [(live, 5), (ended, 5), (live, 6), (ended, 6)]
        assert receiver.taken()[0][1]["data"]["stream"] == {"id": str(stream), "slug": "talks"}


async def test_a_target_is_told_its_kinds_alone_and_a_left_out_one_is_forgotten(tmp_path) -> None:
    fixture = make_book()
    async with Receiver() as receiver:
        settings = telling(tmp_path, receiver, receiver)
    (first, second) = settings.targets
    narrow = type(first)(first.name, first.url, first.secret_file, ("batch.final",))
    only = type(settings)(targets=(narrow, second))
    webhooks = await opened(fixture, only)
    await watch(webhooks, fixture, [1])
    assert {row.target for row in await deliveries(webhooks)} == {"r1"}
    with pytest.raises(UnknownNameError, match="there are: r0, r1"):
        await webhooks.test("r2")
    none = await opened(make_book(), type(settings)())
    await none.saw_shows({fixture.stream.id: 1}, {}, is_whole=True)
    assert await deliveries(none) == []


async def test_old_events_are_forgotten_and_what_waits_is_not(tmp_path) -> None:
    fixture, clock = make_book(), Clock()
    async with Receiver() as receiver:
        webhooks = await opened(fixture, telling(tmp_path, receiver, receiver, keep_days=1), clock)
        await webhooks.write(lambda _: sessions(fixture, [1], fixture.stream.id))  # in 1970
        await drain(webhooks, clock)
        receiver.answer = taken
        assert len(await deliveries(webhooks)) == 4
        await drain(webhooks, clock, "r1")
    left = await webhooks.read(lambda c: c.execute(events.select()).all())
    assert left == []


async def test_all_secrets_sign_while_one_replaces_another(tmp_path) -> None:
    fixture, clock = make_book(), Clock()
    other = "whsec_b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcg=="
    async with Receiver(secret=other) as receiver:
        settings = telling(tmp_path, receiver)
        with (tmp_path / "hook.secret").open("a") as file:
            file.write(other + "\n")
        webhooks = await opened(fixture, settings, clock)
        await webhooks.test("r0")
        await drain(webhooks, clock)
        assert receiver.kinds() == ["webhook.test"]


def test_a_secret_that_cannot_be_used_is_told_with_its_target(tmp_path) -> None:
    settings = telling(tmp_path, Receiver())
    (tmp_path / "hook.secret").write_text("whsec_c2hvcnQ=")
    with pytest.raises(InvalidValueError, match=r"targets r0: secret_file: .*24 bytes"):
        Webhooks(AsyncBook(make_book().book), settings, Clock())
