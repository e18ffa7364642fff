"""Rights that somebody might give themselves: by invitations, keys and roles that were lost."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from tests.support.control_server import Server, settings
from tests.support.people_browser import ORIGIN, Browser


@pytest.fixture
async def server(tmp_path) -> AsyncIterator[Server]:
    made = settings()
    people = replace(made.people, stream_creators="anyone", streams_per_person_max=2)
    tree = replace(made, server=replace(made.server, public_url=ORIGIN), people=people)
    async with Server(tmp_path, tree) as started:
        await started.stream()
        yield started


async def person(server: Server, *roles: str) -> Browser:
    made = Browser(server)
    await made.sign_up("Ann")
    await server.api("PUT", f"people/{made.person}/roles", {"roles": list(roles)})
    return made


async def creator(server: Server) -> Browser:
    """Return somebody whom an invitation made a creator of the stream."""
    made = await person(server)
    code = await invite(server, stream="cam")
    assert await take(made, code) == 200
    return made


async def invite(server: Server, **what: str) -> str:
    code: str = (await server.api("POST", "invitations", what, 201))["code"]
    return code


async def take(browser: Browser, code: str) -> int:
    return (await browser.ask("POST", "me/invitations", {"code": code}))[0]


@pytest.mark.parametrize(
    ("what", "status"), [({"role": "owner"}, 403), ({"role": "creator"}, 403), ({}, 201)]
)
async def test_a_key_hands_out_no_role_for_the_server(server, what, status) -> None:
    key = await server.api("POST", "keys", {"name": "bot", "scopes": ["people:write"]}, 201)
    head = {"Authorization": f"Bearer {key['key']}"}
    asked = what or {"stream": "cam"}
    assert (await Browser(server).ask("POST", "invitations", asked, head))[0] == status


@pytest.mark.parametrize("what", [{"stream": "cam"}, {"role": "owner"}, {"role": "creator"}])
async def test_a_creator_for_the_server_is_none_of_anothers_stream(server, what) -> None:
    ann = await person(server, "creator")
    assert (await ann.ask("POST", "invitations", what))[0] == 403


async def test_an_invitation_is_over_when_its_maker_may_make_it_no_more(server) -> None:
    ann, bob = await creator(server), await person(server)
    _, kept = await ann.ask("POST", "invitations", {"stream": "cam"})
    await server.api("DELETE", f"streams/cam/people/{ann.person}/creator")
    for browser in (ann, bob):
        assert await take(browser, kept["code"]) == 401
    assert (await bob.ask("POST", "invitations/look", {"code": kept["code"]}))[0] == 401


async def test_an_owner_that_was_has_no_way_back_by_an_invitation_or_a_key(server) -> None:
    eve = await person(server, "owner")
    _, role = await eve.ask("POST", "invitations", {"role": "owner"})
    made: dict[str, Any] = (
        await eve.ask("POST", "keys", {"name": "bot", "scopes": ["people:write"]})
    )[1]
    head = {"Authorization": f"Bearer {made['key']}"}
    _, stream = await Browser(server).ask("POST", "invitations", {"stream": "cam"}, head)
    await server.api("PUT", f"people/{eve.person}/roles", {"roles": []})
    await server.api("DELETE", f"keys/{made['prefix']}")
    for code in (role["code"], stream["code"]):
        assert await take(eve, code) == 401


async def test_the_keys_of_an_owner_end_with_their_ownership(server) -> None:
    eve = await person(server, "owner")
    scopes = {"name": "bot", "scopes": ["streams:read"]}
    _, made = await eve.ask("POST", "keys", scopes)
    _, over = await eve.ask("POST", "keys", scopes)
    await server.api("DELETE", f"keys/{over['prefix']}")
    head = {"Authorization": f"Bearer {made['key']}"}
    assert (await Browser(server).ask("GET", "streams", None, head))[0] == 200
    await server.policy(lambda policy: made["prefix"] in dict(policy.api_keys))

    await server.api("PUT", f"people/{eve.person}/roles", {"roles": ["finance"]})
    assert (await Browser(server).ask("GET", "streams", None, head))[0] == 401
    await server.policy(lambda policy: made["prefix"] not in dict(policy.api_keys))
    entries = (await server.api("GET", f"audit?target=key:{made['prefix']}"))["entries"]
    assert [entry["action"] for entry in entries] == ["key.make", "key.end"]
    assert entries[-1]["after"] == {"because": "person.roles"}
    # Ownership that comes back brings no key back.
    await server.api("PUT", f"people/{eve.person}/roles", {"roles": ["owner"]})
    assert (await Browser(server).ask("GET", "streams", None, head))[0] == 401


async def test_a_creator_takes_back_what_they_invited_to_and_nobody_elses(server) -> None:
    ann, bob = await creator(server), await creator(server)
    _, made = await ann.ask("POST", "invitations", {"stream": "cam", "role": "moderator"})
    assert (await bob.ask("GET", "invitations"))[1]["invitations"] == []
    assert (await bob.ask("DELETE", f"invitations/{made['id']}", {}))[0] == 404
    listed = (await ann.ask("GET", "invitations"))[1]["invitations"]
    assert [item["id"] for item in listed] == [made["id"]]

    assert (await ann.ask("DELETE", f"invitations/{made['id']}", {}))[0] == 200
    assert await take(bob, made["code"]) == 401
    assert (await ann.ask("DELETE", f"invitations/{made['id']}", {}))[0] == 404
    assert (await ann.ask("GET", "invitations"))[1]["invitations"] == []


async def test_nobody_makes_more_streams_at_once_or_by_giving_them_up(server) -> None:
    ann = await person(server)
    asked = [ann.ask("POST", "streams", {"slug": f"cam{number}"}) for number in range(4)]
    statuses = [status for status, _ in await asyncio.gather(*asked)]
    assert sorted(statuses) == [201, 201, 403, 403]
    slug = f"cam{statuses.index(201)}"
    assert (await ann.ask("DELETE", f"streams/{slug}/people/{ann.person}/creator", {}))[0] == 200
    assert (await ann.ask("POST", "streams", {"slug": "more"}))[0] == 403


async def test_a_role_that_nobody_has_is_taken_from_nobody_and_not_in_the_log(server) -> None:
    path = f"streams/cam/people/{'ab' * 16}/moderator"
    await server.api("DELETE", path, status=404)
    entries = (await server.api("GET", "audit"))["entries"]
    assert "stream.role.take" not in {entry["action"] for entry in entries}


async def test_a_key_of_any_bytes_is_a_wrong_one(server) -> None:
    socket = str(server.run_dir / "control.sock")
    reader, writer = await asyncio.open_unix_connection(socket)
    head = b"GET /api/v1/me HTTP/1.1\r\nHost: c\r\nAuthorization: Bearer \xff\xfe\r\n\r\n"
    writer.write(head)
    assert (await reader.readline()).split()[1] == b"401"
    writer.close()
