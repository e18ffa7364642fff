"""Players listed and ended, accounts barred: over the API, with the store and the policy."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from mediaserver.hls.audience import Audience
from mediaserver.playback_token import Grant
from metering.units import SessionId, Verdict, parse_account
from tests.integration.test_audience_api import http_process
from tests.support.control_server import Server, settings
from tests.support.people_browser import ORIGIN, Browser


@pytest.fixture
async def server(tmp_path) -> AsyncIterator[Server]:
    made = settings()
    tree = replace(made, server=replace(made.server, public_url=ORIGIN))
    async with Server(tmp_path, tree) as started:
        yield started


async def creator(server: Server, slug: str = "cam") -> Browser:
    made = Browser(server)
    await made.sign_up("Creator")
    code = (await server.api("POST", "invitations", {"stream": slug}, 201))["code"]
    assert (await made.ask("POST", "me/invitations", {"code": code}))[0] == 200
    return made


@pytest.mark.parametrize("place", ["streams/cam/bars", "bars"])
async def test_a_barred_viewer_plays_and_mints_nothing(server, place) -> None:
    """Who plays ends at once and reads why; the bar is in the log; taken back, all is well."""
    stream, ann = await server.stream(), await server.viewer()
    minted = await server.mint()
    now = server.now_s()
    assert (await server.claim(minted, ann, stream, now - 9, 1)).verdict is Verdict.GRANTED
    until_ms = now * 1000 + 3_600_000

    body = {"viewer": "ann", "reason": "spam", "until_ms": until_ms}
    bar = await server.api("POST", place, body, 201)

    assert bar["ended"] == 1
    if place != "bars":
        policy = await server.policy(lambda p: p.ended_sessions)
        assert list(policy.unlisted) == [UUID(stream["id"])]
        assert list(policy.ended_sessions) == [int(minted["session"], 16)]
    await server.api("PATCH", "streams/cam", {"is_enabled": True})
    assert (await server.claim(minted, ann, stream, now - 7, 1)).verdict is Verdict.SESSION
    refused = await server.api("POST", "tokens", {"viewer": "ann", "stream": "cam"}, 403)
    assert (refused["reason"], refused["until_ms"]) == ("barred", until_ms)
    assert "spam" in refused["detail"]
    again = await server.ask("POST", f"/w/{minted['token']}/cam/session", status=403)
    assert again["reason"] == "barred"
    assert f"{datetime.fromtimestamp(until_ms / 1000, UTC):%Y-%m-%d %H:%M}" in again["detail"]
    entries = (await server.api("GET", f"audit?target=viewer:{ann['account']}"))["entries"]
    (entry,) = [entry for entry in entries if entry["action"] == "viewer.bar"]
    assert entry["after"]["ended"] == 1
    listed = (await server.api("GET", place))["bars"]
    assert [(item["bar"], item["is_open"]) for item in listed] == [(bar["bar"], True)]

    await server.api("DELETE", f"{place}/{bar['bar']}")
    await server.mint()
    await server.api("DELETE", f"{place}/none", status=404)


async def test_who_is_barred_joins_no_more_by_themselves(server) -> None:
    """The way in for people asks the same."""
    await server.stream(planck_per_s="0")
    ann = Browser(server)
    await ann.sign_up("Ann")
    status, joined = await ann.ask("POST", "streams/cam/join", {})
    assert status == 201
    boss = await creator(server)

    bar = {"viewer": joined["account"], "reason": "no"}
    status, made = await boss.ask("POST", "streams/cam/bars", bar)

    assert (status, made["ended"]) == (201, 1)
    assert (await ann.ask("POST", "streams/cam/join", {}))[1]["reason"] == "barred"
    again = {"session": joined["session"]}
    assert (await ann.ask("POST", "streams/cam/join", again))[1]["reason"] == "barred"
    assert (await boss.ask("POST", "bars", bar))[0] == 403
    await server.stream(slug="den")
    assert (await boss.ask("POST", "streams/den/bars", bar))[0] == 403
    for body in ({**bar, "reason": ""}, {**bar, "until_ms": 5}):
        assert (await boss.ask("POST", "streams/cam/bars", body))[0] == 422


async def test_a_creator_leaves_bars_that_staff_made(server) -> None:
    """A short bar of theirs would lift it."""
    await server.stream()
    await server.viewer()
    await server.mint()
    boss = await creator(server)
    bar = {"viewer": "ann", "reason": "no"}
    theirs = (await boss.ask("POST", "streams/cam/bars", bar))[1]["bar"]
    of_staff = (await server.api("POST", "streams/cam/bars", bar, 201))["bar"]

    short = {**bar, "until_ms": server.now_s() * 1000 + 60_000}
    status, refused = await boss.ask("POST", "streams/cam/bars", short)
    assert (status, refused["title"]) == (409, "Barred by staff")
    assert of_staff in refused["detail"]
    status, refused = await boss.ask("DELETE", f"streams/cam/bars/{of_staff}")
    assert (status, refused["title"]) == (403, "Barred by staff")
    open_ones = (await server.api("GET", "streams/cam/bars"))["bars"]
    assert [item["bar"] for item in open_ones if item["is_open"]] == [of_staff]

    assert (await boss.ask("DELETE", f"streams/cam/bars/{theirs}"))[0] == 200
    await server.api("DELETE", f"streams/cam/bars/{of_staff}")
    status, made = await boss.ask("POST", "streams/cam/bars", short)
    assert status == 201
    assert (await boss.ask("DELETE", f"streams/cam/bars/{made['bar']}"))[0] == 200


async def test_a_bar_of_staff_holds_against_the_creator_after_staff_left(server) -> None:
    """The operator's support goes home for good; the troll does not come back by that."""
    await server.stream()
    await server.viewer()
    boss, support = await creator(server), Browser(server)
    await support.sign_up("Sup")
    me = (await support.ask("GET", "me"))[1]["person"]
    await server.api("PUT", f"people/{me}/roles", {"roles": ["support"]})
    bar = {"viewer": "ann", "reason": "no"}
    status, made = await support.ask("POST", "streams/cam/bars", bar)
    assert (status, made["made_by"]) == (201, f"person:{me}")

    await server.api("PUT", f"people/{me}/roles", {"roles": []})

    assert (await boss.ask("DELETE", f"streams/cam/bars/{made['bar']}"))[0] == 403
    viewer = {"viewer": made["viewer"], "reason": "x"}
    assert (await boss.ask("POST", "streams/cam/bars", viewer))[0] == 409


async def test_a_creator_does_not_learn_who_has_an_account_by_trying_names(server) -> None:
    """A name that is there and one that is not are answered alike, until they watch the stream."""
    await server.stream()
    await server.viewer()
    boss = await creator(server)
    asks = {
        "bars": ("POST", "bars", {"viewer": "{}", "reason": "x"}),
        "guests": ("POST", "guests", {"viewer": "{}"}),
        "price": ("PUT", "viewer-prices/{}", {"planck_per_s": "1"}),
        "no price": ("DELETE", "viewer-prices/{}", {}),
        "sessions": ("GET", "sessions?viewer={}", None),
    }

    async def answers(name: str) -> dict[str, tuple[int, str]]:
        found = {}
        for key, (method, path, body) in asks.items():
            sent = body and {k: v.format(name) for k, v in body.items()}
            status, answer = await boss.ask(method, f"streams/cam/{path.format(name)}", sent)
            found[key] = (status, str(answer.get("detail")).replace(name, "NAME"))
        return found

    known, unknown = await answers("ann"), await answers("bob")

    assert known == unknown
    assert {status for status, _ in known.values()} == {404}
    await server.mint()
    assert {key: status for key, (status, _) in (await answers("ann")).items()} == {
        **dict.fromkeys(("bars", "guests", "price", "no price"), 201),
        "sessions": 200,
    }
    assert {status for status, _ in (await answers("bob")).values()} == {404}


async def test_players_are_listed_by_stream_viewer_and_edge_in_pages(server) -> None:
    """Each once, the newest first; a creator sees and ends those of their own stream alone."""
    stream, ann = await server.stream(), await server.viewer()
    await server.stream(slug="den")
    await server.api("POST", "viewers", {"name": "bob"}, 201)
    minted = [
        await server.mint(viewer=viewer, stream=slug)
        for viewer, slug in [("ann", "cam"), ("bob", "cam"), ("ann", "den"), ("bob", "den")]
    ]
    audience = Audience(time.monotonic)
    runner = await http_process(server, 0, audience)
    session = SessionId(int(minted[0]["session"], 16))
    grant = Grant(parse_account(ann["account"]), UUID(stream["id"]), session, 1 << 40)
    audience.watched(UUID(stream["id"]), 60_000, grant, "10.0.0.2")

    async def listed(path: str) -> list[Any]:
        seen: list[Any] = []
        cursor = ""
        while True:
            page = await server.api("GET", f"{path}limit=1{cursor}")
            seen += page["sessions"]
            if page["next_before"] is None:
                return [item["session"] for item in seen]
            cursor = f"&before={page['next_before']}"

    everyone = [item["session"] for item in minted]
    assert sorted(await listed("sessions?")) == sorted(everyone)
    assert sorted(await listed("streams/cam/sessions?")) == sorted(everyone[:2])
    assert sorted(await listed("sessions?viewer=ann&")) == sorted([everyone[0], everyone[2]])
    assert await listed("sessions?edge=10.0.0.2&") == everyone[:1]
    await server.api("GET", "sessions?before=x", status=422)
    shown = (await server.api("GET", "sessions?edge=10.0.0.2"))["sessions"][0]
    assert (shown["is_playing"], shown["edge"], shown["viewer"]) == (
        True,
        "10.0.0.2",
        ann["account"],
    )

    boss = await creator(server)
    assert (await boss.ask("GET", "sessions"))[0] == 403
    assert (await boss.ask("GET", "streams/den/sessions"))[0] == 403
    assert (await boss.ask("DELETE", f"streams/cam/sessions/{everyone[2]}"))[0] == 404
    assert (await boss.ask("DELETE", f"streams/cam/sessions/{everyone[1]}")) == (200, {"ended": 1})
    states = {
        item["session"]: item["state"]
        for item in (await boss.ask("GET", "streams/cam/sessions"))[1]["sessions"]
    }
    assert states == {everyone[0]: "live", everyone[1]: "creator"}
    await runner.cleanup()


async def test_a_player_hears_who_ended_it(server) -> None:
    """Its page said "Playing on another device", and offered to take back what nobody gives."""
    await server.stream()
    ann = await server.viewer()
    by_staff, by_owner = await server.mint(), await server.mint()
    await server.api("DELETE", f"viewers/ann/sessions/{by_staff['session']}")
    await server.ask("DELETE", f"/w/{by_owner['token']}/cam/sessions?session={by_owner['session']}")

    answers = [
        await server.ask("GET", f"/w/{minted['token']}/cam/settings", status=403)
        for minted in (by_staff, by_owner)
    ]

    assert ann["account"]
    assert [one["ended"] for one in answers] == ["operator", "owner"]
    assert "who runs the stream" in answers[0]["detail"]
    assert "its own account" in answers[1]["detail"]
