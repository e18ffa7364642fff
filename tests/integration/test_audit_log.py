"""What the audit log has of who came and went, and of money: with what happened, or not at all."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from mediaserver.people.per_hour import ENTRIES_MAX, REFUSALS_PER_ADDRESS_MAX
from metering.book.book import Book
from tests.support.control_server import Server, settings
from tests.support.people_browser import ORIGIN, Browser


@pytest.fixture
async def server(tmp_path) -> AsyncIterator[Server]:
    made = settings()
    tree = replace(made, server=replace(made.server, public_url=ORIGIN))
    async with Server(tmp_path, tree) as started:
        yield started


async def entries(server: Server, target: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await server.api("GET", f"audit?target={target}"))["entries"]
    return found


async def sql(server: Server, statement: str) -> None:
    """Change the book beside control."""

    def run() -> None:
        url = f"sqlite:///{server.data_dir / 'book.sqlite3'}"
        with Book.open(url, server.tree.asset) as book, book.together() as connection:
            connection.execute(text(statement))

    await asyncio.to_thread(run)


async def test_who_comes_and_goes_is_in_the_log(server) -> None:
    ann = Browser(server)
    device = await ann.sign_up("Ann")
    _, made = await ann.ask("POST", "me/recovery-codes", {})
    assert (await ann.ask("DELETE", "me/session", {}))[0] == 200
    assert (await ann.sign_in(device))[0] == 200
    code = {"code": made["codes"][0]}
    for status in (200, 401):
        assert (await Browser(server).ask("POST", "sign-in/recovery", code))[0] == status

    log = await entries(server, f"person:{ann.person}")
    assert [(entry["action"], entry["after"].get("kind")) for entry in log] == [
        ("person.sign_up", "passkey"),
        ("person.sign_in", "passkey"),
        ("person.recovery_codes", None),
        ("person.sign_out", None),
        ("person.sign_in", "passkey"),
        ("person.sign_in", "recovery"),
    ]
    assert {entry["actor"] for entry in log} == {f"person:{ann.person}"}
    assert log[3]["before"]["session"] == log[1]["after"]["session"]


async def test_who_does_not_get_in_is_in_the_log_at_a_bounded_rate(server) -> None:
    for _ in range(REFUSALS_PER_ADDRESS_MAX + 3):
        asked = Browser(server).ask("POST", "sign-in/recovery", {"code": "x"})
        assert (await asked)[0] == 401
    log = [entry for entry in await entries(server, "server") if "refuse" in entry["action"]]
    assert [entry["after"] for entry in log] == [
        {"kind": "recovery", "left_out": 0}
    ] * REFUSALS_PER_ADDRESS_MAX

    head = {"Origin": ORIGIN, "Content-Type": "application/json", "X-Forwarded-For": "192.0.2.7"}
    assert (await Browser(server).ask("POST", "sign-in/recovery", {"code": "x"}, head))[0] == 401
    last = (await entries(server, "server"))[-1]
    assert (last["address"], last["after"]["left_out"]) == ("192.0.2.7", 3)


async def test_nobody_makes_the_log_grow_by_their_name(server) -> None:
    ann = Browser(server)
    await ann.sign_up("Ann")
    for _ in range(3):
        assert (await ann.ask("PATCH", "me", {"name": "Ann"}))[0] == 200
    assert len(await entries(server, f"person:{ann.person}")) == 2

    statuses = [
        (await ann.ask("PATCH", "me", {"name": f"Ann {number}"}))[0]
        for number in range(ENTRIES_MAX + 1)
    ]
    assert statuses == [200] * ENTRIES_MAX + [429]
    assert (await ann.ask("GET", "me"))[1]["name"] == f"Ann {ENTRIES_MAX - 1}"
    assert (await ann.ask("DELETE", "me/session", {}))[0] == 200  # all else goes on


async def test_money_and_links_are_in_the_log_or_did_not_happen(server) -> None:
    await server.stream()
    await server.api("POST", "viewers", {"name": "ann"}, 201)
    await sql(
        server,
        "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END",
    )
    credit = {"planck": "500"}
    await server.api("POST", "viewers/ann/credits", credit, 500, Idempotency_Key="1")
    await server.api("POST", "tokens", {"viewer": "ann", "stream": "cam"}, 500)
    await sql(server, "DROP TRIGGER full")
    assert (await server.api("GET", "viewers/ann"))["deposited"] == "0"
    assert (await server.api("GET", "viewers/ann/sessions"))["sessions"] == []

    for status in (201, 200):
        await server.api("POST", "viewers/ann/credits", credit, status, Idempotency_Key="1")
    minted = await server.mint()
    for _ in range(2):
        await server.api("DELETE", f"viewers/ann/sessions/{minted['session']}")
    target = f"viewer:{minted['account']}"
    assert [entry["action"] for entry in await entries(server, target)] == [
        "viewer.create",
        "viewer.credit",
        "viewer.link.mint",
        "viewer.session.end",
    ]


async def test_a_log_that_was_changed_is_told_of(server) -> None:
    await server.stream()
    assert (await server.api("GET", "audit?verify"))["fault"] == ""
    await sql(server, "DROP TRIGGER audit_is_kept")
    await sql(server, "UPDATE audit SET actor = 'nobody'")
    assert "entry 1 is not the one" in (await server.api("GET", "audit?verify"))["fault"]
