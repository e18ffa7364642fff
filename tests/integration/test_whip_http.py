"""RFC 9725 by its statuses and headers: an HTTP client, an OBS offer, no media."""

import asyncio
import contextlib
import json

import pytest
import structlog

from tests.support.whip.helpers import AUTH, GOLDEN, KEY, serving

OBS = (GOLDEN / "offer-obs.sdp").read_bytes()
FRAGMENT = "application/trickle-ice-sdpfrag"
BEARER = {"Authorization": f"Bearer {KEY}"}


async def post(client, body=OBS, **headers):
    return await client.post("/show/whip", data=body, headers={**AUTH, **headers})


async def problem_of(response):
    assert response.content_type == "application/problem+json"
    body = json.loads(await response.text())
    assert body["status"] == response.status
    return body["detail"]


async def test_obs_gets_exactly_what_it_needs():
    """201, an absolute-path Location, our candidates at once: OBS names none of its own."""
    async with serving() as (client, endpoint, _):
        began = asyncio.get_running_loop().time()
        response = await post(client)
        took_s = asyncio.get_running_loop().time() - began
        answer = await response.text()
        pending = endpoint.facts()["sessions_pending"]

    print(f"answer in {took_s * 1000:.1f} ms")
    assert response.status == 201
    assert response.headers["Content-Type"] == "application/sdp"
    assert response.headers["Location"].startswith("/show/whip/w1.")
    assert len(response.headers["Location"].rpartition(".")[2]) >= 32
    assert response.headers["ETag"].startswith('"')
    assert "ETag" in response.headers["Access-Control-Expose-Headers"]
    assert answer.startswith("v=0\r\n")
    assert " 127.0.0.1 4" in answer
    assert pending == 1


async def test_every_session_has_its_own_url_and_tag():
    """W15, W29: a strong, unique entity tag, and an address that cannot be guessed."""
    async with serving() as (client, _, _):
        first, second = await post(client), await post(client)

    assert first.headers["Location"] != second.headers["Location"]
    assert first.headers["ETag"] != second.headers["ETag"]


@pytest.mark.parametrize("kind", ["application/sdp; charset=utf-8", "Application/SDP"])
async def test_content_type_parameters_pass(kind):
    """W2: only the type itself counts."""
    async with serving() as (client, _, _):
        response = await post(client, **{"Content-Type": kind})

    assert response.status == 201


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        (OBS, {"Content-Type": "text/plain"}, 415, "application/sdp is expected"),
        (b"hello", {}, 400, "not SDP"),
        (b"\xff\xfe", {}, 400, "UTF-8"),
        (OBS.replace(b"H264", b"VP9"), {}, 422, "takes H.264"),
        (OBS + b"a=x:" + b"y" * 70_000, {}, 413, "65536 bytes"),
        (OBS, {"Authorization": "Bearer wrong"}, 401, "stream key"),
        (OBS, {"Authorization": "Basic x"}, 401, "stream key"),
    ],
)
async def test_refusal_is_a_problem_that_says_what_to_change(body, headers, status, words):
    """W2, W3, W12, W24, W28: a status, and words for the creator."""
    async with serving() as (client, endpoint, _):
        response = await post(client, body, **headers)
        detail = await problem_of(response)
        pending = endpoint.facts()["sessions_pending"]

    assert response.status == status
    assert words in detail
    assert pending == 0
    if status == 401:
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
    if status == 415:
        assert response.headers["Accept-Post"] == "application/sdp"


async def test_body_without_a_length_is_bounded_too():
    """A chunked body is read no further than the limit."""

    async def endless():
        for _ in range(1000):
            yield b"a=x:" + b"y" * 1000 + b"\n"

    async with serving() as (client, _, _):
        response = await client.post("/show/whip", data=endless(), headers=AUTH)

    assert response.status == 413


async def test_options_and_get_need_no_key():
    """W5, W6: CORS preflights pass, GET is 204, on the endpoint and on a session."""
    async with serving() as (client, _, _):
        options = await client.options("/show/whip")
        get = await client.get("/show/whip")
        location = (await post(client)).headers["Location"]
        session_options = await client.options(location)
        session_get = await client.get(location, headers=BEARER)
        session_get_without = await client.get(location)

    assert options.status == session_options.status == 200
    assert options.headers["Accept-Post"] == "application/sdp"
    assert session_options.headers["Accept-Patch"] == FRAGMENT
    for response in (options, session_options):
        assert {"POST", "PATCH", "DELETE"} <= set(
            response.headers["Access-Control-Allow-Methods"].split(", ")
        )
        assert "If-Match" in response.headers["Access-Control-Allow-Headers"]
    assert (get.status, session_get.status, session_get_without.status) == (204, 204, 401)


async def test_delete_answers_200_and_the_session_is_gone():
    """W23: OBS wants 200; afterwards the URL is nobody's. The bearer is needed (W24)."""
    async with serving() as (client, endpoint, _):
        location = (await post(client)).headers["Location"]
        without = await client.delete(location)
        deleted = await client.delete(location, headers=BEARER)
        again = await client.delete(location, headers=BEARER)
        pending = endpoint.facts()["sessions_pending"]

    assert [r.status for r in (without, deleted, again)] == [401, 200, 404]
    assert pending == 0


TRICKLE = (
    "a=ice-ufrag:8kXa\r\na=ice-pwd:2Rz1vJcWq0bT5oYdNfUeLs\r\n"
    "a=candidate:1 1 udp 1 x.local 5 typ host\r\n"
)
RESTART = "a=ice-ufrag:newU\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa\r\n"


@pytest.mark.parametrize(
    ("body", "if_match", "kind", "status"),
    [
        (TRICKLE, "etag", FRAGMENT, 204),
        (TRICKLE, None, FRAGMENT, 428),
        (TRICKLE, '"other"', FRAGMENT, 412),
        (RESTART, "*", FRAGMENT, 200),
        (RESTART, '"*"', FRAGMENT, 200),
        (RESTART, '"other"', FRAGMENT, 412),
        ("nonsense", "*", FRAGMENT, 400),
        (TRICKLE, "*", "application/sdp", 415),
    ],
)
async def test_patch_by_the_book(body, if_match, kind, status):
    """W16 to W19, W22: trickle is 204 without a tag, a restart 200 with a new one."""
    async with serving() as (client, _, _):
        posted = await post(client)
        tag = posted.headers["ETag"]
        headers = {**BEARER, "Content-Type": kind}
        if if_match:
            headers["If-Match"] = tag if if_match == "etag" else if_match
        response = await client.patch(posted.headers["Location"], data=body, headers=headers)
        text = await response.text()

    assert response.status == status
    if status == 204:
        assert "ETag" not in response.headers
    if status == 200:
        assert response.headers["ETag"] not in ("", tag)
        assert response.content_type == FRAGMENT
        assert "a=ice-pwd:" in text
        assert "a=candidate:" in text
    if status == 415:
        assert response.headers["Accept-Patch"] == FRAGMENT


async def test_trickle_after_a_restart_uses_the_new_tag():
    """The old entity tag names an ICE session that is no more."""
    async with serving() as (client, _, _):
        posted = await post(client)
        location, headers = posted.headers["Location"], {**BEARER, "Content-Type": FRAGMENT}
        restarted = await client.patch(location, data=RESTART, headers={**headers, "If-Match": "*"})
        body = RESTART + "a=end-of-candidates\r\n"
        old = await client.patch(
            location, data=body, headers={**headers, "If-Match": posted.headers["ETag"]}
        )
        new = await client.patch(
            location, data=body, headers={**headers, "If-Match": restarted.headers["ETag"]}
        )

    assert [response.status for response in (old, new)] == [412, 204]


async def test_sessions_that_never_connect_end_by_themselves():
    """Nobody behind the offer: the session ends in the stated time, and its socket is closed."""
    async with serving(connect_timeout_s=2) as (client, endpoint, _):
        await post(client)
        tasks = len(asyncio.all_tasks())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(4):
                while (  # noqa: ASYNC110 - neither end has an event
                    endpoint.facts()["sessions_pending"] or len(asyncio.all_tasks()) >= tasks
                ):
                    await asyncio.sleep(0.05)
        pending, left = endpoint.facts()["sessions_pending"], len(asyncio.all_tasks())

    assert pending == 0
    assert left < tasks


async def test_r15_session_that_did_not_connect_says_why_at_its_end():
    """The operator finds the cause in the line that ends it, the creator in `streams show`."""
    with structlog.testing.capture_logs() as lines:
        async with serving(connect_timeout_s=1) as (client, endpoint, _):
            await post(client)
            async with asyncio.timeout(5):
                while not endpoint.advice():  # noqa: ASYNC110 - who never connected has no event
                    await asyncio.sleep(0.05)
            (advice,) = endpoint.advice()
    (closed,) = [line for line in lines if line["event"] == "whip.session.closed"]

    assert closed["reason"] == "failed"
    assert closed["cause"] == "nothing reached us by UDP in time"
    assert closed["cause"] in advice


async def test_pending_sessions_of_one_key_are_bounded():
    """An encoder that retries makes room for itself; another address is refused with 429."""
    async with serving(pending_sessions_per_key_max=2) as (client, endpoint, sink):
        mine = [await post(client, **{"X-Forwarded-For": "192.0.2.1"}) for _ in range(5)]
        pending = endpoint.facts()["sessions_pending"]
        other = await post(client, **{"X-Forwarded-For": "192.0.2.2"})

    assert [response.status for response in mine] == [201] * 5
    assert pending == 2
    assert other.status == 429
    assert int(other.headers["Retry-After"]) > 0
    assert sink.events == []


async def test_pending_sessions_of_one_address_are_bounded():
    """503 with Retry-After when an address has too many sessions connecting."""
    async with serving(pending_sessions_per_address_max=2, pending_sessions_per_key_max=100) as (
        client,
        _,
        _,
    ):
        responses = [await post(client, **{"X-Forwarded-For": "x, 192.0.2.1"}) for _ in range(3)]
        other = await post(client, **{"X-Forwarded-For": "192.0.2.1, 192.0.2.2"})

    assert [response.status for response in responses] == [201, 201, 503]
    assert "Retry-After" in responses[2].headers
    assert other.status == 201


async def test_no_free_port_is_a_503():
    """A port range that is used up refuses the next publisher, and says so."""
    async with serving(udp_port_min=40990, udp_port_max=40990) as (client, _, _):
        first, second = await post(client), await post(client)
        detail = await problem_of(second)

    assert (first.status, second.status) == (201, 503)
    assert "no free UDP port in 40990-40990" in detail


async def test_drained_worker_takes_no_more_publishers():
    """After `close` the endpoint answers 503, so another worker is asked."""
    async with serving() as (client, endpoint, _):
        await post(client)
        await endpoint.close("drained")
        response = await post(client)

    assert response.status == 503
