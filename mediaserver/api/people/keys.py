"""``/api/v1/keys`` and ``/api/v1/audit``: machines' keys, and what everybody did."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.queries import aged_cursor, page_limit
from mediaserver.api.who import audited, principal
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.people import api_keys, audit
from mediaserver.people.records import ApiKey, AuditEntry

PAGE_KEYS: Final = 500


@dataclass(frozen=True, slots=True)
class NewKey:
    """Body of a new key: what uses it, what for, and until when (Unix milliseconds)."""

    name: str
    scopes: list[str]
    expires_ms: int | None = None


def routes() -> list[web.RouteDef]:
    """Return the routes of keys and of the audit log."""
    return [
        web.get("/api/v1/keys", _list),
        web.post("/api/v1/keys", _make),
        web.delete("/api/v1/keys/{prefix}", _end),
        web.get("/api/v1/audit", _audit),
    ]


async def _list(request: web.Request) -> web.Response:
    shared = context.of(request)
    limit, before = page_limit(request, PAGE_KEYS), aged_cursor(request)
    found = await shared.people.read(
        lambda connection: api_keys.page(connection, limit + 1, before)
    )
    last = found[limit - 1] if len(found) > limit else None
    return web.json_response(
        {
            "keys": [_key_json(key) for key in found[:limit]],
            "next_before": None if last is None else f"{last.created_ms}-{last.prefix}",
        }
    )


async def _make(request: web.Request) -> web.Response:
    shared, actor = context.of(request), principal(request).actor
    wanted = await request_records.read(request, NewKey)
    now_ms = shared.clock.now_ms()
    key, made = await audited(
        request,
        "key.make",
        lambda pair: f"key:{pair[1].prefix}",
        lambda _, connection: api_keys.make(
            connection, wanted.name, wanted.scopes, actor, now_ms, wanted.expires_ms
        ),
        after=lambda pair: {"scopes": sorted(pair[1].scopes), "expires_ms": wanted.expires_ms},
    )
    shared.changed()
    await shared.sent()
    return web.json_response({**_key_json(made), "key": key}, status=HTTPStatus.CREATED)


async def _end(request: web.Request) -> web.Response:
    shared, prefix = context.of(request), request.match_info["prefix"]
    now_ms = shared.clock.now_ms()
    await audited(
        request,
        "key.end",
        f"key:{prefix}",
        lambda _, connection: api_keys.end(connection, prefix, now_ms),
    )
    shared.changed()
    return web.json_response({"ended": 1})


async def _audit(request: web.Request) -> web.Response:
    """Answer with a page of the log, as JSON or, with ``?format=jsonl``, as lines to keep."""
    shared, query = context.of(request), request.query
    after = _number(query.get("after", "0"), "after")
    target = query.get("target", "")
    found = await shared.people.read(
        lambda connection: audit.page(connection, after, target=target)
    )
    entries = [_entry_json(entry) for entry in found]
    next_after = found[-1].number if len(found) == audit.PAGE_MAX else None
    if query.get("format") == "jsonl":
        lines = "".join(f"{json.dumps(entry)}\n" for entry in entries)
        headers = {} if next_after is None else {"X-Vilokanam-Next-After": str(next_after)}
        return web.Response(text=lines, content_type="application/jsonl", headers=headers)
    fault = await shared.people.verify() if "verify" in query else None
    return web.json_response({"entries": entries, "next_after": next_after, "fault": fault})


def _number(text: str, name: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise ApiError(422, "Invalid query", f"{name}: {text[:32]!r} is not a whole number")
    return int(text)


def _key_json(key: ApiKey) -> dict[str, Any]:
    return {
        "prefix": key.prefix,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "made_by": key.made_by,
        "created_ms": key.created_ms,
        "expires_ms": key.expires_ms,
        "used_ms": key.used_ms,
        "ended_ms": key.ended_ms,
    }


def _entry_json(entry: AuditEntry) -> dict[str, Any]:
    return {
        "number": entry.number,
        "at_ms": entry.at_ms,
        "actor": entry.actor,
        "action": entry.action,
        "target": entry.target,
        "before": entry.before,
        "after": entry.after,
        "address": entry.address,
        "hash": entry.hash.hex(),
    }
