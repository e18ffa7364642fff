"""Addresses of Redis, as redis-py reads them."""

import pytest

from metering.store.address import RedisAddress


@pytest.mark.parametrize(
    ("url", "address"),
    [
        (
            "redis://ann:p%40ss@10.0.0.2:7000/3",
            RedisAddress("", "10.0.0.2", 7000, False, "ann", "p@ss", 3),
        ),
        ("rediss://:pw@cache", RedisAddress("", "cache", 6379, True, "", "pw", 0)),
        (
            "unix:///run/redis.sock?db=2",
            RedisAddress("/run/redis.sock", "localhost", 6379, False, "", "", 2),
        ),
    ],
)
def test_claims_reach_the_redis_that_control_reaches(url, address) -> None:
    """One address for both connections: host, database, user, password and TLS."""
    assert RedisAddress.parse(url) == address


def test_the_password_is_not_in_a_log() -> None:
    """An address that is printed keeps its secret."""
    assert "hush" not in repr(RedisAddress.parse("redis://:hush@host"))
