"""How long answers take and how they end, by kind of address: what a complaint is compared with.

Plain counters; they get their names at a scrape. Source: docs/operator/metrics.md.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Container, Iterator
from http import HTTPStatus
from typing import Final

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from mediaserver.errors import AddressError
from mediaserver.hls.addresses import kind_of, parse

BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""As Prometheus' clients have them: a part from memory is below the first."""
_OPEN_KIND: Final = "meter"
"""A live meter lasts as long as its page: no time to answer."""
_BLOCKING: Final = "_HLS_msn="
"""rfc8216bis, 6.2.5.2: such a request is held until its part is there."""


def kind_of_request(path: str, query: str) -> str:
    """Return the word for what is asked: a kind of address, ``api``, ``asset`` or ``other``.

    A playlist that is asked to wait is ``playlist-blocking``: it is held by design.
    """
    try:
        kind = kind_of(parse(path).place)
    except AddressError:
        if path.startswith("/api/"):
            return "api"
        return "asset" if path.startswith("/assets/") else "other"
    return f"{kind}-blocking" if kind == "playlist" and _BLOCKING in query else kind


class AnswerTimes:
    """Counts answers of one process; a collector for `prometheus_client`."""

    def __init__(self) -> None:
        self._buckets: dict[str, list[int]] = {}
        self._sums_s: dict[str, float] = {}
        self._statuses: Counter[tuple[str, int]] = Counter()

    def observe(self, kind: str, status: int, seconds: float) -> None:
        """Count one answer that took so long, from the request's head to the answer's last byte."""
        self._statuses[kind, status] += 1
        if kind == _OPEN_KIND:
            return
        buckets = self._buckets.get(kind)
        if buckets is None:
            buckets = self._buckets[kind] = [0] * (len(BOUNDS_S) + 1)
        buckets[bisect_left(BOUNDS_S, seconds)] += 1
        self._sums_s[kind] = self._sums_s.get(kind, 0.0) + seconds

    def failed(self, kinds: Container[str]) -> int:
        """Return how many answers of some kinds were 5xx."""
        return sum(
            count
            for (kind, status), count in self._statuses.items()
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR and kind in kinds
        )

    def collect(self) -> Iterator[Metric]:
        """Yield both families as they are now."""
        times = HistogramMetricFamily(
            "mediaserver_http_answer_seconds", "Time to an answer's last byte", labels=("kind",)
        )
        for kind, buckets in self._buckets.items():
            total, rows = 0, []
            for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), buckets, strict=True):
                total += count
                rows.append((bound, float(total)))
            times.add_metric((kind,), rows, sum_value=self._sums_s[kind])
        yield times
        answers = CounterMetricFamily(
            "mediaserver_http_answers", "Answers by kind and status", labels=("kind", "status")
        )
        for (kind, status), count in self._statuses.items():
            answers.add_metric((kind, str(status)), count)
        yield answers
