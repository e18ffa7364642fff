"""What a worker's numbers are in a scrape."""

import typing

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from mediaserver.hls import addresses
from mediaserver.ingest.receiver import Receiver
from mediaserver.ingest.upload_health import UploadHealth
from mediaserver.live.health import ShowFacts, report
from mediaserver.metrics import own_text
from mediaserver.processes.worker_metrics import COUNTED, WorkerMetrics

SHOW = ShowFacts("live", 2, 30_000, 3_000_000, 2_000, False, False, 7, False)


def scraped(registry):
    families = text_string_to_metric_families(own_text("worker-w1", registry))
    return {
        (sample.name, *sorted(sample.labels.items())[:1][0]): (family.type, sample.value)
        for family in families
        for sample in family.samples
    }


def test_o26_what_only_grows_is_a_counter() -> None:
    """A rate is drawn of counters, and of nothing else: Prometheus knows which is which."""
    facts = {"frames_not_made": 7.0, "packets": 9.0, "fps": 30.0, "upload_loss_percent": 0.5}
    registry = CollectorRegistry()
    registry.register(WorkerMetrics(lambda: facts))

    samples = own_text("w", registry).splitlines()

    assert "# TYPE mediaserver_worker_counts_total counter" in samples
    assert 'mediaserver_worker_counts_total{process="w",what="packets"} 9.0' in samples
    assert 'mediaserver_worker_facts{fact="fps",process="w"} 30.0' in samples
    assert not any("worker_facts" in line and "packets" in line for line in samples)


def test_o26_each_count_is_a_fact_that_a_stream_has() -> None:
    """A fact that is renamed does not become a gauge unseen."""
    health = UploadHealth("agent")
    known = set(report(SHOW, health.facts(Receiver((), 1.0, 8000, 1), None), ()).facts)
    known |= {"video_units", "audio_units", "frames_dropped"}  # of tracks that are there

    assert known >= COUNTED


def test_o26_no_family_has_a_gauge_of_its_birth() -> None:
    """`_created` is no figure of ours."""
    registry = CollectorRegistry()
    Counter("metering_claims", "Claims", registry=registry).inc()

    assert "_created" not in own_text("http-0", registry)


def test_o26_labels_are_words_and_no_names_of_classes() -> None:
    """Each kind of place has a word of its own, which does not change with the code."""
    kinds = [addresses._KINDS[place] for place in typing.get_args(addresses.Place)]

    assert len(set(kinds)) == len(kinds)
    assert all(kind == kind.lower() for kind in kinds)
    assert addresses.kind_of(addresses.Multivariant("cam")) == "multivariant"
