"""Split tables: who else earns of a stream, and what payees do with it."""

from __future__ import annotations

from typing import Final

from mediaserver.api.operations import payment_answers, split_answers
from mediaserver.api.operations.operation import (
    TEXT,
    Group,
    Parameter,
    before,
    choice,
    limit,
    operation,
)
from mediaserver.api.streams import splits
from mediaserver.api.viewers import own_earnings

_STATE: Final = choice("state", "requested", "approved", "paid", "refused")

_ACCOUNT: Final = Parameter("account", TEXT, "Whose, where more than one is meant: `0x…`.")

GROUP: Final = Group(
    "Split tables",
    """
    A split table says which part of what viewers pay for a stream goes to whom beside the platform;
    its creator has what is left ([metering.md](metering.md), "Split tables").
    """,
    (
        operation(
            "GET streams/{slug}/split",
            """
            Who shares what a stream earns.

            `{"split": table, "splits": [table, …], "splits_to_come": [table, …]}`: what holds now,
            every table there ever was, and those that begin later. A table is

                {"number": 1, "from_tick": 1700000000,
                 "payees": [{"account": "0x…", "ppm": 250000}],
                 "platform_ppm": 100000, "creator_ppm": 650000}

            `number` 0 is none. `ppm` are parts in a million of what viewers pay.
            """,
            split_answers.Splits,
        ),
        operation(
            "PUT streams/{slug}/split",
            """
            Shares a stream otherwise, from a second to come on. Body: `payees`, an object of parts
            in a million by account, at most 7 (`{}`: all that the platform leaves is the
            creator's), and `from_tick` (left out: the earliest that is allowed, as of a price, or
            the first second of a price that is to come). An account is `0x…`, whether it is known
            here or not, or `person:<id>` for the account of somebody who signs in here. A table
            that begins at the same second and is still to come gives way. Answers 201 with the
            table. With it begins a price version of the same price. 422 for parts that are more
            than there is beside the platform's, the creator among the payees, a price too little
            to be shared so, and for a tick as of a price; 409 with a chain, which keeps the table
            that a stream was made with.
            """,
            split_answers.SplitTable,
            status=201,
            body=splits.SplitBody,
            problems=(409,),
        ),
        operation(
            "GET me/earnings",
            """
            What one earned as a payee of streams, in planck.

                {"accounts": ["0x…"], "is_on_chain": false, "maturing_days": 7,
                 "earnings": [{"stream": "cam", "title": "Camera", "account": "0x…",
                  "ppm": 250000, "to_come": {"ppm": 300000, "from_ms": 1700000060000},
                  "pending": "0", "maturing": "4500000", "available": "9000000", "debt": "0",
                  "asked": "0", "paid_out": "0"}]}

            `accounts` are the one that one pays from and those of one's wallets. `ppm` is the part
            that holds now, 0 where one has none; `to_come` the next one that is another, and from
            when, null where there is none. With a chain there are none here: they
            are the payee's own credit on it.
            """,
            split_answers.OwnShares,
        ),
        operation(
            "GET me/earnings/{stream}/statements/{month}",
            """
            A month of what one earned as a payee of a stream.

            As of its [creator](#get-apiv1streamsslugstatementsmonth), with `format`
            `vilokanam-statement-2` and the `payee`; each line says what `others` had. `?account=`
            names one of one's own, where the stream has more than one. 404 for who never was a
            payee.
            """,
            payment_answers.Statement,
            query=(choice("form", "json", "csv"), _ACCOUNT),
            media=("text/csv",),
            problems=(409,),
        ),
        operation(
            "GET me/payouts",
            """
            What one asked to be paid as a payee.

            `{"payouts": [payout, …], "next_before"}`, the newest first;
            `?state=requested|approved|paid|refused`, `?limit=` (1 to 200), `?before=<payout>`.
            """,
            payment_answers.PayoutRequests,
            query=(_STATE, limit(200), before()),
        ),
        operation(
            "POST me/payouts",
            """
            Asks to be paid as a payee. Header `Idempotency-Key`. Body: `stream`, and `payee`,
            `bank_account`, `planck` as its [creator](#post-apiv1streamsslugpayouts) does;
            `account` names one of one's own, where the stream has more than one. 201 with the
            payout, 200 when the key was used for it before. 404 for who never was a payee, 409:
            another one of theirs and the stream is under way, or there is a chain. 422: so much is
            not available.
            """,
            payment_answers.PayoutRequest,
            status=(200, 201),
            body=own_earnings.OwnPayout,
            is_keyed=True,
            problems=(404, 409),
        ),
    ),
)
