"""Bad seconds given back: over the API and the command line, in book, store and receipts."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from mediaserver.cli.main import main
from metering.model import receipt_file
from metering.units import parse_account
from tests.integration.test_own_history import Viewer, on_air, viewer
from tests.support.control_server import PRICE, Server, settings
from tests.support.people_browser import JSON, ORIGIN, Browser

WHY = {"why": "the picture was black"}
STARTED = 1000 * PRICE
FEE = 100_000


@pytest.fixture
async def server(tmp_path) -> AsyncIterator[Server]:
    made = settings()
    tree = replace(
        made,
        server=replace(made.server, public_url=ORIGIN),
        price=replace(made.price, platform_fee_ppm=FEE),
        payout=replace(made.payout, maturing_days=0),
    )
    async with Server(tmp_path, tree) as started:
        yield started


class Show:
    """A show that Ann watches, by its number."""

    def __init__(self, server: Server, stream: Any, ann: Viewer, number: int) -> None:
        self.server, self.stream, self.ann, self.number = server, stream, ann, number
        self.minted: Any = None

    async def watch(self, second: int, count: int) -> None:
        self.minted = self.minted or await self.ann.join()
        await self.ann.watch(self.minted, self.stream, self.number + second, count)

    async def settled(self, seconds: int) -> None:
        """Wait until so many seconds have settled, less those that were given back."""
        share = seconds * PRICE - seconds * PRICE * FEE // 1_000_000
        async with asyncio.timeout(15):
            while True:
                shown = await self.server.api("GET", "streams/cam/earnings")
                if int(shown["available"]) - int(shown["debt"]) + int(shown["paid_out"]) == share:
                    return
                await asyncio.sleep(0.05)

    def body(self, first: int, last: int, **more: Any) -> dict[str, Any]:
        return {"from_tick": self.number + first, "to_tick": self.number + last, **WHY, **more}

    async def refund(self, first: int, last: int, status: int = 201, key: str = "k1") -> Any:
        body = self.body(first, last, show=self.number)
        return await self.server.api(
            "POST", "streams/cam/refunds", body, status, Idempotency_Key=key
        )

    async def balance(self, planck: int) -> None:
        await self.server.balance({"account": self.ann.account}, planck)


@pytest.fixture
async def show(server) -> Show:
    stream = await server.stream()
    number = server.now_s() - 100
    await on_air(server, stream, number)
    return Show(server, stream, await viewer(server), number)


async def test_who_paid_for_bad_seconds_has_them_back_and_watches_for_them(server, show) -> None:
    """At once what has settled, the rest when it settles; asked again nothing more."""
    await show.watch(0, 10)
    await show.settled(10)
    made = await show.refund(5, 30)
    assert (made["seconds"], made["planck"], made["viewers"]) == (5, str(5 * PRICE), 1)
    assert (made["show"], made["from_tick"]) == (show.number, show.number + 5)
    await show.balance(STARTED - 5 * PRICE)

    again = await show.refund(5, 30, 200)
    assert again == made
    await show.refund(5, 31, 409)
    assert (await show.refund(0, 40, key="k2"))["seconds"] == 5

    await show.watch(20, 4)  # of both ranges, and late
    await show.balance(STARTED)
    await show.settled(0)
    listed = await server.api("GET", "streams/cam/refunds?limit=1")
    assert [item["number"] for item in listed["refunds"]] == [2]
    rest = await server.api("GET", f"streams/cam/refunds?before={listed['next_before']}")
    assert [(item["number"], item["seconds"]) for item in rest["refunds"]] == [(1, 9)]

    shown = await server.api("GET", f"viewers/{show.ann.account}")
    assert (shown["spent"], shown["given_back"]) == (str(14 * PRICE), str(14 * PRICE))
    assert (shown["balance"], shown["debt"]) == (str(STARTED), "0")
    [row] = (await show.ann.browser.ask("GET", "me/history"))[1]["shows"]
    assert (row["seconds"], row["planck"], row["given_back"]) == (
        14,
        str(14 * PRICE),
        str(14 * PRICE),
    )
    entries = (await server.api("GET", "audit"))["entries"]
    assert [entry["action"] for entry in entries].count("stream.refund_seconds") == 2
    assert (await server.api("GET", "reconcile"))["is_balanced"]


async def test_the_next_receipt_has_them_as_lines_below_zero(
    server, show, tmp_path, capsys
) -> None:
    """The sum that `verify` answers is what the viewer paid in the end."""
    await show.watch(0, 10)
    await show.settled(10)
    at = f"receipts/{show.ann.account}/cam"
    await show.refund(8, 9)

    async with server.http.get(f"http://c/api/v1/{at}") as answer:
        data = await answer.read()
    operator = (await server.api("GET", "operator"))["public_key"]
    proof = receipt_file.verify(data, parse_account(operator))
    assert (proof.amount, proof.ticks, proof.back_ticks) == (8 * PRICE, 10, 2)

    file = tmp_path / "r.json"
    file.write_bytes(data)
    assert main(["receipt", "verify", str(file), "--operator-key", operator]) == 0
    assert "less 2 seconds that were bad and given back" in capsys.readouterr().out


async def test_after_redis_was_lost_the_balance_has_what_was_given_back(server, show) -> None:
    await show.watch(0, 10)
    await show.settled(10)
    await show.refund(0, 3)
    await show.balance(STARTED - 6 * PRICE)

    await server.lose_redis()

    await show.balance(STARTED - 6 * PRICE)
    assert (await server.api("GET", "reconcile"))["is_balanced"]


async def creator_of(server: Server) -> Browser:
    browser = Browser(server)
    await browser.sign_up("Bea")
    made = await server.api("POST", "invitations", {"stream": "cam"}, 201)
    assert (await browser.ask("POST", "me/invitations", {"code": made["code"]}))[0] == 200
    return browser


async def test_a_creator_gives_back_of_own_streams_what_was_not_paid_out(server, show) -> None:
    """What a bank paid them is the operator's to give: it would be a debt to them."""
    await server.stream(slug="talks")
    await show.watch(0, 10)
    await show.settled(10)
    bea = await creator_of(server)
    headers = {**JSON, "Idempotency-Key": "c1"}
    refund = show.body(0, 1)
    assert (await bea.ask("POST", "streams/talks/refunds", refund, headers))[0] == 403
    assert (await show.ann.browser.ask("POST", "streams/cam/refunds", refund, headers))[0] == 403
    status, made = await bea.ask("POST", "streams/cam/refunds", refund, headers)
    assert (status, made["seconds"]) == (201, 2), made

    bank = {"payee": "Bea", "bank_account": "DE89 3704 0044 0532 0130 00"}
    status, payout = await bea.ask(
        "POST", "streams/cam/payouts", bank, {**JSON, "Idempotency-Key": "p1"}
    )
    assert status == 201, payout
    headers = {**JSON, "Idempotency-Key": "c2"}
    status, refused = await bea.ask("POST", "streams/cam/refunds", show.body(2, 4), headers)
    assert (status, "finance may give these seconds back" in refused["detail"]) == (422, True)
    await server.api("POST", f"payout-requests/{payout['payout']}/approve", {})
    await server.api("POST", f"payout-requests/{payout['payout']}/paid", {"reference": "b"})
    assert (await show.refund(2, 4))["seconds"] == 3

    shown = await server.api("GET", "streams/cam/earnings")
    left = 5 * PRICE - 5 * PRICE * FEE // 1_000_000
    assert int(shown["debt"]) == int(payout["planck"]) - left
    month = await bea.ask("GET", f"streams/cam/statements/{_month(server)}")
    lines = [line for line in month[1]["lines"] if line["what"] == "bad_seconds"]
    assert [(line["gross"], line["note"]) for line in lines] == [
        (str(-2 * PRICE), WHY["why"]),
        (str(-3 * PRICE), WHY["why"]),
    ]
    assert (await server.api("GET", "reconcile"))["is_balanced"]


def _month(server: Server) -> str:
    return f"{datetime.fromtimestamp(server.now_s(), UTC):%Y-%m}"


async def test_what_cannot_be_given_back_is_refused_all_of_it_at_once(server, show) -> None:
    later, now_s = show.number + 60, server.now_s()
    await on_air(server, show.stream, later)
    for body, words in (
        (show.body(5, 4), ["to_tick", "is before from_tick"]),
        (show.body(0, 10**6, why=""), ["one refund has at most 86400", "is still to come", "why"]),
        (show.body(0, 5, show=7), [f"had no show 7; its newest are {later}, {show.number}"]),
        (show.body(70, 75, show=show.number), [f"it is of {later}"]),
        (show.body(50, 65), [f"one begins at {later}"]),
        ({"from_tick": now_s, "to_tick": now_s + 5, **WHY}, ["is still to come"]),
    ):
        problem = await server.api("POST", "streams/cam/refunds", body, 422, Idempotency_Key="bad")
        assert all(word in problem["detail"] for word in words), problem
    await server.api("POST", "streams/cam/refunds", show.body(0, 1), 400)
    await server.api("POST", "streams/none/refunds", show.body(0, 1), 404, Idempotency_Key="k")
    assert (await server.api("GET", "streams/cam/refunds"))["refunds"] == []


async def test_finance_gives_back_by_the_command_line(server, show, capsys) -> None:
    await show.watch(0, 10)
    await show.settled(10)

    async def run(*words: str) -> int:
        data_dir = str(server.data_dir)
        return await asyncio.to_thread(main, ["payments", *words, "--data-dir", data_dir])

    words = ("refund-seconds", "cam", "--from", str(show.number + 4), "--why", "black")
    last = _clock(show.number + 6)
    capsys.readouterr()
    assert await run(*words, "--to", last, "--key", "k", "--json") == 0
    assert json.loads(capsys.readouterr().out)["seconds"] == 3
    assert await run("refunded-seconds", "cam") == 0
    shown = capsys.readouterr().out
    assert "SECONDS PAID" in shown
    assert "black" in shown


def _clock(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat()
