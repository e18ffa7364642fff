"""Fills the balances of those who allowed it, while they watch: a look with each round of cuts.

The payment is written down with the look that it is worth, then its provider is asked. Who is
declined or slow is no exception anywhere: the balance runs out as if there were none of this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from mediaserver import log
from mediaserver.api.context import Context
from mediaserver.payments import auto_charges, auto_charging, auto_rules
from mediaserver.payments.auto_records import AutoTopUp, Charge
from mediaserver.people import audit, credentials, mail
from mediaserver.people.mail import MailError, MailServer
from mediaserver.people.records import CredentialKind
from mediaserver.people.service import Connection
from metering.book.book import Book
from metering.errors import BookError, InvalidValueError, MeteringError
from metering.log_throttle import LogThrottle
from metering.model.ledger import balance_and_debt
from metering.units import AccountId

SERVER: Final = "server"
"""Who acts, in the audit log: a person allowed it before."""
AT_ONCE_MAX: Final = 8
"""Payments under way to providers: a slow one keeps few others waiting."""
DUE_MAX: Final = 200

_log = log.get("payments")


class AutoPayer:
    """Looks, asks and tells, while `run` runs."""

    def __init__(
        self,
        shared: Context,
        changed: Callable[[AccountId], None],
        send: Callable[[MailServer, str, str, str], Awaitable[None]] = mail.send,
    ) -> None:
        """Take collaborators.

        Args:
            changed: Called with an account whose money is in the book and not in the store yet.
        """
        self._shared = shared
        self._changed = changed
        self._send = send
        self._period_s = float(shared.settings.metering.cut_period_s)
        self._throttle = LogThrottle()

    async def run(self) -> None:
        """Go on until cancelled; where no provider takes such payments there is nothing to do."""
        while True:
            if self._shared.payments.charging:
                try:
                    await self.round()
                    self._throttle.succeeded()
                except MeteringError as error:
                    if count := self._throttle.failed(str(error)):
                        _log.error("payments.charges.failed", reason=str(error), times=count)
            await asyncio.sleep(self._period_s)

    async def round(self) -> None:
        """Look at every balance once, ask for what is due, and tell whom we turned off.

        Raises:
            BookError: The book does not answer; the next round goes on where this one was.
        """
        shared, now_ms = self._shared, self._shared.clock.now_ms()
        # Beside the book's thread: there may be many.
        for person in await shared.book.view(lambda book: _crossing(book, now_ms)):
            await shared.people.write(partial(self._begin, person=person, now_ms=now_ms))
        before_ms = now_ms - auto_charging.WAIT_FOR_MS
        await shared.payments.write(
            lambda _, connection: auto_charges.lose_old(connection, before_ms, now_ms)
        )
        waiting = await shared.payments.read(
            lambda connection: auto_charges.due(connection, now_ms, DUE_MAX)
        )
        for start in range(0, len(waiting), AT_ONCE_MAX):
            await asyncio.gather(*map(self._ask, waiting[start : start + AT_ONCE_MAX]))
        await self._tell_ended(now_ms)

    def _begin(self, book: Book, connection: Connection, *, person: str, now_ms: int) -> None:
        charge = auto_charging.begin(self._shared.payments, book, connection, person, now_ms)
        if charge is None:
            return
        _note(
            connection,
            "auto_top_up.charge",
            person,
            {
                "order": charge.id,
                "provider": charge.provider,
                "amount": str(charge.amount),
                "currency": charge.currency,
            },
            now_ms,
        )

    async def _ask(self, charge: Charge) -> None:
        try:
            account = await auto_charging.ask(
                self._shared.payments, charge, self._shared.clock.now_ms()
            )
        except BookError as error:
            _log.warning("payments.charge.waiting", reason=str(error), order=charge.id)
        except Exception:  # noqa: BLE001 - one odd answer ends neither control nor the round
            _log.exception("payments.charge.odd", order=charge.id)
        else:
            if account is not None:
                self._changed(account)

    async def _tell_ended(self, now_ms: int) -> None:
        """Tell people that their balance is filled no more, once; their page says it, too."""
        ended = await self._shared.payments.read(auto_rules.not_told)
        for rule in ended:

            def keep(_: Book, connection: Connection, rule: AutoTopUp = rule) -> list[str]:
                auto_rules.was_told(connection, rule.person)
                _note(
                    connection, "auto_top_up.off", rule.person, {"provider": rule.provider}, now_ms
                )
                held = credentials.of_person(connection, rule.person)
                return [item.subject for item in held if item.kind is CredentialKind.MAIL]

            addresses = await self._shared.people.write(keep)
            await self._write_to(addresses, rule.why)

    async def _write_to(self, addresses: list[str], why: str) -> None:
        settings = self._shared.settings
        if not settings.people.mail_url or not addresses:
            return
        words = (
            f"Your balance is not filled automatically any more: {why}.\n\nPay in, or turn it on "
            f"again, here:\n\n{settings.public_url}/me/\n"
        )
        try:
            server = mail.mail_server(settings.people)
            if server is not None:
                await self._send(server, addresses[0], "Your automatic top-up is off", words)
        except (MailError, InvalidValueError) as error:
            _log.warning("payments.letter.failed", reason=str(error))


def _note(
    connection: Connection, action: str, person: str, after: dict[str, str], now_ms: int
) -> None:
    audit.add(
        connection,
        at_ms=now_ms,
        actor=SERVER,
        action=action,
        target=f"person:{person}",
        address="",
        after=after,
    )


def _crossing(book: Book, now_ms: int) -> list[str]:
    """Return whose balance is on the other side of their threshold than is known."""
    with book.viewing() as connection:
        rules = auto_rules.playing(connection, now_ms)
    if not rules:
        return []
    accounts = [rule.account for rule in rules]
    stayed = {viewer.account: viewer.stayed for viewer in book.viewers.some(accounts)}
    spent = book.cuts.spent_by(accounts)
    return [
        rule.person
        for rule in rules
        if rule.account in stayed
        and rule.is_low
        != (balance_and_debt(stayed[rule.account], spent[rule.account])[0] < rule.threshold)
    ]
