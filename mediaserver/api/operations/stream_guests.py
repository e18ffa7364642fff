"""Who may see a stream: guests, links, a password, and coming in by them."""

from __future__ import annotations

from typing import Final

from mediaserver.api.operations import stream_answers
from mediaserver.api.operations.operation import (
    AFTER,
    BEFORE_NUMBER,
    STREAM,
    TEXT,
    Group,
    Parameter,
    choice,
    limit,
    operation,
)
from mediaserver.api.streams import guests, redeem, reports, rules, takedowns

GROUP: Final = Group(
    "Who may see a stream",
    "",
    (
        operation(
            "GET streams/{slug}/guests",
            """
            Who may see the stream, and its guests.

            `{"visibility", "has_password", "links", "guests", "next_after"}`: a guest is
            `{"guest": "<person's id or account>", "kind": "person|account", "way":
            "listed|link|password|minted", "link", "since_ms"}`, a link `{"id", "is_open",
            "uses_max", "uses", "made_by", "created_ms", "expires_ms", "ended_ms"}`. 500 guests at
            a time, the rest with `?after=`.
            """,
            stream_answers.Guests,
            query=(AFTER,),
        ),
        operation(
            "POST streams/{slug}/guests",
            """
            Makes somebody a guest.

            Body: `person` (an id), or `viewer` (a name or account). 201 with the guest; again is
            harmless. 404.
            """,
            stream_answers.Guest,
            status=201,
            body=guests.NewGuest,
        ),
        operation(
            "DELETE streams/{slug}/guests/{guest}",
            """
            Removes a guest: as the list names them or by the viewer's name, and ends their
            sessions of this stream: `{"removed"}`. 404.
            """,
            stream_answers.Removed,
        ),
        operation(
            "POST streams/{slug}/links",
            """
            Makes a link for guests. Body: `uses` (1; at most 10,000) and `expires_ms` (left out:
            in a week; at most 366 days). 201 with the link and its `secret`, **shown this once**,
            and the `url` of its page.
            """,
            stream_answers.MadeGuestLink,
            status=201,
            body=guests.NewLink,
        ),
        operation(
            "DELETE streams/{slug}/links/{link}",
            """
            Takes a link back; `?guests=remove` also removes those whom it made guests, and ends
            their sessions: `{"ended", "removed"}`. 404.
            """,
            stream_answers.EndedLink,
            query=(Parameter("guests", TEXT, "`remove`: those whom it made guests go too."),),
        ),
        operation(
            "PUT streams/{slug}/password",
            """
            Sets the password for guests.

            Body: `password`, of 8 to 200 characters; left out, there is none. Guests stay.
            `{"has_password"}`.
            """,
            stream_answers.HasPassword,
            body=guests.NewPassword,
        ),
        operation(
            "POST streams/{slug}/access",
            """
            Makes who is signed in a guest.

            For who is signed in: a `link` (its secret) or a `password` makes them a guest:
            `{"is_guest"}` and what `GET …/entry` answers; again is harmless and uses nothing up.
            403 `not_admitted` for what opens nothing, whether there is such a stream or not; 429
            after 10 wrong passwords in an hour.
            """,
            stream_answers.GuestEntry,
            body=redeem.Shown,
        ),
        operation(
            "POST streams/{slug}/access/look",
            """
            Tells what a link opens.

            Body: `link`, the secret of a link that makes one more guest. What it opens, as `GET
            …/entry`; nothing is used up. 403 `not_admitted`.
            """,
            stream_answers.Entry,
            body=redeem.Link,
        ),
        operation(
            "GET streams/{slug}/entry",
            """
            What a stream is and costs, for who is signed in and may see it: `{"stream", "title",
            "state", "planck_per_s", "preview_s", "passes", "symbol", "decimals"}`, `passes` as
            [below](#get-apiv1streamsslugpasses). 404, also for one that is not for them.
            """,
            stream_answers.Entry,
        ),
        operation(
            "GET streams/{slug}/rules",
            """
            From where it may be watched: `{"allow_countries", "deny_countries", "allow_networks",
            "deny_networks", "allow_referrers", "deny_referrers", "country_fault"}`;
            `country_fault` says in words why countries cannot be told now, else null.
            """,
            stream_answers.Rules,
        ),
        operation(
            "PUT streams/{slug}/rules",
            """
            Sets all of them; a list that is left out is empty. Countries are two letters of ISO
            3166-1, networks CIDR, referrers hosts of pages (`*.example.org`: every host below it).
            Answers them, with how many players on a page that is refused now it `ended`. They are
            held whenever a token is asked for by who will watch, or renewed, and those of
            countries and networks at each request: who may not watch any more gets no byte after
            one second plus one segment. 403 `place` or `referrer`. With any rule the stream asks
            everybody for a token. 404; 409 without `watch.country_file`; 422 with every fault. See
            [audience.md](operator/audience.md).
            """,
            stream_answers.SetRules,
            body=rules.NewRules,
            problems=(409,),
        ),
        operation(
            "GET rules",
            "From where every stream may be watched: as of a stream.",
            stream_answers.Rules,
        ),
        operation(
            "PUT rules",
            """
            Sets them: as of a stream, without pages. They make no stream ask for a token: on a
            free public stream they hold by address alone.
            """,
            stream_answers.SetRules,
            body=rules.NewRules,
            problems=(409,),
        ),
        operation(
            "POST streams/{slug}/takedown",
            """
            Takes it down. Body: `reason` (1 to 200 characters; everybody reads it), `is_legal`
            (the law demands it: 451, else 410). Nobody publishes it or watches it from then on, no
            byte after one second plus one segment; its players are ended for good (`ended`). 201;
            404; 409 when it is down already; 422. `GET /api/v1/streams/{slug}` has it as
            `taken_down`: `{"reason", "is_legal", "made_ms"}`, or null.
            """,
            stream_answers.MadeTakeDown,
            status=201,
            body=takedowns.NewTakeDown,
            problems=(409,),
        ),
        operation(
            "DELETE streams/{slug}/takedown",
            """
            Puts it back: `{"stream", "reason", "is_legal", "made_ms", "ended_ms"}`. 404 when it is
            not down.
            """,
            stream_answers.EndedTakeDown,
        ),
        operation(
            "GET takedowns",
            """
            Streams that were taken down.

            The newest first: `{"takedowns": [{"stream", "reason", "is_legal", "made_ms",
            "made_by", "ended_ms"}], "next_before"}`. `?limit=` (100, at most 500),
            `?before=<next_before>`.
            """,
            stream_answers.TakeDowns,
            query=(limit(500), BEFORE_NUMBER),
        ),
        operation(
            "GET reports",
            """
            What people reported, the newest first: `{"reports": [{"report", "stream", "text",
            "made_ms", "word", "resolved_by", "resolved_ms"}], "next_before"}`. `?state=open` or
            `resolved`, `?stream=`, `?limit=` (100, at most 200), `?before=<next_before>`. `text`
            is as somebody wrote it. 404; 422.
            """,
            stream_answers.Reports,
            query=(choice("state", "open", "resolved"), STREAM, limit(200), BEFORE_NUMBER),
            problems=(404,),
        ),
        operation(
            "POST reports/{report}/resolve",
            """
            Says what was made of a report.

            Body: `word` (1 to 200 characters), what was made of it; again says it anew. 404; 422.
            """,
            stream_answers.Report,
            body=reports.Resolution,
        ),
    ),
)
