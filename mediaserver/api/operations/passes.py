"""Passes: a price for a show or a month."""

from __future__ import annotations

from typing import Final

from mediaserver.api.operations import pass_answers
from mediaserver.api.operations.operation import Group, before, limit, operation
from mediaserver.api.streams import passes
from mediaserver.api.viewers import own_passes

GROUP: Final = Group(
    "Passes",
    "",
    (
        operation(
            "GET streams/{slug}/passes",
            """
            Passes of a stream, for who is signed in and may see it: `{"sold": [offer, …],
            "to_come": [offer, …], "held": pass}`. An offer is `{"kind": "show|month", "planck",
            "from_s"}`, Unix time; `planck` `"0"` is no longer sold. `held` is the
            [pass](#get-apiv1mepasses) of theirs that covers the stream now, null where there is
            none.
            """,
            pass_answers.Passes,
        ),
        operation(
            "GET streams/{slug}/passes/sold",
            """
            Passes of a stream that were bought.

            `{"sold": [pass, …], "next_before"}`, the newest first, each with the `account` that
            bought it; `?limit=`, `?before=<pass>`.
            """,
            pass_answers.SoldPasses,
            query=(limit(100), before()),
        ),
        operation(
            "PUT streams/{slug}/passes/{kind}",
            """
            Sells a pass for a `show` or a `month`. Body: `planck`, above 0, and `from_s` (Unix
            time; left out: the earliest). A first offer may begin at once, another price
            `price.change_notice_s` later; a change that is still to come gives way. Answers 201
            with the offer. 404 for another kind, 409 with a chain, which sells seconds alone, 422.
            """,
            pass_answers.PassOffer,
            status=201,
            body=passes.Offer,
            problems=(409,),
        ),
        operation(
            "DELETE streams/{slug}/passes/{kind}",
            """
            Sells it no more, likewise from the earliest time on. Answers 201 with the offer of
            `"0"`. Passes that were bought stay.
            """,
            pass_answers.PassOffer,
            status=201,
            problems=(409,),
        ),
        operation(
            "POST passes/{pass}/refund",
            """
            Gives the whole price of a pass back, from the creator and the platform who had it; it
            covers nothing from then on. Body: `why`. Answers the pass with `is_new` and
            `is_applied` (false: Redis is away, and learns of it): 201, or 200 when it was refunded
            before. 404, 422.
            """,
            pass_answers.RefundedPass,
            status=(200, 201),
            body=passes.PassRefund,
            problems=(409,),
        ),
        operation(
            "GET me/passes",
            """
            Passes that one bought.

            `{"passes": [pass, …], "next_before"}`, the newest first; `?limit=`, `?before=<pass>`:

                {"pass": "3fa9…", "stream": "cam", "kind": "month", "show": null,
                 "planck": "2000000", "from_tick": 1700000000,
                 "until_ms": 1702592060000, "created_ms": 1700000060000, "refunded_ms": null}

            `from_tick` is the first second that it covers. `until_ms` is null for a show, which
            ends it.
            """,
            pass_answers.OwnPasses,
            query=(limit(100), before()),
        ),
        operation(
            "POST me/passes",
            """
            Buys one. Header `Idempotency-Key`. Body: `stream`, `kind`, and `planck`, the price
            that was shown. Its price leaves the balance, and is posted to creator and platform;
            seconds claimed from then on are covered. Answers 201 with the pass, 200 when the key
            bought it before. 402 with `reason` `purse` as a [join](#post-apiv1streamsslugjoin).
            409 with `reason` `price` (it costs `planck` now), `held` (one covers it already:
            nothing was charged), `not_sold`, `no_show` (a show is sold while it is on air),
            `limit` (of a stream or a day), `many` (100 may still cover); 409 with a chain. 403
            for who is barred, or is where the stream is not shown (`place`, `referrer`), 404,
            also for a stream that is not for them; 410 and 451 for one that is taken down; 503
            while Redis is away.
            """,
            pass_answers.Pass,
            status=(200, 201),
            body=own_passes.Purchase,
            is_keyed=True,
            problems=(402, 404, 410, 451),
        ),
    ),
)
