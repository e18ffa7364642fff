"""What a wallet's own account does on the chain."""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import Meta

from mediaserver.api.operations.operation import (
    AccountText,
    Answer,
    Group,
    PlanckText,
    operation,
)
from mediaserver.api.viewers import own_escrow

_State = Annotated[str, Meta(pattern="^(sent|in_block|final|failed|refused|expired)$")]


class OpenJoin(Answer, frozen=True):
    """A join that is open in the newest final block."""

    stream: str
    title: str
    max_spend: PlanckText
    max_price: PlanckText
    ends_in_s: int


class OwnEscrow(Answer, frozen=True):
    """What the payer has on the chain."""

    account: AccountText
    operator: AccountText
    free: PlanckText
    held: PlanckText
    asked_back: PlanckText | None
    ready_in_s: int | None
    joins: list[OpenJoin]


class PreparedCall(Answer, frozen=True):
    """What a wallet is asked to sign."""

    call: str
    name: str
    expires_ms: int
    payload: dict[str, Any]


class SentCall(Answer, frozen=True):
    """What became of a call that was signed."""

    call: str
    name: str
    hash: Annotated[str, Meta(pattern="^0x[0-9a-f]{64}$")]
    state: _State
    block: int | None
    reason: str


GROUP: Final = Group(
    "One's own escrow",
    """
    On a chain, for who pays from a wallet's own account
    ([`PUT /api/v1/me/account`](#put-apiv1meaccount)): each act is prepared here, shown and signed
    by the wallet, and handed to the node here. The server signs nothing for them. An act answers
    201

        {"call": "3fa9…", "name": "deposit", "expires_ms": 1700000300000,
         "payload": {"address": "5Grw…", "method": "0x070c…", "nonce": "0x00000000", …}}

    where `payload` is the `SignerPayloadJSON` that the wallet's `signer.signPayload` takes. It may
    be signed once, within five minutes, by this browser; a restart of the server forgets it, too.
    409 without a chain, where one pays from no account yet, from one whose key the server keeps,
    and when the chain would refuse it; 429 after 20 acts in a minute; 503 while the node is away.
    """,
    (
        operation(
            "GET me/escrow",
            """
            What one has on the chain, in its newest block.

            `{"account", "operator", "free", "held", "asked_back", "ready_in_s", "joins":
            [{"stream", "title", "max_spend", "max_price", "ends_in_s"}]}`: `free` is the account's
            own, `held` in escrow with this operator, of which `asked_back` may be taken in
            `ready_in_s` seconds (both null when nothing was asked back). `joins` are those that are
            open in the newest final block.
            """,
            OwnEscrow,
            problems=(409,),
        ),
        operation(
            "POST me/escrow/deposit",
            """
            Prepares a deposit into escrow. Body: `planck`. 422 for 0, and for what the account
            cannot pay, its fee included.
            """,
            PreparedCall,
            status=201,
            body=own_escrow.Amount,
            problems=(409,),
        ),
        operation(
            "POST me/escrow/request",
            """
            Prepares asking escrow back, in place of what was asked before; it counts no more from
            the moment it is seen. Body: `planck`; "0" takes an earlier request back. 422 for more
            than is held, and for 0 when nothing was asked back.
            """,
            PreparedCall,
            status=201,
            body=own_escrow.Amount,
            problems=(409,),
        ),
        operation(
            "POST me/escrow/withdraw",
            """
            Prepares taking what was asked back, once the chain's notice is over. Body: `{}`. 409
            when nothing was asked back, or it is not ready: `detail` says in how many seconds.
            """,
            PreparedCall,
            status=201,
            problems=(409,),
        ),
        operation(
            "POST me/escrow/join",
            """
            Prepares joining a stream (`join_with_caps`); a join that is open ends with it.

            Body: `stream`, `max_spend_planck` (what it may cost in all), `duration_s` (when it ends
            by itself), and `max_price_planck` (what a second may cost; left out: what it costs
            now). 422 for caps below what a second costs, and for a longer duration than the chain
            allows; 403 where it may not be watched from; 404; 409 while the stream is closed, or
            not on the chain.
            """,
            PreparedCall,
            status=201,
            body=own_escrow.WalletJoin,
            problems=(404, 409),
        ),
        operation(
            "POST me/escrow/leave",
            """
            Prepares leaving a stream: its players end at once. Body: `stream`. 404; 409 without an
            open join.
            """,
            PreparedCall,
            status=201,
            body=own_escrow.WalletLeave,
            problems=(404, 409),
        ),
        operation(
            "POST me/escrow/calls/{call}",
            """
            Hands a signed call to the node. Body: `signature`, as `signPayload` gave it, of
            sr25519, ed25519 or ecdsa.

                {"call": "3fa9…", "name": "deposit", "hash": "0x…", "state": "sent",
                 "block": null, "reason": ""}

            422 for a signature of another key or over anything else. 409 when it was not signed in
            time or was signed before, and, with the node's words, when the node refuses it. 503
            where it is not known whether it arrived: send the same signature again, which does
            nothing twice. 404 for a call that this browser did not prepare.
            """,
            SentCall,
            body=own_escrow.CallSigned,
            problems=(409,),
        ),
        operation(
            "GET me/escrow/calls/{call}",
            """
            What became of it, for 20 minutes. `state` is `sent`, `in_block` (which may yet be
            undone), `final`, `failed` (final without effect: `reason` says why in words, with the
            pallet's error), `refused` (the node did not take it) or `expired` (no block can have it
            any more). Asks the node at most once a second. 409 before it is signed.
            """,
            SentCall,
            problems=(409,),
        ),
    ),
)
