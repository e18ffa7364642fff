"""People over the API: the permission table as a matrix, cookies, and who did what."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection

from mediaserver.people import browser_sessions, persons
from mediaserver.people.per_hour import PER_ADDRESS_MAX
from mediaserver.people.permissions import TABLE, OpenTo, Permission
from mediaserver.people.records import SERVER_ROLES, STREAM_ROLES, Role
from metering.book.book import Book
from tests.support.authenticator import Authenticator
from tests.support.control_server import Server, settings
from tests.support.people_browser import JSON, ORIGIN, Browser
from tests.support.route_names import NAMES


@pytest.fixture
async def server(tmp_path) -> AsyncIterator[Server]:
    made = settings()
    tree = replace(made, server=replace(made.server, public_url=ORIGIN))
    async with Server(tmp_path, tree) as started:
        yield started


@pytest.fixture
async def browser(server) -> Browser:
    made = Browser(server)
    await made.sign_up("Ann")
    return made


async def give(server: Server, person: str, *roles: Role) -> None:
    names = sorted(role.value for role in roles)
    await server.api("PUT", f"people/{person}/roles", {"roles": names})


def address(row: Permission) -> str:
    path = row.path.removeprefix("/api/v1/")
    return path.format(**NAMES)


async def test_every_route_for_every_role_and_somebody_elses_object(server, browser) -> None:
    """Who may not is refused before anything is looked at; who may is not."""
    await server.stream()
    await server.viewer()
    other = Browser(server)
    await other.sign_up("Bob")  # creator of another stream
    await server.api("POST", "streams", {"slug": "other"}, 201)
    made = await server.api("POST", "invitations", {"stream": "other"}, 201)
    assert (await other.ask("POST", "me/invitations", {"code": made["code"]}))[0] == 200

    wrong: list[Any] = []
    for row in TABLE:
        for role in [None, *sorted(SERVER_ROLES)]:
            await give(server, browser.person, *([role] if role else []))
            status, answered = await browser.ask(row.method, address(row), {})
            may = row.open_to is not OpenTo.ROLES or (role != "creator" and role in row.roles)
            is_refused = status == 403 and answered["title"] == "Not allowed"
            handler_decides = row.path in ("/api/v1/streams", "/api/v1/invitations")
            if is_refused == may and not (may and handler_decides and row.method == "POST"):
                wrong.append((row.method, row.path, role, status, answered))
            if not browser.jar.get("vilokanam"):
                await _again(server, browser)
        if row.open_to is OpenTo.ROLES:
            status, answered = await other.ask(row.method, address(row), {})
            if status != 403:
                wrong.append((row.method, row.path, "creator of another", status, answered))
            status, answered = await Browser(server).ask(row.method, address(row), {})
            if status != 401 or answered["reason"] != "sign_in":
                wrong.append((row.method, row.path, "nobody", status, answered))
    assert wrong == []


async def _again(server: Server, browser: Browser) -> None:
    """Sign a browser in whose session the matrix ended."""
    fresh = Browser(server)
    await fresh.sign_up("Ann")
    browser.jar, browser.person = fresh.jar, fresh.person


@pytest.mark.parametrize("role", sorted(STREAM_ROLES))
async def test_roles_for_a_stream_count_for_that_stream_alone(server, browser, role) -> None:
    await server.stream()
    await server.api("POST", "streams", {"slug": "other"}, 201)
    made = await server.api("POST", "invitations", {"stream": "cam", "role": role}, 201)
    assert made["url"] == f"{ORIGIN}/me/#invitation={made['code']}"
    status, looked = await browser.ask("POST", "invitations/look", {"code": made["code"]})
    assert (status, looked["name"], looked["role"]) == (200, "cam", role)
    status, me = await browser.ask("POST", "me/invitations", {"code": made["code"]})
    assert status == 200
    assert [(item["slug"], item["roles"]) for item in me["streams"]] == [("cam", [role])]
    assert (await browser.ask("POST", "me/invitations", {"code": made["code"]}))[0] == 401

    for row in TABLE:
        if "{slug}" not in row.path or row.open_to is not OpenTo.ROLES:
            continue
        for slug in ("cam", "other"):
            path = row.path.removeprefix("/api/v1/").format(**(NAMES | {"slug": slug}))
            status, answered = await browser.ask(row.method, path, {})
            may = slug == "cam" and role in row.roles
            assert (status != 403) == may, (row.method, path, status, answered)


async def test_machines_do_what_their_scopes_say_and_no_more(server) -> None:
    await server.stream()
    await server.viewer()
    made = await server.api("POST", "keys", {"name": "bot", "scopes": ["streams:read"]}, 201)
    head = {"Authorization": f"Bearer {made['key']}"}
    machine = Browser(server)
    for row in TABLE:
        status, answered = await machine.ask(row.method, address(row), {}, head)
        may = row.open_to is OpenTo.ANYONE or row.scope == "streams:read"
        assert (status != 403) == may, (row.method, row.path, status, answered)
    assert (await machine.ask("GET", "streams", None, head))[0] == 200

    [known] = (await server.api("GET", "keys"))["keys"]
    assert known["used_ms"] is not None
    assert "key" not in known
    await server.api("DELETE", f"keys/{made['prefix']}")
    assert (await machine.ask("GET", "streams", None, head))[0] == 401


async def test_a_person_comes_back_by_passkey_with_a_new_session(server) -> None:
    browser = Browser(server)
    device = await browser.sign_up("Ann")
    first = browser.jar["vilokanam"]
    status, made = await browser.sign_in(device)
    assert (status, made["person"]) == (200, browser.person)
    assert browser.jar["vilokanam"] != first

    thief = Browser(server)
    thief.jar["vilokanam"] = first  # the session before is over: no fixation
    assert (await thief.ask("GET", "me"))[0] == 401
    status, answered = await browser.sign_in(Authenticator())
    assert (status, answered["title"]) == (401, "Not authorised")


async def test_a_challenge_answers_the_browser_that_asked_once(server) -> None:
    browser = Browser(server)
    device = await browser.sign_up("Ann")
    _, options = await browser.ask("POST", "sign-in/passkey/options", {})
    answer = {"credential": device.get(options)}
    stranger = Browser(server)
    assert (await stranger.ask("POST", "sign-in/passkey", answer))[0] == 409
    assert (await browser.ask("POST", "sign-in/passkey", answer))[0] == 200
    assert (await browser.ask("POST", "sign-in/passkey", answer))[0] == 409


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json"}, 403),
        ({"Origin": "https://evil.example", "Content-Type": "application/json"}, 403),
        ({"Origin": "null", "Content-Type": "application/json"}, 403),
        ({"Origin": "http://localhost:8081", "Content-Type": "application/json"}, 403),
        ({"Origin": ORIGIN, "Content-Type": "text/plain"}, 415),
        ({"Origin": ORIGIN, "Content-Type": "application/x-www-form-urlencoded"}, 415),
        (JSON, 200),
    ],
)
async def test_a_cookie_changes_nothing_from_another_page(browser, headers, status) -> None:
    assert (await browser.ask("PATCH", "me", {"name": "Eve"}, headers))[0] == status
    _, me = await browser.ask("GET", "me")
    assert me["name"] == ("Eve" if status == 200 else "Ann")


async def test_a_key_and_a_cookie_at_once_are_refused(server, browser) -> None:
    token = (server.data_dir / "admin.token").read_text().strip()
    head = {**JSON, "Authorization": f"Bearer {token}"}
    status, answered = await browser.ask("GET", "me", None, head)
    assert (status, answered["title"]) == (400, "Two ways in")


async def test_the_cookie_is_for_this_host_and_no_script(browser) -> None:
    status, _ = await browser.ask("GET", "me")
    assert status == 200
    morsel = browser.morsel
    assert morsel["httponly"]
    assert morsel["samesite"] == "Lax"
    assert morsel["path"] == "/"
    assert not morsel["domain"]


async def test_over_https_the_cookie_has_the_hosts_prefix(tmp_path) -> None:
    made = settings()
    url = "https://live.example.org"
    tree = replace(made, server=replace(made.server, public_url=url))
    async with Server(tmp_path, tree) as server:
        browser = Browser(server)
        head = {"Origin": url, "Content-Type": "application/json"}
        await browser.ask("POST", "sign-up/passkey/options", {"name": "Ann"}, head)
        assert list(browser.jar) == ["__Host-vilokanam-try"]
        assert browser.morsel["secure"]

        # A browser gives a cookie of that prefix up only to one that is secure too.
        browser.jar = {"__Host-vilokanam": "over"}
        assert (await browser.ask("GET", "me", None, head))[0] == 401
        assert browser.morsel["secure"]
        assert browser.jar == {}


async def test_what_gives_rights_wants_a_credential_shown_within_five_minutes(
    server, browser
) -> None:
    await give(server, browser.person, Role.OWNER)

    def forget(connection) -> None:
        [session] = browser_sessions.of_person(connection, browser.person, 0)
        old_ms = session.created_ms - browser_sessions.FRESH_MS
        browser_sessions.shown(connection, session.id, old_ms)

    await write(server, forget)
    for row in TABLE:
        if row.is_fresh:
            status, answered = await browser.ask(row.method, address(row), {})
            assert (status, answered.get("reason")) == (401, "show_again"), row
    assert (await browser.ask("GET", "me"))[0] == 200


async def write(server: Server, work: Callable[[Connection], None]) -> None:
    """Write to the tables of people beside control, as time would."""

    def run() -> None:
        url = f"sqlite:///{server.data_dir / 'book.sqlite3'}"
        with Book.open(url, server.tree.asset) as book, book.together() as connection:
            work(connection)

    await asyncio.to_thread(run)


async def test_the_last_way_in_stays_and_recovery_codes_open_once(server, browser) -> None:
    _, me = await browser.ask("GET", "me")
    only = me["credentials"][0]["id"]
    status, answered = await browser.ask("DELETE", f"me/credentials/{only}")
    assert status == 422
    assert "last way to sign in" in answered["detail"]

    _, made = await browser.ask("POST", "me/recovery-codes", {})
    lost = Browser(server)
    status, back = await lost.ask("POST", "sign-in/recovery", {"code": made["codes"][0]})
    assert (status, back["person"]) == (200, browser.person)
    assert (await lost.ask("POST", "sign-in/recovery", {"code": made["codes"][0]}))[0] == 401

    second = Authenticator()
    _, options = await lost.ask("POST", "me/credentials/passkey/options", {})
    status, _ = await lost.ask(
        "POST", "me/credentials/passkey", {"credential": second.create(options), "label": "new"}
    )
    assert status == 201
    assert (await lost.ask("DELETE", f"me/credentials/{only}"))[0] == 200
    # What else was signed in may be a thief's.
    assert (await browser.ask("GET", "me"))[0] == 401
    assert (await Browser(server).sign_in(second))[0] == 200


async def test_an_invitation_hands_a_viewer_over_to_one_person(server, browser) -> None:
    await server.viewer()
    made = await server.api("POST", "invitations", {"viewer": "ann"}, 201)
    status, me = await browser.ask("POST", "me/invitations", {"code": made["code"]})
    assert status == 200
    assert me["account"] is not None
    assert int(me["balance"]) > 0
    assert "one way to sign in" in me["advice"][0]

    other = Browser(server)
    await other.sign_up("Bob")
    again = await server.api("POST", "invitations", {"viewer": "ann"}, 201)
    status, answered = await other.ask("POST", "me/invitations", {"code": again["code"]})
    assert status == 422
    assert "another person's" in answered["detail"]
    # It was not used up by that.
    assert (await browser.ask("POST", "invitations/look", {"code": again["code"]}))[0] == 200


@pytest.mark.parametrize(
    ("creators", "is_invited", "statuses"),
    [
        ("nobody", True, [403]),
        ("invited", False, [403]),
        ("invited", True, [201, 201, 403]),
        ("anyone", False, [201, 201, 403]),
    ],
)
async def test_who_makes_streams_is_the_operators_to_say(
    tmp_path, creators, is_invited, statuses
) -> None:
    made = settings()
    tree = replace(
        made,
        server=replace(made.server, public_url=ORIGIN),
        people=replace(made.people, stream_creators=creators, streams_per_person_max=2),
    )
    async with Server(tmp_path, tree) as server:
        browser = Browser(server)
        await browser.sign_up("Ann")
        if is_invited:
            invited = await server.api("POST", "invitations", {"role": "creator"}, 201)
            await browser.ask("POST", "me/invitations", {"code": invited["code"]})
        seen = []
        for number in range(len(statuses)):
            status, answered = await browser.ask("POST", "streams", {"slug": f"cam{number}"})
            seen.append(status)
        assert seen == statuses, answered
        if 201 in statuses:
            assert (await browser.ask("GET", "streams/cam0"))[0] == 200
            assert (await browser.ask("POST", "streams/cam0/key", {}))[0] == 200
            taken = {"slug": "cam9", "platform_fee_ppm": 0}
            assert (await browser.ask("POST", "streams", taken))[0] == 403


async def test_what_was_done_is_in_the_log_with_who_and_from_where(server, browser) -> None:
    await give(server, browser.person, Role.OWNER)
    headers = {**JSON, "X-Forwarded-For": "192.0.2.7"}
    await browser.ask("POST", "streams", {"slug": "cam"}, headers)
    await browser.ask("PATCH", "streams/cam", {"is_enabled": False}, headers)
    assert (await browser.ask("POST", "streams", {"slug": "cam"}, headers))[0] == 422

    log = await server.api("GET", "audit?verify")
    assert log["fault"] == ""
    assert [entry["action"] for entry in log["entries"]] == [
        "person.sign_up",
        "person.sign_in",
        "person.roles",
        "stream.create",
        "stream.change",
    ]
    last = log["entries"][-1]
    assert last["actor"] == f"person:{browser.person}"
    assert last["address"] == "192.0.2.7"
    before, after = last["before"], last["after"]
    changed = {name: (before[name], after[name]) for name in after if before[name] != after[name]}
    assert (before["slug"], changed) == ("cam", {"is_enabled": (True, False)})
    assert "Ann" not in json.dumps(log)


async def test_who_is_closed_cannot_come_back(server) -> None:
    browser = Browser(server)
    device = await browser.sign_up("Ann")
    await write(server, lambda connection: persons.close(connection, browser.person, 1))
    assert (await browser.ask("GET", "me"))[0] == 401
    assert (await browser.sign_in(device))[0] == 401


async def test_one_address_makes_no_crowd(server) -> None:
    status = 0
    for _ in range(PER_ADDRESS_MAX + 1):
        browser = Browser(server)
        _, options = await browser.ask("POST", "sign-up/passkey/options", {"name": "Ann"})
        made = {"credential": Authenticator().create(options)}
        status, _ = await browser.ask("POST", "sign-up/passkey", made)
    assert status == 429
    assert len((await server.api("GET", "people"))["people"]) == PER_ADDRESS_MAX


async def test_nothing_of_the_api_is_for_a_cache(browser) -> None:
    for path in ("me", "sign-in"):
        await browser.ask("GET", path)
        assert browser.answer_headers["Cache-Control"] == "no-store"


async def test_strangers_stay_out_where_nobody_new_is_taken(tmp_path) -> None:
    made = settings()
    tree = replace(
        made,
        server=replace(made.server, public_url=ORIGIN),
        people=replace(made.people, sign_up=False),
    )
    async with Server(tmp_path, tree) as server:
        status, answered = await Browser(server).ask(
            "POST", "sign-up/passkey/options", {"name": "A"}
        )
        assert status == 403
        assert "people.sign_up" in answered["detail"]
