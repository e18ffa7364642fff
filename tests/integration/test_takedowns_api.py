"""Streams reported by anybody, taken down and put back by staff: over the API."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from mediaserver.ipc.messages import TAKEN_DOWN_HEADER
from metering.units import Verdict
from tests.support.control_server import Server, settings
from tests.support.people_browser import ORIGIN, Browser
from tests.support.worker_report import report as worker_report


@pytest.fixture
async def server(tmp_path) -> AsyncIterator[Server]:
    made = settings()
    tree = replace(made, server=replace(made.server, public_url=ORIGIN))
    async with Server(tmp_path, tree) as started:
        yield started


async def reported(
    server: Server, text: str, address: str = "192.0.2.1", **headers: str
) -> tuple[int, Any]:
    sent = {"X-Forwarded-For": address, **headers}
    async with server.http.post("http://c/cam/report", json={"text": text}, headers=sent) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize(("is_legal", "status"), [(False, 410), (True, 451)])
async def test_a_taken_down_stream_lets_nobody_watch_or_publish_until_it_is_back(
    server, is_legal, status
) -> None:
    """Who plays ends for good, HTTP processes are told, every way in says why."""
    stream, ann = await server.stream(), await server.viewer()
    minted = await server.mint()
    now = server.now_s()
    assert (await server.claim(minted, ann, stream, now - 9, 1)).verdict is Verdict.GRANTED
    person = Browser(server)
    await person.sign_up("Ann")

    made = await server.api(
        "POST", "streams/cam/takedown", {"reason": "it is stolen", "is_legal": is_legal}, 201
    )

    assert (made["ended"], made["reason"]) == (1, "it is stolen")
    policy = await server.policy(lambda p: p.taken_down)
    (told,) = policy.taken_down
    assert (told.stream, told.status) == (UUID(stream["id"]), status)
    assert "it is stolen" in told.text
    assert (await server.claim(minted, ann, stream, now - 7, 1)).verdict is Verdict.SESSION
    refusals = [
        await server.api("POST", "tokens", {"viewer": "ann", "stream": "cam"}, status),
        await server.ask(
            "POST", "/cam/whip", b"v=0", status, Authorization=f"Bearer {stream['stream_key']}"
        ),
    ]
    joined = await person.ask("POST", "streams/cam/join", {})
    assert joined[0] in (402, status)
    for refused in refusals:
        assert refused["reason"] == "taken_down"
        assert "it is stolen" in refused["detail"]
    over = await server.ask("POST", f"/w/{minted['token']}/cam/session", status=403)
    assert (over["ended"], "it is stolen" in over["detail"]) == ("taken_down", True)
    shown = await server.api("GET", "streams/cam")
    assert shown["taken_down"]["reason"] == "it is stolen"
    entries = (await server.api("GET", f"audit?target=stream:{stream['id']}"))["entries"]
    assert entries[-1]["action"] == "stream.takedown"
    await server.api("POST", "streams/cam/takedown", {"reason": "again"}, 409)

    await server.api("DELETE", "streams/cam/takedown")

    await server.policy(lambda p: not p.taken_down)
    await server.mint()
    assert (await server.api("GET", "streams/cam"))["taken_down"] is None
    await server.api("DELETE", "streams/cam/takedown", status=404)
    listed = (await server.api("GET", "takedowns"))["takedowns"]
    assert [(item["stream"], item["ended_ms"] is None) for item in listed] == [("cam", False)]


async def test_its_worker_is_told_to_end_the_publisher(server) -> None:
    stream = await server.stream()
    await server.stream(slug="den")
    body = worker_report(stream)

    async def header() -> str | None:
        async with server.http.post("http://c/internal/workers", json=body) as answer:
            assert answer.status == 204
            return answer.headers.get(TAKEN_DOWN_HEADER)

    assert await header() is None
    await server.api("POST", "streams/den/takedown", {"reason": "no"}, 201)
    await server.policy(lambda p: p.taken_down)
    assert await header() is None
    await server.api("POST", "streams/cam/takedown", {"reason": "no"}, 201)
    await server.policy(lambda p: len(p.taken_down) == 2)
    assert await header() is not None


async def test_staff_alone_takes_down_and_reads_reports_and_the_creator_reads_why(server) -> None:
    await server.stream()
    boss = Browser(server)
    await boss.sign_up("Creator")
    code = (await server.api("POST", "invitations", {"stream": "cam"}, 201))["code"]
    assert (await boss.ask("POST", "me/invitations", {"code": code}))[0] == 200

    assert (await boss.ask("POST", "streams/cam/takedown", {"reason": "x"}))[0] == 403
    assert (await boss.ask("GET", "reports"))[0] == 403
    await server.api("POST", "streams/cam/takedown", {"reason": "rights of others"}, 201)
    status, shown = await boss.ask("GET", "streams/cam")
    assert (status, shown["taken_down"]["reason"]) == (200, "rights of others")
    assert (await boss.ask("DELETE", "streams/cam/takedown"))[0] == 403
    for body in ({"reason": " "}, {"reason": "x" * 201}, {}):
        await server.api("POST", "streams/cam/takedown", body, 422)


async def test_two_take_downs_at_once_are_one(server) -> None:
    await server.stream()

    async def take() -> int:
        place = "http://c/api/v1/streams/cam/takedown"
        async with server.http.post(place, json={"reason": "x"}) as answer:
            return answer.status

    assert sorted(await asyncio.gather(take(), take(), take())) == [201, 409, 409]


async def test_anybody_reports_a_few_times_and_staff_reads_and_resolves(server) -> None:
    """In pages, open ones alone where asked; what a program writes into it is text."""
    await server.stream()
    assert (await reported(server, "it shows <b>my</b> film"))[0] == 201
    for number in range(4):
        assert (await reported(server, f"again {number}"))[0] == 201
    assert (await reported(server, "once more"))[0] == 429
    assert (await reported(server, "I, too", "192.0.2.2"))[0] == 201
    for text in ("", " ", "x" * 1001, "turned \u202e"):
        assert (await reported(server, text, "192.0.2.3"))[0] == 422
    form = {"X-Forwarded-For": "192.0.2.3", "Accept": "text/html"}
    written = {"text": "two\r\n  lines \u0915\u094d\u200d\u0937"}
    async with server.http.post("http://c/cam/report", data=written, headers=form) as answer:
        assert answer.status == 201
        assert "Thank you" in await answer.text()

    first = await server.api("GET", "reports?limit=4&state=open")
    rest = await server.api("GET", f"reports?limit=4&before={first['next_before']}")
    texts = [item["text"] for item in first["reports"] + rest["reports"]]
    assert texts == [
        "two\nlines \u0915\u094d\u200d\u0937",
        "I, too",
        "again 3",
        "again 2",
        "again 1",
        "again 0",
        "it shows <b>my</b> film",
    ]
    assert rest["next_before"] is None
    last = rest["reports"][-1]["report"]
    made = await server.api("POST", f"reports/{last}/resolve", {"word": "taken down"})
    assert (made["word"], made["stream"]) == ("taken down", "cam")
    left = await server.api("GET", "reports?state=open&stream=cam")
    assert last not in [item["report"] for item in left["reports"]]
    await server.api("POST", f"reports/{last}/resolve", {"word": ""}, 422)
    await server.api("POST", "reports/none/resolve", {"word": "x"}, 404)
    await server.api("GET", "reports?state=x", status=422)
