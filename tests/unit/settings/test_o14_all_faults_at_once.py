"""One round of mending a file: types, values and rules between keys are told together."""

import pytest

from mediaserver.errors import ConfigError
from mediaserver.settings.load import load


def faults_of(text, tmp_path, environ=None):
    path = tmp_path / "m.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path, environ or {})
    return list(caught.value.faults)


def test_o14_types_values_and_rules_come_in_one_round(tmp_path) -> None:
    """Each kind of fault is there, and none is hidden by another."""
    faults = faults_of(
        """
        [server]
        prot = 9000
        worker_spares = 9
        workers_max = 3
        [hls]
        part_target_ms = "fast"
        window_ms = 1000
        target_duration_s = 1
        [log]
        level = "loud"
        [price]
        asset_symbol = "no symbol"
        default_planck_per_s = "0.5"
        session_limit_planck = "2000000000000000000"
        """,
        tmp_path,
        {"VILOKANAM_INGEST__UDP_PORT_MIN": "40995"},
    )

    named = sorted(fault.partition(":")[0] for fault in faults)
    assert named == [
        "hls.part_target_ms",
        "hls.target_duration_s",
        "hls.window_ms",
        "ingest.udp_port_max",
        "log.level",
        "price.asset_symbol",
        "price.default_planck_per_s",
        "price.session_limit_planck",
        "server.prot",
        "server.worker_spares",
    ]


def test_o14_a_rule_is_not_judged_by_a_default_that_nobody_wrote(tmp_path) -> None:
    """While one key of a rule is faulty the rule is silent: its remedy would be wrong."""
    faults = faults_of(
        "[hls]\npart_target_ms = 1\nsegment_target_ms = 1800\nwindow_ms = 10800\n", tmp_path
    )

    assert [fault.partition(":")[0] for fault in faults] == ["hls.part_target_ms"]


def test_o14_a_host_that_is_none_is_told_beside_a_faulty_port(tmp_path) -> None:
    """Its remedy names the port too, and is no rule between the two."""
    faults = faults_of('[server]\nhost = "[::1]"\nport = "8080"\n', tmp_path)

    assert [fault.partition(":")[0] for fault in faults] == ["server.port", "server.host"]
    assert "use ::1, and server.port for a port" in faults[1]


def test_o14_the_same_holds_for_a_variable(tmp_path) -> None:
    """A faulty variable is its key."""
    faults = faults_of(
        "[hls]\nsegment_target_ms = 1800\nwindow_ms = 10800\n",
        tmp_path,
        {"VILOKANAM_HLS__PART_TARGET_MS": "fast"},
    )

    assert [fault.partition(":")[0] for fault in faults] == ["VILOKANAM_HLS__PART_TARGET_MS"]
