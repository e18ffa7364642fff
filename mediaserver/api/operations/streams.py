"""Streams: what they are, cost, and where they are published."""

from __future__ import annotations

from typing import Final

from mediaserver.api.operations import stream_answers
from mediaserver.api.operations.operation import AFTER, Group, choice, limit, operation
from mediaserver.api.streams import named_prices, stream_change, streams

GROUP: Final = Group(
    "Streams",
    """
    A stream is answered as

        {"id": "6f1c…", "slug": "cam", "title": "Camera", "creator": "0x…", "is_enabled": true,
         "archived_ms": null,
         "platform_fee_ppm": 100000, "preview_s": 0, "created_ms": 1700000000000,
         "show_cap": {"from_show": 1700000000, "planck": "500000000000"},
          "show_cap_to_come": null,
         "prices": [{"number": 1, "from_tick": 0, "planck_per_s": "100000000"}],
         "price": {"number": 1, "from_tick": 0, "planck_per_s": "100000000"},
          "prices_to_come": [],
         "whip_url": "https://live.example.org/cam/whip",
          "watch_url": "https://live.example.org/cam/",
         "health": {"state": "offline|waiting|restarting|live", "show": 1700000000,
          "facts": {…}, "advice": ["…"]},
         "chain": null}

    `prices` is every version there ever was; `price` is the one in force now, `prices_to_come`
    are those that begin later. `preview_s` is for how many seconds of each show the stream is
    free to every account. `show_cap` is the most that the show on air (else one that began
    now) costs an account, `show_cap_to_come` what holds for shows that begin later, from
    `from_show` (Unix seconds) on; a `planck` of `"0"` is no cap, null is none or no change.
    `facts` are explained in [creator.md](creator.md), "The numbers".
    """,
    (
        operation(
            "GET streams",
            """
            Streams by slug, 500 at a time: `{"streams": [stream, …], "next_after": "slug" or
            null}`. Archived ones are left out; `?archived=yes` lists those alone.
            """,
            stream_answers.Streams,
            query=(AFTER, limit(500, 500), choice("archived", "no", "yes")),
        ),
        operation(
            "POST streams",
            """
            Makes a stream. Body: `slug` (3 to 63 of `a-z 0-9 -`), and, where the default of
            `[price]` will not do, `title`, `planck_per_s` (`"0"` is free), `show_cap_planck`
            (none), `platform_fee_ppm`, `visibility` (`public`, `unlisted`, `invited`), `creator`
            (an account; without one the server makes a key and keeps it), `payees` (who else earns
            of it from its first second on, as of a
            [split table](#put-apiv1streamsslugsplit)). Answers 201 with the
            stream and `stream_key`, **shown this once**. 422 for a slug that is taken: a slug is
            never used twice.
            """,
            stream_answers.MadeStream,
            status=201,
            body=streams.NewStream,
            problems=(409,),
        ),
        operation(
            "GET streams/{slug}",
            "One stream, with its health. 404.",
            stream_answers.Stream,
        ),
        operation(
            "PATCH streams/{slug}",
            """
            Changes a stream.

            Body: `is_enabled`. `false` answers viewers with 404 from then on; the publisher is
            left alone. Answers the stream. `title` is what viewers read. `slug` gives a stream
            that is not on air another address: the old one answers 404, and stays this stream's,
            which may take it again; no other stream ever gets it. 422 for one that is another's,
            or after 20 other names. `is_archived: true` closes a stream that is not on air (409)
            to viewers and publishers (403) and takes it out of lists; sessions end with reason
            `archived`. Its statements, receipts, earnings and payouts stay open. `false` takes it
            back, as open to viewers as it was. `visibility` says who may see it, from now on:
            sessions of those who may not any more end with reason `uninvited`. 422 for a value
            that is none. `preview_s` (0 to 86400) is for how many seconds each show is free to
            every account; it holds at once, also for the show that is on air. Without it the
            stream has `price.preview_s`. `show_cap_planck` is the most that a show costs an
            account, in planck, `"0"` for no cap: it holds for shows that begin some 35 s later or
            after that (`metering.policy_lost_s` and 5 s), as `show_cap_to_come` says; the show on
            air keeps what held when it began.
            """,
            stream_answers.Stream,
            body=stream_change.StreamChange,
            problems=(409,),
        ),
        operation(
            "POST streams/{slug}/prices",
            """
            Adds a price version. Body: `planck_per_s`, and `from_tick` (left out: the earliest
            that is allowed, which is `price.change_notice_s` past the newest second that may be
            planned). Answers 201 with `{"number", "from_tick", "planck_per_s",
            "withdraw_until_ms"}`; the last is the Unix time until which it can be withdrawn, null
            with a chain. 422 for a tick that is too early or more than 366 days ahead (a tick is a
            second of Unix time, not a millisecond), and for a price that Redis cannot count
            exactly.
            """,
            stream_answers.NewPriceAnswer,
            status=201,
            body=streams.NewPrice,
            problems=(409,),
        ),
        operation(
            "DELETE streams/{slug}/prices/{number}",
            """
            Withdraws a price.

            Withdraws the newest price while it begins more than `metering.policy_lost_s` (30 s)
            past the newest second that may be planned. Answers the stream. A split table that
            begins with it goes, too, where the price is that of before; where the price changed,
            the table stays. 422 when it is not the newest or begins sooner (with the time until
            which it was possible), 409 with a chain, which keeps prices.
            """,
            stream_answers.Stream,
            problems=(409,),
        ),
        operation(
            "GET streams/{slug}/viewer-prices",
            """
            Viewers who pay something else than everybody: `{"viewer_prices": [{"account", "name",
            "from_tick", "number", "planck_per_s"}, …]}`, every change by account, oldest first.
            `number` is the price version, which is theirs alone; `planck_per_s` `"0"` (number 0)
            is nothing, null what everybody pays again.
            """,
            stream_answers.ViewerPrices,
        ),
        operation(
            "PUT streams/{slug}/viewer-prices/{viewer}",
            """
            Gives a viewer (name or account) a price of their own. Body: `planck_per_s`, `"0"` for
            nothing, and `from_tick`, which is as for a price: left out it is the earliest,
            `price.change_notice_s` past the newest second that may be planned. A change that is
            still to come gives way. Answers 201 with it. 409 with a chain, which has one price for
            all. 422 for a price that cannot be counted, and where 500 viewers of the stream have
            one.
            """,
            stream_answers.ViewerPrice,
            status=201,
            body=named_prices.ViewerPrice,
            problems=(409,),
        ),
        operation(
            "DELETE streams/{slug}/viewer-prices/{viewer}",
            """
            Lets a viewer pay what everybody pays, likewise from the earliest second on. Answers
            201 with the change.
            """,
            stream_answers.ViewerPrice,
            status=201,
            problems=(409,),
        ),
        operation(
            "POST streams/{slug}/key",
            """
            Makes a new stream key; the old one is refused from the next publish on. Answers
            `{"slug", "stream_key"}`, shown this once.
            """,
            stream_answers.StreamKey,
        ),
        operation(
            "POST streams/{slug}/chain",
            """
            Does for the stream on the chain what is to be done.

            With a chain: does for the stream now what is to be done there, which control also does
            by itself, and answers how far that is: `{"slug", "state":
            "registered|waiting|unsigned|differs", "reason", "stream_id": "<u128>", "price": 2,
            "call"}`. `call` is the call data that the creator must sign, when their key is not
            here. The same, without `slug`, is given as `chain` in each stream (`null` without a
            chain). 409 with the reason when the chain refuses it, or there is none.
            """,
            stream_answers.StreamChainStatus,
            problems=(409,),
        ),
    ),
)
