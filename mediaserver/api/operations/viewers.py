"""Viewers, their money and their escrow."""

from __future__ import annotations

from typing import Final

from mediaserver.api.money import chain, refunds
from mediaserver.api.operations import money_answers, server_answers, stream_answers
from mediaserver.api.operations.operation import AFTER, Group, limit, operation
from mediaserver.api.viewers import viewers

GROUP: Final = Group(
    "Viewers",
    """
    A viewer is answered as

        {"account": "0x…", "name": "ann", "created_ms": 1700000000000, "has_wallet": false,
         "deposited": "1000000000000", "withdrawn": "0", "given_back": "0", "spent": "6100000000",
          "balance": "993900000000", "debt": "0"}

    `withdrawn` is what went out again: refunded, charged back, or taken back from an escrow on
    a chain. `debt` is what of that was spent before; `balance` is then 0
    ([metering.md](metering.md), "Money that goes back"). `spent` counts what is booked: it is
    at most a cut period (`metering.cut_period_s`) old. The live meter is exact.
    """,
    (
        operation(
            "GET viewers",
            """
            Viewers by name, 500 at a time: `{"viewers": [viewer, …], "next_after": "name" or
            null}`.
            """,
            money_answers.Viewers,
            query=(AFTER, limit(500, 500)),
        ),
        operation(
            "POST viewers",
            """
            Makes a viewer. Body: `name`, and `account` when they have a wallet of their own (else
            the server makes a key and keeps it). Answers 201 with the viewer and `viewer_key`,
            shown this once. No route takes a viewer key yet.
            """,
            money_answers.MadeViewer,
            status=201,
            body=viewers.NewViewer,
            problems=(409,),
        ),
        operation(
            "GET viewers/{viewer}",
            "One viewer. 404.",
            money_answers.Viewer,
        ),
        operation(
            "POST viewers/{viewer}/credits",
            """
            Books a payment. Header `Idempotency-Key`: your own name of this payment. Body:
            `planck`, `memo` (optional). Answers 201 when it is new, 200 when this key was booked
            before with the same content, 409 when with another: `{"account", "name", "is_new",
            "deposited", "is_applied"}`. `is_applied` is false while Redis is away: it is told as
            soon as it is back.

            On a chain the planck goes into the viewer's escrow there, a `memo` is refused (422:
            the chain's event, from which it is booked, has none), and the answer waits until that
            is final; 503 when it takes too long: repeat it with the same key. 409 for a viewer
            with a wallet, who deposits by themselves, and when the chain refuses it.
            """,
            money_answers.Credited,
            status=(200, 201),
            body=viewers.Credit,
            is_keyed=True,
        ),
        operation(
            "POST viewers/{viewer}/refunds",
            """
            Takes back a credit, or a part of it. Header `Idempotency-Key`: your own name of this
            refund. Body: `deposit` (the `Idempotency-Key` of the credit), `planck`, `why`. Answers
            201, or 200 when it was booked before, with the viewer, `is_new` and `is_applied` (as
            above). What was spent of it is a `debt`. 422: more than is left of it, or the deposit
            of a provider's payment: refund its order. 409 with a chain.
            """,
            money_answers.RefundedViewer,
            status=(200, 201),
            body=refunds.DepositRefund,
            is_keyed=True,
        ),
        operation(
            "GET viewers/{viewer}/sessions",
            """
            The viewer's players and links whose end has not come, the newest 500, newest first:
            `{"sessions": [{"session": "00c4…", "stream": "cam", "state", "created_ms",
            "expires_ms", "ends_ms", "ended_ms"}, …]}`. `state` is `live`, `expired`, or why it
            ended: `replaced`, `purse`, `left`, `operator`, `owner`, `creator`, `barred`,
            `uninvited`, `archived`, `referrer`, `taken_down`.
            """,
            stream_answers.Sessions,
        ),
        operation(
            "DELETE viewers/{viewer}/sessions",
            """
            Ends all of them for good: their next claim is refused, and their links mint nothing.
            Answers `{"ended": 2}`; repeated, 0. 503 while Redis is away: ask again.
            """,
            stream_answers.Ended,
        ),
        operation(
            "DELETE viewers/{viewer}/sessions/{session}",
            "Ends one. 404 when the viewer has no such session whose end has not come.",
            stream_answers.Ended,
        ),
        operation(
            "GET viewers/{viewer}/escrow",
            """
            What a viewer has in escrow on the chain.

            With a chain: `{"account", "operator", "held", "free", "asked_back", "ready_at"}` at
            the finalized head: planck in escrow for this operator, planck that the account may
            spend, what was asked back (or `null`) and the chain second from which it may leave.
            """,
            server_answers.Escrow,
            problems=(409,),
        ),
        operation(
            "POST viewers/{viewer}/escrow/request",
            """
            Asks escrow back for a viewer whose key the server made. Body: `planck`; `"0"` takes an
            earlier request back. Answers the escrow, once it is final. 422 for a viewer with a
            wallet.
            """,
            server_answers.Escrow,
            body=chain.Request,
            problems=(409,),
        ),
        operation(
            "POST viewers/{viewer}/escrow/withdraw",
            """
            Takes what was asked back and is ready. Body: `{}`. Answers the escrow. 409 before the
            notice has passed.
            """,
            server_answers.Escrow,
            problems=(409,),
        ),
    ),
)
