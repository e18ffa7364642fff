"""What a viewer's live meter sends, and how many there may be."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from uuid import UUID

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from mediaserver.api.meter import SOCKETS_PER_SESSION_MAX, Meter, Viewer
from metering.units import AccountId, Asset, SessionId, StreamPolicy

ACCOUNT = AccountId(b"\x07" * 32)
POLICY = StreamPolicy(UUID(int=1), "cam", "Cam", ())


@dataclass(frozen=True)
class Empty:
    balance_units: int = 0
    session_ticks: int = 9
    session_units: int = 900
    state: str = "live"


class Source:
    async def meters(self, viewers):
        return [Empty() for _ in viewers]


@contextlib.asynccontextmanager
async def serving():
    """Yield (meter, client); `/3` is the socket of session 3."""
    meter = Meter(
        Source(),
        policy=lambda _: POLICY,
        price=lambda _: 100,
        state=lambda _: "live",
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
