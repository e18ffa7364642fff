"""Nobody publishes or watches whom the operator's own server does not let."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web

from mediaserver.people.settings import WatchIssuer, WatchSettings
from mediaserver.settings.records import Settings
from mediaserver.webhooks.settings import HooksSettings, WebhooksSettings
from metering.ports import ClaimAnswer
from tests.support.control_server import PRICE, Server, settings
from tests.support.jwt_issuer import AUDIENCE, ISSUER, JwtIssuer
from tests.support.people_browser import JSON, ORIGIN, Browser
from tests.support.webhook_receiver import SECRET, Receiver

HERE = "192.0.2.7"
SECRETS = ("whsec_", "Bearer", "token")


class Judge(Receiver):
    """Answers what a test says, and keeps its questions."""

    def __init__(self) -> None:
        super().__init__(self.judged)
        self.says: dict[str, Any] = {"allow": True}
        self.status = 200

    async def judged(self, _: web.Request) -> web.StreamResponse:
        return web.json_response(self.says, status=self.status)

    def questions(self) -> list[dict[str, Any]]:
        return [body for _, body, _ in self.came]


@pytest.fixture
async def judge() -> AsyncIterator[Judge]:
    async with Judge() as made:
        yield made


@pytest.fixture
async def issuer() -> AsyncIterator[JwtIssuer]:
    async with JwtIssuer() as made:
        yield made


def tree(folder: Path, judge: Judge, issuer: JwtIssuer, on_failure: str) -> Settings:
    secret = folder / "decide.secret"
    secret.write_text(SECRET)
    hooks = HooksSettings(
        ("may_publish", "may_watch"), judge.url, str(secret), cache_s=0, on_failure=on_failure
    )
    made = settings()
    return replace(
        made,
        server=replace(made.server, public_url=ORIGIN),
        hooks=hooks,
        webhooks=WebhooksSettings(allowed_networks=("127.0.0.0/8",)),
        watch=WatchSettings((WatchIssuer(ISSUER, AUDIENCE, issuer.url),)),
    )


@pytest.fixture(params=["closed"])
async def server(tmp_path, judge, issuer, request) -> AsyncIterator[Server]:
    async with Server(tmp_path, tree(tmp_path, judge, issuer, request.param)) as started:
        yield started


async def published(server: Server, key: str) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {key}", "X-Forwarded-For": HERE}
    async with server.http.post("http://c/cam/whip", data=b"v=0", headers=headers) as answer:
        text = await answer.text()
        return answer.status, json.loads(text)


async def renewed(server: Server, path: str) -> tuple[int, Any]:
    headers = {"X-Forwarded-For": HERE}
    async with server.http.post(f"http://c{path}session", headers=headers) as answer:
        return answer.status, await answer.json()


async def joined(browser: Browser, body: dict[str, Any] | None = None) -> tuple[int, Any]:
    headers = {**JSON, "X-Forwarded-For": HERE}
    return await browser.ask("POST", "streams/cam/join", body or {}, headers)


async def by_token(server: Server, token: str) -> tuple[int, Any]:
    sent = {"X-Forwarded-For": HERE, "Authorization": f"Bearer {token}"}
    place = "http://c/api/v1/streams/cam/join/token"
    async with server.http.post(place, data=b"{}", headers=sent) as answer:
        return answer.status, await answer.json()


async def test_a_publisher_reads_why_and_is_asked_about_with_the_right_key_alone(
    server, judge
) -> None:
    made = await server.stream()
    judge.says = {"allow": False, "reason": "your plan has ended"}

    assert (await published(server, "sk_wrong"))[0] == 401
    assert judge.tried == 0
    status, problem = await published(server, made["stream_key"])

    assert (status, problem["reason"], problem["detail"]) == (403, "hook", "your plan has ended")
    (question,) = judge.questions()
    assert (question["type"], question["address"]) == ("may_publish", HERE)
    assert question["stream"] == {"id": made["id"], "slug": "cam"}
    assert made["stream_key"] not in json.dumps(question)
    judge.status = 500
    assert (await published(server, made["stream_key"]))[0] == 503
    judge.status, judge.says = 200, {"allow": True}
    status, problem = await published(server, made["stream_key"])
    assert (status, problem["title"]) == (503, "No worker is free")


async def test_each_way_in_and_each_renewal_is_asked_and_refused_with_the_reason(
    server, judge, issuer
) -> None:
    stream = await server.stream(planck_per_s="0")
    viewer = await server.viewer()
    ann = Browser(server)
    await ann.sign_up("Ann")
    kept = await server.mint()
    token = issuer.token()
    assert [(await joined(ann))[0], (await by_token(server, token))[0]] == [201, 201]
    assert (await renewed(server, kept["path"]))[0] == 201
    asked = judge.questions()
    assert {question["type"] for question in asked} == {"may_watch"}
    assert [question["address"] for question in asked] == [None, HERE, HERE, HERE]
    assert (asked[0]["account"], asked[0]["viewer"]) == (viewer["account"], "ann")
    text = json.dumps(asked)
    assert not [word for word in (*SECRETS, kept["token"], token) if word in text]
    policy = await server.policy(lambda p: p.unlisted)
    assert list(policy.unlisted) == [UUID(stream["id"])], "a free stream asks for a token"

    judge.says = {"allow": False, "reason": "not in your plan"}
    sessions = await server.api("GET", f"viewers/{viewer['account']}/sessions")
    refusals = [
        await joined(ann),
        await by_token(server, token),
        await renewed(server, kept["path"]),
        (403, await server.api("POST", "tokens", {"viewer": "ann", "stream": "cam"}, 403)),
    ]
    for status, problem in refusals:
        assert (status, problem["reason"]) == (403, "hook")
        assert problem["detail"] == "not in your plan"
    assert await server.api("GET", f"viewers/{viewer['account']}/sessions") == sessions

    judge.status = 500
    assert (await renewed(server, kept["path"]))[0] == 503
    judge.status, judge.says = 200, {"allow": True}
    status, again = await renewed(server, kept["path"])
    assert (status, again["session"]) == (201, kept["session"])


@pytest.mark.parametrize("server", ["open"], indirect=True)
async def test_with_open_a_server_that_is_away_keeps_nobody_out(server, judge) -> None:
    made = await server.stream()
    await server.viewer()
    judge.status = 500
    kept = await server.mint()
    assert (await renewed(server, kept["path"]))[0] == 201
    status, problem = await published(server, made["stream_key"])
    assert (status, problem["title"]) == (503, "No worker is free")


async def test_its_limit_holds_in_the_claim_below_the_viewers_own(server, judge) -> None:
    """Neither a renewal nor a higher limit of the viewer's own lifts it."""
    stream = await server.stream()
    ann = Browser(server)
    await ann.sign_up("Ann")
    status, refused = await joined(ann)
    assert status == 402
    account = refused["account"]
    path = f"viewers/{account}/credits"
    await server.api("POST", path, {"planck": str(50 * PRICE)}, 201, Idempotency_Key="a")
    judge.says = {"allow": True, "limit_planck": str(3 * PRICE)}

    status, made = await joined(ann, {"limit_planck": str(9 * PRICE)})

    assert status == 201
    now_s, viewer = server.now_s(), {"account": account}
    policy = await server.policy(lambda p: p.store_epoch and p.streams)

    async def claim(minted: dict[str, Any], first: int, count: int) -> ClaimAnswer:
        server.policies.put_nowait(policy)  # the next is sent in five seconds
        return await server.claim(minted, viewer, stream, first, count)

    first = await claim(made, now_s - 30, 3)
    assert (first.verdict.name, first.new_ticks) == ("GRANTED", 3)
    assert (await claim(made, now_s - 27, 1)).verdict.name == "LIMIT"
    for body in ({}, {"limit_planck": "0"}, {"limit_planck": str(40 * PRICE)}):
        status, again = await joined(ann, {"session": made["session"], **body})
        assert (status, again["session"]) == (201, made["session"])
        refused = await claim(again, now_s - 27, 1)
        assert refused.verdict.name == "LIMIT"
    judge.says = {"allow": True, "limit_planck": str(5 * PRICE)}
    _, again = await joined(ann, {"session": made["session"], "limit_planck": str(40 * PRICE)})
    assert (await claim(again, now_s - 27, 2)).verdict.name == "GRANTED"
    assert (await claim(again, now_s - 25, 1)).verdict.name == "LIMIT"
