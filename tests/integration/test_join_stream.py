"""Who is signed in watches without being let in by hand."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from metering.units import Cover, Units, parse_account
from tests.support.control_server import PRICE, Server, settings
from tests.support.people_browser import ORIGIN, Browser
from tests.support.worker_report import report

JOIN = "streams/cam/join"


@pytest.fixture
async def server(tmp_path) -> AsyncIterator[Server]:
    made = settings()
    price = replace(made.price, top_up_url="https://pay.example/{account}")
    tree = replace(made, server=replace(made.server, public_url=ORIGIN), price=price)
    async with Server(tmp_path, tree) as started:
        await started.stream()
        yield started


@pytest.fixture
async def ann(server) -> Browser:
    made = Browser(server)
    await made.sign_up("Ann")
    return made


async def pay_in(server: Server, browser: Browser, planck: int = 10 * PRICE) -> dict[str, Any]:
    """Give somebody an account, by their first join, and fill it."""
    status, refused = await browser.ask("POST", JOIN, {})
    assert status == 402, refused
    account = refused["account"]
    path, key = f"viewers/{account}/credits", f"first of {account}"
    await server.api("POST", path, {"planck": str(planck)}, 201, Idempotency_Key=key)
    return {"account": account}


async def test_an_empty_balance_names_account_price_and_where_to_fill_it(server, ann) -> None:
    status, refused = await ann.ask("POST", JOIN, {})
    assert (status, refused["reason"], refused["balance"]) == (402, "purse", "0")
    account = refused["account"]
    assert refused["top_up_url"] == f"https://pay.example/{account}"
    assert refused["planck_per_s"] == str(PRICE)
    assert (await ann.ask("GET", "me"))[1]["account"] == account
    # Their key is held here, and nothing in the name says who they are.
    viewer = await server.api("GET", f"viewers/{account}")
    assert viewer["name"] == f"person-{ann.person}"
    assert viewer["has_wallet"] is False


async def test_who_has_paid_in_joins_and_is_billed(server, ann) -> None:
    viewer = await pay_in(server, ann)
    stream = await server.api("GET", "streams/cam")
    status, made = await ann.ask("POST", JOIN, {})
    assert status == 201
    assert set(made) == set(await server.mint_for(viewer["account"]))
    assert made["path"] == f"/w/{made['token']}/cam/"

    now_s = server.now_s()
    answer = await server.claim(made, viewer, stream, now_s - 5, 3)
    assert (answer.verdict.name, answer.new_ticks) == ("GRANTED", 3)
    entries = (await server.api("GET", "audit"))["entries"]
    actions = [item["action"] for item in entries if item["actor"] == f"person:{ann.person}"]
    assert actions.count("viewer.create") == 1
    assert actions[-1] == "viewer.join"
    assert made["token"] not in str(entries)


async def test_a_page_that_is_loaded_again_keeps_its_session(server, ann) -> None:
    viewer = await pay_in(server, ann)
    _, first = await ann.ask("POST", JOIN, {})
    for _ in range(2):
        status, again = await ann.ask("POST", JOIN, {"session": first["session"]})
        assert (status, again["session"]) == (201, first["session"])
        assert again["ends_ms"] == first["ends_ms"]
    listed = await server.api("GET", f"viewers/{viewer['account']}/sessions")
    assert [item["session"] for item in listed["sessions"]] == [first["session"]]


async def test_an_ended_session_and_anothers_are_followed_by_a_new_one(server, ann) -> None:
    viewer = await pay_in(server, ann)
    _, first = await ann.ask("POST", JOIN, {})
    bob = Browser(server)
    await bob.sign_up("Bob")
    await pay_in(server, bob)
    status, other = await bob.ask("POST", JOIN, {"session": first["session"]})
    assert status == 201
    assert other["session"] != first["session"]
    assert other["account"] != viewer["account"]

    await server.api("DELETE", f"viewers/{viewer['account']}/sessions")
    status, again = await ann.ask("POST", JOIN, {"session": first["session"]})
    assert status == 201
    assert again["session"] != first["session"]


async def test_a_show_that_is_paid_is_joined_with_nothing_left(server, ann) -> None:
    """Who paid the most that the show on air costs needs no balance to load the page again."""
    body = {"slug": "talk", "show_cap_planck": str(3 * PRICE)}
    talk, show = await server.api("POST", "streams", body, 201), server.now_s() - 9
    worker = report(talk, show=show)
    await server.ask("POST", "/internal/workers", worker, 204)
    viewer = await pay_in(server, ann, 3 * PRICE)
    _, made = await ann.ask("POST", "streams/talk/join", {})
    cover = Cover(show, 0, Units(3 * PRICE))
    await server.claim(made, viewer, talk, show, 4, cover=cover)
    await server.spent(viewer, 3 * PRICE)
    # A worker that has said nothing for some seconds is taken for lost, and its show with it.
    await server.ask("POST", "/internal/workers", worker, 204)

    status, again = await ann.ask("POST", "streams/talk/join", {})
    elsewhere, _ = await ann.ask("POST", JOIN, {})

    assert (status, elsewhere) == (201, 402), again
    later = await server.claim(again, viewer, talk, show + 4, 3, cover=cover)
    assert (later.verdict.name, later.covered_ticks) == ("GRANTED", 3)


async def test_a_free_stream_is_joined_with_nothing(server, ann) -> None:
    await server.api("POST", "streams", {"slug": "free", "planck_per_s": "0"}, 201)
    status, made = await ann.ask("POST", "streams/free/join", {})
    assert (status, made["stream"]) == (201, "free")
    assert parse_account(made["account"])


async def test_first_joins_at_once_make_one_account(server, ann) -> None:
    await server.api("POST", "streams", {"slug": "free", "planck_per_s": "0"}, 201)
    asked = [ann.ask("POST", "streams/free/join", {}) for _ in range(4)]
    accounts = {made["account"] for _, made in await asyncio.gather(*asked)}
    assert len(accounts) == 1
    viewers = (await server.api("GET", "viewers"))["viewers"]
    assert {item["account"] for item in viewers} == accounts


async def test_who_may_not_is_told_why(server, ann) -> None:
    status, refused = await Browser(server).ask("POST", JOIN, {})
    assert (status, refused["reason"]) == (401, "sign_in")
    assert (await ann.ask("POST", "streams/none/join", {}))[0] == 404
    for wrong in ("x", "+123456789abcdef", "0123456789ABCDEF"):
        assert (await ann.ask("POST", JOIN, {"session": wrong}))[0] == 422
    other = {"Origin": "https://evil.example", "Content-Type": "application/json"}
    assert (await ann.ask("POST", JOIN, {}, other))[0] == 403
    await server.api("PATCH", "streams/cam", {"is_enabled": False})
    status, refused = await ann.ask("POST", JOIN, {})
    assert (status, refused["reason"]) == (409, "closed")


async def test_a_person_joins_only_so_often(server, ann) -> None:
    statuses = {(await ann.ask("POST", JOIN, {}))[0] for _ in range(20)}
    assert statuses == {402}
    status, _ = await ann.ask("POST", JOIN, {})
    assert (status, ann.answer_headers["Retry-After"]) == (429, "60")
    bob = Browser(server)
    await bob.sign_up("Bob")
    assert (await bob.ask("POST", JOIN, {}))[0] == 402
