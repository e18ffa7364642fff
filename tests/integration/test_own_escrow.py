"""One's own wallet on the page: calls prepared here, signed there, followed; what is refused."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

import pytest

from metering.chain.node import storage
from metering.chain.node.scale import U128
from metering.testing.fake_node.pool import RpcError, pool_full
from tests.integration.test_control_on_chain import WALLET, Chain, claim, claims_of
from tests.integration.test_wallet_payer import ADDRESS, by_wallet, with_pages
from tests.support.control_server import PRICE, Server
from tests.support.page_wallet import sign_payload
from tests.support.people_browser import Browser
from tests.support.wallet import account

CAP = 20 * PRICE
OVER = ("final", "failed", "refused", "expired")


@pytest.fixture
async def server(tmp_path):
    async with Chain(tmp_path, with_pages()) as made:
        yield made


async def paying(server: Server) -> Browser:
    """Return the browser of who signed in by the wallet and pays from its account."""
    browser, credential = await by_wallet(server)
    status, chosen = await browser.ask("PUT", "me/account", {"credential": credential})
    assert (status, chosen["account"]) == (200, ADDRESS)
    return browser


async def prepared(browser: Browser, act: str, **body: Any) -> Any:
    status, call = await browser.ask("POST", f"me/escrow/{act}", body)
    assert status == 201, call
    return call


async def sent(browser: Browser, call: Any, status: int = 200) -> Any:
    body = {"signature": sign_payload(WALLET, call["payload"])}
    got, answer = await browser.ask("POST", f"me/escrow/calls/{call['call']}", body)
    assert got == status, answer
    return answer


async def done(server: Any, browser: Browser, call: Any) -> Any:
    """Return a call's end; every state on its way is one that is known."""

    async def is_over():
        status, answer = await browser.ask("GET", f"me/escrow/calls/{call['call']}")
        assert status == 200, answer
        assert answer["state"] in {"sent", "in_block", *OVER}
        return answer["state"] in OVER and answer

    return await server.until(is_over)


async def act(server: Any, browser: Browser, name: str, **body: Any) -> Any:
    call = await prepared(browser, name, **body)
    await sent(browser, call)
    return await done(server, browser, call)


async def test_a_wallet_does_all_on_the_page(server) -> None:
    """Deposited, joined with a cap, watched up to it, left, asked back: the wallet signs each."""
    stream = await server.stream()
    await server.registered(stream)
    browser = await paying(server)
    status, lacks = await browser.ask("POST", "streams/cam/join", {})
    assert (status, lacks["missing"]) == (402, ["escrow", "join"])

    deposited = await act(server, browser, "deposit", planck=str(50 * PRICE))
    assert (deposited["state"], deposited["reason"]) == ("final", "")
    assert deposited["block"] > 0
    joined = await act(
        server, browser, "join", stream="cam", max_spend_planck=str(CAP), duration_s=3600
    )
    assert joined["state"] == "final"

    async def may_watch():
        status, made = await browser.ask("POST", "streams/cam/join", {})
        return status == 201 and made

    made = await server.until(may_watch)
    now = int(time.time())
    async with claims_of(server) as claims:
        seen = await claims.claim(claim(ADDRESS, stream, made["session"], now - 100, 10))
        more = await claims.claim(claim(ADDRESS, stream, made["session"], now - 80, 11))
    assert (seen.verdict.name, more.verdict.name == "GRANTED") == ("GRANTED", False)

    async def is_shown():
        _, shown = await browser.ask("GET", "me/escrow")
        return shown["joins"] and shown

    shown = await server.until(is_shown)
    assert (shown["joins"][0]["stream"], shown["joins"][0]["max_spend"]) == ("cam", str(CAP))
    assert shown["joins"][0]["max_price"] == str(PRICE)
    assert (await act(server, browser, "leave", stream="cam"))["state"] == "final"
    asked = await act(server, browser, "request", planck=str(30 * PRICE))
    assert asked["state"] == "final"
    _, shown = await browser.ask("GET", "me/escrow")
    assert (shown["asked_back"], shown["account"]) == (str(30 * PRICE), ADDRESS)
    assert shown["ready_in_s"] > 0
    status, early = await browser.ask("POST", "me/escrow/withdraw", {})
    assert (status, "may be taken in" in early["detail"]) == (409, True)
    assert (await act(server, browser, "request", planck="0"))["state"] == "final"
    assert (await browser.ask("GET", "me/escrow"))[1]["asked_back"] is None

    async def is_settled():
        report = await server.api("GET", "reconcile")
        return int(report["totals"]["settled"]) == 10 and report

    report = await server.until(is_settled)
    assert report["is_balanced"], report["differences"]
    entries = (await server.api("GET", "audit"))["entries"]
    calls = [item for item in entries if item["action"] == "viewer.escrow.call"]
    assert [item["after"].get("call") for item in calls if "call" in item["after"]] == [
        *("deposit", "join_with_caps", "leave_stream", "request_withdraw", "request_withdraw")
    ]


async def test_the_wallet_shows_what_it_signs(server) -> None:
    """The call's bytes are those of the act that was asked for, under the payer's next nonce."""
    browser = await paying(server)
    call = await prepared(browser, "deposit", planck="12345")
    payload = call["payload"]
    operator = bytes(server.operator.account)

    assert payload["method"].endswith((operator + U128.encode(12345)).hex())
    assert int(payload["nonce"], 16) == 0
    assert payload["genesisHash"] == f"0x{server.world.forks.hash_at(0).hex()}"
    assert "ChargeTransactionPayment" in payload["signedExtensions"]
    assert call["expires_ms"] <= time.time() * 1000 + 5 * 60_000


REFUSALS: tuple[tuple[str, dict[str, Any], int, str], ...] = (
    ("deposit", {"planck": "0"}, 422, "0 is no deposit"),
    ("deposit", {"planck": str(10**30)}, 422, "more than the account can pay"),
    ("deposit", {"planck": "-1"}, 422, "is not planck"),
    ("request", {"planck": "0"}, 422, "nothing was asked back"),
    ("request", {"planck": "1"}, 422, "more than the 0 in escrow"),
    ("withdraw", {}, 409, "nothing was asked back"),
    ("leave", {"stream": "cam"}, 409, "no open join"),
    ("leave", {"stream": "none"}, 404, "none"),
    ("join", {"max_spend_planck": str(PRICE - 1), "duration_s": 60}, 422, "is below what"),
    (
        "join",
        {
            "max_spend_planck": str(CAP),
            "max_price_planck": str(PRICE - 1),
            "duration_s": 60,
        },
        422,
        "max_price_planck: ",
    ),
    ("join", {"max_spend_planck": str(CAP), "duration_s": 0}, 422, "is not in 1 to"),
    ("join", {"max_spend_planck": str(CAP), "duration_s": 10**10}, 422, "is not in 1 to"),
)


async def test_what_the_chain_would_refuse_is_not_signed(server) -> None:
    """Told before a wallet is asked, with what is wrong."""
    await server.registered(await server.stream())
    browser = await paying(server)
    for act_, body, status, words in REFUSALS:
        wanted = {"stream": "cam", **body} if act_ == "join" else body

        got, refused = await browser.ask("POST", f"me/escrow/{act_}", wanted)

        assert (got, words in refused["detail"]) == (status, True), (act_, body, refused)


async def test_a_call_is_signed_once_by_its_key_and_from_its_browser(server) -> None:
    """Another key, other bytes, another person or browser, a second signature: none counts."""
    browser = await paying(server)
    call = await prepared(browser, "deposit", planck="1000")
    path = f"me/escrow/calls/{call['call']}"
    other_amount = {**call["payload"], "method": call["payload"]["method"][:-2] + "01"}
    wrong = [
        sign_payload(account("eve"), call["payload"]),
        sign_payload(WALLET, other_amount),
        "0x" + "00" * 65,
        "no signature",
    ]
    for signature in wrong:
        status, refused = await browser.ask("POST", path, {"signature": signature})
        assert (status, "the signature is not one of" in refused["detail"]) == (422, True)
    assert (await browser.ask("GET", path))[0] == 409  # not signed

    good = {"signature": sign_payload(WALLET, call["payload"])}
    stranger = Browser(server)
    await stranger.sign_up("Eve")
    elsewhere, _ = await by_wallet(server)
    for somebody in (stranger, elsewhere):
        assert (await somebody.ask("POST", path, good))[0] == 404
        assert (await somebody.ask("GET", path))[0] == 404
    assert (await Browser(server).ask("POST", path, good))[0] == 401

    await browser.ask("POST", path, good)
    again = {"signature": sign_payload(WALLET, call["payload"])}  # sr25519 is never the same
    status, refused = await browser.ask("POST", path, again)
    assert (status, refused["title"]) == (409, "Signed already")
    assert (await browser.ask("POST", path, good))[0] == 200
    assert (await done(server, browser, call))["state"] == "final"
    held = storage.escrow_key(server.operator.account, WALLET.account)
    assert server.world.forks.head.values[held].held == 1000


async def test_of_two_calls_at_one_block_one_takes_effect(server) -> None:
    """An impatient second press pays in no second time: both have the same nonce."""
    browser = await paying(server)
    first = await prepared(browser, "deposit", planck="1000")
    second = await prepared(browser, "deposit", planck="1000")
    await sent(browser, first)
    assert (await done(server, browser, first))["state"] == "final"

    refused = await sent(browser, second, 409)

    assert "the node refuses the transaction" in refused["detail"]
    assert (await done(server, browser, second))["state"] == "refused"
    held = storage.escrow_key(server.operator.account, WALLET.account)
    assert server.world.forks.head.values[held].held == 1000


async def test_what_may_have_arrived_is_sent_again_as_it_was(server, monkeypatch) -> None:
    """The node has no room now: 503, and the same signature goes on; the money moves once."""
    browser = await paying(server)
    call = await prepared(browser, "deposit", planck="1000")
    signature = {"signature": sign_payload(WALLET, call["payload"])}
    taken = server.world.submit

    def refuse(raw: bytes) -> Any:
        error: RpcError = pool_full()
        raise error

    monkeypatch.setattr(server.world, "submit", refuse)
    status, refused = await browser.ask("POST", f"me/escrow/calls/{call['call']}", signature)
    monkeypatch.setattr(server.world, "submit", taken)
    again, _ = await browser.ask("POST", f"me/escrow/calls/{call['call']}", signature)

    assert (status, "does not take it now" in refused["detail"]) == (503, True)
    assert again == 200
    assert (await done(server, browser, call))["state"] == "final"


async def test_what_fails_in_a_block_is_told_in_words(server) -> None:
    """Left by another device meanwhile: the chain's refusal is a sentence, its name behind it."""
    stream = await server.stream()
    await server.registered(stream)
    browser = await paying(server)
    await act(server, browser, "join", stream="cam", max_spend_planck=str(CAP), duration_s=600)

    async def may_leave():
        status, call = await browser.ask("POST", "me/escrow/leave", {"stream": "cam"})
        return status == 201 and call

    first = await server.until(may_leave)
    number = UUID(stream["id"]).int
    server.world.stall()
    await sent(browser, first)

    async def is_in_block():
        _, answer = await browser.ask("GET", f"me/escrow/calls/{first['call']}")
        return answer["state"] == "in_block"

    await server.until(is_in_block)
    server.world.stall(0)
    assert (await done(server, browser, first))["state"] == "final"
    # One that was prepared before the chain knew, as of another device.
    kept = await prepared_at_once(server, browser, number)
    answer = await done(server, browser, kept)

    assert answer["state"] == "failed"
    assert answer["reason"] == "you have no open join of the stream (TickStream.NotJoined)"


async def prepared_at_once(server: Any, browser: Browser, number: int) -> Any:
    """Join, prepare to leave, and be the later of two that leave."""
    await act(server, browser, "join", stream="cam", max_spend_planck=str(CAP), duration_s=600)

    async def may_leave():
        status, _ = await browser.ask("POST", "me/escrow/leave", {"stream": "cam"})
        return status == 201

    await server.until(may_leave)
    server.world.stall()
    server.submit(WALLET, "leave_stream", stream_id=number)
    used = server.nonces[WALLET.account]

    async def is_next():
        status, call = await browser.ask("POST", "me/escrow/leave", {"stream": "cam"})
        is_behind = status == 201 and int(call["payload"]["nonce"], 16) == used
        return is_behind and call

    try:
        call = await server.until(is_next)
        await sent(browser, call)
    finally:
        server.world.stall(0)
    return call


async def test_who_pays_otherwise_signs_nothing(server) -> None:
    """No account yet, and one whose key the server keeps: each is told what to do."""
    await server.registered(await server.stream())
    browser, _ = await by_wallet(server)
    status, refused = await browser.ask("POST", "me/escrow/deposit", {"planck": "5"})
    assert (status, refused["reason"]) == (409, "no_account")

    assert (await browser.ask("PUT", "me/limits", {}))[0] == 200  # given a key of the server's
    for method, path, body in (
        ("POST", "me/escrow/deposit", {"planck": "5"}),
        ("GET", "me/escrow", None),
    ):
        status, refused = await browser.ask(method, path, body)
        assert (status, refused["reason"]) == (409, "custodial")
        assert "the server keeps the key" in refused["detail"]


async def test_without_a_chain_there_is_no_escrow(tmp_path) -> None:
    async with Server(tmp_path, with_pages()) as server:
        browser, _ = await by_wallet(server)

        for method, path, body in (
            ("GET", "me/escrow", None),
            ("POST", "me/escrow/deposit", {"planck": "5"}),
            ("POST", "me/escrow/calls/0123", {"signature": "0x"}),
        ):
            status, refused = await browser.ask(method, path, body)
            assert (status, refused["title"]) == (409, "No chain")
