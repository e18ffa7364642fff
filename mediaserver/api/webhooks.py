"""``/api/v1/webhooks``: servers that are told what happens, what was told, telling again."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web

from mediaserver.api import context, who
from mediaserver.api.money.payments import choice
from mediaserver.api.queries import page_limit
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.webhooks import outbox
from mediaserver.webhooks.records import Delivery, DeliveryState
from mediaserver.webhooks.settings import WebhookTarget

IDS_MAX: Final = 100
_CURSOR: Final = re.compile(r"([1-9][0-9]{0,15})-([a-z0-9-]{1,39})")


@dataclass(frozen=True, slots=True)
class Replay:
    """Body of a replay; without `events`, what was given up."""

    events: list[str] = field(default_factory=list)


def routes() -> list[web.RouteDef]:
    """Return the routes of webhooks."""
    return [
        web.get("/api/v1/webhooks", _list),
        web.get("/api/v1/webhooks/deliveries", _deliveries),
        web.post("/api/v1/webhooks/{target}/replay", _replay),
        web.post("/api/v1/webhooks/{target}/test", _test),
    ]


async def _list(request: web.Request) -> web.Response:
    webhooks = context.of(request).webhooks
    counts = await webhooks.read(outbox.counts)

    def of(target: WebhookTarget) -> dict[str, Any]:
        waiting, oldest_ms = counts.get((target.name, DeliveryState.WAITING.value), (0, None))
        dead, _ = counts.get((target.name, DeliveryState.DEAD.value), (0, None))
        sent, _ = counts.get((target.name, DeliveryState.SENT.value), (0, None))
        parts = urlsplit(target.url)
        return {
            "target": target.name,
            # Some receivers know their callers by the path: the host is enough to tell them apart.
            "host": f"{parts.scheme}://{parts.netloc}",
            "events": list(target.events),
            "waiting": waiting,
            "oldest_waiting_ms": oldest_ms,
            "dead": dead,
            "sent": sent,
        }

    return web.json_response({"targets": [of(target) for target in webhooks.targets]})


async def _deliveries(request: web.Request) -> web.Response:
    state, limit = choice(request, "state", DeliveryState), page_limit(request, outbox.PAGE_MAX)
    target, before = request.query.get("target"), _cursor(request.query.get("before"))
    found = await context.of(request).webhooks.read(
        lambda connection: outbox.page(
            connection, limit=limit + 1, before=before, target=target, state=state
        )
    )
    last = found[limit - 1] if len(found) > limit else None
    return web.json_response(
        {
            "deliveries": [_delivery_json(delivery) for delivery in found[:limit]],
            "next_before": None if last is None else f"{last.event}-{last.target}",
        }
    )


async def _replay(request: web.Request) -> web.Response:
    shared, target = context.of(request), request.match_info["target"]
    webhooks = shared.webhooks
    wanted = await request_records.read(request, Replay)
    if len(wanted.events) > IDS_MAX:
        raise ApiError(
            422, "Invalid body", f"events: {len(wanted.events)} are over {IDS_MAX}; send fewer"
        )
    webhooks.require(target)
    now_ms = shared.clock.now_ms()
    count = await who.audited(
        request,
        "webhook.replay",
        f"webhook:{target}",
        lambda _, connection: outbox.replay(connection, target, wanted.events, now_ms),
        after=lambda count: {"events": count},
        is_change=bool,
    )
    webhooks.wake(target)
    return web.json_response({"target": target, "events": count})


async def _test(request: web.Request) -> web.Response:
    target = request.match_info["target"]
    return web.json_response(
        {"target": target, "event": await context.of(request).webhooks.test(target)}, status=201
    )


def _cursor(given: str | None) -> tuple[int, str] | None:
    if given is None:
        return None
    match = _CURSOR.fullmatch(given)
    if match is None:
        raise ApiError(422, "Invalid query", "before: is not what next_before of a page says")
    return int(match[1]), match[2]


def _delivery_json(delivery: Delivery) -> dict[str, Any]:
    return {
        "event": delivery.id,
        "kind": delivery.kind.value,
        "target": delivery.target,
        "state": delivery.state.value,
        "tries": delivery.tries,
        "created_ms": delivery.created_ms,
        "next_ms": delivery.next_ms if delivery.state is DeliveryState.WAITING else None,
        "detail": delivery.detail,
    }
