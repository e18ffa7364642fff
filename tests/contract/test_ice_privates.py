"""One test for each private of aioice 0.13 that mediaserver/ingest/ice.py depends on."""

import inspect
from typing import Any

import aioice
import pytest
from aioice import ice, stun


@pytest.fixture
async def pair_of_connections():
    """A controlling and a controlled connection on loopback, gathered."""
    made = []
    for is_controlling in (True, False):
        connection = aioice.Connection(ice_controlling=is_controlling)
        made.append(connection)
    yield made
    for connection in made:
        await connection.close()


def test_version():
    """The privates below were read in this version."""
    import importlib.metadata

    assert importlib.metadata.version("aioice") == "0.13.0"


def test_gathering_calls_get_component_candidates():
    """Our sockets come in by overriding this coroutine, with these parameters."""
    parameters = inspect.signature(ice.Connection.get_component_candidates).parameters

    assert list(parameters) == ["self", "component", "addresses", "timeout"]
    assert "get_component_candidates" in inspect.getsource(ice.Connection.gather_candidates)


async def test_protocols_are_closed_with_the_connection(pair_of_connections):
    """What is appended to `_protocols` is closed by `close()`."""
    one, _ = pair_of_connections
    protocol = ice.StunProtocol(one)

    class Transport:
        def is_closing(self):
            return False

        def close(self):
            protocol.connection_lost(None)

    transport: Any = Transport()
    protocol.transport = transport
    one._protocols.append(protocol)
    await one.close()

    assert one._protocols == []
    assert one._closing is True


async def test_early_checks_done_lets_checks_through_at_once(pair_of_connections):
    """With `_early_checks_done` set, a check reaches `check_incoming` when it comes."""
    _, one = pair_of_connections
    assert one._early_checks_done is False
    source = inspect.getsource(ice.Connection.request_received)

    assert "if not self._early_checks_done:" in source
    assert source.index("check_message_integrity") < source.index("self.check_incoming(")


def test_check_incoming_is_reached_only_by_authenticated_checks():
    """Our list of addresses that may speak is filled there."""
    callers = [
        name
        for name, method in inspect.getmembers(ice.Connection, inspect.isfunction)
        if "self.check_incoming(" in inspect.getsource(method)
    ]

    # connect() hands over what request_received kept for it, authenticated before.
    assert callers == ["connect", "request_received"]


async def test_check_list_and_nominated_hold_pairs(pair_of_connections):
    """A pair has protocol, remote_addr, component and state; `_nominated` maps component to it."""
    _, one = pair_of_connections
    protocol = ice.StunProtocol(one)
    protocol.local_candidate = aioice.Candidate("f", 1, "udp", 1, "127.0.0.1", 9, "host")
    remote = aioice.Candidate("f", 1, "udp", 1, "127.0.0.2", 8, "prflx")
    pair = ice.CandidatePair(protocol, remote)

    assert (pair.component, pair.remote_addr) == (1, ("127.0.0.2", 8))
    assert pair.protocol is protocol
    assert one._check_list == []
    assert one._nominated == {}
    assert ice.CandidatePair.State.SUCCEEDED is not pair.state


async def test_check_complete_ends_with_the_nominated_pair(pair_of_connections):
    """USE-CANDIDATE still moves a pair that we chose early."""
    _, one = pair_of_connections
    protocol = ice.StunProtocol(one)
    protocol.local_candidate = aioice.Candidate("f", 1, "udp", 1, "127.0.0.1", 9, "host")
    early, late = (
        ice.CandidatePair(protocol, aioice.Candidate("f", 1, "udp", 1, "127.0.0.2", port, "prflx"))
        for port in (8, 7)
    )
    one._nominated[1] = early
    one._check_list += [early, late]
    late.state = ice.CandidatePair.State.SUCCEEDED
    late.nominated = True
    one.check_complete(late)

    assert one._nominated[1] is late


def test_check_start_is_a_coroutine_of_one_pair():
    """It is timed for the round trip."""
    assert inspect.iscoroutinefunction(ice.Connection.check_start)
    assert list(inspect.signature(ice.Connection.check_start).parameters) == ["self", "pair"]


def test_datagram_received_hands_unreadable_stun_to_data_received():
    """`data_received` is overridden to drop it; media never take this way."""
    source = inspect.getsource(ice.StunProtocol.datagram_received)

    assert "except ValueError" in source
    assert "self.receiver.data_received(" in source
    with pytest.raises(ValueError, match="STUN"):
        stun.parse_message(b"\0" * 20 + b"x")


def test_candidate_helpers():
    """Foundation and priority of our own candidates."""
    from aioice.candidate import candidate_foundation, candidate_priority

    assert len(candidate_foundation("host", "udp", "127.0.0.1")) >= 8
    assert candidate_priority(1, "host", 65535) > candidate_priority(1, "host", 65534)


def test_get_host_addresses_lists_the_machine():
    """A wildcard socket is named by these."""
    assert all(isinstance(a, str) for a in ice.get_host_addresses(use_ipv4=True, use_ipv6=True))


async def test_transactions_are_kept_by_their_raw_id(pair_of_connections):
    """An answer is let through when its 12 bytes name a check of ours that is under way."""
    one, _ = pair_of_connections
    protocol = ice.StunProtocol(one)
    assert protocol.transactions == {}

    source = inspect.getsource(ice.StunProtocol.datagram_received)
    assert "message.transaction_id in self.transactions" in source
    message = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    assert bytes(message)[8:20] == message.transaction_id
    assert bytes(message)[:2] == b"\x00\x01"
