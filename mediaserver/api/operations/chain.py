"""The chain as the operator sees and uses it."""

from __future__ import annotations

from typing import Final

from mediaserver.api.money import chain
from mediaserver.api.operations import server_answers
from mediaserver.api.operations.operation import Group, operation

GROUP: Final = Group(
    "The chain",
    """
    With `chain.backend = "substrate"`; else 409. 409 also carries what the chain says when it
    refuses a call; 503 while the settler or the node is away. A call answers when it is final,
    within 25 s.
    """,
    (
        operation(
            "GET chain",
            """
                Where the chain is, and what the operator has on it.

                {"url", "spec": "vilokanam 100", "genesis", "finalized", "best", "chain_time_s",
                 "operator": {"account", "is_registered", "is_active", "bond", "last_seq",
                  "nonce", "free"},
                 "settlement": {"in_flight", "in_block", "exposure", "lag_ms"}}

            `exposure` is planck booked and not final, `lag_ms` the age of the oldest batch that is
            not.
            """,
            server_answers.Chain,
            problems=(409,),
        ),
        operation(
            "POST chain/operator",
            """
            Registers the operator: its bond is held. Body: `{}`. Answers 201, or 200 when it was
            registered before: `{"account", "bond", "is_new", "block"}`.
            """,
            server_answers.RegisteredOperator,
            status=(200, 201),
            problems=(409,),
        ),
        operation(
            "GET payouts",
            """
            What was earned on the chain and not taken yet.

            `{"payouts": [{"account", "role": "creator|payee|platform", "streams": ["cam"],
            "available", "maturing", "pending"}, …]}`, at the finalized head.
            """,
            server_answers.ChainPayouts,
            problems=(409,),
        ),
        operation(
            "POST payouts",
            """
            Takes what is available. Body: `stream` (a slug: its creator's, when the server made
            the key); left out, the platform's. Answers 201 `{"account", "planck", "block"}`. 422
            when there is nothing yet, or the creator has a wallet.
            """,
            server_answers.TakenPayout,
            status=201,
            body=chain.Withdrawal,
            problems=(404, 409),
        ),
    ),
)
