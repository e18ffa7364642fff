"""Forgets guests who have not come for `people.guest_days` and hold no money: erased as if closed.

Some at a time, each in a transaction of its own; who comes back meanwhile, or pays in, stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from mediaserver import log
from mediaserver.api.context import Context
from mediaserver.api.people import erasing
from mediaserver.payments import personal_rows as payment_rows
from mediaserver.people import audit, idle_guests
from mediaserver.people.records import Person
from mediaserver.people.service import Connection
from metering.book import account_rows
from metering.book.book import Book
from metering.errors import BookError
from metering.log_throttle import LogThrottle
from metering.model.ledger import balance_and_debt
from metering.units import AccountId

LOOKED_MAX: Final = 500
"""Guests in one round: 2 s of the book's thread, with others' work between them."""
PERIOD_S: Final = 3600.0
NEXT_S: Final = 60.0
"""Where a round was full: 30,000 an hour, six times what may be made."""
_DAY_MS: Final = 86_400_000
_ACTION: Final = "guest.forget"

_log = log.get("people")


class GuestSweep:
    """Looks at all idle guests in turn, while `run` runs."""

    def __init__(self, shared: Context) -> None:
        self._shared = shared
        self._after = ""
        self._throttle = LogThrottle()

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            await asyncio.sleep(NEXT_S if self._after else PERIOD_S)
            try:
                await self.round()
                self._throttle.succeeded()
            except BookError as error:
                if count := self._throttle.failed(str(error)):
                    _log.error("people.sweep.failed", reason=str(error), times=count)

    async def round(self) -> int:
        """Look at the next guests; return how many were forgotten.

        Raises:
            BookError: The book does not answer; those who were forgotten until then are.
        """
        shared, days = self._shared, self._shared.settings.people.guest_days
        if not days:
            return 0
        since_ms = shared.clock.now_ms() - days * _DAY_MS
        # Beside the book's thread: all people may have to be looked at.
        found = await shared.book.view(partial(_idle, since_ms=since_ms, after=self._after))
        count = 0
        for guest in found:
            count += await shared.people.write(partial(self._forget, guest, since_ms))
        self._after = found[-1].id if len(found) == LOOKED_MAX else ""
        if count:
            await shared.book.run(lambda book: book.leave_no_trace())
            _log.info("people.guests.forgotten", guests=count, days=days)
        return count

    def _forget(self, guest: Person, since_ms: int, book: Book, connection: Connection) -> bool:
        """Erase a guest who is still idle and holds nothing; return whether that was so."""
        now_ms, person, account = self._shared.clock.now_ms(), guest.id, guest.account
        if not idle_guests.is_idle(connection, person, since_ms):
            return False
        if self._holds_money(book, connection, person, account):
            return False
        if account is not None and book.sessions.of_account(account, since_ms, 1):
            return False  # somebody watches by a link of theirs

        def entry(action: str, target: str, after: Mapping[str, Any]) -> None:
            audit.add(
                connection,
                at_ms=now_ms,
                actor="server",
                action=action,
                target=target,
                address="",
                after=after,
            )

        erasing.erase(
            book,
            connection,
            person,
            account,
            now_ms,
            entry,
            _ACTION,
            lambda ended: {"ended": ended},
        )
        return True

    def _holds_money(
        self, book: Book, connection: Connection, person: str, account: AccountId | None
    ) -> bool:
        if any(
            account_rows.page(connection, rows, 0, 1)
            for rows in payment_rows.undecided(person, account)
        ):
            return True
        if account is None:
            return False
        if self._shared.escrow is not None:
            return True  # what it has is on the chain, and may come there at any time
        if book.splits.streams_of(account):
            return True  # a payee: what they earn may come at any time, and is asked for by them
        balance, _ = balance_and_debt(book.viewers.get(account).stayed, book.cuts.spent(account))
        now_s = self._shared.clock.now_ms() // 1000
        is_asked = any(not item.is_paid for item in book.passes.of_account(account))
        return balance > 0 or is_asked or bool(book.passes.that_may_cover(account, now_s))


def _idle(book: Book, since_ms: int, after: str) -> list[Person]:
    with book.viewing() as connection:
        return idle_guests.page(connection, since_ms, after, LOOKED_MAX)
