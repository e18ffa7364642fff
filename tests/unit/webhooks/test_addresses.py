"""Which addresses a webhook is sent to: the public internet, and what the operator allows."""

import pytest

from mediaserver.webhooks.addresses import networks_of, refusal

REFUSED = (
    "127.0.0.1",
    "127.8.9.1",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b:1::808:808",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
)


@pytest.mark.parametrize("address", REFUSED)
def test_what_is_not_on_the_public_internet_is_refused(address) -> None:
    why = refusal(address, ())
    assert why.startswith(f"{address} is ")
    assert "webhooks.allowed_networks" in why


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_what_is_public_is_not(address) -> None:
    assert not refusal(address, ())


def test_networks_of_the_operator_are_allowed_and_nothing_beside_them() -> None:
    allowed = networks_of(["10.1.0.0/16", "fd12::/32"])
    assert not refusal("10.1.2.3", allowed)
    assert not refusal("::ffff:10.1.2.3", allowed)
    assert not refusal("fd12::7", allowed)
    assert refusal("10.2.0.1", allowed)
    assert refusal("127.0.0.1", allowed)
