"""``llms.txt``: what a program that reads text should know of this API first (llmstxt.org)."""

from __future__ import annotations

from typing import Final

from mediaserver.api.operations import openapi
from mediaserver.api.operations.table import OPERATIONS

SCHEMA_PATH: Final = "/api/v1/openapi.json"
_MOST_USED: Final = (
    "GET /api/v1/streams",
    "POST /api/v1/streams",
    "GET /api/v1/streams/{slug}",
    "POST /api/v1/streams/{slug}/prices",
    "GET /api/v1/streams/{slug}/audience",
    "POST /api/v1/viewers",
    "POST /api/v1/viewers/{viewer}/credits",
    "POST /api/v1/tokens",
    "POST /api/v1/streams/{slug}/join",
    "GET /api/v1/usage",
)
_BY_LINE: Final = {row.line: row for row in OPERATIONS}


def text(public_url: str) -> str:
    """Return the file of a server."""
    rows = [_BY_LINE[line] for line in _MOST_USED]
    calls = "\n".join(f"- `{row.line}`: {openapi.summary(row)}." for row in rows)
    return f"""# Vilokanam

> A live media server with per-second metering: streams come in by WHIP, are watched as low-latency
> HLS, and every second that somebody watches is billed once. This is its HTTP API.

- Every route, body, answer and error: [{public_url}{SCHEMA_PATH}]({public_url}{SCHEMA_PATH}) \
(OpenAPI 3.1).
- A program sends `Authorization: Bearer <key>`; the operator makes keys with `vilokanam keys make`,
  each with the scopes that a route names. A browser sends the cookie of its session, never both. A
  viewer's token is part of the path: `/w/<token>/<stream>/`.
- Bodies are JSON; an unknown field is refused. Amounts are planck, as decimal strings. Times ending
  in `_ms` are Unix milliseconds, ticks are Unix seconds.
- Lists come in pages: `next_after` (or `next_before`) is what `?after=` (`?before=`) takes.
- Errors are `application/problem+json`: read `detail`, and `faults` for each field. What brings or
  takes money needs the header `Idempotency-Key`; repeat a request with the same key.

## The ten most used calls

{calls}
"""
