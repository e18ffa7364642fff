"""How long answers take, by kind."""

import pytest
from prometheus_client import CollectorRegistry

from mediaserver.errors import AddressError
from mediaserver.hls.addresses import parse
from mediaserver.metrics import own_text
from mediaserver.processes.answer_times import AnswerTimes, kind_of_request


def test_o26_a_histogram_says_how_long_answers_take_by_kind() -> None:
    """Who hears "it was slow at nine" finds the share of answers above any bound, and their end."""
    times = AnswerTimes()
    for seconds in (0.004, 0.005, 0.3, 11.0):
        times.observe("segment", 200, seconds)
    times.observe("api", 503, 0.02)
    times.observe("meter", 101, 3600.0)
    registry = CollectorRegistry()
    registry.register(times)

    lines = own_text("http-0", registry).splitlines()

    name, at = "mediaserver_http_answer_seconds", 'kind="segment",'
    for bound, count in (("0.005", 2), ("0.25", 2), ("0.5", 3), ("10.0", 3), ("+Inf", 4)):
        assert f'{name}_bucket{{{at}le="{bound}",process="http-0"}} {count}.0' in lines
    assert f'{name}_count{{kind="segment",process="http-0"}} 4.0' in lines
    assert any(line.startswith(f'{name}_sum{{kind="segment"') for line in lines)
    answers = 'mediaserver_http_answers_total{kind="api",process="http-0",status="503"} 1.0'
    assert answers in lines
    assert not any("answer_seconds" in line and "meter" in line for line in lines)


@pytest.mark.parametrize(
    ("path", "query", "kind"),
    [
        ("/cam/7/720p/42.6-1700000000x1.m4s", "", "part"),
        ("/cam/7/720p/media.m3u8", "", "playlist"),
        ("/cam/7/720p/media.m3u8", "_HLS_msn=4&_HLS_part=1", "playlist-blocking"),
        ("/cam/", "", "page"),
        ("/api/v1/streams", "", "api"),
        ("/assets/index.js", "", "asset"),
        ("/healthz", "", "other"),
        ("/no/such/thing", "", "other"),
    ],
)
def test_o26_each_request_has_one_kind(path, query, kind) -> None:
    """The label has a dozen values, whatever is asked for: no address and no viewer."""
    try:
        address = parse(path)
    except AddressError:
        address = None
    assert kind_of_request(address, path, query) == kind
