"""Earnings over the API and the command line: asked for, approved, paid, and compared."""

import asyncio
import csv
import io
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from mediaserver.cli.main import main
from tests.support.control_server import PRICE, Server, settings
from tests.support.payments_fixture import PLANCK
from tests.support.people_browser import JSON, ORIGIN, Browser

SECOND = 100 * PLANCK
"""A second costs a euro."""
BANK = {"payee": "Ann Creator", "bank_account": "DE89 3704 0044 0532 0130 00"}


@pytest.fixture
async def server(request, tmp_path) -> AsyncIterator[Server]:
    made = settings()
    days = getattr(request, "param", 0)
    tree = replace(
        made,
        server=replace(made.server, public_url=ORIGIN),
        payments=replace(made.payments, planck_per_minor_unit=str(PLANCK)),
        payout=replace(made.payout, maturing_days=days),
    )
    async with Server(tmp_path, tree) as started:
        yield started


@pytest.fixture
async def creator(server) -> Browser:
    """Who came in by the invitation of a stream that a viewer watched ten seconds of."""
    stream = await server.stream(planck_per_s=str(SECOND), title="Camera")
    viewer = await server.viewer(str(100 * PRICE))
    minted = await server.mint()
    await server.claim(minted, viewer, stream, server.now_s() - 60, 10, SECOND)
    browser = Browser(server)
    await browser.sign_up("Ann")
    made = await server.api("POST", "invitations", {"stream": "cam"}, 201)
    assert (await browser.ask("POST", "me/invitations", {"code": made["code"]}))[0] == 200
    return browser


async def settled(server: Server, state: str = "available") -> dict[str, Any]:
    """Return the earnings of the stream once all ten seconds are settled."""
    async with asyncio.timeout(15):
        while True:
            shown = await server.api("GET", "streams/cam/earnings")
            if int(shown[state]):
                return shown
            await asyncio.sleep(0.05)


async def ask(browser: Browser, key: str = "p1", **changed: Any) -> tuple[int, Any]:
    headers = {**JSON, "Idempotency-Key": key}
    return await browser.ask("POST", "streams/cam/payouts", {**BANK, **changed}, headers)


async def test_o3_a_creator_is_paid_what_they_earned(server, creator) -> None:
    shown = await settled(server)
    share = int(shown["available"])
    fee = server.tree.price.platform_fee_ppm
    assert share == 10 * SECOND - 10 * SECOND * fee // 1_000_000
    assert (await creator.ask("GET", "streams/cam/earnings"))[1] == shown

    status, made = await ask(creator)
    assert (status, made["state"], made["currency"]) == (201, "requested", "EUR")
    assert int(made["planck"]) == int(made["amount"]) * PLANCK == share // PLANCK * PLANCK
    assert await ask(creator) == (200, made)
    status, problem = await ask(creator, "p2")
    assert (status, "one at a time" in problem["detail"]) == (409, True)
    at = f"payout-requests/{made['payout']}"
    assert (await creator.ask("POST", f"{at}/approve", {}, JSON))[0] == 403

    await server.api("POST", f"{at}/paid", {"reference": "b 1"}, 409)
    await server.api("POST", f"{at}/approve", {})
    async with server.http.get("http://c/api/v1/payout-requests/bank-file") as answer:
        assert answer.content_type == "text/csv"
        [line] = csv.DictReader(io.StringIO(await answer.text()))
    cents = int(made["amount"])
    assert line["amount"] == f"{cents // 100}.{cents % 100:02}"
    assert (line["payee"], line["bank_account"]) == tuple(BANK.values())
    assert line["remittance"] == f"cam {made['payout']}"
    for _ in range(2):
        paid = await server.api("POST", f"{at}/paid", {"reference": "b 1"})
        assert (paid["state"], paid["reference"]) == ("paid", "b 1")

    shown = await server.api("GET", "streams/cam/earnings")
    assert (shown["paid_out"], shown["asked"], shown["debt"]) == (made["planck"], "0", "0")
    assert int(shown["available"]) == share - int(made["planck"])
    listed = (await creator.ask("GET", "streams/cam/payouts"))[1]
    assert listed == {"payouts": [paid], "next_before": None}
    assert (await server.api("GET", "payout-requests?state=approved"))["payouts"] == []
    report = await server.api("GET", "reconcile")
    assert report["is_balanced"], report
    entries = (await server.api("GET", "audit"))["entries"]
    done = [item for item in entries if item["action"].startswith("payout.")]
    names = sorted(item["action"] for item in done)
    assert names == ["payout.approve", "payout.paid", "payout.request"]
    assert "DE89" not in json.dumps(done)


@pytest.mark.parametrize("server", [7], indirect=True)
async def test_what_was_settled_today_matures_yet(server, creator) -> None:
    shown = await settled(server, "maturing")
    assert (shown["available"], shown["maturing_days"]) == ("0", 7)
    status, problem = await ask(creator)
    assert (status, "mature yet" in problem["detail"]) == (422, True)


async def test_every_fault_of_a_request_is_named_and_a_key_is_needed(server, creator) -> None:
    status, problem = await ask(creator, payee="=x", bank_account="x", planck="0")
    assert status == 422
    assert [fault.split(":")[0] for fault in problem["faults"]] == [
        *("payee", "bank_account", "planck")
    ]
    assert (await creator.ask("POST", "streams/cam/payouts", BANK))[0] == 400
    await server.api("POST", f"payout-requests/{'ab' * 16}/refuse", {"why": "x"}, 404)
    await server.api("POST", f"payout-requests/{'ab' * 16}/refuse", {"why": ""}, 422)


async def test_the_same_at_once_is_one(server, creator) -> None:
    await settled(server)
    answers = await asyncio.gather(*(ask(creator) for _ in range(4)))
    assert sorted(status for status, _ in answers) == [200, 200, 200, 201]
    assert len({made["payout"] for _, made in answers}) == 1


async def run(server: Server, *words: str) -> int:
    return await asyncio.to_thread(main, [*words, "--data-dir", str(server.data_dir)])


async def test_finance_works_at_the_command_line(server, creator, tmp_path, capsys) -> None:
    await settled(server)
    bank = ("--payee", BANK["payee"], "--bank-account", BANK["bank_account"])
    words = ("earnings", "request", "cam", *bank, "--key", "c1")
    assert await run(server, *words) == 0
    [made] = (await server.api("GET", "streams/cam/payouts"))["payouts"]
    capsys.readouterr()
    assert await run(server, "earnings", "show", "cam") == 0
    assert "asked for: " in capsys.readouterr().out
    assert await run(server, "earnings", "refuse", made["payout"], "--why", "no contract") == 0
    assert "no contract" in capsys.readouterr().out

    some = ("earnings", "request", "cam", "0.00000002 UNIT", *bank, "--key", "c2")
    assert await run(server, *some) == 0
    made = (await server.api("GET", "payout-requests"))["payouts"][0]
    assert made["amount"] == "2"
    assert await run(server, "earnings", "approve", made["payout"]) == 0
    file = tmp_path / "bank.csv"
    assert await run(server, "earnings", "bank-file", "--output", str(file)) == 0
    assert "0.02,EUR" in file.read_text()
    assert await run(server, "earnings", "paid", made["payout"], "--reference", "b 7") == 0
    capsys.readouterr()
    assert await run(server, "earnings", "requests", "cam", "--state", "paid") == 0
    assert "b 7" in capsys.readouterr().out
    assert await run(server, "reconcile") == 0


async def test_c12_a_month_is_stated_with_names_units_and_periods(
    server, creator, tmp_path, capsys
) -> None:
    """By the creator, who is no operator, and as a file that anybody can check."""
    share = int((await settled(server))["available"])
    month = time.strftime("%Y-%m", time.gmtime())
    at = f"streams/cam/statements/{month}"
    status, stated = await creator.ask("GET", at)
    assert (status, stated["title"], stated["month"], stated["is_closed"]) == (
        *(200, "Camera", month, False),
    )
    assert stated["closing"] == str(share)
    [line] = stated["lines"]
    assert (line["what"], line["gross"]) == ("earned", str(10 * SECOND))

    file, key = tmp_path / "statement.json", (await server.api("GET", "operator"))["public_key"]
    words = ("earnings", "statement", "cam", month, "--output", str(file))
    assert await run(server, *words) == 0
    verify = ("earnings", "verify", str(file), "--operator-key", key)
    assert await asyncio.to_thread(main, list(verify)) == 0
    assert f"good: Camera, {month} (so far)" in capsys.readouterr().out
    file.write_bytes(file.read_bytes().replace(b"Camera", b"Cinema"))
    assert await asyncio.to_thread(main, list(verify)) == 1
    assert await run(server, *words, "--csv") == 0
    rows = list(csv.DictReader(io.StringIO(file.read_text())))
    assert [row["what"] for row in rows] == ["opening", "earned", "closing"]
    assert {row["unit"] for row in rows} == {"UNIT"}

    await server.api("GET", "streams/cam/statements/2999-01", None, 422)
    await server.api("GET", "streams/cam/statements/2026-13", None, 422)
    await server.api("GET", f"{at}?form=pdf", None, 422)
