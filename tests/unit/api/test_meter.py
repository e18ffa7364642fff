"""What a viewer's live meter sends, and how many there may be."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from dataclasses import dataclass
from uuid import UUID

import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestClient, TestServer

from mediaserver.api.viewers.meter import (
    FRAMES_AT_ONCE,
    SOCKETS_PER_SESSION_MAX,
    Meter,
    Viewer,
    seconds_left,
)
from metering.model.passes import ENDLESS_TICK
from metering.units import AccountId, Asset, Planck, SessionId, ShowCap, StreamPolicy

ACCOUNT = AccountId(b"\x07" * 32)
POLICY = StreamPolicy(UUID(int=1), "cam", "Cam", ())
PREVIEWED = StreamPolicy(UUID(int=1), "cam", "Cam", (), preview_s=30)
CAPPED = StreamPolicy(UUID(int=1), "cam", "Cam", (), caps=(ShowCap(0, Planck(950)),))


@dataclass(frozen=True)
class Empty:
    balance_units: int = 0
    session_ticks: int = 9
    session_units: int = 900
    state: str = "live"
    covered_ticks: int = 0
    left_units: int | None = None
    passes: bytes = b""


class Source:
    def __init__(self, reading=Empty()):
        self.reading = reading
        self.shows = {}

    async def meters(self, viewers, shows):
        self.shows = shows
        return [self.reading for _ in viewers]


@contextlib.asynccontextmanager
async def serving(reading=Empty(), policy=POLICY):
    """Yield (meter, client); `/3` is the socket of session 3."""
    meter = Meter(
        Source(reading),
        policy=lambda _: policy,
        price=lambda _: 100,
        next_price=lambda _: {"planck_per_s": "1000", "from_ms": 1_700_000_060_000},
        now_ms=lambda: 1_700_000_000_123,
        state=lambda _: "live",
        show=lambda _: 7,
        asset=Asset,
        top_up_url=lambda: "https://pay.example.org/?account={account}",
    )

    async def handler(request):
        viewer = Viewer(ACCOUNT, SessionId(int(request.path[1:])), POLICY)
        return await meter.serve(request, viewer)

    app = web.Application()
    app.router.add_get("/{session}", handler)
    async with meter, TestClient(TestServer(app)) as client:
        yield meter, client


async def test_v1_meter_sends_a_dry_viewer_to_a_top_up_in_their_name():
    """Without the account the payment names nobody."""
    async with serving() as (_, client), client.ws_connect("/1") as socket:
        messages = [await socket.receive_json(timeout=5) for _ in range(2)]

    assert messages[1]["top_up_url"] == f"https://pay.example.org/?account=0x{ACCOUNT.hex()}"


async def test_an_empty_balance_watches_what_is_free_and_is_told_how_long():
    """The page says "free for N more seconds", and is not told to stop."""
    async with serving(Empty(covered_ticks=12), PREVIEWED) as (meter, client):
        async with client.ws_connect("/1") as socket:
            first = await socket.receive_json(timeout=5)
            then = await socket.receive_json(timeout=5)

        assert meter._source.shows == {PREVIEWED.stream.bytes: 7}
    assert (first["free_s"], first["seconds_left"]) == (18, 18)
    assert (then["type"], then["reason"]) == ("warning", "low_balance")


async def test_a_preview_that_is_used_up_stops_an_empty_balance():
    """The last free second was the last."""
    used = Empty(covered_ticks=30)
    async with serving(used, PREVIEWED) as (_, client), client.ws_connect("/1") as socket:
        messages = [await socket.receive_json(timeout=5) for _ in range(2)]

    assert "free_s" not in messages[0]
    assert (messages[1]["type"], messages[1]["reason"]) == ("stopped", "purse")


async def test_an_empty_balance_goes_on_in_a_show_that_is_paid():
    """The page is told that the show costs no more, and is not told to stop."""
    paid = Empty(left_units=99)
    async with serving(paid, CAPPED) as (meter, client), client.ws_connect("/1") as socket:
        first = await socket.receive_json(timeout=5)
        await meter._feed(list(meter._sockets))
        again = await socket.receive_json(timeout=5)

    assert (first["show_cap"], first["show_left"], first["seconds_left"]) == ("950", "99", None)
    assert again["type"] == "meter"


@pytest.mark.parametrize(
    ("show", "until_s", "told"),
    [(0, 1_700_000_060, {"until_ms": 1_700_000_060_000}), (7, ENDLESS_TICK, {"until_ms": None})],
)
async def test_an_empty_balance_goes_on_while_a_pass_covers_the_stream(show, until_s, told):
    """The page is told until when, and is not told to stop."""
    entry = struct.pack(">16sIII16s", UUID(int=1).bytes, show, 0, until_s, bytes(16))
    async with serving(Empty(passes=entry)) as (meter, client), client.ws_connect("/1") as socket:
        first = await socket.receive_json(timeout=5)
        await meter._feed(list(meter._sockets))
        again = await socket.receive_json(timeout=5)

    assert (first["pass"], first["seconds_left"], again["type"]) == (told, None, "meter")


async def test_a_pass_for_another_show_covers_nothing():
    """An empty balance is told to stop."""
    entry = struct.pack(">16sIII16s", UUID(int=1).bytes, 6, 0, ENDLESS_TICK, bytes(16))
    reading = Empty(passes=entry)
    async with serving(reading) as (_, client), client.ws_connect("/1") as socket:
        messages = [await socket.receive_json(timeout=5) for _ in range(2)]

    assert "pass" not in messages[0]
    assert (messages[1]["type"], messages[1]["reason"]) == ("stopped", "purse")


@pytest.mark.parametrize(("balance", "left", "left_s"), [(899, None, 8), (900, None, None)])
async def test_a_balance_that_pays_the_whole_show_has_no_end(balance, left, left_s):
    """Below that it lasts as long as without a cap."""
    reading = Empty(balance_units=balance, left_units=left)
    async with serving(reading, CAPPED) as (_, client), client.ws_connect("/1") as socket:
        first = await socket.receive_json(timeout=5)

    assert (first["show_left"], first["seconds_left"]) == ("950", left_s)


async def test_v2_v19_meter_tells_the_price_to_come_and_the_servers_clock():
    """A viewer hears of it before it holds, with a time that is not their own clock's."""
    async with serving() as (_, client), client.ws_connect("/1") as socket:
        reading = await socket.receive_json(timeout=5)

    assert reading["price"] == "100"
    assert reading["next_price"] == {"planck_per_s": "1000", "from_ms": 1_700_000_060_000}
    assert reading["now_ms"] == 1_700_000_000_123


@pytest.mark.parametrize(
    ("balance", "coming", "left_s"),
    [
        (6800, None, 68),
        (6800, (300, 39_000), 39 + 9),
        (6800, (300, 38_001), 39 + 9),
        (6800, (50, 39_000), 39 + 58),
        (6800, (0, 39_000), None),
        (3900, (300, 39_000), 39),
        (6800, (300, 0), 22),
    ],
)
def test_v2_a_balance_is_told_to_last_as_long_as_it_does(balance, coming, left_s):
    """It was counted at the present price alone: 68 s, and warnings as late, where it lasted 48."""
    change = coming and {"planck_per_s": str(coming[0]), "from_ms": 1_700_000_000_000 + coming[1]}

    assert seconds_left(balance, 100, change, 1_700_000_000_000) == left_s
    assert seconds_left(balance, 0, change, 1_700_000_000_000) is None


async def test_a_l2_session_has_a_few_meters_and_the_newest_are_kept():
    """One link cannot hold a server's memory; a page that reloads gets its meter at once."""
    async with serving() as (meter, client):
        held = []
        for _ in range(SOCKETS_PER_SESSION_MAX + 3):
            held.append(await client.ws_connect("/1"))
            await held[-1].receive_json(timeout=5)
        other = await client.ws_connect("/2")
        await other.receive_json(timeout=5)
        async with asyncio.timeout(5):
            for socket in held[:3]:
                while not (await socket.receive()).type.name.startswith("CLOS"):
                    pass

        assert meter.count == SOCKETS_PER_SESSION_MAX + 1
        assert not any(socket.closed for socket in [*held[3:], other])
        for socket in [*held, other]:
            await socket.close()


async def test_a_l2_meter_is_never_packed():
    """Deflate costs 90 kB for each socket and saves nothing of 200 bytes."""
    async with serving() as (_, client), client.ws_connect("/1", compress=15) as socket:
        assert not socket.compress


@pytest.mark.parametrize("frame", ["text", "ping"])
async def test_a_l3_who_talks_to_a_meter_without_end_is_dropped(frame):
    """Frames of a byte at 2 MB/s held up every other viewer; a library's ping is answered."""
    async with serving() as (meter, client), client.ws_connect("/1", autoping=False) as socket:
        await socket.ping(b"hi")
        async with asyncio.timeout(5):
            while (message := await socket.receive()).type is not WSMsgType.PONG:
                pass
        assert message.data == b"hi"
        with contextlib.suppress(ConnectionError):
            for _ in range(FRAMES_AT_ONCE):
                await (socket.send_str("x") if frame == "text" else socket.ping())
        async with asyncio.timeout(5):
            while not (await socket.receive()).type.name.startswith("CLOS"):
                pass

        assert (meter.count, meter.dropped) == (0, 1)


@pytest.mark.parametrize(
    ("state", "kinds"),
    [
        ("operator", ["stopped"]),
        ("owner", ["stopped"]),
        ("replaced", ["meter", "stopped"]),
    ],
)
async def test_a_m1_a_session_that_was_ended_for_good_reads_no_balance(state, kinds):
    """Who lent a link and ended it is not read on by the other, until its token expires."""
    async with serving(Empty(7000, state=state)) as (_, client), client.ws_connect("/1") as socket:
        messages = [await socket.receive_json(timeout=5) for _ in kinds]

    assert [message["type"] for message in messages] == kinds
    assert messages[-1]["reason"] == "session"


async def test_the_sockets_of_a_session_that_is_over_are_told_why_and_closed():
    """At once when control says so, whatever the store knows; others' stay."""
    async with serving(Empty(balance_units=1_000_000)) as (meter, client):
        over, other = await client.ws_connect("/3"), await client.ws_connect("/4")
        assert (await over.receive_json())["type"] == "meter"
        assert (await other.receive_json())["type"] == "meter"

        meter.end(frozenset({3, 99}))

        assert await over.receive_json() == {"type": "stopped", "reason": "session"}
        assert (await over.receive()).type is WSMsgType.CLOSE
        assert over.close_code == 1008
        assert meter.count == 1
        await over.close()
        await other.close()
