"""Whose address a request is counted, logged and judged by."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaserver.http.client_address import Networks, bound_key, client_of, network, parse

PROXIES = Networks(["127.0.0.0/8", "::1", "10.0.0.0/8"])


def text(peer, forwarded_for=(), forwarded=(), own="127.0.0.1"):
    """Return address and certainty of a request."""
    client = client_of(peer, own, forwarded_for, forwarded, PROXIES)
    return client.text, client.is_certain


def test_a_m5_a_strangers_header_is_not_believed() -> None:
    """Who connects by themselves cannot take another's address."""
    assert text("203.0.113.9", ["127.0.0.1"]) == ("203.0.113.9", True)
    assert text("203.0.113.9", [], ["for=127.0.0.1"]) == ("203.0.113.9", True)


@pytest.mark.parametrize(
    ("forwarded_for", "address"),
    [
        (["203.0.113.9"], "203.0.113.9"),
        (["127.0.0.1, 203.0.113.9"], "203.0.113.9"),
        (["203.0.113.9, 10.1.1.1"], "203.0.113.9"),
        (["6.6.6.6, 203.0.113.9, 10.1.1.1, 10.2.2.2"], "203.0.113.9"),
        (["6.6.6.6", "203.0.113.9"], "203.0.113.9"),
        (["[2001:db8::7]:4711"], "2001:db8::7"),
        (["203.0.113.9:4711"], "203.0.113.9"),
        (["::ffff:203.0.113.9"], "203.0.113.9"),
        (["203.0.113.9, unknown"], "unknown"),
        (["junk"], "unknown"),
    ],
)
def test_a_m5_the_rightmost_that_is_no_proxy_of_ours_asked(forwarded_for, address) -> None:
    """Each entry was written by the one after it; what is left of a stranger's is hearsay."""
    assert text("127.0.0.1", forwarded_for)[0] == address


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("for=203.0.113.9", "203.0.113.9"),
        ('For="[2001:db8:cafe::17]:4711"', "2001:db8:cafe::17"),
        ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
        ("for=192.0.2.43, for=10.9.9.9", "192.0.2.43"),
        ("for=_hidden", "unknown"),
        ("proto=http", "unknown"),
    ],
)
def test_a_m5_the_standard_header_is_read_too(forwarded, address) -> None:
    """RFC 7239's own examples."""
    assert text("10.0.0.1", [], [forwarded])[0] == address


def test_a_m5_who_may_have_written_its_own_address_is_not_certain() -> None:
    """The admin token is not taken on the word of a header that a client may have written."""
    assert text("127.0.0.1") == ("127.0.0.1", True)
    assert text("127.0.0.1", ["10.1.1.1"]) == ("10.1.1.1", True)
    assert text("127.0.0.1", ["127.0.0.1, 10.1.1.1"]) == ("127.0.0.1", False)
    assert text("127.0.0.1", ["127.0.0.1"], ["for=203.0.113.9"]) == ("127.0.0.1", False)
    assert text("127.0.0.1", ["203.0.113.9"], ["for=127.0.0.1"]) == ("203.0.113.9", False)


def test_what_a_client_may_have_written_is_no_address_for_rules() -> None:
    """A proxy that writes `Forwarded` alone passes a client's own `X-Forwarded-For` on."""
    forged = client_of("127.0.0.1", "", ["192.0.2.7"], ["for=203.0.113.9"], PROXIES)
    right = client_of("127.0.0.1", "", [], ["for=203.0.113.9"], PROXIES)

    assert (forged.text, forged.certain_text) == ("192.0.2.7", "unknown")
    assert (right.text, right.certain_text) == ("203.0.113.9", "203.0.113.9")


def test_a_m5_this_machine_by_its_own_address_is_this_machine() -> None:
    """A proxy or a command line here may use the public address too."""
    assert text("203.0.113.1", own="203.0.113.1") == ("127.0.0.1", True)
    assert text("203.0.113.1", ["198.51.100.7"], own="203.0.113.1") == ("198.51.100.7", True)


@given(st.lists(st.text(max_size=40), max_size=5), st.ip_addresses())
def test_a_m5_nothing_that_a_client_sends_changes_its_address(sent, address) -> None:
    """Whatever a client writes, the proxy's entry behind it counts."""
    if PROXIES.hold(parse(str(address))):
        return
    chain = ", ".join([*sent, str(address)])

    client = client_of("127.0.0.1", "", [chain], [], PROXIES)

    assert client.text == str(parse(str(address)))


def test_a_m5_ipv6_counts_by_its_network() -> None:
    """One customer has 2^64 addresses, and one bound."""
    assert bound_key("2001:db8:1:2::7") == bound_key("2001:db8:1:2:ffff::8")
    assert bound_key("2001:db8:1:2::7") != bound_key("2001:db8:1:3::7")
    assert bound_key("192.0.2.7") != bound_key("192.0.2.8")
    assert bound_key("::ffff:192.0.2.7") == bound_key("192.0.2.7")


def test_a_network_is_written_by_its_first_address() -> None:
    """10.0.0.1/8 may mean one machine or sixteen million: it is refused."""
    assert network("192.0.2.7") == ipaddress.ip_network("192.0.2.7/32")
    with pytest.raises(ValueError, match="host bits"):
        network("10.0.0.1/8")
