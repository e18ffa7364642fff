"""An operator's own JWT lets a viewer in, who pays like any other; what does not hold does not."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from joserfc.jwk import ECKey, RSAKey

from mediaserver.people.settings import WatchIssuer, WatchSettings
from mediaserver.people.viewer_tokens import viewer_name
from metering.units import Verdict
from tests.support.control_server import PRICE, Server, settings
from tests.support.jwt_issuer import AUDIENCE, ISSUER, JwtIssuer
from tests.support.people_browser import ORIGIN, Browser

PATH = "streams/cam/join/token"


@pytest.fixture
async def issuer() -> AsyncIterator[JwtIssuer]:
    async with JwtIssuer() as started:
        yield started


@pytest.fixture
async def server(tmp_path, issuer) -> AsyncIterator[Server]:
    made = settings()
    watch = WatchSettings((WatchIssuer(ISSUER, AUDIENCE, issuer.url),))
    tree = replace(made, server=replace(made.server, public_url=ORIGIN), watch=watch)
    async with Server(tmp_path, tree) as started:
        yield started


async def show(
    server: Server, token: str, *, in_body: bool = False, path: str = PATH
) -> tuple[int, Any]:
    """Show a token as a program does, without a cookie or an origin."""
    head = {} if in_body else {"Authorization": f"Bearer {token}"}
    return await Browser(server).ask("POST", path, {"token": token} if in_body else {}, head)


async def test_a_token_lets_its_subject_in_and_the_subject_pays(server, issuer) -> None:
    await server.stream(planck_per_s=str(PRICE))
    status, answered = await show(server, issuer.token())
    assert (status, answered["reason"]) == (402, "purse")
    name = viewer_name(ISSUER, "ann")
    credit = {"planck": str(100 * PRICE)}
    await server.api("POST", f"viewers/{name}/credits", credit, 201, Idempotency_Key="1")

    ends_s = int(time.time()) + 1000
    token = issuer.token(exp=ends_s)
    status, joined = await show(server, token)
    assert status == 201
    assert (joined["account"], joined["stream"]) == (answered["account"], "cam")
    assert joined["ends_ms"] == joined["expires_ms"] <= ends_s * 1000
    # The same token is the same player; another of theirs is another player of the same account.
    status, again = await show(server, token, in_body=True)
    assert status == 201, again
    assert (again["session"], again["ends_ms"]) == (joined["session"], joined["ends_ms"])
    status, other = await show(server, issuer.token(exp=ends_s + 1))
    assert (status, other["account"]) == (201, joined["account"])
    assert other["session"] != joined["session"]
    # Another subject is another account, with nothing to pay with.
    status, answered = await show(server, issuer.token(sub="bob"))
    assert status == 402
    assert answered["account"] != joined["account"]


async def test_a_token_says_what_its_player_may_spend(server, issuer) -> None:
    """Its limit is held in the claim, and does not grow when the token is shown again."""
    stream = await server.stream(planck_per_s=str(PRICE))
    name = viewer_name(ISSUER, "ann")
    token = issuer.token(limit=str(3 * PRICE))
    await show(server, token)
    credit = {"planck": str(100 * PRICE)}
    await server.api("POST", f"viewers/{name}/credits", credit, 201, Idempotency_Key="1")
    status, joined = await show(server, token)
    assert status == 201

    first = int(time.time()) - 10
    assert (await server.claim(joined, joined, stream, first, 3)).verdict is Verdict.GRANTED
    assert (await server.claim(joined, joined, stream, first + 3, 1)).verdict is Verdict.LIMIT
    assert (await show(server, token))[0] == 201
    assert (await server.claim(joined, joined, stream, first + 3, 1)).verdict is Verdict.LIMIT


async def test_what_does_not_hold_opens_nothing(server, issuer) -> None:
    await server.stream()
    now_s = int(time.time())
    stranger = RSAKey.generate_key(2048, {"kid": "first"})
    curve = ECKey.generate_key("P-256", {"kid": "first"})
    public = issuer.key.as_pem(private=False)
    table = {
        "no signature": issuer.forged("none"),
        "no signature, in other letters": issuer.forged("None"),
        "the published key as a secret": issuer.forged("HS256", public),
        "the published key as a secret, as it is published": issuer.forged(
            "HS256", str(issuer.jwks()["keys"][0]["n"]).encode()
        ),
        "a key of its own inside": issuer.token(stranger, {"jwk": stranger.as_dict(private=False)}),
        "a stranger's key by the same name": issuer.token(stranger),
        "a key of another kind by the same name": issuer.token(curve),
        "a key that is not published": issuer.token(
            RSAKey.generate_key(2048, {"kid": "old"}), {"kid": "old"}
        ),
        "another audience": issuer.token(aud="https://other.example.org"),
        "no audience": issuer.token(aud=None),
        "another issuer": issuer.token(iss="https://evil.example.org"),
        "no issuer": issuer.token(iss=None),
        "past its end": issuer.token(exp=now_s - 1),
        "without an end": issuer.token(exp=None),
        "an end that is text": issuer.token(exp=str(now_s + 60)),
        "an end that is no number": issuer.token(exp=float("inf")),
        "an end that is true": issuer.token(exp=True),
        "not begun": issuer.token(nbf=now_s + 3600),
        "made in the future": issuer.token(iat=now_s + 3600),
        "nobody": issuer.token(sub=""),
        "a number for somebody": issuer.token(sub=5),
        "another stream": issuer.token(stream="other"),
        "a limit that readers of JSON round": issuer.token(limit=10**18),
        "a limit of nothing": issuer.token(limit="0"),
        "a limit that is no number": issuer.token(limit="much"),
        "no stream": issuer.token(stream=None),
        "streams that are others": issuer.token(stream=["other", "more"]),
        "a changed word": _changed(issuer.token()),
        "no token": "a.b.c",
        "one part": "abc",
        "much": f"{'a' * 9000}.b.c",
    }
    for what, token in table.items():
        status, answered = await show(server, token, in_body=True)
        assert (status, answered.get("title")) == (401, "Not authorised"), (what, answered)
    assert (await server.api("GET", "viewers"))["viewers"] == []
    assert issuer.requests == 1
    # One of several streams, by one that holds: it is only not paid for yet.
    assert (await show(server, issuer.token(stream=["other", "cam"])))[0] == 402


def _changed(token: str) -> str:
    head, payload, signature = token.split(".")
    return f"{head}.{payload}.{signature[:-4]}{'AAAA' if signature[-4:] != 'AAAA' else 'BBBB'}"


async def test_a_token_opens_that_route_alone(server, issuer) -> None:
    await server.stream()
    head = {"Authorization": f"Bearer {issuer.token()}"}
    for method, path in (("GET", "streams"), ("GET", "me"), ("POST", "streams/cam/join")):
        assert (await Browser(server).ask(method, path, None, head))[0] == 401
    assert (await show(server, issuer.token(), path="streams/none/join/token"))[0] == 401
    status, _ = await Browser(server).ask("POST", PATH, {"token": issuer.token()}, head)
    assert status == 400


async def test_keys_that_cannot_be_had_are_no_fault_of_the_viewers(server, issuer) -> None:
    await server.stream()
    issuer.published = []
    await issuer.__aexit__()
    status, answered = await show(server, issuer.token())
    assert (status, answered["title"]) == (503, "Not available now")
    assert issuer.url not in answered["detail"]
