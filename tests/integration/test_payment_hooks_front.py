"""What a provider's webhooks, and who pretends to be one, cost an HTTP process."""

import pytest

from mediaserver.api.auth import WRONG_HEADER
from mediaserver.http.wrong_keys import FREE
from tests.support.front_harness import Front, policy

STRANGER = "X-Forwarded-For: 203.0.113.9"
HOOK = "POST /hooks/payments/webhook"
SIGNED = "webhook-signature: v1,AAAA"


@pytest.fixture
async def front(redis_folder, unused_tcp_port_factory):
    async with Front(redis_folder, unused_tcp_port_factory()) as running:
        running.know(policy())
        running.go.set()
        yield running


async def test_a_webhook_needs_no_key_and_reaches_control_byte_for_byte(front) -> None:
    """Its signature is over the body as it was sent."""
    body = b'{ "order" :\t"\xc3\xa9" }\r\n'

    reply = await front.ask(HOOK, STRANGER, SIGNED, body=body)

    assert reply.status == 204
    (heard,) = front.heard
    assert (heard.path, heard.body) == ("/hooks/payments/webhook", body)
    assert ("webhook-signature", "v1,AAAA") in heard.headers
    assert not {name for name in reply.headers if name.startswith("access-control")}
    assert "set-cookie" not in reply.headers


async def test_a_wrong_signature_waits_as_a_wrong_key_does(front) -> None:
    front.worker_status, front.worker_headers = 401, {WRONG_HEADER: "payment webhook"}
    for _ in range(FREE + 2):
        reply = await front.ask(HOOK, STRANGER, SIGNED, body=b"{}")
        assert reply.status == 401
        assert WRONG_HEADER.lower() not in reply.headers
    assert front.waits[-1] > front.waits[FREE] > 0
    assert front.process._access.refused["payment webhook"] == FREE + 2

    front.worker_status, front.worker_headers = 200, {}
    assert (await front.ask(HOOK, STRANGER, SIGNED, body=b"{}")).status == 200
    assert len(front.waits) == FREE + 2


async def test_a_body_is_as_large_as_a_checkouts_and_no_larger(front) -> None:
    fits = await front.ask(HOOK, STRANGER, body=bytes(64 << 10))
    large = await front.ask(HOOK, STRANGER, body=bytes((64 << 10) + 1), sends=b"")

    assert (fits.status, large.status) == (204, 413)
    assert len(front.heard) == 1
