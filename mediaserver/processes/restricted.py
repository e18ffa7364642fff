"""What control tells HTTP processes of streams that are not for everybody."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final
from uuid import UUID

from mediaserver.api.context import Context
from mediaserver.ipc.messages import AddressRules, TakenDown
from mediaserver.people import bars, guests, stream_rules, takedowns
from mediaserver.people.place_rules import PlaceRules
from mediaserver.people.visibility import Visibility
from mediaserver.webhooks.records import Question
from metering.units import SessionId

ENDED_MAX: Final = 10_000
"""Sessions in one policy message, 210 KB. Of more that end within a token's life, the store still
refuses the oldest where they cost something."""


@dataclass(frozen=True, slots=True)
class Restricted:
    """Fields of a policy; see `mediaserver.ipc.messages.Policy`."""

    unlisted: tuple[UUID, ...]
    invited: tuple[UUID, ...]
    ended: tuple[SessionId, ...]
    address_rules: tuple[AddressRules, ...]
    taken_down: tuple[TakenDown, ...]
    has_countries: bool


async def restricted(shared: Context, now_ms: int) -> Restricted:
    """Return which streams ask everybody for a token, and which sessions of theirs are over.

    Raises:
        BookError: The book does not answer.
    """
    book, people = shared.book, shared.people
    streams = await people.read(guests.not_public)
    # Who is barred would come back without a token: everybody shows one.
    for stream in await people.read(partial(bars.guarded, now_ms=now_ms)):
        streams.setdefault(stream, Visibility.UNLISTED)
    rules = await people.read(stream_rules.everything)
    # Their rules are held when a token is minted, so everybody shows one.
    for ruled in rules:
        if ruled is not None:
            streams.setdefault(ruled, Visibility.UNLISTED)
    # The operator's server is asked when a token is minted.
    if shared.decisions.asks(Question.MAY_WATCH):
        for known in await book.view(lambda book: book.streams.all()):
            streams.setdefault(known.id, Visibility.UNLISTED)
    down = await people.read(takedowns.all_held)
    ended: list[SessionId] = []
    if streams:
        ended = await book.run(lambda book: book.sessions.over(streams, now_ms, ENDED_MAX))

    def those(wanted: Visibility) -> tuple[UUID, ...]:
        return tuple(stream for stream, seen_by in streams.items() if seen_by is wanted)

    return Restricted(
        those(Visibility.UNLISTED),
        those(Visibility.INVITED),
        tuple(ended),
        tuple(_of_addresses(stream, found) for stream, found in rules.items()),
        tuple(
            TakenDown(
                item.stream, item.status, takedowns.words(item.reason, is_legal=item.is_legal)
            )
            for item in down.values()
        ),
        any(found.has_countries for found in rules.values()),
    )


def _of_addresses(stream: UUID | None, rules: PlaceRules) -> AddressRules:
    return AddressRules(
        stream,
        rules.allow_countries,
        rules.deny_countries,
        rules.allow_networks,
        rules.deny_networks,
    )
