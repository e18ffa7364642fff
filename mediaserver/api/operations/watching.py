"""Who watches: the audience, sessions, bars, tokens and joins."""

from __future__ import annotations

from typing import Final

from mediaserver.api.operations import stream_answers
from mediaserver.api.operations.operation import (
    BEFORE_NUMBER,
    EDGE,
    NUMBER,
    STREAM,
    VIEWER,
    Group,
    Parameter,
    before,
    limit,
    operation,
)
from mediaserver.api.streams import bars
from mediaserver.api.viewers import join_stream, token_join, tokens

GROUP: Final = Group(
    "Who watches",
    "",
    (
        operation(
            "GET streams/{slug}/audience",
            """
            Who watches now, 2 s old at most: `{"stream", "at_ms", "viewers", "players",
            "players_by_edge", "estimated_players", "is_complete"}`. See
            [operator/audience.md](operator/audience.md). 404.
            """,
            stream_answers.Audience,
        ),
        operation(
            "GET streams/{slug}/audience/minutes",
            """
            From the book, the minutes that somebody watched: `{"stream", "minutes": [{"minute",
            "peak", "viewers", "watch_seconds", "planck", "seconds"}], "next_from"}`. `minute` is
            its first Unix second; `seconds` is how many accounts watched each of its 60 seconds;
            `planck` is what they paid together. `?from=` and `?to=` are Unix seconds, `?limit=`
            (100, at most 1000) minutes; the rest comes with `?from=<next_from>`. 404.
            """,
            stream_answers.Minutes,
            query=(
                Parameter("from", NUMBER, "Unix second of the first."),
                Parameter("to", NUMBER, "Unix second up to which."),
                limit(1000),
            ),
        ),
        operation(
            "GET streams/{slug}/sessions",
            "Its players, live or not, the newest first: as `GET /api/v1/sessions`.",
            stream_answers.PlayingSessions,
            query=(VIEWER, EDGE, limit(500), before()),
        ),
        operation(
            "DELETE streams/{slug}/sessions/{session}",
            """
            Ends one of its players for good, as `DELETE
            /api/v1/viewers/{viewer}/sessions/{session}`: `{"ended"}`. 404.
            """,
            stream_answers.Ended,
        ),
        operation(
            "GET streams/{slug}/bars",
            """
            Who is barred from it, the newest first: `{"bars": [{"bar", "viewer", "is_open",
            "until_ms", "reason", "made_by", "made_ms", "ended_ms"}], "next_before"}`. `?limit=`
            (100, at most 500), `?before=<next_before>`. Those that are over are listed too.
            """,
            stream_answers.Bars,
            query=(limit(500), BEFORE_NUMBER),
        ),
        operation(
            "POST streams/{slug}/bars",
            """
            Bars an account from the stream. Body: `viewer` (a name or account), `reason` (1 to 200
            characters; the viewer reads it), `until_ms` (left out: until it is taken back). 201
            with the bar and how many players it `ended`. They get no byte after one second plus
            one segment, and nothing more is minted for them: 403 `barred`, with `until_ms`. While
            a bar holds the stream asks everybody for a token, also when it is free. A bar that
            holds is replaced; one that staff made is left alone by the stream's creator: 409. 404;
            422.
            """,
            stream_answers.MadeBar,
            status=201,
            body=bars.NewBar,
            problems=(409,),
        ),
        operation(
            "DELETE streams/{slug}/bars/{bar}",
            """
            Takes a bar back; again is harmless. Of staff's, staff alone, also when who made it has
            left: 403. 404.
            """,
            stream_answers.Bar,
        ),
        operation(
            "POST streams/{slug}/join",
            """
            Joins a stream.

            For who is signed in: mints a link for oneself, of a stream that costs something or is
            free. Body: `{}`, or `session`, the id that an earlier join answered: a page that is
            loaded again goes on as the player that it was, and takes no second place among
            `auth.max_sessions`. `limit_planck` is what this player may spend in all, beside one's
            [limits](#get-apiv1melimits). Who has no account yet is given one, with a key that the
            server keeps. Answers 201 as `POST /api/v1/tokens` does, on a chain by the same rules.
            At most 20 a minute for a person, else 429.

            402 with `reason` `purse` when the balance is empty: `account`, `balance`, `debt`,
            `planck_per_s` and `top_up_url` say what to fill and where. 404; 409 with `reason`
            `closed` for a stream that is closed to viewers; 403 with `reason` `hook`, and why,
            where the operator's own server does not allow it, 503 where it does not answer
            ([webhooks](operator/webhooks.md#what-your-server-decides)).
            """,
            stream_answers.Joined,
            status=201,
            body=join_stream.Join,
            problems=(402, 409, 410, 451),
        ),
        operation(
            "POST streams/{slug}/join/token",
            """
            Joins a stream by a token of the operator's own.

            For an operator's own token (JWT) of an issuer in `[[watch.issuers]]`, in the header
            `Authorization: Bearer` or as `token` in the body; no cookie counts. 201 as a join; the
            session ends when the token does, and the same token goes on with the same session.
            401: it does not hold, and `detail` says why; 402 and 409 as a join; 503: its issuer's
            keys cannot be had. See [people.md](people.md).
            """,
            stream_answers.Joined,
            status=201,
            body=token_join.ShownToken,
            problems=(402, 409, 410, 451),
        ),
        operation(
            "GET sessions",
            """
            Players, live or not, the newest first: `{"sessions": [{"session", "stream", "viewer",
            "state", "is_playing", "edge", "created_ms", "expires_ms", "ends_ms", "ended_ms"}],
            "next_before"}`. `is_playing` and `edge` are of now, as in the audience. `?stream=`,
            `?viewer=`, `?edge=<address>` (who plays through it now), `?limit=` (100, at most 500),
            `?before=<next_before>`. 404; 422.
            """,
            stream_answers.PlayingSessions,
            query=(STREAM, VIEWER, EDGE, limit(500), before()),
            problems=(404,),
        ),
        operation(
            "GET bars",
            "Who is barred from the whole server: as from a stream.",
            stream_answers.Bars,
            query=(limit(500), BEFORE_NUMBER),
        ),
        operation(
            "POST bars",
            """
            Bars an account from the whole server: as from a stream. On a free public stream nobody
            shows a token, so a bar from the server does not hold there; bar them from the stream
            too.
            """,
            stream_answers.MadeBar,
            status=201,
            body=bars.NewBar,
            problems=(404, 409),
        ),
        operation(
            "DELETE bars/{bar}",
            "Takes a bar from the whole server back. 404.",
            stream_answers.Bar,
        ),
        operation(
            "POST tokens",
            """
            Opens a session for one player and mints its token. Body: `viewer`, `stream` (a slug),
            `ttl_s` (60 to 604800). With `ttl_s` session and token end after it; left out, the
            session ends after `auth.session_life_s` and the token lives `auth.token_ttl_s` of
            that. The session's end, `ends_ms`, stays where it is, however often its token is
            renewed. Answers 201:

                {"token": "…108 characters…", "path": "/w/<token>/cam/", "session": "00c4…",
                 "expires_ms": 1700043200000,
                 "ends_ms": 1700043200000, "watch_url": "https://live.example.org/w/<token>/cam/",
                  "hls_url": "https://…/index.m3u8",
                 "account": "0x…", "stream": "cam"}

            When `auth.max_sessions` players are live already, the one that was idle longest ends.
            404, 422, 503; 409 for a stream that is closed to viewers.

            On a chain the session counts under the viewer's open join, and its token ends with it.
            A viewer whose key the server holds is joined when they are not, and answered as soon
            as a block has that. For others 402 says that nothing is in escrow or that the join
            allows less than the price, 403 that they have not joined: `{"missing": ["escrow",
            "join"] | ["join"] | ["price"], "operator", "account", "chain_stream", "planck_per_s"}`
            name what to sign.
            """,
            stream_answers.Joined,
            status=201,
            body=tokens.NewToken,
            problems=(402, 404, 409, 410, 451),
        ),
    ),
)
