"""ICE towards one publisher: our sockets and candidates, and the pair that datagrams leave by.

Uses `aioice.Connection` without its `connect()`, which polls every 20 ms and never ends for
an offer without end-of-candidates. Here a pair comes from the publisher's own checks alone: the
first authenticated check lets datagrams leave, our answered check makes the pair valid, and
USE-CANDIDATE moves it (RFC 8445, 7.3.1.5 and 12.1). No datagram of a stranger gets past this file:
what is not STUN counts only from addresses that passed an authenticated check, as a single empty
or oversized datagram would end a stock session (ice-lab.md, 10).
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import secrets
import socket
import string
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import aioice
from aioice import ice as aioice_ice
from aioice import stun
from aioice.candidate import candidate_foundation, candidate_priority

from mediaserver import log
from mediaserver.errors import CapacityError
from mediaserver.ingest.bind_check import unusable_addresses
from mediaserver.ingest.settings import IngestSettings

DATAGRAM_BYTES_MAX: Final = 1500
"""One Ethernet frame, and the size of libsrtp's buffer in pylibsrtp."""
ADDRESSES_MAX: Final = 32
"""Addresses one publisher may send from; a phone that roams uses two or three."""
STUN_BYTES_MAX: Final = 548
"""RFC 8489, 6.1: what fits a path of 576 bytes. A check has some 100, with a user name of 265 twice
that."""
_BINDING_REQUEST: Final = b"\x00\x01"
_BINDING_ANSWERS: Final = (b"\x01\x01", b"\x01\x11")
_LETTERS: Final = string.ascii_letters + string.digits
_UFRAG_LENGTH: Final = 8
_PWD_LENGTH: Final = 24
_log = log.get("ingest")


@dataclass(frozen=True, slots=True)
class _Host:
    """One address that a candidate names, and the socket address behind it."""

    address: str
    bound: str


class GuardedProtocol(aioice_ice.StunProtocol):
    """A socket of a connection, behind the guards of ice-lab.md, section 10."""

    receiver: IceConnection

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        """Sort a datagram by its first byte (RFC 7983); drop what a stranger may not send."""
        if not isinstance(data, bytes) or not 0 < len(data) <= DATAGRAM_BYTES_MAX:
            return
        if data[0] > 3:
            self.receiver.received(data, addr[:2])
            return
        if not self._is_expected(data):
            self.receiver.strange_checks += 1
            return
        try:
            super().datagram_received(data, addr)
        except (ArithmeticError, AssertionError, LookupError, ValueError, struct.error):
            self.receiver.bad_checks += 1

    def _is_expected(self, data: bytes) -> bool:
        """Return whether STUN is a check that names us, or the answer to one of ours.

        Looked at in the raw bytes, before anything is parsed, and without a reply: 150 attributes
        cost a parser 100 us, and an error reply tells a scanner which ports are live. The user name
        of a check begins with our fragment, which only who has the answer knows (RFC 8445, 7.2.2).
        """
        if len(data) > STUN_BYTES_MAX:
            return False
        if data[:2] == _BINDING_REQUEST:
            return self.receiver.check_name in data
        return data[:2] in _BINDING_ANSWERS and data[8:20] in self.transactions


class IceConnection(aioice.Connection):
    """One ICE session with one publisher, always controlled.

    Attributes:
        rtt_s: Best round trip of our own checks, or None before the first answer.
        bad_checks: STUN messages that could not be read.
        strange_checks: STUN messages that were not for this session, dropped unread.
        check_name: What the user name of a check of this session begins with.
        media_came: Set when the first media datagram came by this connection.
    """

    def __init__(
        self,
        settings: IngestSettings,
        remote_ufrag: str,
        remote_pwd: str,
        on_datagram: Callable[[bytes], None],
    ) -> None:
        super().__init__(
            ice_controlling=False,
            local_username=_random_text(_UFRAG_LENGTH),
            local_password=_random_text(_PWD_LENGTH),
        )
        self.remote_username = remote_ufrag
        self.remote_password = remote_pwd
        self.rtt_s: float | None = None
        self.bad_checks = 0
        self.strange_checks = 0
        self.check_name = f"{self.local_username}:".encode()
        self.media_came = asyncio.Event()
        self._settings = settings
        self._on_datagram = on_datagram
        self._allowed: set[tuple[Any, ...]] = set()
        self._reached = asyncio.Event()
        self._has_valid_pair = False

    async def open(self) -> tuple[str, ...]:
        """Bind the sockets and answer checks from now on.

        Returns:
            Values of `a=candidate`, best first.

        Raises:
            CapacityError: If no UDP port of the range is free on any address.
        """
        # Credentials are known before the first datagram can come, so nothing is deferred.
        self._early_checks_done = True
        await self.gather_candidates()
        if not self.local_candidates:
            settings = self._settings
            missing = unusable_addresses(settings.bind_addresses)
            usable = [address for address in settings.bind_addresses if address not in missing]
            if not usable:
                raise CapacityError("; ".join(missing.values()))
            raise CapacityError(
                f"no free UDP port in {settings.udp_port_min}-{settings.udp_port_max} on "
                f"{', '.join(usable)}"
            )
        return tuple(candidate.to_sdp() for candidate in self.local_candidates)

    async def reach(self, candidates: Iterable[str]) -> None:
        """Do a publisher's part: check `candidates`, values of the answer's `a=candidate`.

        The remote credentials have been set. Who was not reached, is told by what follows.
        """
        self.ice_controlling = True
        for protocol in self._protocols:
            for candidate in map(aioice.Candidate.from_sdp, candidates):
                pair = aioice_ice.CandidatePair(protocol, candidate)
                self._check_list.append(pair)
                await self.check_start(pair)

    async def reached(self) -> None:
        """Return when the publisher has proved, by an authenticated check, that it reaches us.

        Raises:
            ConnectionError: If the connection was closed meanwhile.
        """
        await self._reached.wait()
        if self._closing:
            raise ConnectionError("closed before the publisher reached us")

    async def get_component_candidates(
        self,
        component: int,
        addresses: list[str],  # noqa: ARG002 - signature of aioice, which lists all but loopback
        timeout: int = 5,  # noqa: ARG002, ASYNC109 - signature of aioice
    ) -> list[aioice.Candidate]:
        """Return our candidates, a socket for each bound address. Called by `gather_candidates`."""
        settings = self._settings
        loop = asyncio.get_running_loop()
        ports: dict[str, int] = {}
        for bound in dict.fromkeys(settings.bind_addresses):
            try:
                bound_socket = bind_udp(bound, settings)
            except OSError as error:
                # One address that the machine has lost does not take the others away.
                _log.warning("ingest.address.unusable", address=bound, reason=str(error))
                continue
            if bound_socket is None:
                continue
            ports[bound] = bound_socket.getsockname()[1]
            protocol = GuardedProtocol(self)
            # Before the first datagram can arrive, as aioice reads it on every datagram.
            protocol.local_candidate = _candidate(component, bound, bound, ports[bound], 0)
            await loop.create_datagram_endpoint(lambda p=protocol: p, sock=bound_socket)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
            self._protocols.append(protocol)
        hosts = candidate_hosts(tuple(ports), settings.advertise_addresses, _machine_addresses)
        return [
            _candidate(component, host.address, host.bound, ports[host.bound], index)
            for index, host in enumerate(hosts)
        ]

    def received(self, data: bytes, address: tuple[Any, ...]) -> None:
        """Hand on a datagram that is not STUN, if its sender passed a check."""
        if address in self._allowed and not self._closing:
            if data[0] > 127 and not self.media_came.is_set():
                self.media_came.set()
            self._on_datagram(data)

    def data_received(self, data: bytes, component: int) -> None:
        """Drop what looked like STUN and was not; everything else came by `received`."""

    def check_incoming(
        self, message: stun.Message, addr: tuple[str, int], protocol: aioice_ice.StunProtocol
    ) -> None:
        """Note an authenticated check: its sender may speak, and we may speak to it."""
        if addr not in self._allowed:
            if len(self._allowed) >= ADDRESSES_MAX:
                return
            self._allowed.add(addr)
        super().check_incoming(message, addr, protocol)
        if not self._nominated:
            # Saves a round trip: DTLS starts behind our response, before our own check returns.
            # Its repeats follow the pair as soon as a better one is known.
            for pair in self._check_list:
                if pair.protocol is protocol and pair.remote_addr == addr:
                    self._nominated[pair.component] = pair
                    break
        self._reached.set()

    async def check_start(self, pair: aioice_ice.CandidatePair) -> None:
        """Check a pair, and time it."""
        began = time.monotonic()
        await super().check_start(pair)
        if pair.state is aioice_ice.CandidatePair.State.SUCCEEDED:
            took = time.monotonic() - began
            self.rtt_s = took if self.rtt_s is None else min(self.rtt_s, took)

    def check_complete(self, pair: aioice_ice.CandidatePair) -> None:
        """Use the first valid pair at once; libjuice may nominate only after 2 s."""
        if pair.state is aioice_ice.CandidatePair.State.SUCCEEDED and not self._has_valid_pair:
            self._has_valid_pair = True
            self._nominated[pair.component] = pair
        super().check_complete(pair)

    def send_now(self, data: bytes) -> bool:
        """Send by the present pair; return False when there is none."""
        pair = self._nominated.get(1)
        if pair is None or self._closing or pair.protocol.transport.is_closing():
            return False
        pair.protocol.transport.sendto(data, pair.remote_addr)
        return True

    def route(self) -> tuple[tuple[str, int], tuple[str, int]] | None:
        """Return our socket's address and the publisher's, of the present pair; None without."""
        pair = self._nominated.get(1)
        if pair is None or self._closing or pair.protocol.transport.is_closing():
            return None
        host, port = pair.protocol.transport.get_extra_info("sockname")[:2]
        return (host, port), (pair.remote_addr[0], pair.remote_addr[1])

    async def close(self) -> None:
        """Close the sockets and end every check under way. May be called again."""
        self._reached.set()
        await super().close()


def bind_udp(address: str, settings: IngestSettings) -> socket.socket | None:
    """Return a socket on a free port of the range, from a random start; None when all are taken.

    Raises:
        OSError: If the address itself cannot be bound.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    count = settings.udp_port_max - settings.udp_port_min + 1
    start = secrets.randbelow(count)
    for step in range(count):
        bound = socket.socket(family, socket.SOCK_DGRAM)
        try:
            bound.setblocking(False)
            # Before the first datagram: an unpaced first keyframe overflows the default buffer.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, settings.receive_buffer_bytes)
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.bind((address, settings.udp_port_min + (start + step) % count))
        except OSError as error:
            bound.close()
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return bound
    return None


def candidate_hosts(
    bound: tuple[str, ...],
    advertised: tuple[str, ...],
    machine_addresses: Callable[[], Iterable[str]],
) -> tuple[_Host, ...]:
    """Return which addresses the answer names, best first.

    IPv4 goes before IPv6, as FFmpeg uses only the first. Advertised addresses go before bound ones
    (who sets them is reached by them), loopback goes last. A wildcard is never named: the machine's
    own addresses take its place.
    """
    hosts: dict[str, _Host] = {}
    for version in (4, 6):
        same = [a for a in bound if ipaddress.ip_address(a).version == version]
        # What a public address is forwarded to is never the loopback socket, if there is another.
        same.sort(key=lambda a: ipaddress.ip_address(a).is_loopback)
        extra = [a for a in advertised if ipaddress.ip_address(a).version == version]
        if not same:
            continue
        for address in extra:
            hosts.setdefault(address, _Host(address, same[0]))
        for address in same:
            if not ipaddress.ip_address(address).is_unspecified:
                hosts.setdefault(address, _Host(address, address))
            elif not extra:
                for own in machine_addresses():
                    if ipaddress.ip_address(own).version == version:
                        hosts.setdefault(own, _Host(own, address))
    return tuple(hosts.values())


def _machine_addresses() -> list[str]:
    return [*aioice_ice.get_host_addresses(use_ipv4=True, use_ipv6=True), "127.0.0.1", "::1"]


def _candidate(component: int, address: str, bound: str, port: int, index: int) -> aioice.Candidate:
    return aioice.Candidate(
        foundation=candidate_foundation("host", "udp", bound)[:8],
        component=component,
        transport="udp",
        priority=candidate_priority(component, "host", 65535 - index),
        host=address,
        port=port,
        type="host",
    )


def _random_text(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))
