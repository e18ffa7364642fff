"""A stream that is shared: who sets how, what payees read, and how they are paid, over the API."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from mediaserver.cli.main import main
from metering.model import statement
from metering.units import parse_account
from tests.support.control_server import PRICE, Server, settings
from tests.support.payments_fixture import PLANCK
from tests.support.people_browser import JSON, ORIGIN, Browser

SECOND = 100 * PLANCK
"""A second costs a euro."""
BANK = {"payee": "Bob Payee", "bank_account": "DE89 3704 0044 0532 0130 00"}
ADDRESS = "0x" + "5a" * 32
"""Of somebody who never was here."""
GROSS = 10 * SECOND


@pytest.fixture
async def server(tmp_path) -> AsyncIterator[Server]:
    made = settings()
    tree = replace(
        made,
        server=replace(made.server, public_url=ORIGIN),
        payments=replace(made.payments, planck_per_minor_unit=str(PLANCK)),
        payout=replace(made.payout, maturing_days=0),
    )
    async with Server(tmp_path, tree) as started:
        yield started


@pytest.fixture
async def bob(server) -> Browser:
    """Who is a payee, and never watched or paid anything."""
    browser = Browser(server)
    await browser.sign_up("Bob")
    return browser


@pytest.fixture
async def creator(server, bob) -> Browser:
    """The creator of a stream that is shared from its first second on; ten seconds are watched."""
    payees = {f"person:{bob.person}": 250_000, ADDRESS: 50_000}
    stream = await server.stream(planck_per_s=str(SECOND), title="Camera", payees=payees)
    viewer = await server.viewer(str(100 * PRICE))
    minted = await server.mint()
    await server.claim(minted, viewer, stream, server.now_s() - 60, 10, SECOND)
    browser = Browser(server)
    await browser.sign_up("Cam")
    made = await server.api("POST", "invitations", {"stream": "cam"}, 201)
    assert (await browser.ask("POST", "me/invitations", {"code": made["code"]}))[0] == 200
    return browser


async def settled(server: Server) -> dict[str, Any]:
    """Return the earnings of the stream once all ten seconds are settled."""
    async with asyncio.timeout(20):
        while True:
            shown = await server.api("GET", "streams/cam/earnings")
            if int(shown["available"]):
                return shown
            await asyncio.sleep(0.05)


async def balanced(server: Server) -> None:
    report = await server.api("GET", "reconcile")
    assert report["differences"] == [], report


async def test_each_payee_has_their_part_and_is_paid_it(server, creator, bob) -> None:
    """What one of them earned, and where they are paid, is none of the others' to see."""
    shown = await settled(server)
    _, own = await bob.ask("GET", "me/earnings")
    [share] = own["earnings"]
    assert int(shown["available"]) == GROSS * 6 // 10
    parts = {item["account"]: int(item["available"]) for item in shown["payees"]}
    assert parts == {share["account"]: GROSS // 4, ADDRESS: GROSS // 20}
    assert (share["stream"], share["ppm"], share["available"]) == ("cam", 250_000, str(GROSS // 4))
    assert own["accounts"] == [share["account"]]
    assert (await creator.ask("GET", "me/earnings"))[1]["earnings"] == []

    headers = {**JSON, "Idempotency-Key": "p1"}
    wanted = {"stream": "cam", **BANK}
    status, made = await bob.ask("POST", "me/payouts", wanted, headers)
    again, same = await bob.ask("POST", "me/payouts", wanted, headers)
    theirs, _ = await creator.ask("POST", "streams/cam/payouts", BANK, headers)
    named, _ = await creator.ask(
        "POST", "streams/cam/payouts", {**BANK, "account": ADDRESS}, headers
    )
    assert (status, again, theirs, named) == (201, 200, 201, 403), made
    assert (made, made["account"], made["planck"]) == (same, share["account"], str(GROSS // 4))
    seen = (await creator.ask("GET", "streams/cam/payouts"))[1]["payouts"]
    assert [item["account"] for item in seen] == [None]
    assert len((await server.api("GET", "streams/cam/payouts"))["payouts"]) == 2
    assert (await bob.ask("GET", "me/payouts"))[1]["payouts"] == [made]

    at = f"payout-requests/{made['payout']}"
    await server.api("POST", f"{at}/approve", {})
    for _ in range(2):
        await server.api("POST", f"{at}/paid", {"reference": "bank 1"})
    [share] = (await bob.ask("GET", "me/earnings"))[1]["earnings"]
    assert (share["available"], share["paid_out"]) == ("0", str(GROSS // 4))
    body = {**BANK, "account": ADDRESS}
    finance = await server.api("POST", "streams/cam/payouts", body, 201, Idempotency_Key="p1")
    assert (finance["account"], finance["planck"]) == (ADDRESS, str(GROSS // 20))
    await balanced(server)


async def test_a_payees_statement_is_theirs_and_signed(server, creator, bob) -> None:
    await settled(server)
    month = time.strftime("%Y-%m", time.gmtime(server.now_s()))
    path = f"me/earnings/cam/statements/{month}"
    status, found = await bob.ask("GET", path)
    account = found["payee"]

    content = statement.verify(json.dumps(found).encode(), parse_account(found["operator"]))
    [line] = content["lines"]
    assert (status, content["closing"]) == (200, str(GROSS // 4))
    assert (line["gross"], line["fee"]) == (str(GROSS), str(GROSS // 10))
    assert line["others"] == str(GROSS - GROSS // 10 - GROSS // 4)
    of_stream = f"streams/cam/statements/{month}"
    assert (await creator.ask("GET", f"{of_stream}?account={account}"))[0] == 403
    assert (await server.api("GET", f"{of_stream}?account={account}"))["lines"] == [line]
    own = (await creator.ask("GET", of_stream))[1]
    assert (own["closing"], own["payee"]) == (str(GROSS * 6 // 10), own["creator"])
    assert (await creator.ask("GET", path))[0] == 404


async def test_bad_seconds_come_from_each_in_their_part(server, creator, bob) -> None:
    """A creator may not bring a payee into debt; finance may, and it is theirs alone."""
    await settled(server)
    headers = {**JSON, "Idempotency-Key": "p1"}
    _, made = await bob.ask("POST", "me/payouts", {"stream": "cam", **BANK}, headers)
    at = f"payout-requests/{made['payout']}"
    await server.api("POST", f"{at}/approve", {})
    await server.api("POST", f"{at}/paid", {"reference": "bank 1"})
    first = server.now_s() - 100
    bad = {"from_tick": first, "to_tick": server.now_s(), "why": "black picture"}

    status, refused = await creator.ask("POST", "streams/cam/refunds", bad, headers)
    await server.api("POST", "streams/cam/refunds", bad, 201, Idempotency_Key="r1")

    assert (status, "finance may" in refused["detail"]) == (422, True)
    [share] = (await bob.ask("GET", "me/earnings"))[1]["earnings"]
    assert (share["debt"], share["available"]) == (str(GROSS // 4), "0")
    shown = await server.api("GET", "streams/cam/earnings")
    assert (shown["debt"], shown["available"]) == ("0", "0")
    await balanced(server)


async def test_a_payee_with_earnings_left_does_not_lose_them_by_closing(
    server, creator, bob
) -> None:
    await settled(server)

    status, problem = await bob.ask("POST", "me/close", {})

    assert (status, problem["title"]) == (409, "Earnings are left")
    assert "share of cam, 0.0000025 UNIT was not paid out" in problem["detail"]
    assert problem["earnings_planck"] == str(GROSS // 4)
    [table] = (await creator.ask("GET", "streams/cam/split"))[1]["splits"]
    assert len(table["payees"]) == 2


async def test_who_closes_is_a_payee_no_more_and_nobody_is_kept_by_being_one(
    server, creator, bob
) -> None:
    """Their part is the creator's from the first second on that can be announced."""
    await settled(server)

    status, closed = await bob.ask("POST", "me/close", {"forfeit_shares": True})

    assert status == 200, closed
    tables = (await creator.ask("GET", "streams/cam/split"))[1]["splits"]
    assert [[item["account"] for item in table["payees"]] for table in tables] == [
        [closed["account"], ADDRESS],
        [ADDRESS],
    ]
    assert tables[1]["creator_ppm"] == 850_000
    assert tables[1]["from_tick"] > server.now_s()
    entries = (await server.api("GET", "audit"))["entries"]
    assert [item["action"] for item in entries][-2:] == ["stream.split.set", "person.erase"]
    await balanced(server)


@pytest.mark.parametrize("by", ["person", "account"])
async def test_who_closed_is_no_payee_any_more(server, creator, by) -> None:
    """Nobody could ask for their part; who is nobody here may be named all the same."""
    gone = Browser(server)
    await gone.sign_up("Dan")
    begins = server.now_s() + 300
    payees = {f"person:{gone.person}": 1}
    _, made = await creator.ask("PUT", "streams/cam/split", {"payees": payees, "from_tick": begins})
    account = made["payees"][0]["account"]
    assert (await gone.ask("POST", "me/close", {}))[0] == 200
    name = account if by == "account" else f"person:{gone.person}"

    status, problem = await creator.ask("PUT", "streams/cam/split", {"payees": {name: 2}})

    assert (status, problem["faults"]) == (422, ["payees: this account was closed"])


async def test_a_table_is_announced_and_what_cannot_be_one_is_said(server, creator, bob) -> None:
    """The creator sets it, not a payee; who watched before is not asked again."""
    path, person = "streams/cam/split", f"person:{bob.person}"
    before = await server.api("GET", path)

    begins = server.now_s() + 300
    status, made = await creator.ask(
        "PUT", path, {"payees": {person: 900_000}, "from_tick": begins}
    )
    # Every process bills by the version that begins with it.
    await server.policy(lambda told: [len(item.prices) for item in told.streams] == [2])
    mended, other = await creator.ask("PUT", path, {"payees": {person: 1}, "from_tick": begins})
    early, _ = await creator.ask("PUT", path, {"payees": {}, "from_tick": server.now_s()})
    wrong = {"0x12": 1, "person:" + "ab" * 16: 1, ADDRESS: 900_001}
    faulty, problem = await creator.ask("PUT", path, {"payees": wrong})
    theirs, _ = await bob.ask("PUT", path, {"payees": {}})
    stranger, _ = await bob.ask("GET", path)
    stream = await server.api("GET", "streams/cam")

    assert (status, mended, early, faulty) == (201, 201, 422, 422)
    assert (theirs, stranger) == (403, 403)
    assert made["from_tick"] == begins
    assert (made["creator_ppm"], made["payees"][0]["ppm"]) == (0, 900_000)
    assert len(problem["faults"]) == 2
    too_much = {"payees": {ADDRESS: 900_001}}
    assert "more than" in (await creator.ask("PUT", path, too_much))[1]["detail"]
    after = await server.api("GET", path)
    assert (after["split"], before["splits_to_come"]) == (before["split"], [])
    assert after["splits_to_come"] == [other]
    assert [price["planck_per_s"] for price in stream["prices"]] == [str(SECOND)] * 2
    assert stream["prices"][1]["from_tick"] == made["from_tick"]
    entries = (await server.api("GET", "audit"))["entries"]
    [*_, last] = [entry for entry in entries if entry["action"] == "stream.split.set"]
    assert last["after"]["payees"][0]["ppm"] == 1
    assert last["before"]["payees"][0]["ppm"] == 900_000


async def test_a_pass_is_shared_as_seconds_are_and_goes_back_likewise(
    server, creator, bob, capsys
) -> None:
    """By the table that held when it was bought; the command line shows both."""
    await server.api("PUT", "streams/cam/passes/month", {"planck": str(SECOND)}, 201)
    await settled(server)
    headers = {**JSON, "Idempotency-Key": "k1"}
    ann = Browser(server)
    await ann.sign_up("Ann")
    _, asked = await ann.ask("POST", "streams/cam/join", {})
    credit = f"viewers/{asked['account']}/credits"
    await server.api("POST", credit, {"planck": str(SECOND)}, 201, Idempotency_Key="c1")

    purchase = {"stream": "cam", "kind": "month", "planck": str(SECOND)}
    status, bought = await ann.ask("POST", "me/passes", purchase, headers)
    [share] = (await bob.ask("GET", "me/earnings"))[1]["earnings"]
    await balanced(server)
    await server.api("POST", f"passes/{bought['pass']}/refund", {"why": "mistake"}, 201)
    [after] = (await bob.ask("GET", "me/earnings"))[1]["earnings"]
    code = await run(server, "streams", "split", "cam")
    text = capsys.readouterr().out
    changed = await run(server, "streams", "split", "cam", f"{ADDRESS}=12.5%")
    [ending] = (await bob.ask("GET", "me/earnings"))[1]["earnings"]

    assert (status, code, changed) == (201, 0, 0), bought
    assert int(share["available"]) == (GROSS + SECOND) // 4
    assert int(after["available"]) == GROSS // 4
    assert (after["to_come"], ending["ppm"], ending["to_come"]["ppm"]) == (None, 250_000, 0)
    assert ending["to_come"]["from_ms"] > server.now_s() * 1000
    assert ("25%" in text, ADDRESS in text, "creator" in text) == (True, True, True)
    assert "12.5%" in capsys.readouterr().out
    await balanced(server)


async def run(server: Server, *words: str) -> int:
    return await asyncio.to_thread(main, [*words, "--data-dir", str(server.data_dir)])


async def test_what_is_not_written_as_a_part_is_refused(server, creator, capsys) -> None:
    assert await run(server, "streams", "split", "cam", "bob=5%") != 0
    assert "is not an account and its part" in capsys.readouterr().err
    assert await run(server, "streams", "split", "cam", "none", "--json") == 0
    out = capsys.readouterr().out  # with the server's log, which runs in this process
    made, _ = json.JSONDecoder().raw_decode(out[out.index("{") :])
    assert (made["payees"], made["creator_ppm"]) == ([], 900_000)
