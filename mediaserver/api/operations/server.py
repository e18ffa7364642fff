"""Keys, the audit log, webhooks and workers."""

from __future__ import annotations

from typing import Final

from mediaserver.api import webhooks
from mediaserver.api.operations import people_answers, server_answers, stream_answers
from mediaserver.api.operations.operation import (
    NUMBER,
    TEXT,
    Group,
    Parameter,
    before,
    choice,
    limit,
    operation,
)
from mediaserver.api.people import keys

GROUP: Final = Group(
    "The server",
    "",
    (
        operation(
            "GET openapi.json",
            """
            This description of the API, as OpenAPI 3.1.

            For everybody. `vilokanam api schema` writes the same without a server.
            """,
            server_answers.OpenApi,
        ),
        operation(
            "GET /llms.txt",
            """
            What a program that reads text should know first.

            What this API is, where its description is, and its most used calls. For everybody.
            """,
            media=("text/plain",),
        ),
        operation(
            "GET webhooks",
            """
            Your servers that are told what happens ([operator/webhooks.md](operator/webhooks.md)):
            `{"targets": [{"target", "host", "events", "waiting", "oldest_waiting_ms", "dead",
            "sent"}]}`. `events` is empty where a target is told all; `dead` were given up.
            """,
            server_answers.WebhookTargets,
        ),
        operation(
            "GET webhooks/deliveries",
            """
            What your servers were told.

            `{"deliveries": [{"event", "kind", "target", "state", "tries", "created_ms", "next_ms",
            "detail"}], "next_before"}`, the newest first; `?state=waiting|sent|dead`, `?target=`,
            `?limit=` (100; 200 at most), `?before=<next_before>`. `detail` is why the newest try
            failed. 422.
            """,
            server_answers.Deliveries,
            query=(
                choice("state", "waiting", "sent", "dead"),
                Parameter("target", TEXT, "Only those of a target."),
                limit(200),
                before(),
            ),
        ),
        operation(
            "POST webhooks/{target}/replay",
            """
            Tells a target again, under the same ids. Body: `events`, at most 100 ids; without it
            the oldest 1000 that were given up. `{"target", "events"}`: how many. 404.
            """,
            server_answers.Replayed,
            body=webhooks.Replay,
        ),
        operation(
            "POST webhooks/{target}/test",
            """
            Tells a target `webhook.test`. 201 `{"target", "event"}`, the event's id. 404.
            """,
            server_answers.Tested,
            status=201,
        ),
        operation(
            "GET workers",
            """
            The worker processes.

            `{"workers": [{"name", "pid", "stream", "state", "show"}, …]}`: one for each live
            stream, and the spares.
            """,
            server_answers.Workers,
        ),
        operation(
            "GET keys",
            """
            Keys of machines.

            `{"keys": [{"prefix", "name", "scopes", "made_by", "created_ms", "expires_ms",
            "used_ms", "ended_ms"}], "next_before"}`, the newest first.
            """,
            people_answers.Keys,
            query=(limit(500), before()),
        ),
        operation(
            "POST keys",
            """
            Makes a key.

            Body: `name`, `scopes`, `expires_ms` (left out: never). 201 with `key`, shown this
            once.
            """,
            people_answers.MadeKey,
            status=201,
            body=keys.NewKey,
        ),
        operation(
            "DELETE keys/{prefix}",
            "Ends a key. 404.",
            stream_answers.Ended,
        ),
        operation(
            "GET audit",
            """
            Who did what to whom.

            `{"entries", "next_after", "fault"}`, oldest first, 1,000 at a time: `?after=<number>`,
            `?target=<target>`; `?verify=1` checks the whole log and tells the `fault`, empty when
            it is whole; `?format=jsonl` gives lines to keep, and the header
            `X-Vilokanam-Next-After` while there are more.
            """,
            server_answers.AuditLog,
            query=(
                Parameter("after", NUMBER, "The number of an entry: what comes behind it."),
                Parameter("target", TEXT, "Only what was done to it."),
                Parameter("verify", TEXT, "Check the whole log."),
                choice("format", "json", "jsonl"),
            ),
            media=("application/jsonl",),
        ),
    ),
)
