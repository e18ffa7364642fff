"""Which routes a cookie alone does not open: money out, ways in, keys, roles."""

import re

from mediaserver.people.permissions import TABLE

MONEY_OUT = re.compile(r"withdraw|refund|payout|escrow|credits")
RIGHTS = re.compile(r"credentials|recovery-codes|/keys|/key$|/roles|people/\{person\}/\{role\}")
STATE = ("POST", "PUT", "PATCH", "DELETE")
HARMLESS = {
    # Gives nothing: who is invited, or takes an invitation back, is no further than before.
    "DELETE /api/v1/invitations/{invitation}",
    # Prepare, or pass on, a call that nothing but the wallet's own signature of it makes happen.
    *(
        f"POST /api/v1/me/escrow/{call}"
        for call in ("deposit", "join", "leave", "request", "withdraw", "calls/{call}")
    ),
}


def test_a_cookie_alone_moves_no_money_out_adds_no_way_in_and_rotates_no_key() -> None:
    """A route that does any of it wants a credential shown within five minutes; a new one too."""
    bare = {
        f"{row.method} {row.path}"
        for row in TABLE
        if row.method in STATE
        and (MONEY_OUT.search(row.path) or RIGHTS.search(row.path) or "invitations" in row.path)
        and not row.is_fresh
        and "sign-" not in row.path
    }

    assert bare - HARMLESS == {"POST /api/v1/invitations/look"}


def test_what_opens_without_signing_in_changes_nothing_of_anybodys() -> None:
    """Anybody may look, and come in; all else that changes something knows who asks."""
    open_ones = {
        row.path.removeprefix("/api/v1/")
        for row in TABLE
        if row.method in STATE and row.open_to == "anyone"
    }

    assert {path.partition("/")[0] for path in open_ones} == {
        *("sign-in", "sign-up", "invitations", "streams")
    }
    assert {path for path in open_ones if path.startswith("streams")} == {
        *("streams/{slug}/join/token", "streams/{slug}/access/look")
    }
