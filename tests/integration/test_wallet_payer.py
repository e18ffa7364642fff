"""A wallet's own account pays on a chain: signed in by it, deposited, joined, left, withdrawn."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from dataclasses import replace
from uuid import UUID

import pytest

from metering.units import Verdict, account_text
from tests.integration.test_control_on_chain import WALLET, Chain, claim, claims_of
from tests.support.control_server import PRICE, Server, settings
from tests.support.people_browser import ORIGIN, Browser

ADDRESS = account_text(WALLET.account)


def with_pages():
    made = settings()
    return replace(made, server=replace(made.server, public_url=ORIGIN))


@pytest.fixture
async def server(tmp_path):
    async with Chain(tmp_path, with_pages()) as made:
        yield made


async def by_wallet(server: Server) -> tuple[Browser, str]:
    """Return the browser of who signed in by the wallet, and that way in."""
    browser = Browser(server)
    _, asked = await browser.ask("POST", "sign-in/wallet/challenge", {"address": ADDRESS})
    signature = WALLET.sign(f"<Bytes>{asked['text']}</Bytes>".encode()).hex()
    status, made = await browser.ask("POST", "sign-in/wallet", {"signature": f"0x{signature}"})
    assert status in (200, 201), made
    _, me = await browser.ask("GET", "me")
    return browser, me["credentials"][0]["id"]


async def test_a_wallet_signs_in_deposits_joins_with_a_cap_leaves_and_withdraws(server) -> None:
    """No key of theirs is here, and no admin lets them in: what lacks on the chain is named."""
    stream = await server.stream()
    await server.registered(stream)
    browser, credential = await by_wallet(server)
    for _ in range(2):
        chosen = await browser.ask("PUT", "me/account", {"credential": credential})
        assert chosen == (200, {"account": ADDRESS})
    status, lacks = await browser.ask("POST", "streams/cam/join", {})
    assert (status, lacks["missing"], lacks["account"]) == (402, ["escrow", "join"], ADDRESS)

    operator, number = server.operator.account, UUID(stream["id"]).int
    server.submit(WALLET, "deposit", operator=operator, amount=50 * PRICE)
    server.submit(
        WALLET,
        "join_with_caps",
        stream_id=number,
        max_price=PRICE,
        max_spend=20 * PRICE,
        duration=3600,
    )

    async def joined():
        status, made = await browser.ask("POST", "streams/cam/join", {})
        return status == 201 and made

    made = await server.until(joined)
    async with claims_of(server) as claims:
        now = int(time.time())
        seen = await claims.claim(claim(ADDRESS, stream, made["session"], now - 100, 10))
        more = await claims.claim(claim(ADDRESS, stream, made["session"], now - 80, 11))
        server.submit(WALLET, "leave_stream", stream_id=number)

        async def is_over():
            answer = await claims.claim(claim(ADDRESS, stream, made["session"], now - 40))
            return answer.verdict is Verdict.SESSION

        await server.until(is_over)
    assert seen.verdict is Verdict.GRANTED
    assert more.verdict is not Verdict.GRANTED  # above the cap of the join: 20 seconds

    shown = await server.shown(ADDRESS)
    assert (shown["has_wallet"], shown["deposited"]) == (True, str(50 * PRICE))
    server.submit(WALLET, "request_withdraw", operator=operator, amount=40 * PRICE)

    async def is_asked():
        escrow = await server.api("GET", f"viewers/{ADDRESS}/escrow")
        return str(40 * PRICE) in escrow.values() or any(
            str(40 * PRICE) in str(value) for value in escrow.values()
        )

    await server.until(is_asked)

    async def is_settled():
        report = await server.api("GET", "reconcile")
        totals = report["totals"]
        return int(totals["settled"]) == int(totals["metered"]) >= 10 and report

    report = await server.until(is_settled)
    assert report["is_balanced"], report["differences"]
    entries = (await server.api("GET", "audit"))["entries"]
    assert [item["action"] for item in entries].count("viewer.payer.set") == 1


async def test_a_wallet_that_is_not_ones_own_pays_nothing(server) -> None:
    """Neither another person's way in, nor a passkey, nor beside a key that the server keeps."""
    await server.stream(planck_per_s="0")
    _, credential = await by_wallet(server)
    other = Browser(server)
    await other.sign_up("Other")
    _, me = await other.ask("GET", "me")

    for theirs in (credential, me["credentials"][0]["id"], "0" * 16):
        status, refused = await other.ask("PUT", "me/account", {"credential": theirs})
        assert (status, "you have no wallet" in refused["detail"]) == (404, True)

    browser, credential = await by_wallet(server)
    assert (await browser.ask("PUT", "me/limits", {}))[0] == 200  # given a key of the server's
    status, refused = await browser.ask("PUT", "me/account", {"credential": credential})
    assert (status, "one person has one account" in refused["detail"]) == (422, True)


async def test_without_a_chain_a_wallet_only_signs_in(tmp_path) -> None:
    async with Server(tmp_path, with_pages()) as server:
        browser, credential = await by_wallet(server)

        status, refused = await browser.ask("PUT", "me/account", {"credential": credential})

    assert (status, refused["title"]) == (409, "No chain")


async def test_who_closed_and_comes_again_by_their_wallet_pays_from_it(server) -> None:
    """The key is theirs still, and so is what their escrow holds."""
    await server.registered(await server.stream())
    browser, credential = await by_wallet(server)
    await browser.ask("PUT", "me/account", {"credential": credential})
    await browser.ask("PUT", "me/player-settings", {"hidden_stop_s": 90, "ask_after_s": 3600})
    _, closed = await browser.ask("POST", "me/close", {})

    again, credential = await by_wallet(server)
    chosen = await again.ask("PUT", "me/account", {"credential": credential})
    status, lacks = await again.ask("POST", "streams/cam/join", {})
    _, settings_now = await again.ask("GET", "me/player-settings")
    erased = await server.api("POST", f"people/{closed['person']}/erase", {}, 200)
    _, me = await again.ask("GET", "me")

    assert chosen == (200, {"account": ADDRESS})
    assert (status, lacks["missing"], lacks["account"]) == (402, ["escrow", "join"], ADDRESS)
    assert settings_now["hidden_stop_s"] != 90
    assert closed["account"] == ADDRESS
    # Erased once more, the closed person takes nothing of who came after.
    assert erased["account"] is None
    assert me["account"] == ADDRESS
    assert (await server.shown(ADDRESS))["name"] == f"person-{me['person']}"


async def test_an_account_of_which_the_server_has_the_key_is_given_to_nobody(
    server, tmp_path
) -> None:
    """Its balance is not the wallet's own, though somebody shows that key."""
    browser, credential = await by_wallet(server)
    await server.api("POST", "viewers", {"name": "kept", "account": ADDRESS}, 201)
    with contextlib.closing(sqlite3.connect(tmp_path / "book.sqlite3")) as book, book:
        book.execute("UPDATE viewers SET seed = ? WHERE name = 'kept'", (b"\x01" * 32,))

    status, refused = await browser.ask("PUT", "me/account", {"credential": credential})

    assert (status, "the server keeps the key" in refused["detail"]) == (422, True)
    assert (await browser.ask("GET", "me"))[1]["account"] is None
