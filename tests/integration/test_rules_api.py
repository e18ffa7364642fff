"""Rules of place over the API: kept, held at mint and renewal, told to the HTTP processes."""

from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from typing import Any
from uuid import UUID

import pytest

from mediaserver.api.viewers import viewer_self_service
from mediaserver.people.settings import WatchIssuer, WatchSettings
from tests.support import mmdb
from tests.support.control_server import Server, settings
from tests.support.jwt_issuer import AUDIENCE, ISSUER, JwtIssuer
from tests.support.people_browser import JSON, ORIGIN, Browser
from tests.support.place_cases import CASES, COUNTRIES, DE, FR, FR6, NOWHERE, UNKNOWN

SHOP = "https://shop.example.org"


@pytest.fixture
async def issuer() -> AsyncIterator[JwtIssuer]:
    async with JwtIssuer() as made:
        yield made


@pytest.fixture
async def server(tmp_path, issuer) -> AsyncIterator[Server]:
    made, file = settings(), tmp_path / "c.mmdb"
    mmdb.write(file, COUNTRIES)
    watch = WatchSettings((WatchIssuer(ISSUER, AUDIENCE, issuer.url),), country_file=str(file))
    tree = replace(made, server=replace(made.server, public_url=ORIGIN), watch=watch)
    async with Server(tmp_path, tree) as started:
        yield started


@pytest.fixture
def often(monkeypatch) -> None:
    """A matrix asks more often than a person does."""
    monkeypatch.setattr(viewer_self_service, "REQUESTS_PER_MINUTE", 10_000)


async def joined(browser: Browser, address: str, **headers: str) -> tuple[int, Any]:
    return await browser.ask(
        "POST", "streams/cam/join", {}, {**JSON, "X-Forwarded-For": address, **headers}
    )


async def by_token(server: Server, token: str, address: str, **headers: str) -> tuple[int, Any]:
    sent = {"X-Forwarded-For": address, "Authorization": f"Bearer {token}", **headers}
    place = "http://c/api/v1/streams/cam/join/token"
    async with server.http.post(place, data=b"{}", headers=sent) as answer:
        return answer.status, await answer.json()


async def renewed(server: Server, path: str, address: str, **headers: str) -> tuple[int, Any]:
    sent = {"X-Forwarded-For": address, **headers}
    async with server.http.post(f"http://c{path}session", headers=sent) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize(
    ("seen_by", "price"),
    [("public", "0"), ("public", "100000000"), ("unlisted", "0"), ("invited", "100000000")],
)
async def test_a_token_is_minted_and_renewed_where_the_table_says(
    server, issuer, often, seen_by, price
) -> None:
    """For who is signed in, and by an operator's own token; minted for somebody from anywhere."""
    await server.stream(planck_per_s=price, visibility=seen_by)
    ann = Browser(server)
    await ann.sign_up("Ann")
    if seen_by == "invited":
        await server.api("POST", "streams/cam/guests", {"person": ann.person}, 201)
    await server.viewer()
    preview = {"preview_s": 60} if price != "0" else {}
    await server.api("PATCH", "streams/cam", {"is_enabled": True, **preview})
    token = issuer.token()
    kept = (await server.mint())["path"]
    for name, (rules, allowed) in CASES.items():
        await server.api("PUT", "streams/cam/rules", asdict(rules))
        for address in (DE, FR6, NOWHERE, UNKNOWN):
            what = (name, address)
            answers = [
                await joined(ann, address),
                await by_token(server, token, address, **{"Sec-Fetch-Site": "same-origin"}),
                await renewed(server, kept, address, **{"Sec-Fetch-Site": "same-origin"}),
            ]
            expected = 201 if address in allowed else 403
            assert (what, [status for status, _ in answers]) == (what, [expected] * 3)
            if expected == 403:
                assert {made["reason"] for _, made in answers} == {"place"}
        await server.mint()


async def test_rules_are_kept_shown_and_told_and_everybody_shows_a_token(server) -> None:
    stream = await server.stream(planck_per_s="0")
    body = {"allow_countries": ["DE"], "deny_networks": ["192.0.2.128/25", "2001:db8::/32"]}
    empty = {name: list[str]() for name in await server.api("GET", "streams/cam/rules")}

    made = await server.api("PUT", "streams/cam/rules", body)

    assert made == {**empty, **body, "country_fault": None, "ended": 0}
    shown = await server.api("GET", "streams/cam/rules")
    assert shown == {**empty, **body, "country_fault": None}
    policy = await server.policy(lambda p: p.address_rules)
    assert list(policy.unlisted) == [UUID(stream["id"])]
    (told,) = policy.address_rules
    assert (told.stream, told.allow_countries) == (UUID(stream["id"]), ("DE",))
    (entry,) = (await server.api("GET", f"audit?target=stream:{stream['id']}"))["entries"][-1:]
    assert (entry["action"], entry["before"]["allow_countries"]) == ("stream.rules", [])
    assert entry["after"]["allow_countries"] == ["DE"]
    assert entry["after"]["deny_networks"] == 2  # one may be a person's: the log counts them

    await server.api("PUT", "streams/cam/rules", {})
    policy = await server.policy(lambda p: not p.address_rules)
    assert not policy.unlisted


async def test_rules_of_the_server_hold_for_every_stream_and_make_none_ask_for_a_token(
    server,
) -> None:
    await server.stream(planck_per_s="0")
    ann = Browser(server)
    await ann.sign_up("Ann")

    await server.api("PUT", "rules", {"deny_countries": ["FR"]})

    policy = await server.policy(lambda p: p.address_rules)
    assert (policy.unlisted, policy.address_rules[0].stream) == ((), None)
    assert (await joined(ann, FR))[0] == 403
    assert (await joined(ann, DE))[0] == 201
    refused = await server.api("PUT", "rules", {"deny_referrers": ["a.example"]}, 422)
    assert "for a stream" in refused["detail"]


async def test_every_fault_of_rules_is_told_at_once_and_nothing_changes(server) -> None:
    await server.stream()
    body = {"allow_countries": ["Germany"], "deny_networks": ["10.0.0.1/8"], "more": 1}

    refused = await server.api("PUT", "streams/cam/rules", body, 422)
    assert "more" in refused["detail"]
    del body["more"]
    refused = await server.api("PUT", "streams/cam/rules", body, 422)

    assert [fault.partition(":")[0] for fault in refused["faults"]] == [
        "allow_countries",
        "deny_networks",
    ]
    await server.api("PUT", "streams/cam/rules", {"allow_networks": "10.0.0.0/8"}, 422)
    assert (await server.api("GET", "streams/cam/rules"))["allow_countries"] == []
    await server.api("PUT", "streams/none/rules", {}, 404)


async def test_a_creator_rules_their_own_stream_alone(server) -> None:
    await server.stream()
    await server.stream(slug="den")
    boss, eve = Browser(server), Browser(server)
    await boss.sign_up("Creator")
    await eve.sign_up("Eve")
    code = (await server.api("POST", "invitations", {"stream": "cam"}, 201))["code"]
    assert (await boss.ask("POST", "me/invitations", {"code": code}))[0] == 200

    assert (await boss.ask("PUT", "streams/cam/rules", {"deny_countries": ["FR"]}))[0] == 200
    assert (await boss.ask("GET", "streams/cam/rules"))[0] == 200
    assert (await boss.ask("PUT", "streams/den/rules", {}))[0] == 403
    assert (await boss.ask("PUT", "rules", {}))[0] == 403
    assert (await eve.ask("GET", "streams/cam/rules"))[0] == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 201),
        ({"Origin": ORIGIN}, 201),
        ({"Origin": SHOP}, 201),
        ({"Referer": f"{SHOP}/watch?x=1"}, 201),
        ({"Origin": "null", "Referer": f"{SHOP}/"}, 201),
        ({"Origin": "https://shop.example.org:8443"}, 201),
        ({"Origin": "https://shop.example.org.evil.example"}, 403),
        ({"Origin": f"{ORIGIN}.evil.example"}, 403),
        ({"Origin": "https://evil.example", "Referer": f"{SHOP}/"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Referer": "https://[broken"}, 403),
        ({}, 403),
    ],
)
async def test_a_page_is_told_by_what_its_browser_says(server, issuer, headers, status) -> None:
    await server.stream(planck_per_s="0")
    await server.api("PUT", "streams/cam/rules", {"allow_referrers": ["shop.example.org"]})

    answered, made = await by_token(server, issuer.token(), DE, **headers)

    assert answered == status
    if status == 403:
        assert made["reason"] == "referrer"


@pytest.mark.parametrize(
    ("rules", "page"),
    [
        ({"deny_referrers": ["bad.example"]}, "https://bad.example."),
        ({"deny_referrers": ["*.bad.example"]}, "https://WWW.bad.example.:8443"),
        ({"allow_referrers": ["shop.example.org"]}, "http://own"),
        ({"allow_referrers": ["shop.example.org"]}, "http://own."),
    ],
)
async def test_a_page_is_told_however_its_host_is_written(server, issuer, rules, page) -> None:
    """A dot at the end, other letters, and a host that is called as our own pages are here."""
    await server.stream(planck_per_s="0")
    await server.api("PUT", "streams/cam/rules", rules)

    status, refused = await by_token(server, issuer.token(), DE, Origin=page)

    assert (status, refused.get("reason")) == (403, "referrer")


async def test_who_plays_on_a_page_that_may_not_show_it_any_more_is_ended(server, issuer) -> None:
    """At once, for good; who plays on ours, or came by the operator's link, goes on."""
    stream = await server.stream(planck_per_s="0")
    await server.viewer()
    minted = await server.mint()
    _, shop = await by_token(server, issuer.token(sub="bob"), DE, Origin=SHOP)
    _, ours = await by_token(server, issuer.token(sub="eve"), DE, Origin=ORIGIN)

    made = await server.api("PUT", "streams/cam/rules", {"deny_referrers": ["*.example.org"]})

    assert made["ended"] == 1
    policy = await server.policy(lambda p: p.ended_sessions)
    assert list(policy.ended_sessions) == [int(shop["session"], 16)]
    assert list(policy.unlisted) == [UUID(stream["id"])]
    own = {"Sec-Fetch-Site": "same-origin"}
    assert (await renewed(server, shop["path"], DE, **own))[0] == 403
    for path in (ours["path"], minted["path"]):
        assert (await renewed(server, path, DE, **own))[0] == 201
    # A link of the operator's that is renewed on such a page is refused there.
    status, refused = await renewed(server, minted["path"], DE, Origin=SHOP)
    assert (status, refused["reason"]) == (403, "referrer")


async def test_without_a_file_rules_of_countries_are_not_taken(tmp_path) -> None:
    async with Server(tmp_path, settings()) as server:
        await server.stream()
        refused = await server.api("PUT", "streams/cam/rules", {"allow_countries": ["DE"]}, 409)
        assert "watch.country_file" in refused["detail"]
        await server.api("PUT", "streams/cam/rules", {"allow_networks": ["10.0.0.0/8"]})


async def test_a_file_that_is_away_is_said_and_closes_what_it_decides(tmp_path) -> None:
    made = settings()
    watch = WatchSettings(country_file=str(tmp_path / "none.mmdb"))
    tree = replace(made, watch=watch, server=replace(made.server, public_url=ORIGIN))
    async with Server(tmp_path, tree) as server:
        await server.stream(planck_per_s="0")
        ann = Browser(server)
        await ann.sign_up("Ann")
        assert (await joined(ann, DE))[0] == 201

        await server.api("PUT", "streams/cam/rules", {"deny_countries": ["FR"]})

        status, refused = await joined(ann, DE)
        assert (status, refused["reason"]) == (403, "place")
        await server.until_ready(503)
        await server.policy(lambda p: any("none.mmdb" in fault for fault in p.faults))
        shown = await server.api("GET", "streams/cam/rules")
        assert "none.mmdb" in shown["country_fault"]
        await server.api("PUT", "streams/cam/rules", {})
        await server.until_ready()
