"""Who may see a stream, over the API: what is told to whom, guests, links, passwords."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from mediaserver.api.streams import redeem
from mediaserver.people.password_tries import PER_PERSON_MAX
from mediaserver.people.permissions import TABLE, OpenTo, Permission
from tests.support.control_server import Server, settings
from tests.support.people_browser import ORIGIN, Browser
from tests.support.route_names import NAMES

SECRET = "the-premiere"
BODIES: dict[str, Any] = {
    "POST /api/v1/streams/{slug}/access": {"link": "x"},
    "POST /api/v1/streams/{slug}/access/look": {"link": "x"},
    "PATCH /api/v1/streams/{slug}": {"is_enabled": True},
}


@pytest.fixture
async def server(tmp_path) -> AsyncIterator[Server]:
    made = settings()
    price = replace(made.price, change_notice_s=-10)  # one for a viewer holds at once
    tree = replace(made, server=replace(made.server, public_url=ORIGIN), price=price)
    async with Server(tmp_path, tree) as started:
        yield started


async def person(server: Server, name: str = "Ann") -> Browser:
    made = Browser(server)
    await made.sign_up(name)
    return made


async def creator(server: Server, slug: str = SECRET) -> Browser:
    made = await person(server, "Creator")
    code = (await server.api("POST", "invitations", {"stream": slug}, 201))["code"]
    assert (await made.ask("POST", "me/invitations", {"code": code}))[0] == 200
    return made


async def hidden(server: Server) -> Any:
    return await server.stream(slug=SECRET, title="Premiere", visibility="invited")


def rows(slug: bool) -> list[Permission]:
    return [row for row in TABLE if ("{slug}" in row.path) == slug]


async def test_no_route_tells_a_stranger_that_there_is_a_stream_by_invitation(server) -> None:
    """Each route that names a stream answers as for a name that no stream has; from the table."""
    await hidden(server)
    await server.viewer()
    nobody, stranger = Browser(server), await person(server)
    for row in rows(slug=True):
        body = BODIES.get(f"{row.method} {row.path}", {})
        for browser in (nobody, stranger):
            answers = []
            for slug in (SECRET, "no-premiere"):
                path = row.path.removeprefix("/api/v1/").format(**{**NAMES, "slug": slug})
                status, answer = await browser.ask(row.method, path, body)
                answers.append((status, str(answer).replace(slug, "SLUG")))
                assert status in (401, 403, 404), (row, answer)
            assert answers[0] == answers[1], row
    for slug in (SECRET, "no-premiere"):
        status, answer = await stranger.ask("POST", "invitations", {"stream": slug})
        assert (status, answer["title"]) == (404, "Unknown name")


@pytest.mark.parametrize("visibility", ["public", "unlisted", "invited"])
async def test_no_list_tells_a_stranger_of_a_stream_that_is_not_public(server, visibility) -> None:
    """Every list and count of the API that somebody may read: a new one is asked too."""
    made = await server.stream(slug=SECRET, title="Premiere", visibility=visibility)
    nobody, stranger, guest = Browser(server), await person(server), await person(server)
    await server.api("POST", f"streams/{SECRET}/guests", {"person": guest.person}, 201)
    for row in rows(slug=False):
        if row.method != "GET" or "{" in row.path:
            continue
        path = row.path.removeprefix("/api/v1/")
        for browser in (nobody, stranger, guest):
            status, answer = await browser.ask("GET", path)
            assert status == (401 if browser is nobody else 403) or row.open_to is not OpenTo.ROLES
            # What is held of a guest says whose guest they are.
            is_own = browser is guest and row.path == "/api/v1/me/export"
            if visibility != "public" and not is_own:
                for word in (SECRET, "Premiere", made["id"]):
                    assert word not in str(answer), row


async def test_who_a_stream_is_for_is_set_by_its_creator_and_shown(server) -> None:
    made = await server.stream(slug=SECRET)
    assert made["visibility"] == "public"
    anna = await creator(server)
    for visibility in ("unlisted", "invited", "public"):
        status, shown = await anna.ask("PATCH", f"streams/{SECRET}", {"visibility": visibility})
        assert (status, shown["visibility"]) == (200, visibility)
        (listed,) = (await server.api("GET", "streams"))["streams"]
        assert listed["visibility"] == visibility
        assert (await anna.ask("GET", f"streams/{SECRET}"))[1]["visibility"] == visibility
    status, wrong = await anna.ask("PATCH", f"streams/{SECRET}", {"visibility": "secret"})
    assert (status, wrong["title"]) == (422, "Invalid body")
    entries = (await server.api("GET", f"audit?target=stream:{made['id']}"))["entries"]
    assert [item["after"].get("visibility") for item in entries][-1] == "public"


async def test_a_link_lets_in_as_many_as_it_says_when_many_come_at_once(server) -> None:
    await hidden(server)
    people = [await person(server) for _ in range(5)]
    made = await server.api("POST", f"streams/{SECRET}/links", {"uses": 3}, 201)
    path, body = f"streams/{SECRET}/access", {"link": made["secret"]}
    asked = [each.ask("POST", path, body) for each in people for _ in range(2)]
    statuses = [status for status, _ in await asyncio.gather(*asked)]
    assert sorted(statuses) == [200] * 6 + [403] * 4
    shown = await server.api("GET", f"streams/{SECRET}/guests")
    assert len(shown["guests"]) == 3
    (link,) = shown["links"]
    assert (link["uses"], link["is_open"], link["id"]) == (3, False, made["id"])
    assert made["secret"] not in str(shown)
    entries = await server.api("GET", "audit")
    assert made["secret"] not in str(entries)


async def test_a_link_is_looked_at_by_anybody_and_used_up_by_none_of_that(server) -> None:
    """What it opens is told before anybody says who they are; used up it tells nothing."""
    await server.stream(slug=SECRET, title="Premiere", visibility="invited", planck_per_s="2000")
    made = await server.api("POST", f"streams/{SECRET}/links", {}, 201)
    assert made["url"] == f"{ORIGIN}/{SECRET}/#guest={made['secret']}"
    look, body = f"streams/{SECRET}/access/look", {"link": made["secret"]}
    for _ in range(3):
        status, shown = await Browser(server).ask("POST", look, body)
        assert (status, shown["title"], shown["planck_per_s"]) == (200, "Premiere", "2000")
        assert (shown["state"], shown["symbol"]) == ("offline", "UNIT")
    (link,) = (await server.api("GET", f"streams/{SECRET}/guests"))["links"]
    assert (link["uses"], link["is_open"]) == (0, True)

    ann, bob = await person(server), await person(server)
    assert (await ann.ask("GET", f"streams/{SECRET}/entry"))[0] == 404
    assert (await ann.ask("POST", f"streams/{SECRET}/access", body))[0] == 200
    status, entry = await ann.ask("GET", f"streams/{SECRET}/entry")
    assert (status, entry) == (200, shown)
    # Who has a price of their own reads that.
    _, refused = await ann.ask("POST", f"streams/{SECRET}/join", {})
    prices = f"streams/{SECRET}/viewer-prices/{refused['account']}"
    own = await server.api("PUT", prices, {"planck_per_s": "700"}, 201)
    assert own["from_tick"] <= server.now_s()
    _, entry = await ann.ask("GET", f"streams/{SECRET}/entry")
    assert (entry["planck_per_s"], shown["planck_per_s"]) == ("700", "2000")
    status, refused = await bob.ask("POST", look, body)
    assert (status, refused["reason"]) == (403, "not_admitted")


async def test_a_password_lets_in_and_is_nowhere_kept(server) -> None:
    await hidden(server)
    ann, password = await person(server), "open sesame"
    path = f"streams/{SECRET}/access"
    assert (await ann.ask("POST", path, {"password": password}))[0] == 403
    await server.api("PUT", f"streams/{SECRET}/password", {"password": "short"}, 422)
    await server.api("PUT", f"streams/{SECRET}/password", {"password": password})
    assert (await ann.ask("POST", path, {"password": "open Sesame"}))[0] == 403
    for _ in range(2):
        status, answer = await ann.ask("POST", path, {"password": password})
        assert (status, answer["stream"], answer["is_guest"]) == (200, SECRET, True)
    shown = await server.api("GET", f"streams/{SECRET}/guests")
    assert (shown["has_password"], shown["guests"][0]["way"]) == (True, "password")
    assert password not in str((shown, await server.api("GET", "audit")))
    await server.api("PUT", f"streams/{SECRET}/password", {})
    bob = await person(server)
    assert (await bob.ask("POST", path, {"password": password}))[0] == 403


async def test_wrong_passwords_are_bounded_for_who_tries_and_nobody_else(server) -> None:
    await hidden(server)
    await server.api("PUT", f"streams/{SECRET}/password", {"password": "open sesame"})
    eve, ann, path = await person(server), await person(server), f"streams/{SECRET}/access"
    asked = [
        eve.ask("POST", path, {"password": f"guess {number}"})
        for number in range(PER_PERSON_MAX + 1)
    ]
    statuses = [status for status, _ in await asyncio.gather(*asked)]
    assert sorted(statuses) == [403] * PER_PERSON_MAX + [429]
    assert (await eve.ask("POST", path, {"password": "open sesame"}))[0] == 429
    assert (await ann.ask("POST", path, {"password": "open sesame"}))[0] == 200


@pytest.mark.parametrize("body", [{}, {"link": "x", "password": "y"}])
async def test_one_thing_is_shown(server, body) -> None:
    await hidden(server)
    ann = await person(server)
    assert (await ann.ask("POST", f"streams/{SECRET}/access", body))[0] == 422


async def test_a_guest_is_a_person_or_a_viewer_and_is_listed_once(server) -> None:
    await hidden(server)
    viewer, ann = await server.viewer(), await person(server)
    path = f"streams/{SECRET}/guests"
    for body in ({"person": ann.person}, {"viewer": "ann"}, {"viewer": viewer["account"]}):
        await server.api("POST", path, body, 201)
    for body, status in (({}, 422), ({"person": "ab" * 16}, 404), ({"viewer": "nobody"}, 404)):
        await server.api("POST", path, body, status)
    found = (await server.api("GET", path))["guests"]
    assert [(item["kind"], item["guest"]) for item in found] == [
        ("account", viewer["account"]),
        ("person", ann.person),
    ]
    for item in found:
        await server.api("DELETE", f"{path}/{item['guest']}")
        await server.api("DELETE", f"{path}/{item['guest']}", status=404)
    assert (await server.api("GET", path))["guests"] == []


async def test_a_link_that_the_operator_mints_makes_a_guest_whom_the_creator_sees(server) -> None:
    await hidden(server)
    viewer = await server.viewer()
    await server.mint(stream=SECRET)
    (guest,) = (await server.api("GET", f"streams/{SECRET}/guests"))["guests"]
    assert (guest["guest"], guest["way"]) == (viewer["account"], "minted")


@pytest.mark.parametrize("change", ["visibility", "guest"])
async def test_a_change_ends_the_sessions_of_those_who_may_no_longer_see(server, change) -> None:
    """The policy says so at once, and book, store and renewal agree; others' go on."""
    stream = await server.stream(slug=SECRET)
    for name in ("ann", "bob"):
        await server.viewer(name=name)
    minted = {
        name: await server.api("POST", "tokens", {"viewer": name, "stream": SECRET}, 201)
        for name in ("ann", "bob")
    }
    guests = f"streams/{SECRET}/guests"
    await server.api("POST", guests, {"viewer": "bob"}, 201)
    if change == "visibility":
        await server.api("PATCH", f"streams/{SECRET}", {"visibility": "invited"})
    else:
        await server.api("POST", guests, {"viewer": "ann"}, 201)
        await server.api("PATCH", f"streams/{SECRET}", {"visibility": "invited"})
        shown = (await server.api("GET", guests))["guests"]
        assert len(shown) == 2
        account = (await server.api("GET", "viewers/ann"))["account"]
        await server.api("DELETE", f"{guests}/{account}")
    gone = int(minted["ann"]["session"], 16)
    heard = await server.policy(lambda policy: gone in policy.ended_sessions)
    assert heard.ended_sessions == (gone,)
    assert [str(item) for item in heard.invited] == [stream["id"]]
    states = {}
    for name in ("ann", "bob"):
        (known,) = (await server.api("GET", f"viewers/{name}/sessions"))["sessions"]
        states[name] = known["state"]
        path = f"{minted[name]['path']}session"
        await server.ask("POST", path, status=403 if name == "ann" else 201)
    assert states == {"ann": "uninvited", "bob": "live"}


def test_the_queue_of_passwords_is_bounded() -> None:
    assert 0 < redeem.QUEUE_MAX <= 64


@pytest.mark.parametrize("visibility", ["public", "unlisted", "invited"])
async def test_who_joins_a_free_stream_is_who_may_see_it(server, visibility) -> None:
    """A guest by any way, its creator, the operator's staff; others are told of no such stream."""
    await server.stream(slug=SECRET, planck_per_s="0", visibility=visibility)
    stranger, guest, anna = await person(server), await person(server), await creator(server)
    link = await server.api("POST", f"streams/{SECRET}/links", {}, 201)
    body = {"link": link["secret"]}
    assert (await guest.ask("POST", f"streams/{SECRET}/access", body))[0] == 200
    for browser in (stranger, guest, anna):
        status, answer = await browser.ask("POST", f"streams/{SECRET}/join", {})
        none = await browser.ask("POST", "streams/no-premiere/join", {})
        if visibility == "invited" and browser is stranger:
            assert (status, str(answer).replace(SECRET, "no-premiere")) == (404, str(none[1]))
        else:
            assert (status, answer["stream"]) == (201, SECRET)
    await server.api("DELETE", f"streams/{SECRET}/links/{link['id']}?guests=remove")
    status, _ = await guest.ask("POST", f"streams/{SECRET}/join", {})
    assert status == (404 if visibility == "invited" else 201)


async def test_a_guest_is_removed_by_the_name_that_they_were_added_by(server) -> None:
    """It said "'account:ann' is no guest of this stream"."""
    await server.stream()
    await server.viewer()
    await server.api("POST", "streams/cam/guests", {"viewer": "ann"}, 201)

    await server.api("DELETE", "streams/cam/guests/ann")

    assert (await server.api("GET", "streams/cam/guests"))["guests"] == []
    await server.api("DELETE", "streams/cam/guests/ann", status=404)
    await server.api("DELETE", "streams/cam/guests/nobody", status=404)
