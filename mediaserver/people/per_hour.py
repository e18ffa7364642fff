"""How often strangers did something within an hour, by the address that they came from; bounded."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Final

from mediaserver.http.client_address import bound_key

PERIOD_MS: Final = 3_600_000
PER_ADDRESS_MAX: Final = 30
"""People made: a school class behind one address."""
LETTERS_PER_ADDRESS_MAX: Final = 200
"""Letters asked for: a company behind one address comes to work."""
ALL_MAX: Final = 5000
"""A server that becomes known; each person is a kilobyte of the book for good."""
REFUSALS_PER_ADDRESS_MAX: Final = 10
"""Wrong ways in that are written down: enough to see who tries."""
REFUSALS_MAX: Final = 500
ENTRIES_MAX: Final = 100
"""Of one person and action in the audit log: more than anybody does by hand."""
_BUCKETS: Final = 1 << 16


class PerHour:
    """Counts of the current hour."""

    def __init__(self, per_address_max: int = PER_ADDRESS_MAX, all_max: int = ALL_MAX) -> None:
        self._per_address_max = per_address_max
        self._all_max = all_max
        self._period = 0
        self._counts: Counter[str] = Counter()

    def take(self, address: str, now_ms: int) -> bool:
        """Return True while an address, and all together, are within bounds, and count one more."""
        period = now_ms // PERIOD_MS
        if period != self._period:
            self._period = period
            self._counts.clear()
        key = bound_key(address)
        if self._counts[key] >= self._per_address_max or self._counts.total() >= self._all_max:
            return False
        self._counts[key] += 1
        return True


class EntriesPerHour:
    """How often each person did each thing in the current hour, in memory of one size.

    Names share places by a hash that is another in each process: who does much cannot choose whom
    that holds up, and there is no bound over all that one could exhaust for the others.
    """

    def __init__(self) -> None:
        self._period = 0
        self._counts = array("H", bytes(2 * _BUCKETS))

    def take(self, name: str, now_ms: int) -> bool:
        """Return True while `name` is within `ENTRIES_MAX`, and count one more."""
        period = now_ms // PERIOD_MS
        if period != self._period:
            self._period = period
            self._counts = array("H", bytes(2 * _BUCKETS))
        place = hash(name) % _BUCKETS
        if self._counts[place] >= ENTRIES_MAX:
            return False
        self._counts[place] += 1
        return True
