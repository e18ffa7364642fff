"""Makes what HTTP processes are told: whole once, then what changed since.

A stream is read again when a transaction of ours touched it, when time changes what holds of it (a
bar ends, a price is too old to count), and in its turn: a piece of all streams every few seconds,
so that what anybody else wrote into the database is told, too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from mediaserver.api.context import Context
from mediaserver.api.streams.stream_policies import stream_policies
from mediaserver.hls.known_policy import ENDED_MAX, KnownPolicy
from mediaserver.ipc.messages import AddressRules, Policy, PolicyChange, TakenDown
from mediaserver.people import api_keys, bars, guests, stream_rules, takedowns
from mediaserver.people.place_rules import PlaceRules
from mediaserver.people.service import Connection
from mediaserver.people.visibility import Visibility
from mediaserver.webhooks.records import Question
from metering.book.book import Book
from metering.units import SessionId, StreamPolicy

AT_ONCE: Final = 400
"""Streams read in one go: some 30 ms of the book's thread, which others wait for."""
TURN: Final = 100
"""Streams whose turn it is: 10,000 are read again within 10 minutes."""
TURN_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """What HTTP processes must know of one stream."""

    policy: StreamPolicy
    key_sha256: bytes
    seen_by: Visibility
    rules: AddressRules | None
    down: TakenDown | None


@dataclass(frozen=True, slots=True)
class _Read:
    """What the book says of some streams, and of the server.

    Attributes:
        due_ms: When some of the streams change by themselves, Unix time.
        ended: Sessions of theirs that are over, the newest first.
        server_rules: None: it has none.
    """

    streams: tuple[StreamFacts, ...]
    due_ms: dict[UUID, int]
    ended: tuple[SessionId, ...]
    server_rules: AddressRules | None
    keys: tuple[tuple[str, bytes], ...]


class PolicyMaker:
    """Reads the book for HTTP processes, and knows what they were told last."""

    def __init__(self, shared: Context, rest: Callable[[], Policy]) -> None:
        """Prepare.

        Args:
            rest: Returns a policy with what is neither of streams nor in the book.
        """
        self.known: KnownPolicy | None = None
        """What was told last, whole."""
        self._shared = shared
        self._rest = rest
        self._facts: dict[UUID, StreamFacts] = {}
        self._due_ms: dict[UUID, int] = {}
        self._turns: deque[UUID] = deque()
        self._turned_s = float("-inf")

    @property
    def has_countries(self) -> bool:
        """Return whether rules name countries."""
        rules = () if self.known is None else self.known.address_rules.values()
        return any(item.allow_countries or item.deny_countries for item in rules)

    async def make(self) -> Policy | PolicyChange:
        """Return what to send: the first time a whole policy, then what changed.

        Raises:
            BookError: The book does not answer; ask again, nothing is lost.
        """
        book = self._shared.book
        touched = book.touched.take()
        try:
            if self.known is None:
                return await self._whole()
            return await self._change(self.known, touched)
        except BaseException:
            book.touched.give_back(touched)
            raise

    async def _whole(self) -> Policy:
        """Read all streams, some at once: what changes meanwhile is touched, and told next."""
        book = self._shared.book
        ids = await book.run(lambda book: book.streams.ids())
        self._facts.clear()
        for start in range(0, max(1, len(ids)), AT_ONCE):
            read = await book.run(partial(self._read, ids[start : start + AT_ONCE]))
            self._keep(read.streams)
            self._due_ms |= read.due_ms
        # Once more, of all streams at once: the newest of more than are told.
        now_ms = self._shared.clock.now_ms()
        hidden = [one.policy.stream for one in self._facts.values() if _is_hidden(one)]
        ended = await book.run(lambda book: book.sessions.over(hidden, now_ms, ENDED_MAX))
        policy = replace(
            self._message(self._facts.values(), ended, read.server_rules, read.keys),
            number=now_ms * 1000,
        )
        self.known = KnownPolicy(policy)
        return policy

    async def _change(self, known: KnownPolicy, touched: set[UUID]) -> PolicyChange:
        now_ms = self._shared.clock.now_ms()
        due = {stream for stream, due_ms in self._due_ms.items() if due_ms <= now_ms}
        wanted = sorted(touched | due | set(self._of_turn()))
        new, ended, due_ms = list[StreamFacts](), list[SessionId](), dict[UUID, int]()
        for start in range(0, max(1, len(wanted)), AT_ONCE):
            some = wanted[start : start + AT_ONCE]
            read = await self._shared.book.run(partial(self._read, some))
            new += [one for one in read.streams if self._facts.get(one.policy.stream) != one]
            ended += [one for one in read.ended if one not in known.restrictions.ended]
            due_ms |= read.due_ms
        for stream in wanted:
            self._due_ms.pop(stream, None)
        self._due_ms |= due_ms
        self._keep(new)
        message = self._message(new, ended[:ENDED_MAX], read.server_rules, read.keys)
        change = PolicyChange(known.number, replace(message, number=known.number + 1))
        known.change(change)
        return change

    def _keep(self, streams: Iterable[StreamFacts]) -> None:
        for one in streams:
            if one.policy.stream not in self._facts:
                self._turns.append(one.policy.stream)
            self._facts[one.policy.stream] = one

    def _of_turn(self) -> list[UUID]:
        """Return the streams whose turn it is to be read again, none between two turns."""
        now_s = self._shared.clock.monotonic()
        if now_s - self._turned_s < TURN_S:
            return []
        self._turned_s = now_s
        some = [self._turns[index] for index in range(min(TURN, len(self._turns)))]
        self._turns.rotate(-len(some))
        return some

    def _read(self, streams: Sequence[UUID], book: Book) -> _Read:
        """Return what the book says, in its thread and one view."""
        shared, now_ms = self._shared, self._shared.clock.now_ms()
        hours_s = shared.settings.metering.watched_hours * 3600
        with book.viewing() as connection:
            keys = api_keys.living(connection, now_ms)
            rules = stream_rules.some(connection, streams)
            seen_by, until_ms = self._seen_by(connection, streams, rules, now_ms)
            down = takedowns.all_held(connection, streams)
        records, named = book.streams.some(streams), book.named_prices.some(streams)
        hidden = [stream for stream in streams if seen_by[stream] is not Visibility.PUBLIC]
        ended = book.sessions.over(hidden, now_ms, ENDED_MAX) if hidden else []
        policies = stream_policies(
            records, named, shared.settings.price.preview_s, now_ms // 1000 - hours_s
        )
        due_ms = {policy.stream: due for policy in policies if (due := _due(policy, hours_s))}
        for stream, until in until_ms.items():
            due_ms[stream] = min(until, due_ms.get(stream, until))
        facts = tuple(
            StreamFacts(
                policy,
                record.key_sha256,
                seen_by[policy.stream],
                _of_addresses(policy.stream, rules.get(policy.stream)),
                _taken_down(down.get(policy.stream)),
            )
            for record, policy in zip(records, policies, strict=True)
        )
        return _Read(
            facts,
            due_ms,
            tuple(ended),
            _of_addresses(None, rules.get(None)),
            tuple((key.prefix, key.sha256) for key in keys),
        )

    def _seen_by(
        self,
        connection: Connection,
        streams: Sequence[UUID],
        rules: Collection[UUID | None],
        now_ms: int,
    ) -> tuple[dict[UUID, Visibility], dict[UUID, int]]:
        """Return whom streams are for, and until when that is so because somebody is barred."""
        # Where the operator's server is asked, it is when a token is minted: everybody shows one.
        # So with rules of place, and where somebody is barred, who would come back without one.
        is_asked = self._shared.decisions.asks(Question.MAY_WATCH)
        guarded = bars.guarded_until(connection, streams, now_ms)
        found = guests.visibilities(connection, streams)
        for stream in streams:
            is_held = is_asked or stream in rules or stream in guarded
            found.setdefault(stream, Visibility.UNLISTED if is_held else Visibility.PUBLIC)
            if is_held and found[stream] is Visibility.PUBLIC:
                found[stream] = Visibility.UNLISTED
        return found, {stream: until for stream, until in guarded.items() if until is not None}

    def _message(
        self,
        streams: Collection[StreamFacts],
        ended: Sequence[SessionId],
        server_rules: AddressRules | None,
        keys: tuple[tuple[str, bytes], ...],
    ) -> Policy:
        def those(wanted: Visibility) -> tuple[UUID, ...]:
            return tuple(one.policy.stream for one in streams if one.seen_by is wanted)

        rules = [one.rules for one in streams if one.rules is not None]
        return replace(
            self._rest(),
            streams=tuple(one.policy for one in streams),
            stream_keys=tuple((one.policy.slug, one.key_sha256) for one in streams),
            api_keys=keys,
            unlisted=those(Visibility.UNLISTED),
            invited=those(Visibility.INVITED),
            ended_sessions=tuple(ended),
            address_rules=tuple(rules if server_rules is None else [server_rules, *rules]),
            taken_down=tuple(one.down for one in streams if one.down is not None),
        )


def _is_hidden(facts: StreamFacts) -> bool:
    return facts.seen_by is not Visibility.PUBLIC


def _due(policy: StreamPolicy, hours_s: int) -> int:
    """Return when the oldest of a stream's prices counts no more, Unix ms; 0: it always does."""
    lists = (policy.prices, *(viewer.prices for viewer in policy.named))
    later = [prices[1].from_tick for prices in lists if len(prices) > 1]
    return (min(later) + hours_s) * 1000 if later else 0


def _of_addresses(stream: UUID | None, rules: PlaceRules | None) -> AddressRules | None:
    if rules is None:
        return None
    return AddressRules(
        stream,
        rules.allow_countries,
        rules.deny_countries,
        rules.allow_networks,
        rules.deny_networks,
    )


def _taken_down(found: takedowns.TakeDown | None) -> TakenDown | None:
    if found is None:
        return None
    return TakenDown(
        found.stream, found.status, takedowns.words(found.reason, is_legal=found.is_legal)
    )
