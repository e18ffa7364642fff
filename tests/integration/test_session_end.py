"""A viewer's link: when it ends, what it may spend, and who may end it (A-M1)."""

import asyncio
import time
from dataclasses import replace
from uuid import UUID

import pytest

from mediaserver import playback_token
from mediaserver.playback_token import Grant
from metering.units import SessionId, Verdict, parse_account
from tests.support.control_server import PRICE, Server, settings


@pytest.fixture
async def server(tmp_path):
    tree = settings()
    limit = replace(tree.price, session_limit_planck=str(5 * PRICE))
    auth = replace(tree.auth, max_sessions=1, session_life_s=7200, token_ttl_s=3600)
    async with Server(tmp_path, replace(tree, price=limit, auth=auth)) as running:
        yield running


class Link:
    """A viewer's link, as anyone who holds it uses it."""

    def __init__(self, server: Server, stream, viewer, minted) -> None:
        self.server = server
        self.stream = stream
        self.viewer = viewer
        self.minted = minted

    async def renew(self, status: int = 201):
        """Ask for another token, and go on with it when there is one."""
        path = f"/w/{self.minted['token']}/cam/session"
        answer = await self.server.ask("POST", path, None, status)
        if status == 201:
            self.minted = answer
        return answer

    async def watch(self, first: int, count: int) -> Verdict:
        await self.server.api("PATCH", "streams/cam", {"is_enabled": True})  # another policy
        answer = await self.server.claim(self.minted, self.viewer, self.stream, first, count)
        return answer.verdict


async def begin(server: Server, links: int = 1, **fields):
    stream, viewer = await server.stream(), await server.viewer(str(100 * PRICE))
    return [Link(server, stream, viewer, await server.mint(**fields)) for _ in range(links)]


async def test_a_m1_renewing_never_moves_the_end_of_a_session(server) -> None:
    """A link that was made for a minute is good for a minute, however often it is renewed."""
    [link] = await begin(server, ttl_s=60)
    ends_ms = link.minted["ends_ms"]

    renewed = [await link.renew() for _ in range(3)]

    assert link.minted["session"] == renewed[0]["session"]
    assert {one["ends_ms"] for one in renewed} == {ends_ms}
    assert max(one["expires_ms"] for one in renewed) <= ends_ms
    assert ends_ms - time.time() * 1000 <= 60_000


async def test_a_m1_a_session_ends_by_the_setting_and_its_tokens_before(server) -> None:
    """The operator says once how long a link may live; each token is short beside it."""
    [link] = await begin(server)
    now_ms = time.time() * 1000

    assert 7100e3 < link.minted["ends_ms"] - now_ms <= 7200e3
    assert 3500e3 < link.minted["expires_ms"] - now_ms <= 3600e3


async def test_a_m1_one_link_spends_one_limit(server) -> None:
    """A limit of five seconds is five seconds, whatever is minted with the link."""
    [link] = await begin(server)
    now = int(time.time())

    spent = 0
    for number in range(12):
        await link.renew()
        spent += await link.watch(now - 60 + number, 1) is Verdict.GRANTED

    assert spent == 5


async def test_a_m1_who_takes_the_slot_back_goes_on_with_what_was_spent(server) -> None:
    """Two links that push each other out have one slot, and so one limit between them."""
    ours, theirs = await begin(server, links=2)
    now = int(time.time())
    spent = 0
    for number in range(12):
        one = (ours, theirs)[number % 2]
        if number:
            await one.renew()
        spent += await one.watch(now - 60 + number, 1) is Verdict.GRANTED

    assert spent == 5
    first = ours.minted["session"]
    await theirs.renew()
    assert (await ours.renew())["session"] != first


@pytest.mark.parametrize("who", ["operator", "operator, one", "owner", "owner, one"])
async def test_a_m1_an_ended_session_plays_nothing_and_mints_nothing(server, who) -> None:
    """Who lent a link ends it: it is over within a claim, and for good."""
    [link] = await begin(server)
    now = int(time.time())
    assert await link.watch(now - 9, 1) is Verdict.GRANTED
    session, token = link.minted["session"], link.minted["token"]
    path, status = {
        "operator": ("/api/v1/viewers/ann/sessions", 200),
        "operator, one": (f"/api/v1/viewers/ann/sessions/{session}", 200),
        "owner": (f"/w/{token}/cam/sessions", 403),
        "owner, one": (f"/w/{token}/cam/sessions?session={session}", 403),
    }[who]

    assert await server.ask("DELETE", path) == {"ended": 1}

    assert (await link.renew(403))["reason"] == "session"
    assert await link.watch(now - 8, 1) is Verdict.SESSION
    for other in ("top-up", "receipts"):
        method = "POST" if other == "top-up" else "GET"
        await server.ask(method, f"/w/{token}/cam/{other}", None, 403)
    [shown] = (await server.api("GET", "viewers/ann/sessions"))["sessions"]
    assert (shown["session"], shown["stream"]) == (session, "cam")
    assert shown["state"] == who.partition(",")[0]
    # Asked again it is harmless; the owner's own link is over.
    again = await server.ask("DELETE", path, None, status)
    assert status == 403 or again == {"ended": 0}


async def test_a_m1_a_replaced_session_can_be_ended_too(server) -> None:
    """Ending a viewer's sessions leaves no link that might take the slot back."""
    ours, theirs = await begin(server, links=2)

    assert await server.ask("DELETE", "/api/v1/viewers/ann/sessions") == {"ended": 2}

    await ours.renew(403)
    await theirs.renew(403)


async def test_a_m1_an_ended_session_stays_ended_when_redis_is_rebuilt(server) -> None:
    """A restart of Redis brings no ended link back."""
    [link] = await begin(server)
    before = await server.policy(lambda p: p.store_epoch)
    await server.ask("DELETE", "/api/v1/viewers/ann/sessions")

    await server.redis.stop()
    await server.redis.start()
    await server.policy(lambda p: p.store_run_id not in {"", before.store_run_id})

    await link.renew(403)
    assert await link.watch(int(time.time()) - 9, 1) is Verdict.SESSION


async def test_a_m1_a_forged_session_opens_nothing_but_media(server) -> None:
    """Who has a key at an edge can sign any token; its session is unknown, or another viewer's."""
    [link] = await begin(server)
    number, secret = (server.data_dir / "token.keys").read_text().split()[:2]
    known = await server.api("GET", "streams/cam")
    account = parse_account(link.viewer["account"])
    bob = parse_account((await server.viewer(name="bob"))["account"])
    anns = SessionId(int(link.minted["session"], 16))

    for who, session in ((account, SessionId(77)), (bob, anns)):
        grant = Grant(who, UUID(known["id"]), session, 1 << 31)
        forged = playback_token.mint(grant, [(int(number), bytes.fromhex(secret))])
        for method, leaf in (
            ("POST", "session"),
            ("POST", "top-up"),
            ("GET", "receipts"),
            ("GET", "sessions"),
            ("DELETE", "sessions"),
        ):
            answer = await server.ask(method, f"/w/{forged}/cam/{leaf}", None, 403)
            assert answer["reason"] == "session"
    assert await link.watch(int(time.time()) - 9, 1) is Verdict.GRANTED


async def test_a_m1_a_session_that_is_not_the_viewers_is_not_found(server) -> None:
    """Names that are nobody's, or not even names, are told."""
    await begin(server)

    await server.ask("DELETE", "/api/v1/viewers/ann/sessions/00000000000000aa", None, 404)
    fault = await server.ask("DELETE", "/api/v1/viewers/ann/sessions/xyz", None, 422)
    assert "xyz is not a session" in fault["detail"]


async def test_a_m1_the_race_of_ending_and_renewing_has_one_winner(server) -> None:
    """A link that is renewed at the moment it is ended does not live on."""
    [link] = await begin(server)

    async def renew() -> None:
        path = f"http://c/w/{link.minted['token']}/cam/session"
        async with server.http.post(path) as answer:
            assert answer.status in {201, 403}

    await asyncio.gather(
        *(renew() for _ in range(8)), server.ask("DELETE", "/api/v1/viewers/ann/sessions")
    )

    await link.renew(403)
    sessions = (await server.api("GET", "viewers/ann/sessions"))["sessions"]
    assert {one["state"] for one in sessions} == {"operator"}
