"""Webhooks over the API: what a server tells, that it holds no secret, and telling again."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiohttp import web

from tests.support.control_server import Server, settings
from tests.support.webhook_receiver import SECRET, Receiver, taken, telling
from tests.support.worker_report import report


async def refused(_: web.Request) -> web.StreamResponse:
    return web.Response(status=503)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as made:
        yield made


@pytest.fixture
async def server(tmp_path, receiver) -> AsyncIterator[Server]:
    made = settings()
    tree = replace(made, webhooks=telling(tmp_path, receiver, low_s=5))
    async with Server(tmp_path, tree) as started:
        yield started


async def test_a_show_its_viewer_and_its_batch_are_told_and_no_secret_with_them(
    server, receiver
) -> None:
    """One hour of a stream, as the operator's own server hears of it."""
    stream, ann = await server.stream(), await server.viewer()
    await server.ask("POST", "/internal/workers", report(stream), 204)
    minted = await server.mint()
    now = int(time.time())
    await server.claim(minted, ann, stream, now - 9, 2)
    await receiver.until(lambda it: "batch.final" in it.kinds())
    await server.api("DELETE", f"viewers/ann/sessions/{minted['session']}")
    await receiver.until(lambda it: "viewer.stopped" in it.kinds())
    await server.ask("POST", "/internal/workers", report(stream, show=6), 204)
    await receiver.until(lambda it: it.kinds().count("stream.live") == 2)

    of_stream = [
        body
        for _, body in receiver.taken()
        if body["data"].get("stream", {}).get("id") == stream["id"]
    ]
    assert [body["type"] for body in of_stream] == [
        "stream.live",
        "viewer.joined",
        "viewer.stopped",
        "stream.ended",
        "stream.live",
    ]
    joined, stopped = of_stream[1]["data"], of_stream[2]["data"]
    assert (joined["account"], joined["session"]) == (ann["account"], minted["session"])
    assert (stopped["session"], stopped["reason"]) == (minted["session"], "operator")
    (batch,) = [body["data"] for _, body in receiver.taken() if body["type"] == "batch.final"]
    assert (batch["seq"], batch["entries"], batch["refused"]) == (1, 1, 0)
    assert batch["settled_planck"] == "200000000"

    all_of_it = json.dumps([*receiver.came, *receiver.headers])
    admin = (server.data_dir / "admin.token").read_text().strip()
    for secret in (minted["token"], stream["stream_key"], ann["viewer_key"], admin, SECRET):
        assert secret not in all_of_it


async def test_a_restart_between_fact_and_delivery_loses_nothing(server, receiver) -> None:
    """What the receiver did not take is told by the next control."""
    receiver.answer = refused
    await server.stream()
    await server.viewer()
    await server.mint()
    waiting = (await server.api("GET", "webhooks"))["targets"][0]
    assert (waiting["target"], waiting["waiting"], waiting["sent"]) == ("r0", 2, 0)
    assert "?" not in waiting["host"]
    await server.stop_control()
    await server.start_control()
    await server.until_ready()
    assert (await server.api("GET", "webhooks"))["targets"][0]["waiting"] == 2
    receiver.answer = taken
    await receiver.until(lambda it: sorted(it.kinds()) == ["payment.booked", "viewer.joined"])


async def test_a_target_is_tried_and_told_again_on_demand(server, receiver) -> None:
    made = await server.api("POST", "webhooks/r0/test", {}, 201)
    await receiver.until(lambda it: it.kinds() == ["webhook.test"])
    assert receiver.taken()[0][0] == made["event"]
    async with asyncio.timeout(10):
        while (await server.api("GET", "webhooks"))["targets"][0]["sent"] == 0:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    page = await server.api("GET", "webhooks/deliveries?state=sent")
    (sent,) = page["deliveries"]
    assert (sent["event"], sent["tries"], sent["detail"]) == (made["event"], 1, "answered 200")
    assert page["next_before"] is None

    again = await server.api("POST", "webhooks/r0/replay", {"events": [made["event"]]})
    assert again == {"target": "r0", "events": 1}
    await receiver.until(lambda it: len(it.came) == 2)
    assert receiver.came[0][0] == receiver.came[1][0]
    (entry,) = (await server.api("GET", "audit?target=webhook:r0"))["entries"]
    assert (entry["action"], entry["after"]) == ("webhook.replay", {"events": 1})

    assert (await server.api("POST", "webhooks/r0/replay", {}))["events"] == 0
    await server.api("POST", "webhooks/other/test", {}, 404)
    await server.api("GET", "webhooks/deliveries?state=lost", status=422)
    await server.api("GET", "webhooks/deliveries?before=x", status=422)


async def test_pages_of_deliveries_follow_each_other(server, receiver) -> None:
    made = [(await server.api("POST", "webhooks/r0/test", {}, 201))["event"] for _ in range(3)]
    await receiver.until(lambda it: len(it.taken()) == 3)
    first = await server.api("GET", "webhooks/deliveries?limit=2&target=r0")
    rest = await server.api("GET", f"webhooks/deliveries?limit=2&before={first['next_before']}")
    listed = [item["event"] for item in [*first["deliveries"], *rest["deliveries"]]]
    assert (listed, rest["next_before"]) == (made[::-1], None)
