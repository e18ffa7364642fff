"""A pass: a price for all that a show, or a month of a stream, has left. Pure.

Source: docs/metering.md, "Passes".
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from metering.model import ticks
from metering.model.ledger import Holder, Posting, Role, Shares, balanced, earned_by
from metering.units import AccountId, Planck, Run

MONTH_S: Final = 30 * 86_400
"""A month is 30 days, whichever month it is: so a pass is worth the same in each of them."""
BACK_S: Final = 60
"""So long before it was bought a month begins: a player is behind the newest second by up to its
window, and who spent their last on the pass could not pay for what they see first."""
ENDLESS_TICK: Final = 2**32 - 1
"""End of a pass for a show: no show has ticks behind its own."""
KEPT_MAX: Final = 100
"""Passes of an account that a claim looks at: they are one field in the store. Who has so many that
may still cover is sold no other."""
_NO_SHOWS: Final[Mapping[UUID, int]] = {}
_ENTRY: Final = struct.Struct(">16sIII16s")
"""Stream, show (0: any), first tick, end, id (scripts/common.lua)."""


class PassKind(StrEnum):
    """What a pass is for."""

    SHOW = "show"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class PassOffer:
    """What a pass costs from a time on.

    Attributes:
        from_s: Unix time.
        planck: 0 is no longer sold.
    """

    kind: PassKind
    from_s: int
    planck: Planck


@dataclass(frozen=True, slots=True)
class Pass:
    """A pass that somebody bought.

    Attributes:
        id: 32 hexadecimal digits.
        show: Number of the show; 0 for a month.
        from_tick: First second that it covers.
        until_tick: The second after the last; `ENDLESS_TICK` for a show.
        planck: What it cost.
        platform_fee_ppm: The platform's share, as it was then.
        creator: Who earned the rest.
        is_paid: It is posted; else the store was only asked for its price.
        refunded_ms: When finance gave the price back, Unix time; it covers nothing from then on.
        split: Number of the split table that held then; 0 is none.
        shares: Of its payees.
    """

    id: str
    account: AccountId
    stream: UUID
    kind: PassKind
    show: int
    from_tick: int
    until_tick: int
    planck: Planck
    platform_fee_ppm: int
    creator: AccountId
    created_ms: int
    is_paid: bool = True
    refunded_ms: int | None = None
    split: int = 0
    shares: Shares = ()

    @property
    def run(self) -> Run:
        """Return the seconds that it covers, of its show alone where it is for one."""
        return Run(self.from_tick, self.until_tick - self.from_tick)

    def holds(self, now_s: int, show: int) -> bool:
        """Return whether it covers what is watched now.

        Args:
            show: The one that is on air, or was last; 0 for none.
        """
        if self.refunded_ms is not None or not self.is_paid:
            return False
        return self.show == show if self.show else now_s < self.until_tick


def new_pass_run(kind: PassKind, now_s: int, show: int) -> tuple[int, int]:
    """Return the first second that a pass covers, and the one after its last.

    Args:
        now_s: When it is bought.
        show: The one on air; a pass for a show covers all of it that was not watched yet.
    """
    if kind is PassKind.SHOW:
        return show, ENDLESS_TICK
    return now_s - BACK_S, now_s + MONTH_S


def in_force(offers: Iterable[PassOffer], kind: PassKind, now_s: int) -> PassOffer | None:
    """Return what a pass costs now; None where none is sold."""
    begun = [offer for offer in offers if offer.kind is kind and offer.from_s <= now_s]
    newest = max(begun, key=lambda offer: offer.from_s, default=None)
    return newest if newest is not None and newest.planck else None


def may_cover(
    passes: Iterable[Pass], oldest: int, last_shows: Mapping[UUID, int] = _NO_SHOWS
) -> list[Pass]:
    """Return the passes of one account by which a second may still be covered.

    A show is over when the next one of its stream begins: of shows that began up to `oldest` only
    the newest of each stream may still be claimed. One that is asked for stays, whatever it is for.

    Args:
        oldest: Oldest second that may still be claimed.
        last_shows: The newest show of each stream that is known to have begun up to `oldest`; those
            that the passes themselves name are known.
    """
    left = [item for item in passes if item.refunded_ms is None and item.until_tick > oldest]
    newest = dict(last_shows)
    for item in left:
        if item.show <= oldest:
            newest[item.stream] = max(item.show, newest.get(item.stream, 0))
    return [
        item
        for item in left
        if not item.show or item.show >= newest.get(item.stream, 0) or not item.is_paid
    ]


def packed(
    passes: Iterable[Pass], oldest: int, last_shows: Mapping[UUID, int] = _NO_SHOWS
) -> bytes:
    """Return the passes of one account that may still cover as the store has them, the newest last.

    Of more than `KEPT_MAX`, which no sale leads to, what is asked for is kept first, so that the
    store says whether it was taken; then months, then the newest shows.

    Args:
        oldest: Oldest second that may still be claimed.
        last_shows: As `may_cover` takes them.
    """
    ranked = sorted(
        may_cover(passes, oldest, last_shows),
        key=lambda item: (item.is_paid, item.show > 0, -item.show, -item.created_ms, item.id),
    )
    kept = sorted(ranked[:KEPT_MAX], key=lambda item: (item.created_ms, item.id))
    return b"".join(
        _ENTRY.pack(
            item.stream.bytes, item.show, item.from_tick, item.until_tick, bytes.fromhex(item.id)
        )
        for item in kept
    )


def covers_until(entries: bytes, stream: bytes, now_s: int, show: int) -> int | None:
    """Return until which second an account's passes cover a stream; None where none does.

    Args:
        entries: From `packed`.
        stream: 16 bytes.
        now_s: Unix time.
        show: The one on air; 0 where it is not known.
    """
    ends = [
        until
        for of, its_show, first, until, _ in _ENTRY.iter_unpack(entries)
        if of == stream and first <= now_s < until and its_show in {0, show}
    ]
    return max(ends, default=None)


def postings_of(item: Pass) -> tuple[Posting, ...]:
    """Return the postings of a purchase: the price, in the stream's shares."""
    earned = earned_by(item.planck, item.stream, item.platform_fee_ppm, item.creator, item.shares)
    moved = {Holder(Role.VIEWER, item.account): -item.planck, **earned}
    return balanced(
        tuple(Posting(holder, Planck(planck)) for holder, planck in moved.items() if planck)
    )


def refund_postings(item: Pass) -> tuple[Posting, ...]:
    """Return the postings that give the whole price back, from who had it."""
    return tuple(Posting(line.holder, Planck(-line.planck)) for line in postings_of(item))


def sums_of(passes: Iterable[Pass]) -> dict[Holder, Planck]:
    """Return what passes moved in the ledger, by holder; what was refunded moved back."""
    sums: dict[Holder, Planck] = {}
    for item in passes:
        if item.is_paid and item.refunded_ms is None:
            for line in postings_of(item):
                sums[line.holder] = Planck(sums.get(line.holder, 0) + line.planck)
    return sums


def not_covered(runs: ticks.Runs, show: int, passes: Sequence[Pass]) -> ticks.Runs:
    """Return the seconds of a show that no pass covers, refunded ones included.

    Args:
        passes: Of one account and stream.
    """
    covering = [item.run for item in passes if item.show in {0, show}]
    return ticks.difference(runs, ticks.normal(covering))
