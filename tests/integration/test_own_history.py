"""Who is signed in looks back at what they watched and paid, and ends their own players."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from tests.support.control_server import PRICE, Server, settings
from tests.support.people_browser import JSON, ORIGIN, Browser
from tests.support.worker_report import report

FIREFOX = {**JSON, "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0"}
CHROME = {**JSON, "User-Agent": "Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36"}


@pytest.fixture
async def server(tmp_path) -> AsyncIterator[Server]:
    made = settings()
    tree = replace(made, server=replace(made.server, public_url=ORIGIN))
    async with Server(tmp_path, tree) as started:
        yield started


class Viewer:
    """Somebody who has paid in, and what they watch."""

    def __init__(self, server: Server, browser: Browser, account: str) -> None:
        self.server, self.browser, self.account = server, browser, account
        self.seconds = 0

    async def join(self, slug: str = "cam", headers: Any = JSON) -> Any:
        status, made = await self.browser.ask("POST", f"streams/{slug}/join", {}, headers)
        assert status == 201, made
        return made

    async def watch(self, made: Any, stream: Any, first: int, count: int) -> None:
        answer = await self.server.claim(made, {"account": self.account}, stream, first, count)
        assert answer.new_ticks == count
        self.seconds += count
        await self.server.spent({"account": self.account}, self.seconds * PRICE)


async def viewer(server: Server, name: str = "Ann") -> Viewer:
    browser = Browser(server)
    await browser.sign_up(name)
    _, refused = await browser.ask("POST", "streams/cam/join", {})
    account = refused["account"]
    await server.api(
        "POST",
        f"viewers/{account}/credits",
        {"planck": str(1000 * PRICE)},
        201,
        Idempotency_Key=name,
    )
    return Viewer(server, browser, account)


async def on_air(server: Server, stream: Any, show: int) -> None:
    body = report(stream, show=show, name=stream["slug"])
    await server.ask("POST", "/internal/workers", body, 204)


async def test_what_was_watched_is_told_by_show_the_newest_first(server) -> None:
    cam, talks = await server.stream(), await server.stream(slug="talks", title="Talks")
    ann, now_s = await viewer(server), server.now_s()
    assert (await ann.browser.ask("GET", "me/history"))[1] == {"shows": [], "next_before": None}
    for stream, show in ((cam, now_s - 100), (talks, now_s - 90), (cam, now_s - 50)):
        await on_air(server, stream, show)
    first, second = await ann.join(), await ann.join("talks")
    await ann.watch(first, cam, now_s - 95, 10)
    await ann.watch(second, talks, now_s - 90, 20)
    await ann.watch(first, cam, now_s - 40, 5)

    _, page = await ann.browser.ask("GET", "me/history?limit=2")
    _, rest = await ann.browser.ask("GET", f"me/history?limit=2&before={page['next_before']}")

    rows = [*page["shows"], *rest["shows"]]
    assert rest["next_before"] is None
    assert [(row["stream"], row["show"], row["seconds"]) for row in rows] == [
        ("cam", now_s - 50, 5),
        ("talks", now_s - 90, 20),
        ("cam", now_s - 100, 10),
    ]
    assert rows[1] == {
        "stream_id": talks["id"],
        "stream": "talks",
        "title": "Talks",
        "show": now_s - 90,
        "from_ms": (now_s - 90) * 1000,
        "to_ms": (now_s - 70) * 1000,
        "seconds": 20,
        "covered_seconds": 0,
        "planck": str(20 * PRICE),
        "given_back": "0",
        "receipts_url": f"{ORIGIN}/api/v1/me/receipts/{talks['id']}",
    }
    # All that was paid is there.
    spent = (await server.api("GET", f"viewers/{ann.account}"))["spent"]
    assert str(sum(int(row["planck"]) for row in rows)) == spent
    status, problem = await ann.browser.ask("GET", "me/history?before=yesterday")
    assert (status, "next_before" in problem["detail"]) == (422, True)


async def test_receipts_are_ones_own_and_need_no_link(server) -> None:
    cam, ann = await server.stream(), await viewer(server)
    made, now_s = await ann.join(), server.now_s()
    path = f"me/receipts/{cam['id']}"
    assert (await ann.browser.ask("GET", path))[0] == 404
    await ann.watch(made, cam, now_s - 20, 3)

    status, file = await ann.browser.ask("GET", path)

    assert (status, file["receipts"][0]["amount"]) == (200, str(3 * PRICE))
    page = await html(server, ann.browser, path)
    assert "3 s billed" in page
    assert "holds your link" not in page
    bob = await viewer(server, "Bob")
    assert (await bob.browser.ask("GET", path))[0] == 404
    assert (await bob.browser.ask("GET", "me/receipts/cam"))[0] == 404
    assert (await bob.browser.ask("GET", "me/history"))[1]["shows"] == []


async def html(server: Server, browser: Browser, path: str) -> str:
    cookies = "; ".join(f"{name}={value}" for name, value in browser.jar.items())
    connector = aiohttp.UnixConnector(str(server.run_dir / "control.sock"))
    headers = {"Accept": "text/html", "Cookie": cookies}
    async with (
        aiohttp.ClientSession(connector=connector) as http,
        http.get(f"http://c/api/v1/{path}", headers=headers) as answer,
    ):
        return await answer.text()


async def test_what_one_may_not_see_any_more_keeps_its_cost_and_loses_its_name(server) -> None:
    cam, ann = await server.stream(title="Premiere"), await viewer(server)
    await ann.watch(await ann.join(), cam, server.now_s() - 20, 3)
    await server.api("PATCH", "streams/cam", {"visibility": "invited"})

    _, page = await ann.browser.ask("GET", "me/history")

    (row,) = page["shows"]
    assert (row["stream"], row["title"], row["planck"]) == (None, None, str(3 * PRICE))
    receipts = await html(server, ann.browser, f"me/receipts/{cam['id']}")
    assert "3 s billed" in receipts
    assert "Premiere" not in receipts


async def test_players_are_told_apart_and_one_is_ended(server) -> None:
    await server.stream()
    ann = await viewer(server)
    first, second = await ann.join(headers=FIREFOX), await ann.join(headers=CHROME)

    _, listed = await ann.browser.ask("GET", "me/players")

    known = {item["player"]: item for item in listed["players"]}
    assert known.keys() == {first["session"], second["session"]}
    assert "Firefox" in known[first["session"]]["agent"]
    assert "Chrome" in known[second["session"]]["agent"]
    assert known[first["session"]]["stream"] == "cam"
    assert 0 <= known[first["session"]]["seen_ms"] - known[first["session"]]["began_ms"] < 5000

    assert (await ann.browser.ask("DELETE", f"me/players/{first['session']}"))[0] == 200
    _, left = await ann.browser.ask("GET", "me/players")
    assert [item["player"] for item in left["players"]] == [second["session"]]
    cam = await server.api("GET", "streams/cam")
    now_s = server.now_s()
    for made, verdict in ((first, "SESSION"), (second, "GRANTED")):
        answer = await server.claim(made, {"account": ann.account}, cam, now_s - 5, 1)
        assert answer.verdict.name == verdict
    entries = (await server.api("GET", "audit"))["entries"]
    (ended,) = [entry for entry in entries if entry["action"] == "viewer.session.end"]
    assert ended["actor"] == f"person:{ann.browser.person}"


async def test_nobody_ends_anothers_player(server) -> None:
    await server.stream()
    ann, bob = await viewer(server), await viewer(server, "Bob")
    made = await ann.join()
    fresh = Browser(server)
    await fresh.sign_up("Carol")
    for browser in (bob.browser, fresh):
        assert (await browser.ask("DELETE", f"me/players/{made['session']}"))[0] == 404
    assert (await fresh.ask("GET", "me/players"))[1] == {"players": []}
    assert (await bob.browser.ask("DELETE", "me/players/x"))[0] == 422
    assert len((await ann.browser.ask("GET", "me/players"))[1]["players"]) == 1


async def test_a_link_that_is_renewed_in_another_browser_says_so(server) -> None:
    await server.stream()
    ann = await viewer(server)
    made = await ann.join(headers=FIREFOX)
    await server.ask("POST", f"{made['path']}session", {}, 201, User_Agent="Tv/1")
    _, listed = await ann.browser.ask("GET", "me/players")
    assert [item["agent"] for item in listed["players"]] == ["Tv/1"]
