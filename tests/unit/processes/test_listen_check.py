"""Where this machine can listen, and what is said where it cannot."""

import socket

import pytest

from mediaserver.processes.bootstrap import StartRefusedError
from mediaserver.processes.listen_check import host_fault
from mediaserver.processes.listeners import listen


def test_o11_a_name_that_does_not_resolve_is_the_hosts_fault() -> None:
    """Nobody is told to stop a program that there is not."""
    fault = host_fault("no-such-host.invalid")

    assert fault.startswith("server.host: no-such-host.invalid does not resolve")
    assert "0.0.0.0" in fault
    with pytest.raises(StartRefusedError, match=r"^server\.host: "):
        listen("no-such-host.invalid", 8080)


def test_o11_an_address_of_another_machine_is_the_hosts_fault() -> None:
    """The remedy names the key for what people use."""
    fault = host_fault("192.0.2.7")

    assert fault.startswith("server.host: 192.0.2.7 is not an address of this machine")
    assert "server.public_url" in fault


def test_o11_a_port_in_use_is_the_ports_fault() -> None:
    """Then it is another program."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]

        with pytest.raises(StartRefusedError, match=rf"^server\.port: {port} .* is in use"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_o12_what_this_machine_has_is_taken(host) -> None:
    """Its own addresses and names of them."""
    assert host_fault(host) == ""
