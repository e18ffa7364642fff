"""What viewers ask of control with their token."""

from __future__ import annotations

from typing import Final

from mediaserver.api.operations import money_answers, people_answers, stream_answers
from mediaserver.api.operations.operation import FILE, TEXT, Group, Parameter, operation
from mediaserver.api.streams import reports

GROUP: Final = Group(
    "What viewers may do for themselves",
    """
    Below their token, while its session is not over (403 `session`); no admin token. At most
    20 a minute for an account, else 429.

    Pages of the server's own origin may read the answers, and pages of the origins in
    `server.cors_origins`: `OPTIONS` is answered 204, and answers, errors too, carry
    `Access-Control-Allow-Origin` for them. No cookie is used: the token in the path is the
    right, so a page elsewhere gains nothing that its visitor did not give it. Media,
    playlists, the stream's data and the meter are open to every origin; `is_origin_listed` in
    the data says whether these routes are too.
    """,
    (
        operation(
            "POST /w/{token}/{slug}/session",
            """
            Mints again: another token of the same session, whose end stays. A session that another
            player *replaced* takes the slot back under another id, and goes on with what it has
            spent. Body: none. Answers 201 `{"token", "path", "session", "expires_ms", "ends_ms"}`.
            403 `session` when it was ended by its owner or the operator, or is not known.
            """,
            stream_answers.Minted,
            status=201,
            problems=(402, 409, 410, 451),
        ),
        operation(
            "DELETE /w/{token}/{slug}/session",
            """
            The player leaves.

            Its place among `auth.max_sessions` is free at once for another player, before anybody
            else's. Its session goes on: the next media that it asks for, or a `POST`, takes the
            place again, unless another player has it by then (403 `session`; a `POST` takes it
            back). `{"left"}`: whether it was live. The page sends it when it is closed.
            """,
            people_answers.Left,
        ),
        operation(
            "GET /w/{token}/{slug}/sessions",
            """
            The account's own players and links.

            Of all streams, as `GET /api/v1/viewers/{viewer}/sessions` shows them.
            """,
            stream_answers.Sessions,
        ),
        operation(
            "DELETE /w/{token}/{slug}/sessions",
            """
            Ends them for good, the one of this token among them; with `?session=00c4…` that one
            only. Answers `{"ended": 2}`. For who lent a link or lost a device: afterwards the
            operator mints a new one.
            """,
            stream_answers.Ended,
            query=(Parameter("session", TEXT, "Only this one."),),
        ),
        operation(
            "POST /w/{token}/{slug}/top-up",
            """
            Gives a balance.

            For demonstrations: gives `price.demo_top_up_planck` and answers `{"balance": "…",
            "debt": "0"}`. 403 with `top_up_url` when that is `"0"`, which is the default.
            """,
            people_answers.Balance,
            problems=(409,),
        ),
        operation(
            "GET /w/{token}/{slug}/receipts",
            """
            The viewer's own receipts of this stream. With `Accept: text/html` a page for people;
            else, and with `?file`, the signed file (`receipts-<stream>.json`). 404 with
            `Retry-After` before the first cut; in words for people, and their page asks again by
            itself.
            """,
            money_answers.ReceiptFile,
            query=(FILE,),
            media=("text/html",),
        ),
        operation(
            "GET /w/{token}/{slug}/settings",
            """
            When the viewer's players stop by themselves, as `GET /api/v1/me/player-settings`.
            """,
            people_answers.PlayerSettings,
        ),
        operation(
            "POST /{slug}/report",
            """
            Reports a stream.

            The form, or `{"text"}` as JSON (1 to 1,000 characters), by anybody. 201 `{"report"}`,
            for people a page; 422; 429: five an hour from one address. Below a token, too, for a
            stream by invitation.
            """,
            stream_answers.MadeReport,
            status=201,
            body=reports.NewReport,
            media=("text/html",),
            problems=(403,),
        ),
        operation(
            "POST /w/{token}/{slug}/report",
            "Reports a stream, as `POST /{slug}/report`.",
            stream_answers.MadeReport,
            status=201,
            body=reports.NewReport,
            media=("text/html",),
        ),
    ),
)
