"""Control over its unix socket, with a real Redis and a real book."""

import asyncio
import json
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mediaserver import playback_token
from mediaserver.processes import secret_files
from metering.book.book import Book
from metering.model import receipt_file
from metering.units import Planck, Verdict, parse_account
from tests.support.control_server import PRICE, Server, settings
from tests.support.worker_report import report


@pytest.fixture
async def server(tmp_path):
    async with Server(tmp_path, settings()) as running:
        yield running


async def test_a_stream_is_made_listed_and_shown_with_its_key_only_once(server) -> None:
    """A creator gets a key once; nobody can read it later."""
    made = await server.stream(title="Camera")

    listed = await server.api("GET", "streams")
    shown = await server.api("GET", "streams/cam")
    assert made["stream_key"] not in json.dumps([listed, shown])
    assert listed["streams"] == [shown]
    assert shown["prices"] == [{"number": 1, "from_tick": 0, "planck_per_s": str(PRICE)}]
    assert shown["health"]["state"] == "offline"


async def test_o20_a_stream_is_published_at_the_servers_own_address(tmp_path) -> None:
    """Where the edge is what viewers open, the WHIP address printed is not the edge's."""
    tree = settings()
    server_table = replace(
        tree.server,
        public_url="https://live.example.org",
        publish_url="https://in.example.org",
    )
    async with Server(tmp_path, replace(tree, server=server_table)) as server:
        made = await server.stream()

    assert made["whip_url"] == "https://in.example.org/cam/whip"
    assert made["watch_url"] == "https://live.example.org/cam/"


async def test_a_stream_reaches_the_http_processes_at_once(server) -> None:
    """A new stream can be watched without waiting for the periodic word of control."""
    await server.policy(lambda p: p.store_epoch)
    made = await server.stream()

    policy = await asyncio.wait_for(server.policy(lambda p: p.streams), 1)

    assert str(policy.streams[0].stream) == made["id"]
    assert policy.streams[0].prices[0].planck_per_tick == PRICE
    assert policy.is_top_up_open


async def test_a_price_never_changes_a_second_that_may_be_planned(server) -> None:
    """A price change is announced at least the notice ahead."""
    await server.stream()
    now = int(time.time())

    early = await server.api(
        "POST", "streams/cam/prices", {"planck_per_s": "7", "from_tick": now + 30}, 422
    )
    made = await server.api("POST", "streams/cam/prices", {"planck_per_s": "7"}, 201)

    assert "use " in early["detail"]
    assert made["number"] == 2
    assert made["from_tick"] >= now + 60


async def test_f16_a_price_by_mistake_is_refused_or_withdrawn(server) -> None:
    """Milliseconds are refused in words; a wrong price can go until it is about to begin."""
    await server.stream()
    tick = int(time.time()) + 3600

    refused = await server.api(
        "POST", "streams/cam/prices", {"planck_per_s": "7", "from_tick": tick * 1000}, 422
    )
    assert f"milliseconds, but counts seconds of Unix time; use {tick}" in refused["detail"]

    wrong = {"planck_per_s": "70", "from_tick": tick}
    assert (await server.api("POST", "streams/cam/prices", wrong, 201))["number"] == 2
    await server.api("DELETE", "streams/cam/prices/1", None, 422)
    shown = await server.api("DELETE", "streams/cam/prices/2", None, 200)
    assert [price["number"] for price in shown["prices"]] == [1]
    assert (await server.api("POST", "streams/cam/prices", wrong, 201))["number"] == 2


async def test_f16_a_price_just_set_can_be_taken_back_on_a_live_stream(server) -> None:
    """Until a process that does not know could claim its seconds; the answer says until when."""
    made = await server.stream()
    lost_s, ahead = 30, int(time.time()) + 1000
    planned = report(made, newest_planned_tick=ahead)
    await server.ask("POST", "/internal/workers", planned, 204)

    price = await server.api("POST", "streams/cam/prices", {"planck_per_s": "7"}, 201)
    assert price["withdraw_until_ms"] == (price["from_tick"] - lost_s - 5) * 1000
    await server.api("DELETE", "streams/cam/prices/2", None, 200)

    price = await server.api("POST", "streams/cam/prices", {"planck_per_s": "7"}, 201)
    late = {**planned, "newest_planned_tick": price["from_tick"] - lost_s}
    await server.ask("POST", "/internal/workers", late, 204)
    refused = await server.api("DELETE", "streams/cam/prices/2", None, 422)
    until = datetime.fromtimestamp(price["withdraw_until_ms"] / 1000, UTC)
    assert f"could be withdrawn until {until:%Y-%m-%d %H:%M:%S} UTC" in refused["detail"]


async def test_a_price_counts_from_the_newest_planned_second(server) -> None:
    """A stream whose timeline runs ahead of the clock keeps its notice."""
    made = await server.stream()
    ahead = int(time.time()) + 1000
    await server.ask("POST", "/internal/workers", report(made, newest_planned_tick=ahead), 204)

    price = await server.api("POST", "streams/cam/prices", {"planck_per_s": "7"}, 201)

    assert price["from_tick"] == ahead + 60


async def test_a_h1_a_stream_that_is_ahead_of_the_clock_is_told_without_a_worker(server) -> None:
    """The machine's clock was an hour ahead when the show was planned."""
    made = await server.stream()
    shows = server.data_dir / "shows"
    shows.mkdir(exist_ok=True)
    file = shows / f"{made['id']}.json"
    file.write_text(json.dumps({"planned_end_ms": int(time.time() * 1000) + 2000}))
    assert (await server.api("GET", "streams/cam", None, 200))["health"]["advice"] == []

    file.write_text(json.dumps({"planned_end_ms": int(time.time() * 1000) + 3_600_000}))
    (advice,) = (await server.api("GET", "streams/cam", None, 200))["health"]["advice"]

    assert "the server's clock is at" in advice


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"slug": "a", "titel": "x"}, "titel: is not a field; did you mean title?"),
        ({"slug": "a", "planck_per_s": 5}, "planck_per_s: is not planck"),
        ({"slug": "a", "planck_per_s": "1e3"}, "planck_per_s: is not planck"),
        ({"slug": "a", "planck_per_s": str(1 << 60)}, "larger price.quantum_planck"),
        ({"slug": "a", "platform_fee_ppm": True}, "platform_fee_ppm: is not a whole number"),
        ({"slug": "a", "creator": "0x12"}, "creator: account"),
        ({"title": 7}, "slug: is missing"),
        ({"slug": "Cam"}, "slug 'Cam'"),
        ({"slug": "metrics"}, "slug 'metrics'"),
        ({"slug": "a", "title": "x\u202e"}, "title: holds the control character U+202E"),
    ],
)
async def test_a_wrong_body_is_refused_with_the_field_and_the_remedy(server, body, words) -> None:
    """A program's author is told which field, and what to send."""
    assert words in (await server.api("POST", "streams", body, 422))["detail"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'{"slug": "a", "slug": "b"}', 400),
        (b'{"slug": NaN}', 400),
        (b"[" * 20000, 400),
        (b" " * 70000, 413),
    ],
)
async def test_a_body_that_is_no_json_object_is_a_problem(server, body, status) -> None:
    """Hostile bodies get a clear answer and lose nothing."""
    await server.api("POST", "streams", body, status)
    await server.api("GET", "streams")


async def test_every_wrong_address_and_method_is_a_problem(server) -> None:
    """No error is a page of HTML."""
    await server.api("GET", "nothing", status=404)
    await server.api("GET", "streams/none", status=404)
    await server.api("GET", "viewers/none", status=404)
    await server.api("DELETE", "streams", status=405)
    await server.ask("GET", "/", status=404)


async def test_the_admin_api_is_for_the_admin_token_alone(server) -> None:
    """Nobody else sees or changes anything."""
    await server.ask("GET", "/api/v1/streams", None, 401, Authorization="Bearer wrong")
    await server.ask("GET", "/api/v1/streams", None, 401, Authorization="Basic x")
    assert (server.data_dir / "admin.token").stat().st_mode & 0o777 == 0o600


async def test_a_credit_is_booked_once_for_each_key(server) -> None:
    """A repeated request pays once; the same key for something else is refused."""
    await server.api("POST", "viewers", {"name": "ann"}, 201)
    path = "viewers/ann/credits"

    first = await server.api("POST", path, {"planck": "500"}, 201, Idempotency_Key="k")
    again = await server.api("POST", path, {"planck": "500"}, 200, Idempotency_Key="k")
    await server.api("POST", path, {"planck": "501"}, 409, Idempotency_Key="k")
    await server.api("POST", path, {"planck": "500"}, 400)
    await server.api("POST", path, {"planck": "500"}, 400, Idempotency_Key="\udcff")

    assert first["is_new"]
    assert not again["is_new"]
    assert (await server.api("GET", "viewers/ann"))["deposited"] == "500"


async def test_top_ups_at_once_all_reach_the_balance(server) -> None:
    """Whatever order the answers come in, the viewer can spend all that was paid in."""
    viewer = await server.viewer()
    path = "viewers/ann/credits"

    await asyncio.gather(
        *(
            server.api("POST", path, {"planck": str(PRICE)}, 201, Idempotency_Key=f"k{n}")
            for n in range(40)
        )
    )

    await server.balance(viewer, 50 * PRICE)


async def test_a_deposit_that_only_the_book_knows_reaches_the_balance(server) -> None:
    """Control died between the row and the store: the next one tells the store, unasked."""
    viewer = await server.viewer()
    await server.stop_control()
    book = Book.open(f"sqlite:///{server.data_dir}/book.sqlite3", server.tree.asset)
    book.deposits.add(parse_account(viewer["account"]), Planck(7 * PRICE), "lost", "", 1)
    book.close()

    await server.start_control()
    await server.until_ready()

    await server.balance(viewer, 17 * PRICE)


async def test_a_token_opens_its_stream_and_its_seconds_are_booked_and_receipted(server) -> None:
    """From the first second to a signed receipt, and the books balance."""
    stream, viewer = await server.stream(), await server.viewer()
    minted = await server.mint()
    grant = playback_token.verify(
        minted["token"],
        secret_files.token_keys(server.data_dir / "token.keys"),
        int(time.time()),
    )
    assert (str(grant.stream), f"{grant.session:016x}") == (stream["id"], minted["session"])
    assert minted["watch_url"].endswith(f"/w/{minted['token']}/cam/")

    answer = await server.claim(minted, viewer, stream, int(time.time()), 3)
    assert (answer.verdict, answer.new_ticks) == (Verdict.GRANTED, 3)

    async with asyncio.timeout(10):
        while True:
            report_ = await server.api("GET", "reconcile")
            assert report_["is_balanced"], report_["differences"]
            if report_["totals"]["settled"] == "3":
                break
            await asyncio.sleep(0.1)
    assert (await server.api("GET", "viewers/ann"))["spent"] == str(3 * PRICE)
    # A viewer has no admin token, and needs the key that receipts are checked with.
    async with server.http.get("http://c/api/v1/operator") as got:
        assert got.status == 200
        operator = (await got.json())["public_key"]
    async with server.http.get(f"http://c/w/{minted['token']}/cam/receipts") as got:
        found = receipt_file.verify(await got.read(), parse_account(operator))
    assert (found.ticks, found.amount) == (3, 3 * PRICE)
    ledger = await server.api("GET", "ledger")
    assert ledger["sum"] == "0"
    assert (await server.api("GET", "batches"))["batches"][0]["state"] == "finalized"


async def test_what_is_pending_is_cut_when_control_ends(server) -> None:
    """An orderly stop books every second that was claimed."""
    server.tree = replace(server.tree, metering=replace(server.tree.metering, cut_period_s=600))
    await server.stop_control()
    await server.start_control()
    await server.until_ready()
    stream, viewer = await server.stream(), await server.viewer()
    minted = await server.mint()
    await asyncio.sleep(0.1)  # the round at the start is over
    await server.claim(minted, viewer, stream, int(time.time()), 2)

    await server.stop_control()
    await server.start_control()
    await server.until_ready()

    assert (await server.api("GET", "viewers/ann"))["spent"] == str(2 * PRICE)


async def test_a_page_mints_again_and_its_session_goes_on(server) -> None:
    """One player has one session: renewing never pushes out another player."""
    stream, viewer = await server.stream(), await server.viewer()
    minted, other = await server.mint(), await server.mint()

    again = await server.ask("POST", f"/w/{minted['token']}/cam/session", None, 201)

    now = int(time.time())
    assert again["session"] == minted["session"]
    assert again["path"] == f"/w/{again['token']}/cam/"
    for one, verdict in ((other, Verdict.GRANTED), (again, Verdict.GRANTED)):
        await server.api("PATCH", "streams/cam", {"is_enabled": True})  # another policy to hear
        answer = await server.claim(one, viewer, stream, now, 1)
        assert answer.verdict is verdict


@pytest.mark.parametrize("path", ["session", "top-up"])
async def test_a_viewer_may_only_use_a_good_token_of_this_stream(server, path) -> None:
    """Forged, foreign and made-up tokens are refused."""
    await server.stream()
    await server.api("POST", "streams", {"slug": "other"}, 201)
    await server.viewer()
    token = (await server.mint())["token"]
    forged = token[:-2] + ("AA" if token[-2:] != "AA" else "BB")

    await server.ask("POST", f"/w/{forged}/cam/{path}", None, 403)
    await server.ask("POST", f"/w/nonsense/cam/{path}", None, 403)
    assert (await server.ask("POST", f"/w/{token}/other/{path}", None, 403))["reason"] == "stream"
    await server.ask("POST", f"/w/{token}/none/{path}", None, 404)


async def test_the_demo_top_up_credits_until_it_is_asked_too_often(server) -> None:
    """The button pays in each time it is pressed, but not without end."""
    await server.stream()
    await server.viewer("1000")
    token = (await server.mint())["token"]

    first = await server.ask("POST", f"/w/{token}/cam/top-up")
    second = await server.ask("POST", f"/w/{token}/cam/top-up")
    for _ in range(18):
        await server.ask("POST", f"/w/{token}/cam/top-up")

    assert (first["balance"], second["balance"]) == ("1500", "2000")
    await server.ask("POST", f"/w/{token}/cam/top-up", None, 429)


async def test_without_the_demo_setting_nothing_is_given_away(tmp_path) -> None:
    """A real server has no free money."""
    tree = settings()
    price = replace(tree.price, demo_top_up_planck="0", top_up_url="https://pay/?to={account}")
    async with Server(tmp_path, replace(tree, price=price)) as server:
        await server.stream()
        viewer = await server.viewer()
        token = (await server.mint())["token"]

        problem = await server.ask("POST", f"/w/{token}/cam/top-up", None, 403)
    # V1: who is sent to pay is named, wherever the address is handed out.
    assert problem["top_up_url"] == f"https://pay/?to={viewer['account']}"


@pytest.mark.parametrize("is_emptied", [False, True])
async def test_another_redis_is_recovered_and_nothing_booked_is_lost(server, is_emptied) -> None:
    """Redis dies, comes back (perhaps empty): balances are there again, deposits meanwhile too."""
    stream, viewer = await server.stream(), await server.viewer(str(3 * PRICE))
    minted = await server.mint()
    now = int(time.time())
    await server.claim(minted, viewer, stream, now, 2)
    before = await server.policy(lambda p: p.store_epoch)
    async with asyncio.timeout(10):
        while True:
            if (await server.api("GET", "viewers/ann"))["spent"] != "0":
                break
            await asyncio.sleep(0.05)

    await server.redis.stop()
    await server.until_ready(503)
    await server.api("POST", "tokens", {"viewer": "ann", "stream": "cam"}, 503)
    late = await server.api(
        "POST", "viewers/ann/credits", {"planck": str(PRICE)}, 201, Idempotency_Key="late"
    )
    assert not late["is_applied"]
    if is_emptied:
        for path in (server.data_dir / "redis").rglob("*.*"):
            path.unlink()
        (server.data_dir / "redis" / "appendonlydir").rmdir()
    await server.redis.start()

    after = await server.policy(lambda p: p.store_epoch not in ("", before.store_epoch))
    assert after.store_run_id != before.store_run_id
    await server.api("PATCH", "streams/cam", {"is_enabled": True})
    again = await server.claim(minted, viewer, stream, now, 2)
    assert (again.verdict, again.new_ticks) == (Verdict.GRANTED, 0)
    assert again.balance_units == 2 * PRICE
    assert (await server.api("GET", "reconcile"))["is_balanced"]
