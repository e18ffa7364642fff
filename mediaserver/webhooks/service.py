"""What control does with webhooks: facts to events, events to targets.

One task for each target, so that a slow one keeps nobody waiting; a task without work waits for the
next event and has no timer. Without targets there is no task and nothing is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, TypeVar
from uuid import UUID

from sqlalchemy import Connection

from mediaserver import log
from mediaserver.http.webhook_signatures import WebhookSecrets
from mediaserver.webhooks import live_shows, low_balances, outbox, stream_health
from mediaserver.webhooks.addresses import networks_of
from mediaserver.webhooks.records import SERVER, Delivery, DeliveryState, Event, EventKind
from mediaserver.webhooks.sender import NotSentError, Sender
from mediaserver.webhooks.settings import WebhooksSettings, WebhookTarget
from mediaserver.webhooks.stream_health import ShowHealth, Steady
from mediaserver.webhooks.tables import TABLES
from mediaserver.webhooks.told_facts import event_of, stream_of
from metering.book.async_book import AsyncBook
from metering.book.book import Book
from metering.book.facts import Fact
from metering.errors import BookError, InvalidValueError, UnknownNameError
from metering.log_throttle import LogThrottle

T = TypeVar("T")
AT_ONCE_MAX: Final = 8
"""Events under way to one target, of as many streams."""
BOOK_AWAY_S: Final = 5.0
"""After which a book that did not answer is asked again."""
BALANCES_S: Final = 10.0
"""A period of cuts: between two of them no balance is another in the book."""
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS

_log = log.get("webhooks")


@dataclass(frozen=True, slots=True)
class Target:
    """A target with its secrets read."""

    settings: WebhookTarget
    secrets: WebhookSecrets
    throttle: LogThrottle = field(default_factory=LogThrottle)

    def wants(self, kind: EventKind) -> bool:
        """Return whether it is told events of a kind."""
        return not self.settings.events or kind.value in self.settings.events


def targets_of(settings: WebhooksSettings) -> tuple[Target, ...]:
    """Return the targets with their secrets.

    Raises:
        InvalidValueError: A file with a secret cannot be used.
    """
    found = []
    for target in settings.targets:
        name, file = f"webhooks.targets {target.name}: secret_file", target.secret_file
        try:
            secrets = WebhookSecrets(Path(file).read_text().strip())
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidValueError(f"{name}: {file} cannot be read: {error}") from error
        except InvalidValueError as error:
            raise InvalidValueError(f"{name}: {file} {error}") from error
        found.append(Target(target, secrets))
    return tuple(found)


class Webhooks:
    """The outbox in the book's database, and the targets."""

    def __init__(
        self,
        book: AsyncBook,
        settings: WebhooksSettings,
        now_ms: Callable[[], int],
        sender: Sender | None = None,
    ) -> None:
        """Take collaborators.

        Args:
            sender: None: one with the bounds of the settings.

        Raises:
            InvalidValueError: A file with a secret cannot be used.
        """
        self._book = book
        self._settings = settings
        self._now_ms = now_ms
        self._targets = {target.settings.name: target for target in targets_of(settings)}
        self._wakes = {name: asyncio.Event() for name in self._targets}
        networks = networks_of(settings.allowed_networks)
        self._live: dict[UUID, int] | None = None
        self._bad: dict[UUID, int] | None = None
        self._steady = Steady()
        self._sender = sender or Sender(networks, settings.timeout_s)

    @property
    def targets(self) -> tuple[WebhookTarget, ...]:
        """Return who is told."""
        return tuple(target.settings for target in self._targets.values())

    async def open(self) -> None:
        """Make the tables, and take part in the book's facts where there are targets.

        Raises:
            BookError: They were written by a newer program, or the database does not answer.
        """
        self._loop = asyncio.get_running_loop()
        await self._book.run(TABLES.bring_up)
        await self._book.run(self._begin)

    def _begin(self, book: Book) -> None:
        with book.together() as connection:
            outbox.leave_out(connection, self._targets)
            if not self._targets:
                live_shows.forget_all(connection)
        if self._targets:
            book.facts.join(self.tell)

    def tell(self, connection: Connection, fact: Fact) -> None:
        """Write down what targets are told of a fact; called in its transaction."""
        self._append(connection, event_of(connection, fact))

    async def saw_shows(
        self, live: Mapping[UUID, int], paused: Mapping[UUID, int], *, is_whole: bool
    ) -> None:
        """Tell of shows that went live or ended since the last call; often asked, rarely work.

        Args:
            live: Those whose media comes, by stream.
            paused: Those whose media does not come: those that were live are, still.
            is_whole: No other show can be live; else none is told to have ended for not being here.

        Raises:
            BookError: The database does not answer; the next call tells it.
        """
        if not self._targets:
            return
        if self._live is None:
            self._live = await self.read(live_shows.all_of)
        known = self._live
        shows = {stream: show for stream, show in paused.items() if known.get(stream) == show}
        shows |= live
        if shows == self._live or (not is_whole and shows.items() <= self._live.items()):
            return
        at_ms = self._now_ms()

        def work(connection: Connection) -> dict[UUID, int]:
            for change in live_shows.take(connection, shows, is_whole=is_whole):
                kind = EventKind.STREAM_LIVE if change.is_live else EventKind.STREAM_ENDED
                data = {"stream": stream_of(connection, change.stream), "show": change.show}
                self._append(connection, Event(kind, change.stream.hex, at_ms, data))
                stream_health.forget(connection, change.stream)
            return live_shows.all_of(connection)

        self._live = await self.write(work)
        self._bad = None

    async def saw_health(self, shows: Mapping[UUID, ShowHealth]) -> None:
        """Tell of shows whose health is another for a while; often asked, rarely work.

        Args:
            shows: Those that workers have, by stream; only those that were told to be live count.

        Raises:
            BookError: The database does not answer; the next call tells it.
        """
        if not self._is_wanted(EventKind.STREAM_HEALTH) or self._live is None:
            return
        if self._bad is None:
            self._bad = await self.read(stream_health.known_bad)
        live, at_ms = self._live, self._now_ms()
        known = {at: health for at, health in shows.items() if live.get(at) == health.show}
        changed = self._steady.changed(known, self._bad, at_ms)
        if not changed:
            return

        def work(connection: Connection) -> dict[UUID, int]:
            for event in stream_health.keep(connection, changed, at_ms):
                self._append(connection, event)
            return stream_health.known_bad(connection)

        self._bad = await self.write(work)

    async def look_at_balances(self) -> None:
        """Tell of those who play and whose money runs out, where somebody wants to know.

        Raises:
            BookError: The database does not answer; the next look tells it.
        """
        if not self._is_wanted(EventKind.VIEWER_LOW, EventKind.VIEWER_STOPPED):
            return
        at_ms, low_s = self._now_ms(), self._settings.low_s
        # Beside the book's thread: there may be many.
        changes = await self._book.view(lambda book: low_balances.look(book, at_ms, low_s))
        if not changes:
            return

        def work(connection: Connection) -> None:
            for event in low_balances.keep(connection, changes, at_ms):
                self._append(connection, event)

        await self.write(work)

    def _is_wanted(self, *kinds: EventKind) -> bool:
        return any(target.wants(kind) for target in self._targets.values() for kind in kinds)

    async def test(self, name: str) -> str:
        """Tell one target that this is a test; return the event's id.

        Raises:
            UnknownNameError: There is no such target.
        """
        self.require(name)
        event = Event(EventKind.TEST, SERVER, self._now_ms(), {"target": name})
        made = await self.write(lambda connection: outbox.append(connection, event, [name]))
        self.wake(name)
        return made

    def require(self, name: str) -> None:
        """Hold that there is a target of this name.

        Raises:
            UnknownNameError: There is none.
        """
        if name not in self._targets:
            known = ", ".join(self._targets) or "none"
            raise UnknownNameError(f"no webhook target is called {name[:40]!r}; there are: {known}")

    def wake(self, name: str) -> None:
        """Have a target told what was written down for it; call it behind that transaction."""
        self._wakes[name].set()

    async def run(self) -> None:
        """Tell the targets until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for name in self._targets:
                tasks.create_task(self._serve(name))
            if self._targets:
                tasks.create_task(self._keep_looking())
            await asyncio.Event().wait()

    async def _keep_looking(self) -> None:
        throttle = LogThrottle()
        while True:
            try:
                await self.look_at_balances()
                throttle.succeeded()
            except BookError as error:
                if count := throttle.failed(str(error)):
                    _log.error("webhooks.balances.failed", reason=str(error), times=count)
            await asyncio.sleep(BALANCES_S)

    async def _serve(self, name: str) -> None:
        wake, throttle = self._wakes[name], LogThrottle()
        while True:
            wake.clear()
            try:
                wait_s = await self.round(name)
                throttle.succeeded()
            except BookError as error:
                if count := throttle.failed(str(error)):
                    _log.error("webhooks.book.failed", target=name, reason=str(error), times=count)
                wait_s = BOOK_AWAY_S
            try:
                async with asyncio.timeout(wait_s):
                    await wake.wait()
            except TimeoutError:
                continue

    async def round(self, name: str) -> float | None:
        """Try what is due to a target; return in how many seconds more is, None: at an event.

        Raises:
            BookError: The database does not answer: what arrived meanwhile is told again.
        """
        waiting = await self.read(partial(outbox.heads, target=name, limit=AT_ONCE_MAX))
        now_ms = self._now_ms()
        due = [delivery for delivery in waiting if delivery.next_ms <= now_ms]
        if not due:
            return (waiting[0].next_ms - now_ms) / 1000 if waiting else None
        ends = await asyncio.gather(*(self._try(delivery) for delivery in due))
        end_ms = self._now_ms()
        give_up_ms = self._settings.give_up_h * HOUR_MS

        def note(connection: Connection) -> list[Delivery]:
            dead = []
            for delivery, (is_sent, detail) in zip(due, ends, strict=True):
                if is_sent:
                    outbox.sent(connection, delivery, detail)
                elif outbox.failed(connection, delivery, detail, end_ms, give_up_ms) is (
                    DeliveryState.DEAD
                ):
                    dead.append(delivery)
            outbox.forget(connection, end_ms - self._settings.keep_days * DAY_MS)
            return dead

        for delivery in await self.write(note):
            _log.error("webhooks.event.dead", target=name, event_id=delivery.id, kind=delivery.kind)
        return 0.0

    async def _try(self, delivery: Delivery) -> tuple[bool, str]:
        """Return whether a target took an event, and what it said."""
        target = self._targets[delivery.target]
        headers = target.secrets.signed_headers(delivery.id, delivery.body, self._now_ms())
        try:
            status = await self._sender.post(target.settings.url, delivery.body, headers)
        except NotSentError as error:
            if count := target.throttle.failed(str(error)):
                facts = {"target": delivery.target, "event_id": delivery.id, "times": count}
                _log.warning("webhooks.event.failed", reason=str(error), **facts)
            return False, str(error)
        target.throttle.succeeded()
        return True, f"answered {status}"

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` reads in one consistent view."""

        def run(book: Book) -> T:
            with book.viewing() as connection:
                return work(connection)

        return await self._book.run(run)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` returns; what it writes is one transaction."""

        def run(book: Book) -> T:
            with book.together() as connection:
                return work(connection)

        return await self._book.run(run)

    def _append(self, connection: Connection, event: Event) -> None:
        """Write an event down and wake who tells it: they read after this transaction."""
        wanted = [name for name, target in self._targets.items() if target.wants(event.kind)]
        outbox.append(connection, event, wanted)
        for name in wanted:
            self._loop.call_soon_threadsafe(self._wakes[name].set)
