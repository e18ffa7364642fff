"""Sequence numbers of one source: order, gaps, what to ask for again, when to give up.

Packets leave in order and once each. A gap holds back what follows it; its packets are asked for
at once and again with a doubling wait, until they come or `give_up_s` has passed. Then the gap is
skipped and the first packet behind it carries how many were lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from mediaserver.ingest.rtp import Unwrapper

T = TypeVar("T")

PACKETS_MAX: Final = 4096
"""What OBS keeps for retransmission; 0.4 s at 98 Mbit/s."""
ASKS_MAX: Final = 6
"""With the wait doubling from 30 ms, the sixth ask is 0.9 s after the first."""
ASK_WAIT_S: Final = 0.03
"""A fixed 30 ms repeat made 4,000 duplicates in the spike; so 30 ms is the first wait only."""
ASK_COUNT_MAX: Final = 256
"""Packets in one NACK: its worst case is 256 entries of 4 bytes, which fits one datagram."""
NEVER: Final = float("inf")


@dataclass(slots=True)
class Delivery(Generic[T]):
    """A packet in its turn. `lost` counts packets given up immediately before it."""

    item: T
    lost: int


@dataclass(slots=True)
class _Missing:
    since: float
    ask_at: float
    asks: int = 0
    asked_at: float = 0.0


class Reorder(Generic[T]):
    """Puts the packets of one source in order.

    Attributes:
        lost: Packets given up.
        repaired: Packets that came after having been asked for.
        late: Packets that came twice or too late.
        asked: Sequence numbers asked for, repeats included.
        repair_s: Smoothed seconds from the first ask to the packet: about one round trip. 0 when
            nothing was repaired yet.
    """

    def __init__(self, give_up_s: float, asks: bool) -> None:
        self.lost = 0
        self.repaired = 0
        self.late = 0
        self.asked = 0
        self.repair_s = 0.0
        self._give_up_s = give_up_s
        self._asks = asks
        self._unwrap = Unwrapper(16)
        self._waiting: dict[int, T] = {}
        self._missing: dict[int, _Missing] = {}
        self._next = 0
        self._has_begun = False
        self._highest = 0
        self._restart_at: int | None = None  # the number that would confirm a step far back
        self._ask_at = NEVER  # no missing packet wants to be asked for before this

    @property
    def due_s(self) -> float:
        """Return when `expire` or `asks` has something to do, `NEVER` while nothing is missing."""
        if not self._missing:
            return NEVER
        due = next(iter(self._missing.values())).since + self._give_up_s
        return min(due, self._ask_at) if self._asks else due

    def push(self, sequence: int, item: T, now: float) -> list[Delivery[T]]:
        """Return what may leave now that the packet with this 16-bit sequence number came."""
        number = self._unwrap.advance(sequence)
        if not self._has_begun:
            self._has_begun = True
            self._next = self._highest = number
        expected = self._next
        if number == expected:
            if self._missing:
                self._repair(number, now)
            self._next = number + 1
            self._highest = max(self._highest, number)
            first = Delivery(item, 0)
            return [first, *self._run()] if self._waiting else [first]
        if number < expected - PACKETS_MAX:
            return self._behind(sequence, item)
        if number < expected or number in self._waiting:
            self.late += 1
            return []
        return self._ahead(number, expected, item, now)

    def expire(self, now: float) -> list[Delivery[T]]:
        """Return what leaves because the gap before it has been waited for long enough."""
        released: list[Delivery[T]] = []
        while self._missing and self._waiting:
            first = next(iter(self._missing.values()))
            # Compared as `due_s` computes it: a timer that fires exactly then finds work.
            if now < first.since + self._give_up_s and len(self._waiting) <= PACKETS_MAX:
                break
            released += self._skip()
        return released

    def asks(self, now: float) -> list[int]:
        """Return the 16-bit sequence numbers to ask for now, oldest first."""
        if not self._asks:
            return []
        wait = max(ASK_WAIT_S, 1.5 * self.repair_s)
        wanted = []
        for number, missing in self._missing.items():
            if missing.ask_at > now:
                continue
            missing.asks += 1
            if missing.asks == 1:
                missing.asked_at = now
            missing.ask_at = NEVER if missing.asks >= ASKS_MAX else now + wait * 2**missing.asks / 2
            wanted.append(number & 0xFFFF)
            if len(wanted) == ASK_COUNT_MAX:
                break
        self._ask_at = min((missing.ask_at for missing in self._missing.values()), default=NEVER)
        self.asked += len(wanted)
        return wanted

    def _ahead(self, number: int, expected: int, item: T, now: float) -> list[Delivery[T]]:
        if number - expected > PACKETS_MAX:
            # The sender jumped: nothing before can be expected to come.
            released = self._drain()
            return [*released, self._begin_at(number, item, number - self._next)]
        self._waiting[number] = item
        if number < self._highest:
            self._repair(number, now)
        else:
            for absent in range(max(self._highest + 1, expected), number):
                self._missing[absent] = _Missing(now, now)
                self._ask_at = now
            self._highest = number
        return self.expire(now) if len(self._waiting) > PACKETS_MAX else []

    def _behind(self, sequence: int, item: T) -> list[Delivery[T]]:
        """Return what leaves for a packet too far back to be a repeat of one that was asked for.

        An outage of more than half the number space looks like a step back. As in RFC 3550, A.1,
        two such packets in a row are a new beginning; one alone is a stray.
        """
        if sequence != self._restart_at:
            self._restart_at = (sequence + 1) & 0xFFFF
            self.late += 1
            return []
        self._restart_at = None
        released = self._drain()
        lost = (sequence - self._next) & 0xFFFF or 1
        self._unwrap = Unwrapper(16)
        return [*released, self._begin_at(self._unwrap.advance(sequence), item, lost)]

    def _drain(self) -> list[Delivery[T]]:
        """Give up every gap and return all that waited."""
        released: list[Delivery[T]] = []
        while self._waiting:
            released += self._skip()
        return released

    def _begin_at(self, number: int, item: T, lost: int) -> Delivery[T]:
        """Go on at `number`, which follows `lost` packets that will not come."""
        self.lost += lost
        self._missing.clear()
        self._next = number + 1
        self._highest = number
        return Delivery(item, lost)

    def _repair(self, number: int, now: float) -> None:
        missing = self._missing.pop(number, None)
        if missing is not None and missing.asks:
            self.repaired += 1
            if missing.asks == 1:  # a repeated ask leaves open which one was answered
                elapsed_s = now - missing.asked_at
                self.repair_s += (elapsed_s - self.repair_s) / (8 if self.repair_s else 1)

    def _run(self) -> list[Delivery[T]]:
        """Return the waiting packets that are now in turn."""
        released = []
        while (item := self._waiting.pop(self._next, None)) is not None:
            released.append(Delivery(item, 0))
            self._next += 1
        return released

    def _skip(self) -> list[Delivery[T]]:
        """Give up the gap at the head and return what waited behind it."""
        head = min(self._waiting)
        lost = head - self._next
        for number in range(self._next, head):
            self._missing.pop(number, None)
        self.lost += lost
        self._next = head
        released = self._run()
        released[0].lost = lost
        return released
