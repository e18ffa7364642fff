"""An account closed and erased, and all that is held of it shown: over the API, to the byte."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mediaserver.cli.main import main
from metering.units import Verdict
from tests.integration.test_payments_api import hook
from tests.support.control_server import Server, settings
from tests.support.mailbox import Mailbox, open_mailbox
from tests.support.payments_fixture import PLANCK, SECRET
from tests.support.people_browser import JSON, ORIGIN, Browser
from tests.support.servers import stripe

CANARY = "Qzxvkw"
"""In all that somebody says of themselves."""
PLACE = "203.0.113.77"
COST = 100 * PLANCK
"""Of a second."""


class Marked(Browser):
    """A browser that is known by its address and its own word."""

    async def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] = JSON
    ) -> tuple[int, Any]:
        marks = {"User-Agent": f"{CANARY}/1.0", "X-Forwarded-For": PLACE}
        return await super().ask(method, path, body, {**headers, **marks})


@pytest.fixture
async def fake() -> AsyncIterator[stripe.FakeStripe]:
    async with stripe.FakeStripe() as running:
        yield running


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with open_mailbox() as made:
        yield made


@pytest.fixture
async def server(tmp_path, fake, mailbox) -> AsyncIterator[Server]:
    made = settings()
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name, text in (("payments", SECRET), ("key", stripe.KEY), ("hook", stripe.SECRET)):
        (secrets / name).write_text(text)
    tree = replace(
        made,
        server=replace(made.server, public_url=ORIGIN),
        people=replace(
            made.people, mail_url=f"smtp://127.0.0.1:{mailbox.port}", mail_from="live@example.org"
        ),
        payments=replace(
            made.payments,
            planck_per_minor_unit=str(PLANCK),
            stripe_secret_key_file=str(secrets / "key"),
            stripe_webhook_secret_file=str(secrets / "hook"),
            stripe_url=fake.url,
        ),
    )
    data = tmp_path / "data"
    data.mkdir()
    async with Server(data, tree) as started:
        yield started


@pytest.fixture
async def ann(server) -> Browser:
    made = Marked(server)
    await made.sign_up(f"Ann {CANARY}")
    return made


def traces(folder: Path, text: str) -> list[str]:
    """Return the files below a folder that hold a text."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(str(path) for path in files if text.encode() in path.read_bytes())


async def live_with_it(server: Server, ann: Browser, fake: Any, mailbox: Mailbox) -> str:
    """Do what somebody does in a year, and leave a word of it everywhere; return the account."""
    stream = await server.stream(planck_per_s=str(COST), title="Camera")

    async def ok(method: str, path: str, body: Any = None, headers: Any = JSON) -> Any:
        status, answer = await ann.ask(method, path, body, headers)
        assert status < 300, answer
        return answer

    # Money in, and the provider's own words of who paid.
    wanted = {"provider": "stripe", "amount": 1000}
    named = {**JSON, "Idempotency-Key": f"{CANARY} 1"}
    order = await ok("POST", "me/top-ups", wanted, named)
    for event in fake.events_of_payment("cs_test_1"):
        event["data"]["object"]["customer_details"] = {"name": CANARY, "email": f"{CANARY}@e.org"}
        await hook(server, event, provider="stripe")
    await server.balance(order, 1000 * PLANCK)
    account = str(order["account"])
    # Ways in, what they are called and what is set.
    await ok("PATCH", "me", {"name": f"Ann {CANARY} B"})
    await ok("POST", "me/credentials/mail", {"address": f"{CANARY.lower()}@example.org"})
    secret = await mailbox.secret("add-mail")
    await ok("POST", "me/credentials/mail/confirm", {"secret": secret})
    await ok("POST", "me/recovery-codes", {})
    await ok("PUT", "me/letters", {"low_balance_planck": "5"})
    await ok("PUT", "me/player-settings", {"hidden_stop_s": 60, "ask_after_s": 3600})
    # Watched, paid, taken out.
    minted = await ok("POST", "streams/cam/join", {})
    seen = await server.claim(minted, order, stream, server.now_s() - 9, 2, COST)
    assert seen.verdict is Verdict.GRANTED
    await server.spent(order, 2 * COST)
    named = {**JSON, "Idempotency-Key": f"{CANARY} 2"}
    await ok("POST", "me/withdrawals", {"amount": 100}, named)
    # What others wrote of them.
    memo = {"planck": "7", "memo": f"for {CANARY}"}
    await server.api("POST", f"viewers/{account}/credits", memo, 201, Idempotency_Key="g1")
    taken = {"deposit": "g1", "planck": "2", "why": f"{CANARY} asked"}
    await server.api("POST", f"viewers/{account}/refunds", taken, 201, Idempotency_Key="g2")
    bar = {"viewer": account, "reason": f"{CANARY} was rude"}
    made = await server.api("POST", "bars", bar, 201)
    await server.api("DELETE", f"bars/{made['bar']}")
    await server.api("POST", "streams/cam/guests", {"person": ann.person}, 201)
    # A stream, a machine's key, a payout that a bank made.
    await server.api("POST", "streams", {"slug": "den"}, 201)
    code = (await server.api("POST", "invitations", {"stream": "den"}, 201))["code"]
    await ok("POST", "me/invitations", {"code": code})
    await ok("POST", "streams/den/links", {"uses": 3})
    await server.api("PUT", f"people/{ann.person}/roles", {"roles": ["owner"]})
    await ok("POST", "keys", {"name": f"{CANARY} robot", "scopes": ["audit:read"]})
    await server.api("PUT", f"people/{ann.person}/roles", {"roles": []})
    with sqlite3.connect(server.data_dir / "book.sqlite3") as book:
        book.execute(
            "INSERT INTO payment_payouts (id, stream, planck, amount, currency, currency_decimals,"
            " payee, bank_account, state, why, made_by, idempotency_key, created_ms) VALUES"
            " ('p', zeroblob(16), '1', '1', 'EUR', 2, ?, ?, 'refused', ?, ?, ?, 1)",
            (CANARY, CANARY, CANARY, f"person:{ann.person}", CANARY),
        )
    book.close()
    return account


async def test_nothing_of_somebody_is_left_but_their_numbers(
    server, ann, fake, mailbox, tmp_path
) -> None:
    """Their words are in no file: not in the book, its log, or the store. The books balance."""
    account = await live_with_it(server, ann, fake, mailbox)
    assert traces(server.data_dir, CANARY)
    assert traces(server.data_dir, PLACE)

    status, refused = await ann.ask("POST", "me/close", {})
    assert (status, refused["title"]) == (409, "Creator of streams")
    await server.api("PATCH", "streams/den", {"is_archived": True})
    status, refused = await ann.ask("POST", "me/close", {})
    assert (status, refused["title"]) == (409, "Money is left")
    left = 900 * PLANCK + 5 - 2 * COST
    assert int(refused["balance"]) == left
    assert refused["withdrawable_planck"] == str(min(900 * PLANCK, left))
    less = {"forfeit_planck": str(left - 1)}
    assert (await ann.ask("POST", "me/close", less))[0] == 409

    status, closed = await ann.ask("POST", "me/close", {"forfeit_planck": str(left)})

    assert (status, closed["account"]) == (200, account)
    assert not ann.jar
    report = await server.api("GET", "reconcile")
    assert report["is_balanced"], report
    entries = (await server.api("GET", f"audit?target=person:{ann.person}"))["entries"]
    assert entries[-1]["action"] == "person.erase"
    assert (await server.api("GET", "audit?verify=1"))["fault"] in ("", None)
    viewer = await server.api("GET", f"viewers/{account}")
    assert viewer["name"].startswith("erased-")
    assert (await server.api("GET", f"people/{ann.person}"))["name"] == "erased"
    receipts = await server.api("GET", f"receipts/{account}/cam")
    assert receipts["receipts"]
    # Once more is harmless, and erases what came since.
    await server.api("POST", f"people/{ann.person}/erase", {"forfeit_planck": str(left)})
    await server.lose_redis()
    await server.stop_control()
    assert traces(server.data_dir, CANARY) == []
    assert traces(server.data_dir, CANARY.lower()) == []
    assert traces(server.data_dir, PLACE) == []
    await server.start_control()
    await server.until_ready()


async def test_who_is_closed_comes_in_no_more(server, ann, fake) -> None:
    """Cookies, players, keys: all end at once; the passkey opens nothing."""
    await server.stream(planck_per_s="0")
    device = await ann.sign_up("Ann")
    other = Browser(server)
    await other.sign_in(device)
    _, minted = await ann.ask("POST", "streams/cam/join", {})

    assert (await ann.ask("POST", "me/close", {}))[0] == 200

    assert (await other.ask("GET", "me"))[0] == 401
    assert (await Browser(server).sign_in(device))[0] == 401
    (ended,) = (await server.api("GET", f"viewers/{minted['account']}/sessions"))["sessions"]
    assert ended["state"] == "owner"
    # Nobody is given the account that they had.
    made = await server.api("POST", "invitations", {"viewer": minted["account"]}, 201)
    bob = Browser(server)
    await bob.sign_up("Bob")
    assert (await bob.ask("POST", "me/invitations", {"code": made["code"]}))[0] == 422


async def test_money_on_its_way_is_waited_for(server, ann, fake, mailbox) -> None:
    """A refund that its provider has not done may come back, and needs somebody to come back to."""
    await live_with_it(server, ann, fake, mailbox)
    await server.api("PATCH", "streams/den", {"is_archived": True})
    fake.is_away = True
    with sqlite3.connect(server.data_dir / "book.sqlite3") as book:
        book.execute("UPDATE payment_refunds SET state = 'asked'")
    book.close()

    status, refused = await ann.ask("POST", "me/close", {"forfeit_planck": str(10**30)})

    assert (status, refused["title"]) == (409, "Money on its way")


async def test_somebody_reads_all_that_is_held_of_them(
    server, ann, fake, mailbox, monkeypatch
) -> None:
    """Page by page, each row with its table; nothing that opens anything, nobody else's."""
    account = await live_with_it(server, ann, fake, mailbox)
    bob = Browser(server)
    await bob.sign_up("Bob Other")
    monkeypatch.setattr("mediaserver.api.people.closing.PAGE_ROWS", 7)

    rows: list[Any] = []
    after = ""
    while after is not None:
        status, page = await ann.ask("GET", f"me/export{after and '?after=' + after}")
        assert status == 200, page
        assert len(page["rows"]) <= 7
        rows += page["rows"]
        after = page["next_after"]

    text = str(rows)
    tables = {row["table"] for row in rows}
    assert {
        *("people", "people_credentials", "people_sessions", "people_players", "stream_guests"),
        *("viewers", "deposits", "cut_lines", "sessions", "payment_orders", "payment_withdrawals"),
        *("people_bars", "people_balance_letters", "api_keys", "audit", "deposit_returns"),
    } <= tables
    assert f"Ann {CANARY} B" in text
    assert account in text
    assert "Bob Other" not in text
    # Ten codes without what opens are ten times the same.
    shown = [str(row) for row in rows if row["table"] != "people_recovery_codes"]
    assert len(set(shown)) == len(shown) == len(rows) - 10
    for secret in ("sha256", "seed", "salt"):
        assert all(secret not in row["row"] for row in rows)
    assert (await ann.ask("GET", "me/export?after=x"))[0] == 422
    assert (await ann.ask("GET", "me/export?after=999-0"))[1]["rows"] == []


async def test_staff_erases_and_exports_at_the_command_line(server, ann, tmp_path, capsys) -> None:
    """For who asks by letter; the file is for them alone."""
    file = tmp_path / "ann.jsonl"
    data = ("--data-dir", str(server.data_dir))

    async def run(*words: str) -> int:
        return await asyncio.to_thread(main, ["people", *words, *data])

    assert await run("export", ann.person, "--output", str(file)) == 0
    assert CANARY in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert await run("erase", ann.person) == 0
    assert ann.person in capsys.readouterr().out
    assert (await ann.ask("GET", "me"))[0] == 401


async def test_support_does_not_erase_an_owner(server, ann) -> None:
    await server.api("PUT", f"people/{ann.person}/roles", {"roles": ["support"]})
    boss = Browser(server)
    await boss.sign_up("Boss")
    await server.api("PUT", f"people/{boss.person}/roles", {"roles": ["owner"]})

    status, refused = await ann.ask("POST", f"people/{boss.person}/erase", {})

    assert (status, "an owner" in refused["detail"]) == (403, True)


async def test_the_last_owner_does_not_close_their_account(server, ann) -> None:
    """A server that nobody could look after but at its shell; a closed owner is no other one."""
    boss = Browser(server)
    await boss.sign_up("Boss")
    for person in (ann.person, boss.person):
        await server.api("PUT", f"people/{person}/roles", {"roles": ["owner"]})

    first, _ = await boss.ask("POST", "me/close", {})
    status, refused = await ann.ask("POST", "me/close", {})
    assert (first, status, refused["title"]) == (200, 409, "Last owner")
    assert "admin token" in refused["detail"]
    status, again = await ann.ask("POST", f"people/{ann.person}/erase", {})
    assert (status, again["title"]) == (409, "Last owner")

    closed = await server.api("POST", f"people/{ann.person}/erase", {})
    assert closed["person"] == ann.person


async def test_a_top_up_that_may_still_be_paid_is_not_lost(server, ann, fake) -> None:
    """Its page is open in another tab: closing waits, or what is paid then goes back."""
    wanted = {"provider": "stripe", "amount": 1000}
    _, order = await ann.ask("POST", "me/top-ups", wanted, {**JSON, "Idempotency-Key": "k"})

    status, _ = await ann.ask("POST", "me/close", {})
    if status == 200:
        for event in fake.events_of_payment("cs_test_1"):
            await hook(server, event, provider="stripe")
        viewer = await server.api("GET", f"viewers/{order['account']}")
        assert viewer["balance"] == "0"
    else:
        assert status == 409


async def test_earnings_of_an_archived_stream_are_not_lost_silently(server, ann) -> None:
    """Its only creator closes: nobody is left who could ask for them."""
    stream = await server.stream(planck_per_s=str(COST))
    code = (await server.api("POST", "invitations", {"stream": "cam"}, 201))["code"]
    await ann.ask("POST", "me/invitations", {"code": code})
    viewer = await server.viewer(str(10 * COST), "eve")
    minted = await server.mint_for(viewer["account"])
    await server.claim(minted, viewer, stream, server.now_s() - 9, 2, COST)
    await server.spent(viewer, 2 * COST)
    await server.api("PATCH", "streams/cam", {"is_archived": True})

    status, answer = await ann.ask("POST", "me/close", {})

    assert status == 409, answer
