"""Hosts and networks as an operator writes them, and the addresses that are printed from them."""

from dataclasses import replace

import pytest

from mediaserver.settings.network_rules import host_faults, network_faults
from mediaserver.settings.records import Settings
from mediaserver.settings.rules import cross_faults


def with_server(**values):
    settings = Settings()
    return replace(settings, server=replace(settings.server, **values))


@pytest.mark.parametrize(
    ("host", "remedy"),
    [
        ("[::1]", "use ::1,"),
        ("[2001:db8::7]:8080", "use 2001:db8::7,"),
        ("127.0.0.1:8080", "use 127.0.0.1,"),
        ("http://live.example.org", "use live.example.org,"),
        ("http://live.example.org:80/", "use live.example.org,"),
        ("two words", "such as 127.0.0.1"),
        ("", "0.0.0.0"),
        ("-", "such as 127.0.0.1"),
    ],
)
def test_o11_a_host_that_is_none_is_named_with_the_remedy(host, remedy) -> None:
    """A host out of a URL is the host's fault, not the port's."""
    (fault,) = host_faults(host)

    assert fault.startswith("server.host: ")
    assert remedy in fault


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "::1", "::", "0.0.0.0", "localhost", "live.example.org", "my_box"]
)
def test_o11_addresses_and_names_are_hosts(host) -> None:
    """What can be right is asked of the machine."""
    assert not list(host_faults(host))


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("live.example.org", "http://live.example.org:8080"),
        ("::1", "http://[::1]:8080"),
        ("2001:db8::7", "http://[2001:db8::7]:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::", "http://[::1]:8080"),
    ],
)
def test_o12_every_printed_address_opens(host, url) -> None:
    """An address to listen on is not always one to open."""
    assert with_server(host=host).public_url == url


def test_o20_publishers_have_an_address_of_their_own() -> None:
    """Where the edge is the public address, WHIP goes past it; else it is the same."""
    edge = {"public_url": "https://live.example.org"}

    assert with_server(**edge).publish_url == "https://live.example.org"
    both = with_server(**edge, publish_url="https://in.example.org")
    assert both.publish_url == "https://in.example.org"
    assert both.public_url == "https://live.example.org"


@pytest.mark.parametrize(
    ("bound", "advertised", "remedy"),
    [
        (("::",), ("192.0.2.1",), "has no IPv4 address; add 0.0.0.0 there"),
        (("127.0.0.1",), ("192.0.2.1", "2001:db8::1"), "has no IPv6 address; add :: there"),
    ],
)
def test_f24_an_address_that_leads_nowhere_is_named(bound, advertised, remedy) -> None:
    """It would be left out of every answer, and publishers told private addresses alone."""
    ingest = replace(Settings().ingest, bind_addresses=bound, advertise_addresses=advertised)

    (fault,) = cross_faults(replace(Settings(), ingest=ingest))

    assert fault.startswith(f"ingest.advertise_addresses[{len(advertised) - 1}]: ")
    assert fault.endswith(remedy)
    both = replace(ingest, bind_addresses=("0.0.0.0", "::"))
    assert not list(cross_faults(replace(Settings(), ingest=both)))


def test_a_m5_a_network_that_is_none_is_named_with_the_remedy() -> None:
    """All at once, each with its place in the list."""
    settings = with_server(trusted_proxies=("10.0.0.0/8", "10.0.0.1/8", "proxy"))
    settings = replace(settings, auth=replace(settings.auth, admin_networks=("fe80::/200",)))

    faults = list(network_faults(settings))

    assert [fault.partition(":")[0] for fault in faults] == [
        "server.trusted_proxies[1]",
        "server.trusted_proxies[2]",
        "auth.admin_networks[0]",
    ]
    assert "10.0.0.0/8" in faults[0]


@pytest.mark.parametrize(
    "origin", ["*", "null", "example.org", "https://a.org/", "https://a.org/x"]
)
def test_d2_an_origin_that_is_none_is_named_with_the_remedy(origin) -> None:
    """What no browser ever sends lets nobody in."""
    (fault,) = network_faults(with_server(cors_origins=(origin,)))

    assert fault.startswith(f"server.cors_origins[0]: {origin} is no origin")


def test_d2_origins_are_taken_as_browsers_send_them() -> None:
    """With a port where it is not the usual one."""
    origins = ("https://example.org", "http://localhost:5080", "http://[::1]:80")

    assert not list(network_faults(with_server(cors_origins=origins)))
