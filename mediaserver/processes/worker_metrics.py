"""What a worker counts of its stream, read from the stream's health at each scrape.

What only grows is a counter, all else a gauge: a rate of a gauge is nonsense, and a dashboard
cannot tell. No stream is in a label; `process` tells workers apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

COUNTED: Final = frozenset(
    {
        "audio_units",
        "frames_dropped",
        "frames_not_made",
        "lost",
        "nacks",
        "packets",
        "plis",
        "repaired",
        "video_units",
    }
)
"""Facts that only grow while a publisher is connected; a new one begins at 0, as counters may."""


class WorkerMetrics:
    """A collector for `prometheus_client`."""

    def __init__(self, facts: Callable[[], dict[str, float]]) -> None:
        """Take where the facts of the stream come from: empty while there is no stream."""
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        """Yield both families as they are now."""
        counts = CounterMetricFamily(
            "mediaserver_worker_counts", "What a stream counted, by name", labels=("what",)
        )
        gauges = GaugeMetricFamily(
            "mediaserver_worker_facts", "What a stream's health measures, by name", labels=("fact",)
        )
        for name, value in self._facts().items():
            (counts if name in COUNTED else gauges).add_metric((name,), value)
        yield counts
        yield gauges
