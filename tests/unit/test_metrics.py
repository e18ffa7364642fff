"""Metrics of several processes become one exposition that Prometheus accepts."""

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.parser import text_string_to_metric_families

from mediaserver.metrics import merge, own_text


def registry(seen):
    made = CollectorRegistry()
    fetches = Counter(
        "mediaserver_hls_fetches", "Answered media", labelnames=("kind",), registry=made
    )
    fetches.labels("part").inc(seen)
    Histogram("metering_flush_duration_seconds", "Flush", registry=made).observe(0.2)
    return made


def test_each_sample_of_a_process_carries_its_name() -> None:
    """An operator sees which process is slow."""
    families = list(text_string_to_metric_families(own_text("http-0", registry(3))))

    samples = [sample for family in families for sample in family.samples]
    assert samples
    assert {sample.labels["process"] for sample in samples} == {"http-0"}
    assert 3.0 in [s.value for s in samples if s.name == "mediaserver_hls_fetches_total"]


def test_merged_texts_have_each_family_once_with_all_samples() -> None:
    """The scrape of any HTTP process shows all processes, and nothing twice."""
    merged = merge([own_text("http-0", registry(1)), "", own_text("http-1", registry(2))])

    families = list(text_string_to_metric_families(merged))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    assert merged.count("# TYPE mediaserver_hls_fetches_total") == 1
    (fetches,) = [family for family in families if family.name == "mediaserver_hls_fetches"]
    assert {
        (s.labels["process"], s.labels["kind"], s.value)
        for s in fetches.samples
        if s.name.endswith("_total")
    } == {("http-0", "part", 1.0), ("http-1", "part", 2.0)}


def test_merging_merged_text_changes_nothing() -> None:
    """No line is lost or made up on the way."""
    once = merge([own_text("a", registry(1)), own_text("b", registry(2))])

    assert merge([once]) == once
