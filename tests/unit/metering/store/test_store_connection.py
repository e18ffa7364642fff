"""Which Redis may be trusted with money, by what it says of itself."""

from __future__ import annotations

from typing import Any

import pytest

from metering.store.store_connection import store_refusals

GOOD: dict[str, Any] = {
    "redis_version": "7.2.4",
    "run_id": "ab" * 20,
    "redis_mode": "standalone",
    "maxmemory_policy": "noeviction",
    "aof_enabled": 1,
}


@pytest.mark.parametrize("version", ["6.2.0", "7.2-rc1", "8.0-rc2", "255.255.255", 7.2, "7.4.1-x"])
def test_f18_versions_of_every_spelling_are_read(version: Any) -> None:
    """Release candidates and builds of vendors are Redis too."""
    assert not " ".join(store_refusals({**GOOD, "redis_version": version}, {}, "everysec"))


@pytest.mark.parametrize("field", ["redis_version", "run_id", "maxmemory_policy", "aof_enabled"])
def test_f18_hidden_field_is_named(field: str) -> None:
    """A proxy or a managed Redis may leave any field out."""
    info = {name: value for name, value in GOOD.items() if name != field}

    assert field in " ".join(store_refusals(info, {}, "everysec"))
    assert field in " ".join(store_refusals({**GOOD, field: ""}, {}, "everysec"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"redis_version": "unknown"}, "redis_version unknown"),
        ({"redis_version": "6.0.16"}, "too old"),
        ({"redis_mode": "cluster"}, "cluster-enabled"),
        ({"maxmemory_policy": "allkeys-lru"}, "noeviction"),
        ({"aof_enabled": 0}, "appendonly"),
        ({"aof_enabled": "no"}, "appendonly"),
    ],
)
def test_f18_refusal_names_the_setting(change: dict[str, Any], words: str) -> None:
    """An operator reads what to change."""
    assert words in " ".join(store_refusals({**GOOD, **change}, {}, "everysec"))


def test_o18_all_wrong_settings_are_told_at_once() -> None:
    """Nobody starts a server again for each setting of their Redis."""
    wrong = {**GOOD, "redis_version": "5.0", "maxmemory_policy": "volatile-ttl", "aof_enabled": 0}

    refusals = store_refusals(wrong, {b"appendfsync": b"no"}, "everysec")

    assert refusals == (
        "Redis 5.0 is too old: use 6.2 or newer",
        "maxmemory-policy is volatile-ttl: set it to noeviction",
        "appendonly is no: set it to yes",
        "appendfsync is no: set it to everysec",
    )
    hidden = " ".join(store_refusals({"aof_enabled": 0}, {}, "everysec"))
    for words in ("run_id, redis_version, maxmemory_policy", "appendonly is no"):
        assert words in hidden


def test_appendfsync_is_compared_where_it_is_shown() -> None:
    """Redis gives bytes."""
    assert "appendfsync is no" in " ".join(
        store_refusals(GOOD, {b"appendfsync": b"no"}, "everysec")
    )
    assert not " ".join(store_refusals(GOOD, {b"appendfsync": b"everysec"}, "everysec"))
