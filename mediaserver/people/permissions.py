"""Who may do what: one row for each route of the API. Pure.

The table is what the server holds (`mediaserver.api.who`) and what docs/api.md shows; a route
without a row is refused at the start of the process. A machine's key needs the row's scope, a
person one of its roles; the admin token is an owner's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from mediaserver.people.records import STAFF, Principal, Role

_R = Role


class OpenTo(StrEnum):
    """Who else may come in than the roles of a row."""

    ANYONE = "anyone"
    """Nobody needs to say who they are."""
    SIGNED_IN = "signed in"
    """Who is signed in, for themselves."""
    ROLES = "roles"
    """The roles of the row alone."""


class Verdict(StrEnum):
    """What is answered."""

    ALLOWED = "allowed"
    SIGN_IN = "sign in"
    SHOW_AGAIN = "show again"
    """The person may, once they have shown a credential again."""
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Permission:
    """A row.

    Attributes:
        path: As the router has it.
        roles: Any of them may. Those for streams count for the stream that the path names.
        scope: What a machine's key needs; empty: no key may.
        is_fresh: A person has to have shown a credential within `browser_sessions.FRESH_MS`.
    """

    method: str
    path: str
    roles: frozenset[Role]
    scope: str = ""
    open_to: OpenTo = OpenTo.ROLES
    is_fresh: bool = False


def _row(
    line: str,
    *roles: Role,
    scope: str = "",
    open_to: OpenTo = OpenTo.ROLES,
    is_fresh: bool = False,
) -> Permission:
    method, _, path = line.partition(" ")
    return Permission(method, f"/api/v1/{path}", frozenset(roles), scope, open_to, is_fresh)


_READERS: Final = (*sorted(STAFF),)
_MONEY_READERS: Final = (_R.OWNER, _R.FINANCE, _R.AUDITOR)

TABLE: Final = (
    # Streams.
    _row("GET streams", *_READERS, scope="streams:read"),
    _row("POST streams", _R.OWNER, scope="streams:write", open_to=OpenTo.SIGNED_IN),
    _row("GET streams/{slug}", *_READERS, _R.CREATOR, _R.MODERATOR, scope="streams:read"),
    _row("PATCH streams/{slug}", _R.OWNER, _R.SUPPORT, _R.CREATOR, scope="streams:write"),
    _row("POST streams/{slug}/prices", _R.OWNER, _R.CREATOR, scope="streams:write"),
    _row("DELETE streams/{slug}/prices/{number}", _R.OWNER, _R.CREATOR, scope="streams:write"),
    _row("GET streams/{slug}/viewer-prices", *_READERS, _R.CREATOR, scope="streams:read"),
    _row("PUT streams/{slug}/viewer-prices/{viewer}", _R.OWNER, _R.CREATOR, scope="streams:write"),
    _row(
        "DELETE streams/{slug}/viewer-prices/{viewer}",
        *(_R.OWNER, _R.CREATOR),
        scope="streams:write",
    ),
    _row(
        "GET streams/{slug}/passes",
        *(*_READERS, _R.CREATOR),
        scope="streams:read",
        open_to=OpenTo.SIGNED_IN,
    ),
    _row("GET streams/{slug}/passes/sold", *_MONEY_READERS, _R.CREATOR, scope="money:read"),
    _row("PUT streams/{slug}/passes/{kind}", _R.OWNER, _R.CREATOR, scope="streams:write"),
    _row("DELETE streams/{slug}/passes/{kind}", _R.OWNER, _R.CREATOR, scope="streams:write"),
    _row("GET streams/{slug}/split", *_READERS, _R.CREATOR, scope="streams:read"),
    _row("PUT streams/{slug}/split", _R.OWNER, _R.CREATOR, scope="money:write", is_fresh=True),
    _row("POST passes/{pass}/refund", _R.OWNER, _R.FINANCE, scope="money:write", is_fresh=True),
    _row("POST streams/{slug}/key", _R.OWNER, _R.CREATOR, scope="streams:write", is_fresh=True),
    _row("GET streams/{slug}/people", *_READERS, _R.CREATOR, scope="people:read"),
    _row(
        "DELETE streams/{slug}/people/{person}/{role}",
        _R.OWNER,
        _R.CREATOR,
        scope="people:write",
        is_fresh=True,
    ),
    # Who watches.
    _row("GET streams/{slug}/audience", *_READERS, _R.CREATOR, scope="streams:read"),
    _row("GET streams/{slug}/audience/minutes", *_READERS, _R.CREATOR, scope="money:read"),
    _row("GET streams/{slug}/sessions", *_READERS, _R.CREATOR, scope="viewers:read"),
    _row(
        "DELETE streams/{slug}/sessions/{session}",
        _R.OWNER,
        _R.SUPPORT,
        _R.CREATOR,
        scope="viewers:write",
    ),
    _row("GET sessions", *_READERS, scope="viewers:read"),
    # Who is barred.
    _row("GET streams/{slug}/bars", *_READERS, _R.CREATOR, scope="viewers:read"),
    _row("POST streams/{slug}/bars", _R.OWNER, _R.SUPPORT, _R.CREATOR, scope="viewers:write"),
    _row(
        "DELETE streams/{slug}/bars/{bar}", _R.OWNER, _R.SUPPORT, _R.CREATOR, scope="viewers:write"
    ),
    _row("GET bars", *_READERS, scope="viewers:read"),
    _row("POST bars", _R.OWNER, _R.SUPPORT, scope="viewers:write"),
    _row("DELETE bars/{bar}", _R.OWNER, _R.SUPPORT, scope="viewers:write"),
    # What is reported, and taken down.
    _row("POST streams/{slug}/takedown", _R.OWNER, _R.SUPPORT, scope="streams:write"),
    _row("DELETE streams/{slug}/takedown", _R.OWNER, _R.SUPPORT, scope="streams:write"),
    _row("GET takedowns", *_READERS, scope="streams:read"),
    _row("GET reports", *_READERS, scope="streams:read"),
    _row("POST reports/{report}/resolve", _R.OWNER, _R.SUPPORT, scope="streams:write"),
    # From where it may be watched.
    _row("GET streams/{slug}/rules", *_READERS, _R.CREATOR, scope="streams:read"),
    _row("PUT streams/{slug}/rules", _R.OWNER, _R.SUPPORT, _R.CREATOR, scope="streams:write"),
    _row("GET rules", *_READERS, scope="streams:read"),
    _row("PUT rules", _R.OWNER, _R.SUPPORT, scope="streams:write"),
    _row("POST streams/{slug}/join", open_to=OpenTo.SIGNED_IN),
    _row("POST streams/{slug}/join/token", open_to=OpenTo.ANYONE),
    # Who may see a stream.
    _row("GET streams/{slug}/guests", *_READERS, _R.CREATOR, scope="people:read"),
    _row("POST streams/{slug}/guests", _R.OWNER, _R.SUPPORT, _R.CREATOR, scope="people:write"),
    _row(
        "DELETE streams/{slug}/guests/{guest}",
        _R.OWNER,
        _R.SUPPORT,
        _R.CREATOR,
        scope="people:write",
    ),
    _row("POST streams/{slug}/links", _R.OWNER, _R.CREATOR, scope="people:write"),
    _row(
        "DELETE streams/{slug}/links/{link}", _R.OWNER, _R.SUPPORT, _R.CREATOR, scope="people:write"
    ),
    _row("PUT streams/{slug}/password", _R.OWNER, _R.CREATOR, scope="people:write"),
    _row("POST streams/{slug}/access", open_to=OpenTo.SIGNED_IN),
    _row("POST streams/{slug}/access/look", open_to=OpenTo.ANYONE),
    _row("GET streams/{slug}/entry", open_to=OpenTo.SIGNED_IN),
    # Viewers, their sessions and links.
    _row("GET viewers", *_READERS, scope="viewers:read"),
    _row("POST viewers", _R.OWNER, _R.SUPPORT, scope="viewers:write"),
    _row("GET viewers/{viewer}", *_READERS, scope="viewers:read"),
    _row("POST viewers/{viewer}/credits", _R.OWNER, _R.FINANCE, scope="money:write", is_fresh=True),
    _row("GET viewers/{viewer}/sessions", *_READERS, scope="viewers:read"),
    _row("DELETE viewers/{viewer}/sessions", _R.OWNER, _R.SUPPORT, scope="viewers:write"),
    _row("DELETE viewers/{viewer}/sessions/{session}", _R.OWNER, _R.SUPPORT, scope="viewers:write"),
    _row("POST tokens", _R.OWNER, _R.SUPPORT, scope="tokens:mint"),
    # Money.
    _row("GET ledger", *_MONEY_READERS, scope="money:read"),
    _row("GET batches", *_MONEY_READERS, scope="money:read"),
    _row("POST batches/{seq}/retry", _R.OWNER, _R.FINANCE, scope="money:write"),
    _row("GET usage", *_MONEY_READERS, scope="money:read"),
    _row("GET reconcile", *_MONEY_READERS, scope="money:read"),
    _row("GET receipts/{viewer}/{slug}", *_READERS, scope="money:read"),
    _row("GET payouts", *_MONEY_READERS, scope="money:read"),
    _row("POST payouts", _R.OWNER, _R.FINANCE, scope="money:write", is_fresh=True),
    _row("GET viewers/{viewer}/escrow", *_MONEY_READERS, scope="money:read"),
    _row(
        "POST viewers/{viewer}/escrow/request",
        _R.OWNER,
        _R.FINANCE,
        scope="money:write",
        is_fresh=True,
    ),
    _row(
        "POST viewers/{viewer}/escrow/withdraw",
        _R.OWNER,
        _R.FINANCE,
        scope="money:write",
        is_fresh=True,
    ),
    _row("GET payments", *_READERS, scope="money:read"),
    _row("GET payments/notices", *_READERS, scope="money:read"),
    _row("GET payments/notices/{notice}", *_MONEY_READERS, scope="money:read"),
    _row("GET payments/{order}", *_READERS, scope="money:read"),
    _row("GET payments/refunds", *_READERS, scope="money:read"),
    _row("POST payments/{order}/refunds", _R.OWNER, _R.FINANCE, scope="money:write", is_fresh=True),
    _row(
        "POST payments/refunds/{refund}/done",
        _R.OWNER,
        _R.FINANCE,
        scope="money:write",
        is_fresh=True,
    ),
    _row("POST viewers/{viewer}/refunds", _R.OWNER, _R.FINANCE, scope="money:write", is_fresh=True),
    _row("GET streams/{slug}/refunds", *_MONEY_READERS, _R.CREATOR, scope="money:read"),
    _row(
        "POST streams/{slug}/refunds",
        *(_R.OWNER, _R.FINANCE, _R.CREATOR),
        scope="money:write",
        is_fresh=True,
    ),
    _row("GET streams/{slug}/earnings", *_MONEY_READERS, _R.CREATOR, scope="money:read"),
    _row("GET streams/{slug}/payouts", *_MONEY_READERS, _R.CREATOR, scope="money:read"),
    _row(
        "POST streams/{slug}/payouts",
        *(_R.OWNER, _R.FINANCE, _R.CREATOR),
        scope="money:write",
        is_fresh=True,
    ),
    _row("GET streams/{slug}/statements/{month}", *_MONEY_READERS, _R.CREATOR, scope="money:read"),
    _row("GET payout-requests", *_MONEY_READERS, scope="money:read"),
    _row("GET payout-requests/bank-file", *_MONEY_READERS, scope="money:read"),
    *(
        _row(
            f"POST payout-requests/{{payout}}/{act}",
            *(_R.OWNER, _R.FINANCE),
            scope="money:write",
            is_fresh=True,
        )
        for act in ("approve", "refuse", "paid")
    ),
    # Who is told what happens.
    _row("GET webhooks", *_READERS, scope="webhooks:read"),
    _row("GET webhooks/deliveries", *_READERS, scope="webhooks:read"),
    _row("POST webhooks/{target}/replay", _R.OWNER, _R.SUPPORT, scope="webhooks:write"),
    _row("POST webhooks/{target}/test", _R.OWNER, _R.SUPPORT, scope="webhooks:write"),
    # The machine and the chain.
    _row("GET operator", open_to=OpenTo.ANYONE),
    _row("GET openapi.json", open_to=OpenTo.ANYONE),
    _row("GET workers", *_READERS, scope="streams:read"),
    _row("GET chain", *_MONEY_READERS, scope="money:read"),
    _row("POST chain/operator", _R.OWNER, is_fresh=True),
    _row("POST streams/{slug}/chain", _R.OWNER, scope="streams:write"),
    # Coming in.
    _row("GET sign-in", open_to=OpenTo.ANYONE),
    _row("POST sign-in/passkey/options", open_to=OpenTo.ANYONE),
    _row("POST sign-in/passkey", open_to=OpenTo.ANYONE),
    _row("POST sign-in/wallet/challenge", open_to=OpenTo.ANYONE),
    _row("POST sign-in/wallet", open_to=OpenTo.ANYONE),
    _row("POST sign-in/mail", open_to=OpenTo.ANYONE),
    _row("POST sign-in/mail/confirm", open_to=OpenTo.ANYONE),
    _row("POST sign-in/oidc/{issuer}", open_to=OpenTo.ANYONE),
    _row("GET sign-in/oidc/{issuer}/back", open_to=OpenTo.ANYONE),
    _row("POST sign-in/recovery", open_to=OpenTo.ANYONE),
    _row("POST sign-up/passkey/options", open_to=OpenTo.ANYONE),
    _row("POST sign-up/passkey", open_to=OpenTo.ANYONE),
    _row("POST invitations/look", open_to=OpenTo.ANYONE),
    # Everybody's own.
    _row("GET me", open_to=OpenTo.SIGNED_IN),
    _row("PATCH me", open_to=OpenTo.SIGNED_IN),
    _row("DELETE me/session", open_to=OpenTo.SIGNED_IN),
    _row("GET me/sessions", open_to=OpenTo.SIGNED_IN),
    _row("DELETE me/sessions", open_to=OpenTo.SIGNED_IN),
    _row("DELETE me/sessions/{session}", open_to=OpenTo.SIGNED_IN),
    _row("DELETE me/credentials/{credential}", open_to=OpenTo.SIGNED_IN, is_fresh=True),
    _row("POST me/credentials/passkey/options", open_to=OpenTo.SIGNED_IN, is_fresh=True),
    _row("POST me/credentials/passkey", open_to=OpenTo.SIGNED_IN, is_fresh=True),
    _row("POST me/credentials/wallet/challenge", open_to=OpenTo.SIGNED_IN, is_fresh=True),
    _row("POST me/credentials/wallet", open_to=OpenTo.SIGNED_IN, is_fresh=True),
    _row("POST me/credentials/mail", open_to=OpenTo.SIGNED_IN, is_fresh=True),
    _row("POST me/credentials/mail/confirm", open_to=OpenTo.SIGNED_IN, is_fresh=True),
    _row("POST me/credentials/oidc/{issuer}", open_to=OpenTo.SIGNED_IN, is_fresh=True),
    _row("POST me/recovery-codes", open_to=OpenTo.SIGNED_IN, is_fresh=True),
    _row("PUT me/account", open_to=OpenTo.SIGNED_IN, is_fresh=True),
    _row("GET me/limits", open_to=OpenTo.SIGNED_IN),
    _row("PUT me/limits", open_to=OpenTo.SIGNED_IN),
    _row("GET me/player-settings", open_to=OpenTo.SIGNED_IN),
    _row("PUT me/player-settings", open_to=OpenTo.SIGNED_IN),
    _row("GET me/letters", open_to=OpenTo.SIGNED_IN),
    _row("PUT me/letters", open_to=OpenTo.SIGNED_IN),
    _row("GET me/history", open_to=OpenTo.SIGNED_IN),
    _row("GET me/receipts/{stream}", open_to=OpenTo.SIGNED_IN),
    _row("GET me/players", open_to=OpenTo.SIGNED_IN),
    _row("DELETE me/players/{player}", open_to=OpenTo.SIGNED_IN),
    _row("POST me/invitations", open_to=OpenTo.SIGNED_IN, is_fresh=True),
    _row("GET me/top-ups", open_to=OpenTo.SIGNED_IN),
    _row("POST me/top-ups", open_to=OpenTo.SIGNED_IN),
    _row("GET me/auto-top-up", open_to=OpenTo.SIGNED_IN),
    _row("PUT me/auto-top-up", open_to=OpenTo.SIGNED_IN, is_fresh=True),
    _row("DELETE me/auto-top-up", open_to=OpenTo.SIGNED_IN),
    _row("GET me/withdrawals", open_to=OpenTo.SIGNED_IN),
    _row("POST me/withdrawals", open_to=OpenTo.SIGNED_IN, is_fresh=True),
    _row("GET me/export", open_to=OpenTo.SIGNED_IN, is_fresh=True),
    _row("POST me/close", open_to=OpenTo.SIGNED_IN, is_fresh=True),
    _row("GET me/escrow", open_to=OpenTo.SIGNED_IN),
    *(
        _row(f"POST me/escrow/{act}", open_to=OpenTo.SIGNED_IN)
        for act in ("deposit", "request", "withdraw", "join", "leave", "calls/{call}")
    ),
    _row("GET me/escrow/calls/{call}", open_to=OpenTo.SIGNED_IN),
    _row("GET me/passes", open_to=OpenTo.SIGNED_IN),
    _row("POST me/passes", open_to=OpenTo.SIGNED_IN),
    _row("GET me/earnings", open_to=OpenTo.SIGNED_IN),
    _row("GET me/earnings/{stream}/statements/{month}", open_to=OpenTo.SIGNED_IN),
    _row("GET me/payouts", open_to=OpenTo.SIGNED_IN),
    _row("POST me/payouts", open_to=OpenTo.SIGNED_IN, is_fresh=True),
    # People, keys and the audit log.
    _row("GET people", *_READERS, scope="people:read"),
    _row("GET people/{person}", *_READERS, scope="people:read"),
    _row("PUT people/{person}/roles", _R.OWNER, is_fresh=True),
    _row("GET people/{person}/export", _R.OWNER, _R.SUPPORT, is_fresh=True),
    _row("POST people/{person}/erase", _R.OWNER, _R.SUPPORT, is_fresh=True),
    _row("DELETE people/{person}/sessions", _R.OWNER, _R.SUPPORT, scope="people:write"),
    _row("GET invitations", _R.OWNER, _R.SUPPORT, scope="people:read", open_to=OpenTo.SIGNED_IN),
    _row(
        "POST invitations", _R.OWNER, scope="people:write", open_to=OpenTo.SIGNED_IN, is_fresh=True
    ),
    _row(
        "DELETE invitations/{invitation}",
        _R.OWNER,
        _R.SUPPORT,
        scope="people:write",
        open_to=OpenTo.SIGNED_IN,
    ),
    _row("GET keys", _R.OWNER, _R.AUDITOR),
    _row("POST keys", _R.OWNER, is_fresh=True),
    _row("DELETE keys/{prefix}", _R.OWNER, is_fresh=True),
    _row("GET audit", _R.OWNER, _R.AUDITOR, scope="audit:read"),
)

SCOPES: Final = frozenset(row.scope for row in TABLE if row.scope)
_OPEN: Final = re.compile(
    "|".join(re.sub(r"\{\w+\}", "[^/]+", row.path) for row in TABLE if row.open_to is OpenTo.ANYONE)
)
TOKEN_PATH: Final = "/api/v1/streams/{slug}/join/token"  # noqa: S105 -- a path
"""Where an operator's own token (`viewer_tokens`) takes a key's place."""
_TOKEN_PATH: Final = re.compile(TOKEN_PATH.replace("{slug}", "[^/]+"))
_BY_ROUTE: Final = {(row.method, row.path): row for row in TABLE}


def of_route(method: str, path: str) -> Permission | None:
    """Return the row of a route, None when there is none.

    Args:
        path: As the router has it, with names in braces.
    """
    return _BY_ROUTE.get(("GET" if method == "HEAD" else method, path))


def is_open(path: str) -> bool:
    """Return whether at a path of a request nobody needs to say who they are."""
    return _OPEN.fullmatch(path) is not None


def takes_token(path: str) -> bool:
    """Return whether at a path of a request an operator's own token is shown."""
    return _TOKEN_PATH.fullmatch(path) is not None


def judge(
    row: Permission, principal: Principal, on_stream: frozenset[Role], now_ms: int, fresh_ms: int
) -> Verdict:
    """Return whether somebody may.

    Args:
        on_stream: What they are for the stream that the path names; empty when it names none.
        fresh_ms: How long a credential that was shown counts.
    """
    if row.open_to is OpenTo.ANYONE:
        return Verdict.ALLOWED
    if principal.scopes is not None:
        is_allowed = bool(row.scope) and row.scope in principal.scopes
        return Verdict.ALLOWED if is_allowed else Verdict.REFUSED
    if principal.person is None and not principal.roles:
        return Verdict.SIGN_IN
    is_own = row.open_to is OpenTo.SIGNED_IN and principal.person is not None
    # A creator for the whole server may make streams; another's stream is not theirs by that.
    held = (principal.roles & STAFF) | on_stream
    if not is_own and not row.roles & held:
        return Verdict.REFUSED
    is_old = principal.shown_ms is not None and now_ms - principal.shown_ms >= fresh_ms
    return Verdict.SHOW_AGAIN if row.is_fresh and is_old else Verdict.ALLOWED
