"""What people, machines and strangers cost an HTTP process before control has judged them."""

import hashlib
import hmac

import pytest

from mediaserver.api.auth import WRONG_HEADER
from mediaserver.http.wrong_keys import FREE
from mediaserver.people.permissions import TABLE, OpenTo, is_open
from tests.support.front_harness import Front, policy

STRANGER = "X-Forwarded-For: 203.0.113.9"
COOKIE = "Cookie: vilokanam=x"
SECRET = "vk_0123456789ab_" + "k" * 43


@pytest.fixture
async def front(redis_folder, unused_tcp_port_factory):
    async with Front(redis_folder, unused_tcp_port_factory()) as running:
        keys = (("0123456789ab", hashlib.sha256(SECRET.encode()).digest()),)
        running.know(replace_keys(keys))
        running.go.set()
        yield running


def replace_keys(keys):
    from msgspec import structs

    return structs.replace(policy(), api_keys=keys)


async def test_a_machines_key_is_taken_from_anywhere_and_a_wrong_one_asks_nobody(front) -> None:
    right = await front.ask("GET /api/v1/streams", f"Authorization: Bearer {SECRET}", STRANGER)
    other = await front.ask(
        "GET /api/v1/streams", f"Authorization: Bearer {SECRET[:-1]}j", STRANGER
    )
    unknown = await front.ask(
        "GET /api/v1/streams", f"Authorization: Bearer vk_{'0' * 12}_{'k' * 43}", STRANGER
    )

    assert (right.status, other.status, unknown.status) == (204, 401, 401)
    assert len(front.heard) == 1


@pytest.mark.parametrize("where", [{}, {"host": "127.0.0.1"}])
async def test_a_key_that_is_cut_is_told_how_one_looks(front, where) -> None:
    """Its holder never had an admin token, and has no use for where that is."""
    given = () if where else (STRANGER,)
    answer = await front.ask("GET /api/v1/streams", "Authorization: Bearer vk_bad", *given, **where)

    assert answer.status == 401
    assert b"one is vk_, 12 hexadecimal digits, _ and 43 characters" in answer.body
    assert b"admin_token_file" not in answer.body


async def test_wrong_keys_of_every_kind_go_one_way(front, monkeypatch) -> None:
    """No answer tells by its time whether there is such a key or stream, or how near it was."""
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def spy(given: bytes, right: bytes) -> bool:
        compared.append((len(given), len(right)))
        return compare(given, right)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    api, whip = "GET /api/v1/streams", "POST /{}/whip"
    shown = [
        (api, SECRET[:-1] + "j"),  # the last letter is wrong
        (api, f"vk_0123456789ab_{'j' * 43}"),  # all are
        (api, f"vk_{'0' * 12}_{'k' * 43}"),  # there is no such key
        (api, "not the admin token"),
        (whip.format("cam"), "not its key"),
        (whip.format("no-such"), "not its key"),
    ]
    for number, (line, key) in enumerate(shown):
        kind = "Content-Type: application/sdp"
        await front.ask(line, kind, f"Authorization: Bearer {key}", host=f"127.0.1.{number + 1}")
        assert (compared, len(front.waits)) == ([(32, 32)] * 2, number + 1), key
        compared.clear()


async def test_who_shows_nothing_asks_control_only_what_is_open(front) -> None:
    for row in TABLE:
        path = row.path.replace("{", "").replace("}", "")
        body = b"" if row.method == "GET" else b"{}"
        reply = await front.ask(f"{row.method} {path}", STRANGER, body=body)
        assert (reply.status == 204) == is_open(row.path) == (row.open_to is OpenTo.ANYONE), row


async def test_whether_a_cookie_is_right_is_controls_to_say_and_a_wrong_one_waits(front) -> None:
    front.worker_status, front.worker_headers = 401, {WRONG_HEADER: "session"}
    for _ in range(FREE + 2):
        reply = await front.ask("GET /api/v1/me", COOKIE, STRANGER)
        assert reply.status == 401
        assert WRONG_HEADER.lower() not in reply.headers
    assert len(front.waits) == FREE + 2
    assert front.waits[-1] > front.waits[FREE] > 0

    front.worker_status, front.worker_headers = 200, {}
    assert (await front.ask("GET /api/v1/me", COOKIE, STRANGER)).status == 200
    assert len(front.waits) == FREE + 2  # what is right never waits


@pytest.mark.parametrize("fields", [(COOKIE,), ()])
async def test_a_strangers_body_is_as_large_as_a_passkey_and_no_larger(front, fields) -> None:
    fits = await front.ask("POST /api/v1/sign-in/passkey", *fields, body=bytes(16_000))
    large = await front.ask("POST /api/v1/sign-in/passkey", *fields, body=bytes(17_000), sends=b"")

    assert (fits.status, large.status) == (204, 413)


@pytest.mark.parametrize("keys", [(SECRET, "other"), ("other", SECRET), (SECRET, SECRET)])
async def test_of_two_keys_none_is_taken(front, keys) -> None:
    """The one that is judged here is not the one that control would get."""
    lines = [f"Authorization: Bearer {key}" for key in keys]
    assert (await front.ask("GET /api/v1/streams", *lines, STRANGER)).status == 401
    assert not front.heard


async def test_the_account_page_is_one_address(front) -> None:
    page = await front.ask("GET /me/")
    assert page.status == 200
    assert b"Your account" in page.body
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    short = await front.ask("GET /me")
    assert (short.status, short.headers["location"]) == (308, "/me/")
    assert "set-cookie" not in page.headers


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "//evil.example/me",
        "/\\\\evil.example",
        "/%2f%2fevil.example",
        "/https:%2f%2fevil.example",
        "/me?next=https://evil.example",
        "/cam?back=//evil.example",
        "/w/x/cam?to=//evil.example",
    ],
)
async def test_no_address_sends_anybody_to_another_site(front, path) -> None:
    """Where a slash is added, it is to our own path, and to nothing that the address brought."""
    answer = await front.ask(f"GET {path}")

    location = answer.headers.get("location", "/")
    assert location.startswith("/")
    assert not location.startswith(("//", "/\\"))
    assert "evil" not in location
