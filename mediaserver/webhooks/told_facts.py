"""Facts of the book as events: what a target is told of each.

Nothing of them opens anything: accounts and sessions are names, and whom a bank pays stays here.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, select

from mediaserver.webhooks.records import SERVER, Event, EventKind
from metering.book import schema as book_schema
from metering.book.facts import (
    BatchFinal,
    DepositBooked,
    Fact,
    MoneyReturned,
    PayoutChanged,
    SessionBegan,
    SessionEnded,
)
from metering.book.records import RETURNING
from metering.units import account_text, session_text

PROVIDERS: Final = "payment:"
"""How the keys of providers' deposits begin, and nobody else's."""


def event_of(connection: Connection, fact: Fact) -> Event:
    """Return what is told of a fact."""
    data: dict[str, Any]
    match fact:
        case BatchFinal():
            data = {
                "seq": fact.seq,
                "hash": fact.hash.hex(),
                "entries": fact.entries,
                "refused": fact.refused,
                "settled_planck": str(fact.settled_planck),
            }
            return Event(EventKind.BATCH_FINAL, SERVER, fact.at_ms, data)
        case DepositBooked():
            # What staff wrote with a credit stays here; of a provider's payment it is our order.
            _, is_order, order = fact.memo.partition("order ")
            data = {
                "account": account_text(fact.account),
                "planck": str(fact.planck),
                "deposit": fact.key,
                "order": order if is_order and fact.key.startswith(PROVIDERS) else None,
            }
            return Event(EventKind.PAYMENT_BOOKED, SERVER, fact.at_ms, data)
        case MoneyReturned():
            data = {
                "account": account_text(fact.account),
                "planck": str(fact.planck),
                "deposit": fact.deposit,
                "kind": fact.kind,
                "reference": fact.reference,
            }
            return Event(EventKind.PAYMENT_RETURNED, SERVER, fact.at_ms, data)
        case PayoutChanged():
            data = {
                "stream": stream_of(connection, fact.stream),
                "payout": fact.payout,
                "account": None if fact.account is None else account_text(fact.account),
                "state": fact.state,
                "planck": str(fact.planck),
                "amount": fact.amount,
                "currency": fact.currency,
            }
            return Event(EventKind.PAYOUT_CHANGED, fact.stream.hex, fact.at_ms, data)
        case SessionBegan() | SessionEnded():
            return _of_session(connection, fact)


def stream_of(connection: Connection, stream: UUID) -> dict[str, str]:
    """Return how events name a stream."""
    streams = book_schema.streams.c
    slug = connection.execute(select(streams.slug).where(streams.id == stream)).scalar_one_or_none()
    return {"id": str(stream), "slug": slug or ""}


def _of_session(connection: Connection, fact: SessionBegan | SessionEnded) -> Event:
    data: dict[str, Any] = {
        "stream": stream_of(connection, fact.stream),
        "account": account_text(fact.account),
        "session": session_text(fact.session),
    }
    if isinstance(fact, SessionBegan):
        kind, follows = EventKind.VIEWER_JOINED, fact.follows
        data["follows"] = None if follows is None else session_text(follows)
    else:
        is_back = fact.reason in RETURNING
        kind = EventKind.VIEWER_LEFT if is_back else EventKind.VIEWER_STOPPED
        data["reason"] = fact.reason
    return Event(kind, fact.stream.hex, fact.at_ms, data)
