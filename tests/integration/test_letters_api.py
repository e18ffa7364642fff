"""Asking to be written to when the balance runs down: a mail server sees exactly one letter."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from tests.support.control_server import PRICE, Server, settings
from tests.support.mailbox import Mailbox, open_mailbox
from tests.support.people_browser import ORIGIN, Browser

ADDRESS = "ann@example.org"


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with open_mailbox() as made:
        yield made


@pytest.fixture
async def server(tmp_path, mailbox) -> AsyncIterator[Server]:
    made = settings()
    people = replace(
        made.people, mail_url=f"smtp://127.0.0.1:{mailbox.port}", mail_from="live@example.org"
    )
    tree = replace(made, server=replace(made.server, public_url=ORIGIN), people=people)
    async with Server(tmp_path, tree) as started:
        await started.stream()
        yield started


async def add_address(browser: Browser, mailbox: Mailbox) -> None:
    await browser.ask("POST", "me/credentials/mail", {"address": ADDRESS})
    secret = await mailbox.secret("add-mail")
    status, answer = await browser.ask("POST", "me/credentials/mail/confirm", {"secret": secret})
    assert status == 201, answer


async def test_a_balance_that_falls_below_is_told_once(server, mailbox) -> None:
    ann = Browser(server)
    await ann.sign_up("Ann")
    nothing: dict[str, Any] = {
        "low_balance_planck": "0",
        "address": None,
        "addresses": [],
        "can_send": True,
    }
    assert await ann.ask("GET", "me/letters") == (200, nothing)
    wanted = {"low_balance_planck": str(6 * PRICE)}
    status, refused = await ann.ask("PUT", "me/letters", wanted)
    assert (status, "add an e-mail address first" in refused["detail"]) == (422, True)
    await add_address(ann, mailbox)
    _, refused = await ann.ask("POST", "streams/cam/join", {})
    viewer = {"account": refused["account"]}
    path, planck = f"viewers/{viewer['account']}/credits", {"planck": str(10 * PRICE)}
    await server.api("POST", path, planck, 201, Idempotency_Key="1")
    status, asked = await ann.ask("PUT", "me/letters", wanted)
    assert (status, asked["address"], asked["low_balance_planck"]) == (
        200,
        ADDRESS,
        wanted["low_balance_planck"],
    )

    _, made = await ann.ask("POST", "streams/cam/join", {})
    cam, now_s = await server.api("GET", "streams/cam"), server.now_s()
    for first, count in ((now_s - 30, 4), (now_s - 20, 2), (now_s - 10, 1)):
        assert (await server.claim(made, viewer, cam, first, count)).new_ticks == count
    await server.spent(viewer, 7 * PRICE)
    to, subject, text = await mailbox.next()
    assert (to, subject) == ([ADDRESS], "Your balance is low")
    assert f"{ORIGIN}/me/" in text

    # More is spent, and nobody is written to again; then the money ends.
    assert (await server.claim(made, viewer, cam, now_s - 5, 3)).new_ticks == 3
    _, subject, _ = await mailbox.next()
    assert subject == "Your balance is used up"
    assert mailbox.letters.empty()


async def test_letters_are_ended_and_only_ones_own_address_is_taken(server, mailbox) -> None:
    ann = Browser(server)
    await ann.sign_up("Ann")
    await add_address(ann, mailbox)
    wanted = {"low_balance_planck": "5000", "address": "bob@example.org"}
    assert (await ann.ask("PUT", "me/letters", wanted))[0] == 422
    wanted["address"] = ADDRESS
    assert (await ann.ask("PUT", "me/letters", wanted))[1]["address"] == ADDRESS
    status, ended = await ann.ask("PUT", "me/letters", {})
    assert (status, ended["low_balance_planck"], ended["address"]) == (200, "0", None)
