"""Who watches, over the API: now from HTTP processes, by the minute from the book."""

import asyncio
import csv
import io
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web

from mediaserver.hls.audience import Audience
from mediaserver.ipc.audience import AUDIENCE_PATH
from mediaserver.playback_token import Grant
from mediaserver.processes.own_answers import own_answers
from metering.units import SessionId, parse_account
from tests.support.control_server import PRICE, Server, settings
from tests.support.people_browser import ORIGIN, Browser


@pytest.fixture
async def server(tmp_path) -> AsyncIterator[Server]:
    made = settings()
    tree = replace(made, server=replace(made.server, public_url=ORIGIN))
    async with Server(tmp_path, tree) as started:
        yield started


async def http_process(server: Server, number: int, audience: Audience) -> web.ServerRunner:
    """Answer as an HTTP process does on its own socket."""
    runner = web.ServerRunner(web.Server(own_answers(lambda: "", audience)))
    await runner.setup()
    await web.UnixSite(runner, str(server.run_dir / f"http-{number}.sock")).start()
    return runner


async def until(ask: Callable[[], Awaitable[Any]], is_wanted: Callable[[Any], bool]) -> Any:
    """Ask until the answer is the wanted one."""
    async with asyncio.timeout(5):
        while True:
            if is_wanted(answer := await ask()):
                return answer
            await asyncio.sleep(0.05)


async def test_players_of_all_http_processes_are_counted_together(server) -> None:
    """Two tabs that two processes serve are one viewer; a process that is away is told of."""
    stream = UUID((await server.stream())["id"])
    accounts = [
        parse_account((await server.api("POST", "viewers", {"name": name}, 201))["account"])
        for name in ("ann", "bob")
    ]
    audiences = Audience(time.monotonic), Audience(time.monotonic)
    runners = [await http_process(server, n, audience) for n, audience in enumerate(audiences)]
    for number, (at, who, edge) in enumerate(
        [(0, 0, ""), (1, 0, ""), (1, 1, "10.0.0.2"), (0, 1, "10.0.0.2")], 1
    ):
        session = SessionId(min(number, 3))
        audiences[at].watched(stream, 5000, Grant(accounts[who], stream, session, 1 << 40), edge)
    for audience in audiences:
        audience.watched(stream, 60_000, None)

    now = await server.api("GET", "streams/cam/audience")
    metrics = await (await server.http.get("http://c/internal/metrics")).text()

    assert (now["viewers"], now["players"], now["is_complete"]) == (2, 3, True)
    assert now["players_by_edge"] == {"10.0.0.2": 1}
    assert 'mediaserver_audience_active_viewers{process="control"} 2.0' in metrics
    assert 'mediaserver_audience_concurrent_streams{process="control"} 1.0' in metrics
    await runners[0].cleanup()
    (server.run_dir / "http-0.sock").touch()
    await until(
        lambda: server.api("GET", "streams/cam/audience"), lambda now: not now["is_complete"]
    )
    await runners[1].cleanup()


async def test_nothing_from_outside_asks_an_http_process(server) -> None:
    """The path is a process's own socket's; control has nothing there."""
    await server.ask("GET", AUDIENCE_PATH, status=404)


async def test_o9_minutes_and_usage_are_what_was_billed(server) -> None:
    """By stream and by viewer, as JSON, lines and CSV; the sums are the book's."""
    stream, ann = await server.stream(), await server.viewer(str(20 * PRICE))
    minted = await server.mint()
    first = server.now_s() // 60 * 60 - 90
    await server.claim(minted, ann, stream, first, 10)
    await server.claim(minted, ann, stream, first + 85, 5)
    await server.spent(ann, 15 * PRICE)

    answered = await until(
        lambda: server.api("GET", "streams/cam/audience/minutes"),
        lambda answer: len(answer["minutes"]) == 2,
    )
    minutes = answered["minutes"]
    page = await server.api("GET", "streams/cam/audience/minutes?limit=1")
    rest = await server.api("GET", f"streams/cam/audience/minutes?from={page['next_from']}")
    usage = await server.api("GET", "usage")
    lines = await (await server.http.get("http://c/api/v1/usage?format=jsonl&viewer=ann")).text()
    answer = await server.http.get("http://c/api/v1/usage?format=csv&stream=cam")
    table = list(csv.DictReader(io.StringIO(await answer.text())))

    assert [(m["minute"], m["viewers"], m["peak"], m["watch_seconds"]) for m in minutes] == [
        (first - 30, 1, 1, 10),
        (first + 30, 1, 1, 5),
    ]
    assert minutes[0]["seconds"] == [0] * 30 + [1] * 10 + [0] * 20
    assert sum(int(minute["planck"]) for minute in minutes) == 15 * PRICE
    assert [*page["minutes"], *rest["minutes"]] == minutes
    assert [json.loads(line) for line in lines.splitlines()] == usage["usage"]
    assert [{name: str(it) for name, it in line.items()} for line in usage["usage"]] == table
    assert [(line["viewer"], line["minute"], line["seconds"]) for line in usage["usage"]] == [
        (ann["account"], first - 30, 10),
        (ann["account"], first + 30, 5),
    ]
    after = await server.api("GET", f"usage?after={usage['next_after']}")
    assert (after["usage"], after["is_end"]) == ([], True)
    assert answer.headers["Next-After"] == str(usage["next_after"])
    for query in ("usage?format=xml", "usage?after=x", "streams/cam/audience/minutes?from=x"):
        await server.api("GET", query, status=422)
    await server.api("GET", "streams/none/audience", status=404)


async def test_c3_a_creator_sees_who_watches_their_own_stream_alone(server) -> None:
    await server.stream()
    await server.stream(slug="den")
    ann = Browser(server)
    await ann.sign_up("Ann")
    code = (await server.api("POST", "invitations", {"stream": "cam"}, 201))["code"]
    assert (await ann.ask("POST", "me/invitations", {"code": code}))[0] == 200

    for path in ("audience", "audience/minutes"):
        assert (await ann.ask("GET", f"streams/cam/{path}"))[0] == 200
        assert (await ann.ask("GET", f"streams/den/{path}"))[0] == 403
    assert (await ann.ask("GET", "usage"))[0] == 403
