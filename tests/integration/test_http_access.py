"""What strangers' keys and bodies cost an HTTP process: what they should."""

import asyncio
import contextlib
import json

import pytest

from tests.support.clock import FakeClock
from tests.support.front_harness import ADMIN, KEY, Front, on_uvloop, policy, read_reply

BEARER = f"Authorization: Bearer {ADMIN}"
STRANGER = "X-Forwarded-For: 203.0.113.9"
OFFER = ("POST /cam/whip", "Content-Type: application/sdp")


@pytest.fixture
async def front(redis_folder, unused_tcp_port_factory):
    async with Front(redis_folder, unused_tcp_port_factory()) as running:
        running.know(policy())
        yield running


def hears_nothing(front: Front) -> bool:
    return not front.heard


async def test_a_m7_admin_token_is_taken_only_from_the_admins_networks(front) -> None:
    """A token that leaked is nothing on the internet; the refusal says where it is something."""
    inside = await front.ask("GET /api/v1/streams", BEARER)
    outside = await front.ask("GET /api/v1/streams", BEARER, STRANGER)
    forged = await front.ask("GET /api/v1/streams", BEARER, "X-Forwarded-For: 127.0.0.1, 6.6.6.6")
    unsure = await front.ask("GET /api/v1/streams", BEARER, "X-Forwarded-For: 127.0.0.1, 127.0.0.2")

    assert (inside.status, outside.status) == (204, 403)
    assert (forged.status, unsure.status) == (403, 403)
    assert b"auth.admin_networks" in outside.body
    assert b"203.0.113.9" in outside.body
    assert [heard.path for heard in front.heard] == ["/api/v1/streams"]


async def test_a_m7_what_is_public_of_the_api_is_for_all(front) -> None:
    """A viewer checks a receipt with the operator's public key, wherever they are.

    However many ask, control is asked once a second; a body is not waited for.
    """
    clock = FakeClock()
    front.process._public_answers._monotonic = clock.monotonic
    replies = [await front.ask("GET /api/v1/operator", STRANGER) for _ in range(3)]
    replies.append(await front.ask("GET /api/v1/operator", body=bytes(60_000), sends=b""))
    asked = len(front.heard)
    clock.move(1.0)
    replies.append(await front.ask("HEAD /api/v1/operator", STRANGER))

    assert {reply.status for reply in replies} == {204}
    assert (asked, len(front.heard)) == (1, 2)


async def test_what_is_public_is_asked_for_in_nobodys_name(front) -> None:
    """A wrong key or a query of one who asks changes nothing for the others, and tries no key."""
    for path in ("operator?x=1", "openapi.json"):
        await front.ask(f"GET /api/v1/{path}", STRANGER, "Authorization: Bearer guess")
    await front.ask("GET /llms.txt", STRANGER, "Cookie: vilokanam=x", "If-None-Match: *")

    assert [heard.path for heard in front.heard] == [
        *("/api/v1/operator", "/api/v1/openapi.json", "/llms.txt")
    ]
    held = {name.lower() for heard in front.heard for name, _ in heard.headers}
    assert held.isdisjoint({"authorization", "cookie", "if-none-match"})


@pytest.mark.parametrize(
    ("line", "fields", "status"),
    [
        ("POST /api/v1/viewers", ("Authorization: Bearer wrong",), 401),
        ("POST /api/v1/viewers", (), 401),
        ("POST /api/v1/viewers", (STRANGER, BEARER), 403),
        ("POST /cam/whip", ("Authorization: Bearer wrong",), 401),
        ("POST /none/whip", (f"Authorization: Bearer {KEY}",), 404),
        ("POST /cam/whip", (), 401),
        ("POST /w/wrong/cam/session", (), 403),
        ("POST /nothing/here", (), 404),
        ("PUT /cam/whip", (), 405),
        ("DELETE /cam/whip", (), 405),
        ("POST /api/v1/operator", (), 405),
    ],
)
async def test_a_m6_a_wrong_key_is_answered_before_the_body(front, line, fields, status) -> None:
    """Nobody's megabyte is held for ten seconds before its key is looked at."""
    reply = await front.ask(line, *fields, body=bytes(60_000), sends=b"")

    assert reply.status == status
    assert reply.headers["connection"] == "close"
    assert hears_nothing(front)


async def test_a_m6_a_sessions_key_is_asked_before_its_body(front) -> None:
    """The worker that holds a WHIP session knows its key, whatever the stream's is by now."""
    front.worker_status = 401
    reply = await front.ask("PATCH /cam/whip/w1.secret", body=bytes(60_000), sends=b"")
    refused = [heard.method for heard in front.heard]
    front.worker_status = 204
    taken = await front.ask("PATCH /cam/whip/w1.secret", body=b"fragment")

    assert (reply.status, taken.status) == (401, 204)
    assert refused == ["GET"]
    assert front.heard[-1].method == "PATCH"
    assert front.heard[-1].body == b"fragment"


@pytest.mark.parametrize(
    ("line", "fields", "limit"),
    [
        ("POST /api/v1/viewers", (BEARER,), 64 << 10),
        ("POST /cam/whip", (f"Authorization: Bearer {KEY}",), 64 << 10),
    ],
)
async def test_a_m6_bodies_are_bounded_by_route(front, line, fields, limit) -> None:
    """The largest that means something passes, one byte more does not, told or not."""
    most = await front.ask(line, *fields, body=bytes(limit))
    declared = await front.ask(line, *fields, body=bytes(limit + 1), sends=b"")
    chunk = b"%x\r\n" % (limit + 1) + bytes(limit + 1) + b"\r\n0\r\n\r\n"
    undeclared = await front.ask(line, *fields, "Transfer-Encoding: chunked", sends=chunk)

    assert [most.status, declared.status, undeclared.status] == [204, 413, 413]
    assert [len(heard.body) for heard in front.heard] == [limit]


async def test_a_m6_all_bodies_together_are_bounded(redis_folder, unused_tcp_port_factory) -> None:
    """However many send at once, what is held has a bound, and what finds no room is told."""
    async with Front(redis_folder, unused_tcp_port_factory()) as front:
        front.know(policy())
        front.process._proxy._held_bytes_max = 100_000
        async with contextlib.AsyncExitStack() as stack:
            head = f"POST /api/v1/viewers HTTP/1.1\r\nHost: x\r\n{BEARER}\r\nContent-Length: 60000"
            slow = []
            for _ in range(2):
                pair = await stack.enter_async_context(front.connected())
                pair[1].write(head.encode() + b"\r\n\r\n" + bytes(59_999))
                slow.append(pair)

            replies = [asyncio.create_task(read_reply(reader)) for reader, _ in slow]
            done, waiting = await asyncio.wait(replies, return_when=asyncio.FIRST_COMPLETED)
            assert [task.result().status for task in done] == [503]
            slow[replies.index(next(iter(waiting)))][1].write(b"x")
            assert (await next(iter(waiting))).status == 204
        again = await front.ask("POST /api/v1/viewers", BEARER, body=bytes(60_000))

        assert again.status == 204
        assert front.metric("mediaserver_http_drops_total", "bodies") == 1


async def test_a_m7_wrong_keys_are_counted_and_logged_once(front, capfd) -> None:
    """Twenty thousand attempts are a number and a line, not nothing and not a full disk."""
    for line, field in (("GET /api/v1/streams", ""), OFFER):
        for _ in range(3):
            await front.ask(line, field or "Accept: */*", "Authorization: Bearer wrong")

    lines = [line for line in capfd.readouterr().out.splitlines() if "http.key.refused" in line]
    assert front.metric("mediaserver_http_key_refusals_total", "admin") == 3
    assert front.metric("mediaserver_http_key_refusals_total", "stream") == 3
    assert len(lines) == 2
    assert all("127.0.0.1" in line for line in lines)
    assert hears_nothing(front)


async def test_a_m7_wrong_keys_wait_and_too_many_at_once_are_turned_away(front) -> None:
    """A program that tries keys in parallel is told so; who has the right one passes meanwhile."""
    front.go.clear()
    tries = [
        asyncio.create_task(front.ask("GET /api/v1/streams", f"Authorization: Bearer {number}"))
        for number in range(40)
    ]
    await next(asyncio.as_completed(tries))
    right = await front.ask("GET /api/v1/streams", BEARER)
    front.go.set()
    done = await asyncio.gather(*tries)

    assert right.status == 204
    assert sorted({reply.status for reply in done}) == [401, 429]
    assert sum(reply.status == 401 for reply in done) == len(front.waits) == 8
    assert max(front.waits) == 4


@pytest.mark.parametrize(
    "line", ["POST session", "GET sessions", "DELETE sessions", "POST top-up", "GET receipts"]
)
async def test_a_m7_a_wrong_link_is_answered_from_memory(front, line) -> None:
    """Control, which writes the book, has no work by those who have no link."""
    method, leaf = line.split()
    program = await front.ask(f"{method} /w/wrong/cam/{leaf}")
    person = await front.ask(f"{method} /w/wrong/cam/{leaf}", "Accept: text/html")

    assert (program.status, json.loads(program.body)["reason"]) == (403, "malformed")
    assert (person.status, b"This link is damaged" in person.body) == (403, True)
    assert hears_nothing(front)


async def test_a_m7_a_key_made_a_moment_ago_is_good(front) -> None:
    """The first offer after `streams create` never meets a process that does not know the key."""
    front.go.clear()
    asked = asyncio.create_task(
        front.ask("POST /new/whip", "Authorization: Bearer fresh", body=b"offer")
    )
    await asyncio.wait_for(front.is_waiting.wait(), 5)
    front.know(policy({"new": "fresh"}))
    front.go.set()

    assert (await asked).status == 204


async def test_a_m5_a_forwarded_address_is_one_and_the_clients(front) -> None:
    """What bounds behind count by is the address that was found, whatever a client added to it."""
    await front.ask(
        *OFFER, f"Authorization: Bearer {KEY}", "x-forwarded-for: 6.6.6.6, 203.0.113.9",
        "Forwarded: for=203.0.113.9",
    )  # fmt: skip

    names = [name.lower() for name, _ in front.heard[0].headers]
    assert front.heard[0].address == "203.0.113.9"
    assert names.count("x-forwarded-for") == 1
    assert "forwarded" not in names


async def test_where_two_headers_disagree_the_address_is_unknown_behind(front) -> None:
    """A token is minted, or not, by what its media are judged by: nobody's own word counts."""
    for fields in (
        ("X-Forwarded-For: 6.6.6.6", "Forwarded: for=203.0.113.9"),
        ("X-Forwarded-For: 203.0.113.9", "Forwarded: for=6.6.6.6"),
    ):
        await front.ask(*OFFER, f"Authorization: Bearer {KEY}", *fields)

    assert [heard.address for heard in front.heard] == ["unknown", "unknown"]


@on_uvloop
async def test_a_m5_an_edge_is_known_by_its_key(redis_folder, unused_tcp_port_factory) -> None:
    """An edge anywhere tells who its viewers are, and its connections are not one viewer's."""
    (redis_folder / "edge.key").write_text("edge-key")
    tables = {"connections_per_address_max": 8, "trusted_proxies": ()}
    async with (
        Front(redis_folder, unused_tcp_port_factory(), server=tables) as front,
        contextlib.AsyncExitStack() as stack,
    ):
        front.know(policy())
        fields = f"Authorization: Bearer {KEY}\r\n{STRANGER}\r\nX-Vilokanam-Via: edge-key"
        for _ in range(20):
            reader, writer = await stack.enter_async_context(front.connected("127.0.0.2"))
            writer.write(f"POST /cam/whip HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n".encode())
            assert (await read_reply(reader)).status == 204
        await front.ask("POST /cam/whip", f"Authorization: Bearer {KEY}", STRANGER,
                        "X-Vilokanam-Via: wrong", host="127.0.0.3")  # fmt: skip

        assert {heard.address for heard in front.heard[:20]} == {"203.0.113.9"}
        assert front.heard[20].address == "127.0.0.3"


@on_uvloop
async def test_a_l3_chunks_of_a_byte_are_not_parsed_for_nothing(
    redis_folder, unused_tcp_port_factory
) -> None:
    """After a refusal what is still sent is thrown away unread, and not for long."""
    async with Front(redis_folder, unused_tcp_port_factory()) as front:
        front.know(policy())
        bodies = front.bodies_of_keys()
        async with front.connected() as (reader, writer):
            writer.write(
                b"POST /api/v1/viewers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wrong\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 40_000
            )
            reply = await read_reply(reader)
            rest = await reader.read()

        assert reply.status == 401
        assert rest == b""
        assert [body.total_bytes < 2048 for body in bodies] == [True]


@on_uvloop
async def test_a_l3_who_sends_first_and_reads_then_gets_the_refusal(
    redis_folder, unused_tcp_port_factory
) -> None:
    """A connection reset at the first surplus byte would take the reason along (RFC 9112, 9.6)."""
    async with Front(redis_folder, unused_tcp_port_factory()) as front:
        front.know(policy())
        async with front.connected() as (reader, writer):
            writer.write(
                b"POST /api/v1/viewers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wrong\r\n"
                b"Content-Length: 20000000\r\n\r\n"
            )
            for _ in range(20):
                writer.write(bytes(500_000))
                await writer.drain()
            reply = await read_reply(reader)

        assert reply.status == 401


@on_uvloop
async def test_a_l3_a_body_in_chunks_of_a_byte_is_taken_in_turns(
    redis_folder, unused_tcp_port_factory
) -> None:
    """One sender's tiny chunks hold nobody up: a thousand of them are read ahead, not all."""
    async with Front(redis_folder, unused_tcp_port_factory()) as front:
        front.know(policy())
        bodies = front.bodies_of_keys()
        async with front.connected() as (reader, writer):
            writer.write(
                f"POST /api/v1/viewers HTTP/1.1\r\nHost: x\r\n{BEARER}\r\n".encode()
                + b"Transfer-Encoding: chunked\r\n\r\n"
                + b"1\r\nx\r\n" * 20_000
                + b"0\r\n\r\n"
            )
            reply = await read_reply(reader)

        assert reply.status == 204
        assert len(front.heard[0].body) == 20_000
        assert front.read_ahead[0] < 2048
        assert bodies[0].total_bytes == 20_000


async def test_o27_no_answer_tells_versions(front) -> None:
    """Nobody learns from an answer which fault of which version to try."""
    for line in ("GET /healthz", "GET /nothing/here", "POST /api/v1/x", "BAD\x01 /"):
        reply = await front.ask(line)
        assert reply.headers["server"] == "vilokanam"
