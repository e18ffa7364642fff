"""How long answers take and how they end, by kind of address: what a complaint is compared with.

Plain counters; they get their names at a scrape. Source: docs/operator/metrics.md.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from mediaserver.hls.addresses import Address, MediaPlaylist, kind_of

BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""As Prometheus' clients have them: a part from memory is below the first."""
_OPEN_KIND: Final = "meter"
"""A live meter lasts as long as its page: no time to answer."""
_BLOCKING: Final = "_HLS_msn="
"""rfc8216bis, 6.2.5.2: such a request is held until its part is there."""


def kind_of_request(address: Address | None, path: str, query: str) -> str:
    """Return the word for what is asked: a kind of address, ``api``, ``asset`` or ``other``.

    A playlist that is asked to wait is ``playlist-blocking``: it is held by design.

    Args:
        address: What `path` means; None: it is no address of a stream's.
    """
    if address is None:
        if path.startswith("/api/"):
            return "api"
        return "asset" if path.startswith("/assets/") else "other"
    kind = kind_of(address.place)
    if query and isinstance(address.place, MediaPlaylist) and _BLOCKING in query:
        return f"{kind}-blocking"
    return kind


@dataclass(slots=True)
class _Kind:
    """Answers of one kind: by time and by status."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    sum_s: float = 0.0
    statuses: dict[int, int] = field(default_factory=dict)


class AnswerTimes:
    """Counts answers of one process; a collector for `prometheus_client`."""

    def __init__(self) -> None:
        self._kinds: dict[str, _Kind] = {}

    def observe(self, kind: str, status: int, seconds: float) -> None:
        """Count one answer that took so long, from the request's head to the answer's last byte."""
        counts = self._kinds.get(kind)
        if counts is None:
            counts = self._kinds[kind] = _Kind()
        counts.statuses[status] = counts.statuses.get(status, 0) + 1
        if kind != _OPEN_KIND:
            counts.buckets[bisect_left(BOUNDS_S, seconds)] += 1
            counts.sum_s += seconds

    def failed(self, kinds: Container[str]) -> int:
        """Return how many answers of some kinds were 5xx."""
        return sum(
            count
            for kind, counts in self._kinds.items()
            if kind in kinds
            for status, count in counts.statuses.items()
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR
        )

    def collect(self) -> Iterator[Metric]:
        """Yield both families as they are now."""
        times = HistogramMetricFamily(
            "mediaserver_http_answer_seconds", "Time to an answer's last byte", labels=("kind",)
        )
        for kind, counts in self._kinds.items():
            if kind == _OPEN_KIND:
                continue
            total, rows = 0, []
            for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), counts.buckets, strict=True):
                total += count
                rows.append((bound, float(total)))
            times.add_metric((kind,), rows, sum_value=counts.sum_s)
        yield times
        answers = CounterMetricFamily(
            "mediaserver_http_answers", "Answers by kind and status", labels=("kind", "status")
        )
        for kind, counts in self._kinds.items():
            for status, count in counts.statuses.items():
                answers.add_metric((kind, str(status)), count)
        yield answers
