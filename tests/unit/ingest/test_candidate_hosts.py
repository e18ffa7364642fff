"""Which of our addresses an answer names, and in which order."""

import pytest

from mediaserver.ingest.ice import candidate_hosts


def machine():
    return ["10.0.0.5", "fd00::5", "127.0.0.1"]


@pytest.mark.parametrize(
    ("bound", "advertised", "expected"),
    [
        (("127.0.0.1",), (), ["127.0.0.1"]),
        (("::1", "127.0.0.1"), (), ["127.0.0.1", "::1"]),
        (("127.0.0.1", "10.0.0.5"), (), ["10.0.0.5", "127.0.0.1"]),
        (("10.0.0.5",), ("203.0.113.7",), ["203.0.113.7", "10.0.0.5"]),
        (("10.0.0.5",), ("2001:db8::7",), ["10.0.0.5"]),
        (("0.0.0.0",), (), ["10.0.0.5", "127.0.0.1"]),
        (("0.0.0.0",), ("203.0.113.7",), ["203.0.113.7"]),
        (("0.0.0.0", "::"), (), ["10.0.0.5", "127.0.0.1", "fd00::5"]),
    ],
)
def test_best_address_is_named_first(bound, advertised, expected):
    """FFmpeg uses only the first: IPv4 before IPv6, public before private, loopback last."""
    hosts = candidate_hosts(bound, advertised, machine)

    assert [host.address for host in hosts] == expected
    assert all(host.bound in bound for host in hosts)


def test_public_address_is_not_forwarded_to_loopback():
    """An advertised address replaces that of the socket that the world can reach."""
    hosts = candidate_hosts(("127.0.0.1", "10.0.0.5"), ("203.0.113.7",), machine)

    assert hosts[0].bound == "10.0.0.5"
