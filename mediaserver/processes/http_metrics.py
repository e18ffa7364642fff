"""What an HTTP process counts, read from its objects at each scrape.

The rooms keep plain counters; only here do they get the names that a dashboard knows. No stream and
no viewer is ever in a label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from mediaserver.api.access import Access
from mediaserver.api.viewers.meter import Meter
from mediaserver.hls.live_store import LiveStore
from mediaserver.hls.serve import MediaHandler
from mediaserver.http.connections import Connections
from mediaserver.http.unix_http import Proxy
from mediaserver.ipc.server import LinkServer
from metering.admission.gate import LocalGate
from metering.store.claim_client import RawClaims


class HttpMetrics:
    """A collector for `prometheus_client`."""

    def __init__(
        self,
        *,
        media: MediaHandler,
        store: LiveStore,
        links: LinkServer,
        gate: LocalGate,
        claims: RawClaims,
        meter: Meter,
        access: Access,
        proxy: Proxy,
        connections: Callable[[], Connections | None],
    ) -> None:
        self._media = media
        self._store = store
        self._links = links
        self._gate = gate
        self._claims = claims
        self._meter = meter
        self._access = access
        self._proxy = proxy
        self._connections = connections

    def collect(self) -> Iterator[Metric]:
        """Yield every family as it is now."""
        answers = CounterMetricFamily(
            "mediaserver_hls_answers",
            "Answers by kind of place and status",
            labels=("kind", "status"),
        )
        for (kind, status), count in self._media.answers.items():
            answers.add_metric((kind, str(status)), count)
        yield answers
        yield _counter("mediaserver_hls_sent_bytes", "Bytes of answers", self._media.sent_bytes)
        yield _gauge("mediaserver_hls_streams", "Streams with a window", len(self._store.slugs()))
        yield _gauge(
            "mediaserver_hls_waiters", "Requests that wait for a part", self._store.waiters
        )
        yield _gauge("mediaserver_hls_held_bytes", "Media held in memory", self._store.size_bytes)
        drops = CounterMetricFamily(
            "mediaserver_http_drops", "What a bound dropped, by what it was", labels=("what",)
        )
        for what, count in (*self._store.dropped.items(), *self._links.dropped.items()):
            drops.add_metric((what,), count)
        drops.add_metric(("meter_readers",), self._meter.dropped)
        drops.add_metric(("remembered_viewers",), self._gate.forgotten_total)
        drops.add_metric(("players_counted",), self._media.audience.dropped)
        drops.add_metric(("claims",), self._claims.refused_total)
        drops.add_metric(("bodies",), self._proxy.bodies_refused)
        connections = self._connections()
        if connections is not None:
            for what, count in connections.dropped.items():
                drops.add_metric((what,), count)
        yield drops
        held = connections.count if connections is not None else 0
        yield _gauge("mediaserver_http_connections", "Connections of clients", held)
        refused = CounterMetricFamily(
            "mediaserver_http_key_refusals", "Wrong keys, by what they were for", labels=("kind",)
        )
        for kind, count in self._access.refused.items():
            refused.add_metric((kind,), count)
        yield refused
        yield _gauge("mediaserver_api_meter_sockets", "Open live meters", self._meter.count)
        yield _counter("metering_claims", "Claims sent to Redis", self._claims.claims_total)
        yield _counter("metering_flushes", "Group commits of claims", self._claims.flushes_total)
        yield _gauge("metering_ready", "1 while priced media can be served", self._gate.is_ready)


def _counter(name: str, what: str, value: float) -> Metric:
    return CounterMetricFamily(name, what, value=value)


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(name, what, value=value)
