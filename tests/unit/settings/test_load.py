"""Settings: what an operator writes, and what is said when it cannot be used."""

import dataclasses
from pathlib import Path

import pytest

from mediaserver.errors import ConfigError
from mediaserver.settings.load import load
from mediaserver.settings.records import Settings


def faults_of(path: Path | None, environ: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(path, environ or {})
    return caught.value.faults


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mediaserver.toml"
    path.write_text(text)
    return path


def test_no_file_and_no_environment_is_a_legal_server() -> None:
    """The server starts without a line of configuration."""
    assert load(None, {}) == Settings()


def test_the_file_is_laid_over_the_defaults_and_the_environment_over_the_file(tmp_path) -> None:
    """A key of the environment wins over the file, and the file over the default."""
    path = write(
        tmp_path,
        """
        [hls]
        part_target_ms = 250
        [transcode]
        rungs = [{ name = "low", height = 240 }, { name = "mid" }]
        """,
    )

    settings = load(
        path,
        {
            "VILOKANAM_HLS__PART_TARGET_MS": "200",
            "VILOKANAM_HLS__IS_PAGE_ENABLED": "false",
            "VILOKANAM_INGEST__BIND_ADDRESSES": '["127.0.0.1", "::1"]',
            "VILOKANAM_SERVER__PUBLIC_URL": "https://live.example.org",
            "VILOKANAM_HOME": "not a setting: one underscore",
            "PATH": "/bin",
        },
    )

    assert settings.hls.part_target_ms == 200
    assert settings.hls.is_page_enabled is False
    assert settings.ingest.bind_addresses == ("127.0.0.1", "::1")
    assert [(r.name, r.height, r.video_kbps) for r in settings.transcode.rungs] == [
        ("low", 240, 700),
        ("mid", 360, 700),
    ]
    assert settings.public_url == "https://live.example.org"


def test_a_text_key_may_come_from_a_file_so_that_secrets_stay_out_of_the_environment(
    tmp_path,
) -> None:
    """A Redis address with a password is read from the file that the environment names."""
    secret = tmp_path / "redis"
    secret.write_text("redis://:secret@10.0.0.2/0\n")

    settings = load(None, {"VILOKANAM_METERING__REDIS_URL_FILE": str(secret)})

    assert settings.metering.redis_url == "redis://:secret@10.0.0.2/0"


def test_every_fault_is_told_at_once_with_its_key_its_value_and_a_remedy(tmp_path) -> None:
    """An operator mends the file in one go."""
    path = write(
        tmp_path,
        """
        [hls]
        part_target_ms = 20
        segment_target_ms = "2000"
        part_target = 3
        [ingets]
        a = 1
        [log]
        format = "xml"
        level = true
        [server]
        part_target_ms = 5
        [transcode]
        rungs = [{ name = "low", height = 9, kbps = 1 }, 7]
        [ingest]
        bind_addresses = "127.0.0.1"
        [price]
        default_planck_per_s = "-1"
        """,
    )

    faults = faults_of(
        path,
        {"VILOKANAM_HLS__WINDOW_MS": "long", "VILOKANAM_ZZ__X": "1", "VILOKANAM_HLS__TTL": "1"},
    )

    assert set(faults) == {
        "hls.part_target_ms: 20 is below 100; use 100 to 4000",
        'hls.segment_target_ms: "2000" is not a whole number; write digits without quotes',
        "hls.part_target: part_target is not a setting; did you mean hls.part_target_ms?",
        "ingets: ingets is not a setting; did you mean ingest?",
        'log.format: "xml" is not known; use json or console',
        "log.level: true is not text; write it in quotes",
        (
            "server.part_target_ms: part_target_ms is not a setting here; did you mean "
            "hls.part_target_ms?"
        ),
        "transcode.rungs[0].height: 9 is below 90; use 90 to 4320",
        ("transcode.rungs[0].kbps: kbps is not a setting; keys are name, height, video_kbps"),
        "transcode.rungs[1]: 7 is not a table; write [transcode.rungs[1]] above its keys",
        'ingest.bind_addresses: "127.0.0.1" is not a list; write it as ["first", "second"]',
        (
            'price.default_planck_per_s: "-1" is not planck; use a whole decimal number such as '
            '"1000"'
        ),
        "VILOKANAM_HLS__WINDOW_MS: long is not a whole number; write digits without quotes",
        (
            "VILOKANAM_ZZ__X: zz is not a setting; tables are server, log, ingest, transcode, "
            "hls, auth, people, payments, payout, webhooks, hooks, watch, metering, price, chain, "
            "edge"
        ),
        (
            "VILOKANAM_HLS__TTL: ttl is not a setting; keys are part_target_ms, "
            "segment_target_ms, target_duration_s, window_ms, waiters_max, is_page_enabled"
        ),
    }


@pytest.mark.parametrize(
    ("key", "value", "remedy"),
    [
        ("hls.segment_target_ms", 1900, "use 1500"),
        ("hls.target_duration_s", 1, "use 2 or more"),
        ("hls.window_ms", 11000, "use 12000 or more"),
        ("ingest.udp_port_max", 40008, "use at least ingest.udp_port_min + 9"),
        ("ingest.udp_port_max", 2000, "leaves 0 ports"),
        ("ingest.bind_addresses", ["localhost"], "is no IP address"),
        ("ingest.bind_addresses", [], "is empty"),
        ("ingest.advertise_addresses", ["0.0.0.0"], "give a real one"),
        ("price.session_limit_planck", "1.5", "use a whole decimal number"),
        ("price.session_limit_planck", "01", "use a whole decimal number"),
        ("price.session_limit_planck", "9" * 39, "use a whole decimal number"),
        ("price.supply_planck", str(1 << 63), "use a price.quantum_planck of 2 or more"),
        ("price.quantum_planck", "0", "counts nothing"),
        ("price.day_limit_planck", "1000000000000000001", "is above price.supply_planck"),
        ("price.default_planck_per_s", str((1 << 53) // 5 + 1), "or a larger price.quantum_planck"),
        ("price.demo_top_up_planck", "2000000000000000000", "is above price.supply_planck"),
        ("price.top_up_url", "javascript:alert(1)", "is not a web address"),
        ("price.top_up_url", "https://pay/{name}", "only {account} is filled"),
        ("price.asset_symbol", "<b>", "is not a symbol"),
        ("metering.policy_lost_s", 61, "is above price.change_notice_s 60; use at most 60"),
        ("metering.redis_url", "localhost:6379", "is not a scheme of Redis"),
        ("metering.redis_url", "redis://:hush@host:port/0", "is not an address of Redis; use"),
        ("metering.redis_url", "unix://", "is not an address of Redis; use"),
        ("server.public_url", "live.example.org", "is not an address of a site"),
        ("server.public_url", "https://live.example.org/tv", "without a path"),
        ("server.data_dir", "", "is empty"),
        ("server.worker_spares", 16, None),
        ("transcode.preset", "turbo", "is not known"),
    ],
)
def test_values_that_do_not_fit_together_are_refused_before_anything_starts(
    key, value, remedy
) -> None:
    """What would break a playlist or a balance later is refused at the start, with its remedy."""
    table, _, name = key.partition(".")
    text = value if isinstance(value, str) else repr(value).replace("'", '"')
    environ = {f"VILOKANAM_{table}__{name}".upper(): text}

    if remedy is None:
        assert load(None, environ)
    else:
        (fault,) = faults_of(None, environ)
        assert fault.startswith(f"{key}")
        assert remedy in fault


@pytest.mark.parametrize("name", ["source", "audio", "../x", "360p"])
def test_rungs_have_names_of_their_own_that_fit_an_address(tmp_path, name) -> None:
    """A rung cannot take the name of a rendition that is there already."""
    path = write(
        tmp_path, f'[transcode]\nrungs = [{{name = "360p", height=360}}, {{name = "{name}"}}]'
    )

    assert faults_of(path)[0].startswith("transcode.rungs[1].name")


def test_part_hold_back_stays_within_hold_back() -> None:
    """Parts longer than the target duration would put low-latency players behind the others."""
    (fault,) = faults_of(
        None,
        {
            "VILOKANAM_HLS__PART_TARGET_MS": "1400",
            "VILOKANAM_HLS__SEGMENT_TARGET_MS": "1400",
            "VILOKANAM_HLS__TARGET_DURATION_S": "1",
        },
    )

    assert fault.startswith("hls.part_target_ms")
    assert "use at most 1000" in fault


@pytest.mark.parametrize(
    ("content", "words"), [(b"[hls\n", "is not TOML"), (b"\xff", "is not TOML"), (None, "cannot")]
)
def test_a_file_that_cannot_be_read_is_one_clear_fault(tmp_path, content, words) -> None:
    """A missing or broken file is named; nothing else is guessed from it."""
    path = tmp_path / "x.toml"
    if content is not None:
        path.write_bytes(content)

    (fault,) = faults_of(path)

    assert str(path) in fault
    assert words in fault


def test_settings_are_frozen() -> None:
    """Nothing rewrites a setting after the start."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        load(None, {}).hls.window_ms = 1  # type: ignore[misc]  # what is tried here


def test_one_underscore_for_two_is_told() -> None:
    """A variable that nobody reads is a setting that silently does not hold."""
    environ = {
        "VILOKANAM_SERVER_PORT": "9000",
        "VILOKANAM_METERING_REDIS_URL_FILE": "/run/redis",
        "VILOKANAM_STREAM_KEY": "not a setting, so nobody's business",
    }

    port, redis = sorted(faults_of(None, environ), reverse=True)

    assert port == (
        "VILOKANAM_SERVER_PORT: is not read; write two underscores after the table: "
        "VILOKANAM_SERVER__PORT"
    )
    assert redis.endswith("VILOKANAM_METERING__REDIS_URL_FILE")
