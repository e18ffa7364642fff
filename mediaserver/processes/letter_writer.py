"""Writes to those who asked for it when their balance runs down: a look with each round of cuts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Final

from mediaserver import log
from mediaserver.api.context import Context
from mediaserver.people import balance_letters, mail
from mediaserver.people.balance_crossing import Crossed, Letter, look
from mediaserver.people.balance_letters import Asked, Due
from mediaserver.people.mail import MailError, MailServer
from mediaserver.people.service import Connection
from metering.book.book import Book
from metering.errors import BookError, InvalidValueError
from metering.log_throttle import LogThrottle
from metering.model import price
from metering.model.amounts import amount_text
from metering.model.ledger import balance_and_debt
from metering.model.named_prices import prices_of
from metering.units import Planck

AGAIN_MS: Final = 600_000
"""After which a letter that was not taken is tried again."""
FAILURES_MAX: Final = 3
"""In one round: a mail server that is away is not asked a hundred times."""

_log = log.get("people")

Looked = tuple[Asked, Crossed, Letter | None, Planck]


class LetterWriter:
    """Looks at the balances of those who asked, and sends what is due, while `run` runs."""

    def __init__(
        self,
        shared: Context,
        send: Callable[[MailServer, str, str, str], Awaitable[None]] = mail.send,
    ) -> None:
        self._shared = shared
        self._send = send
        self._period_s = float(shared.settings.metering.cut_period_s)
        self._throttle = LogThrottle()
        self._again_ms: dict[Due, int] = {}

    async def run(self) -> None:
        """Go on until cancelled; without a mail server there is nothing to do."""
        while True:
            if self._shared.settings.people.mail_url:
                try:
                    await self.round()
                    self._throttle.succeeded()
                except (BookError, MailError, InvalidValueError) as error:
                    if count := self._throttle.failed(str(error)):
                        _log.error("people.mail.failed", reason=str(error), times=count)
            await asyncio.sleep(self._period_s)

    async def round(self) -> int:
        """Look at every balance once and send what is due; return how many letters that were.

        Raises:
            BookError: The book does not answer.
            InvalidValueError: The mail server's password cannot be read.
            MailError: The mail server did not take a letter: it stays due, the others are sent.
        """
        people, now_ms = self._shared.people, self._shared.clock.now_ms()
        # Beside the book's thread: there may be many.
        looked = await self._shared.book.view(lambda book: list(_look(book, now_ms)))
        if looked:
            await people.write(lambda _, connection: _keep(connection, looked, now_ms))
        server = mail.mail_server(self._shared.settings.people)
        self._again_ms = {due: at_ms for due, at_ms in self._again_ms.items() if at_ms > now_ms}
        put_off = frozenset(self._again_ms)
        waiting = await people.read(
            lambda connection: balance_letters.due(connection, now_ms, put_off)
        )
        sent, failures = 0, list[MailError]()
        for due in waiting:
            if server is None or len(failures) >= FAILURES_MAX:
                break
            try:
                await self._send(server, due.address, *self._words(due))
            except MailError as error:
                self._again_ms[due] = now_ms + AGAIN_MS
                failures.append(error)
                continue
            await people.write(partial(_was_sent, due))
            sent += 1
        if failures:
            raise failures[0]
        return sent

    def _words(self, due: Due) -> tuple[str, str]:
        """Return subject and text of a letter."""
        settings = self._shared.settings
        left = amount_text(due.balance, settings.asset)
        url = f"{settings.public_url}/me/"
        if due.letter is Letter.LOW:
            subject, first = "Your balance is low", f"{left} is left of your balance."
        else:
            subject = "Your balance is used up"
            first = f"{left} is left of your balance: what costs something has stopped."
        return subject, (
            f"{first}\n\nPay in, or change when you are written to, here:\n\n{url}\n\n"
            "You asked for this letter; it comes once each time that the balance runs down.\n"
        )


def _keep(connection: Connection, looked: Sequence[Looked], now_ms: int) -> None:
    for item in looked:
        balance_letters.saw(connection, *item, now_ms)


def _was_sent(due: Due, _: Book, connection: Connection) -> None:
    balance_letters.sent(connection, due)


def _look(book: Book, now_ms: int) -> Iterable[Looked]:
    """Yield what changed since the last look."""
    with book.viewing() as connection:
        watching = balance_letters.watching(connection, now_ms)
    if not watching:
        return
    watched = set().union(*watching.values())
    streams = {stream.id: stream for stream in book.streams.some(watched)}
    named = {stream: book.named_prices.of(stream) for stream in watched}
    for asked, playing in watching.items():
        costs = [
            version.planck_per_tick
            for stream in playing
            if (
                version := price.in_force(
                    prices_of(streams[stream].prices, named[stream].get(asked.account, ())),
                    now_ms // 1000,
                )
            )
            and version.planck_per_tick
        ]
        viewer = book.viewers.get(asked.account)
        stayed = viewer.stayed
        balance, _ = balance_and_debt(stayed, book.cuts.spent(asked.account))
        crossed, letter = look(asked.crossed, balance, Planck(min(costs, default=0)))
        if crossed != asked.crossed:
            yield asked, crossed, letter, balance
