"""What everybody is answered at every address of a stream, by whom it is for.

A new kind of address without a row here fails.
"""

import json
from collections.abc import AsyncIterator
from typing import get_args

import pytest
from msgspec.structs import replace

from mediaserver.hls import addresses
from mediaserver.playback_token import Grant, mint
from metering.units import AccountId, SessionId
from tests.support.builders import INIT, Show
from tests.support.front_harness import CAM, KEY, Front, Reply, policy

KEYS = ((1, bytes(32)),)
GUEST, GONE = SessionId(9), SessionId(8)
STRANGER = CAM.stream.int + 1
SHOW = "/cam/5/source"
PLACES = {
    addresses.WatchPage: "GET /cam/",
    addresses.Multivariant: "GET /cam/index.m3u8",
    addresses.MediaPlaylist: f"GET {SHOW}/media.m3u8",
    addresses.Init: f"GET {SHOW}/init-{INIT}.mp4",
    addresses.Segment: f"GET {SHOW}/1-1700000002x2.m4s",
    addresses.PartAddress: f"GET {SHOW}/1.1-1700000002x1.m4s",
    addresses.Meter: "GET /cam/meter",
    addresses.SessionMint: "POST /cam/session",
    addresses.Sessions: "GET /cam/sessions",
    addresses.TopUp: "POST /cam/top-up",
    addresses.Receipts: "GET /cam/receipts",
    addresses.PlayerSettings: "GET /cam/settings",
    addresses.Report: "GET /cam/report",
    addresses.WhipEndpoint: "POST /cam/whip",
    addresses.WhipSession: "DELETE /cam/whip/w1.secret",
}
BELOW_A_TOKEN = {
    addresses.Meter,
    addresses.SessionMint,
    addresses.Sessions,
    addresses.TopUp,
    addresses.Receipts,
    addresses.PlayerSettings,
}
PUBLISHERS = {addresses.WhipEndpoint, addresses.WhipSession}
FORWARDED = BELOW_A_TOKEN - {addresses.Meter}
"""Control looks their session up in the book."""
OTHERS = {addresses.Meter, addresses.Report}
"""Who knows of a stream may report it, with a token or without."""
SEEN = [kind for kind in PLACES if kind not in PUBLISHERS | FORWARDED | OTHERS]


@pytest.fixture
async def front(tmp_path, unused_tcp_port) -> AsyncIterator[Front]:
    async with Front(tmp_path, unused_tcp_port) as started:
        feed, show = started.process._live_store.feed("worker-1"), Show()
        for message in (*show.open(), *show.segments(3), *show.begin(2)):
            feed.apply(message)
        yield started


def token(stream=CAM.stream, session: SessionId = GUEST) -> str:
    return mint(Grant(AccountId(bytes(32)), stream, session, 4_000_000_000), KEYS)


def tell(front: Front, seen_by: str, ended: tuple[int, ...] = (GONE,)) -> None:
    other = type(CAM)(type(CAM.stream)(int=STRANGER), "other", "Other", CAM.prices, True)
    known = policy({"cam": KEY, "other": KEY})
    front.know(
        replace(
            known,
            streams=(CAM, other),
            unlisted=(CAM.stream,) if seen_by == "unlisted" else (),
            invited=(CAM.stream,) if seen_by == "invited" else (),
            ended_sessions=ended,
        )
    )


async def ask(front: Front, line: str, who: str = "", *fields: str) -> Reply:
    method, _, path = line.partition(" ")
    prefix = f"/w/{who}" if who else ""
    return await front.ask(f"{method} {prefix}{path}", "Accept: */*", *fields)


def spelled(reply: Reply, slug: str = "cam") -> tuple[int, bytes]:
    """Return what somebody reads, whatever the stream is called."""
    return reply.status, reply.body.replace(slug.encode(), b"SLUG")


def test_every_kind_of_address_has_a_row() -> None:
    assert set(PLACES) == set(get_args(addresses.Place))
    for kind, line in PLACES.items():
        path = line.partition(" ")[2]
        parsed = addresses.parse(f"/w/t{path}" if kind in BELOW_A_TOKEN else path)
        assert type(parsed.place) is kind


@pytest.mark.parametrize("kind", SEEN, ids=lambda kind: kind.__name__)
async def test_a_public_free_stream_asks_nobody_for_a_token(front, kind) -> None:
    tell(front, "public")
    assert (await ask(front, PLACES[kind])).status == 200
    assert (await ask(front, PLACES[kind], token())).status == 200


@pytest.mark.parametrize("kind", SEEN, ids=lambda kind: kind.__name__)
async def test_an_unlisted_stream_asks_everybody_for_a_token(front, kind) -> None:
    """Free or not, for playlists and init too; it is known to who has its address."""
    tell(front, "unlisted")
    nobody = await ask(front, PLACES[kind])
    assert (nobody.status, json.loads(nobody.body)["reason"]) == (401, "token")
    stranger = await ask(front, PLACES[kind], token(type(CAM.stream)(int=STRANGER)))
    assert (stranger.status, json.loads(stranger.body)["reason"]) == (403, "stream")
    gone = await ask(front, PLACES[kind], token(session=GONE))
    assert (gone.status, json.loads(gone.body)["reason"]) == (403, "session")
    assert (await ask(front, PLACES[kind], token())).status == 200


@pytest.mark.parametrize("kind", PLACES, ids=lambda kind: kind.__name__)
async def test_a_stream_by_invitation_is_not_there_for_who_shows_none(front, kind) -> None:
    """Status, words and headers are those of a stream that is not there."""
    tell(front, "invited")
    line, key = PLACES[kind], "Authorization: Bearer wrong"
    shown = [token(type(CAM.stream)(int=STRANGER)), "x" * 108, token()[:-4] + "AAAA"]
    for who in shown if kind in BELOW_A_TOKEN else [""] if kind in PUBLISHERS else ["", *shown]:
        cam = await ask(front, line, who, key)
        none = await ask(front, line.replace("cam", "nix"), who, key)
        assert spelled(cam) == spelled(none, "nix"), who
        assert cam.headers.keys() == none.headers.keys()
    for accept in ("text/html", "application/json"):
        if kind is addresses.WatchPage:
            cam = await front.ask("GET /cam/", f"Accept: {accept}")
            none = await front.ask("GET /nix/", f"Accept: {accept}")
            assert spelled(cam) == spelled(none, "nix")
            assert cam.status == 404
            assert CAM.title.encode() not in cam.body


@pytest.mark.parametrize("kind", SEEN, ids=lambda kind: kind.__name__)
async def test_a_guest_sees_a_stream_by_invitation_until_their_session_is_over(front, kind) -> None:
    tell(front, "invited", ())
    assert (await ask(front, PLACES[kind], token())).status == 200
    tell(front, "invited", (GUEST,))
    gone = await ask(front, PLACES[kind], token())
    assert (gone.status, json.loads(gone.body)["reason"]) == (403, "session")


async def test_a_wrong_key_of_a_public_stream_is_a_wrong_key(front) -> None:
    tell(front, "unlisted")
    assert (await front.ask("POST /cam/whip", "Authorization: Bearer wrong")).status == 401
    tell(front, "invited")
    assert (await front.ask("POST /cam/whip", f"Authorization: Bearer {KEY}")).status == 204


async def test_the_list_of_the_server_names_no_stream(front) -> None:
    for seen_by in ("public", "unlisted", "invited"):
        tell(front, seen_by)
        assert b"cam" not in (await front.ask("GET /")).body.lower()
