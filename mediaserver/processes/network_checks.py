"""Checks of `vilokanam doctor` that use the network: ingest's UDP, the public address, Redis."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import secrets
import socket
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from mediaserver.processes.finding import Finding, fault, good, warning
from mediaserver.processes.server_clock import open_clock
from mediaserver.settings.effective import shown_url
from mediaserver.settings.records import Settings
from metering.errors import StoreRefusedError, StoreUnavailableError
from metering.store.clock_check import APART_MAX_MS
from metering.store.embedded import find_program
from metering.store.inspect import inspect

ANSWER_S: Final = 5.0
PACKET_S: Final = 1.0
"""To an address of this machine, or through the nearest router and back."""
CERTIFICATE_DAYS_MIN: Final = 14
"""Let's Encrypt renews with 30 days left: two weeks later it has failed for two weeks."""
_OLD_REDIS: Final = (7, 0)
_PORTS_TRIED: Final = 20
_NOWHERE: Final = "192.0.2.1"
"""RFC 5737: no host has it. Nothing is sent: the kernel only says which address it would use."""


def check_udp(settings: Settings) -> list[Finding]:
    """Return whether a packet to each address that publishers are told arrives at ingest."""
    ingest = settings.ingest
    public = urlsplit(settings.public_url).hostname or ""
    bound = [ipaddress.ip_address(address) for address in ingest.bind_addresses]
    if all(address.is_loopback for address in bound) and not _is_local(public):
        return [
            fault(
                "ingest",
                f"publishers of {public} are told {', '.join(map(str, bound))}, this machine alone",
                'ingest.bind_addresses = ["0.0.0.0"], and the public address in '
                "ingest.advertise_addresses",
            )
        ]
    named = ingest.advertise_addresses or tuple(str(_of_machine(address)) for address in bound)
    return [_check_address(settings, address, public) for address in named]


def _check_address(settings: Settings, address: str, public: str) -> Finding:
    ports = f"{settings.ingest.udp_port_min} to {settings.ingest.udp_port_max}"
    target = ipaddress.ip_address(address)
    if target.is_private and not target.is_loopback and not _is_local(public):
        return warning(
            "ingest",
            f"publishers are told {address}, which the internet does not reach",
            "name the public address in ingest.advertise_addresses",
        )
    wanted = ipaddress.ip_address("::" if target.version == 6 else "0.0.0.0").exploded  # noqa: S104
    for given in settings.ingest.bind_addresses:
        if ipaddress.ip_address(given).version == target.version:
            wanted = given
    port = _arrives(wanted, address, settings)
    if port is None:
        return warning(
            "ingest",
            f"no packet that was sent to {address} came back to this machine",
            f"open UDP {ports} in the firewall and forward it here; a router that does not send "
            "our own packets back to us looks the same: try a publisher from outside",
        )
    reach = "" if target.is_loopback else f"; UDP {ports} must be open to the internet"
    return good("ingest", f"a packet to {address}:{port} arrived{reach}")


def _arrives(bind: str, target: str, settings: Settings) -> int | None:
    """Return the port at which a packet to `target` arrived, None when it did not."""
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    first, last = settings.ingest.udp_port_min, settings.ingest.udp_port_max
    word = secrets.token_bytes(16)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        sender = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        for port in range(first, min(last, first + _PORTS_TRIED) + 1):
            try:
                listener.bind((bind, port))
                break
            except OSError:
                continue  # a publisher has it
        else:
            return None
        listener.settimeout(PACKET_S)
        try:
            sender.sendto(word, (target, port))
            deadline_s = time.monotonic() + PACKET_S
            while time.monotonic() < deadline_s:
                if listener.recv(64) == word:
                    return port
        except OSError:
            return None
    return None


def _of_machine(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return an address of this machine for one that is bound: itself, or for all of them one."""
    if not address.is_unspecified:
        return address
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((_NOWHERE if address.version == 4 else "2001:db8::1", 9))
        return ipaddress.ip_address(probe.getsockname()[0])
    return ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")


async def check_public_url(settings: Settings) -> Finding:
    """Return whether the address that people use has a certificate that browsers believe."""
    url = settings.public_url
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https":
        if _is_local(host):
            return good("public address", f"{url}, this machine alone")
        return warning(
            "public address",
            f"{url} is plain HTTP: browsers neither publish nor play with low latency there",
            "put a proxy with TLS in front, and its address into server.public_url",
        )
    try:
        days = await _certificate_days(host, parts.port or 443)
    except ssl.SSLCertVerificationError as error:
        return fault(
            "public address",
            f"browsers refuse the certificate of {url}: {error.verify_message}",
            "renew it, or send its whole chain",
        )
    except (OSError, TimeoutError) as error:
        reason = "no answer in time" if isinstance(error, TimeoutError) else error.strerror
        return fault(
            "public address",
            f"{url} does not answer from here: {reason or error}",
            "see that its name leads to the proxy, and that the proxy runs",
        )
    text = f"the certificate of {url} is good for {days:.0f} days"
    if days < CERTIFICATE_DAYS_MIN:
        return warning("public address", text, "renew it; why has that not happened by itself?")
    return good("public address", text)


async def _certificate_days(host: str, port: int) -> float:
    context = ssl.create_default_context()
    async with asyncio.timeout(ANSWER_S):
        _, writer = await asyncio.open_connection(host, port, ssl=context)
    certificate = writer.get_extra_info("peercert")
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError):
        await writer.wait_closed()
    return (ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()) / 86_400


async def check_redis(
    settings: Settings, data_dir: Path, pid: int | None
) -> AsyncIterator[Finding]:
    """Yield whether Redis keeps what it is given, and whether its clock is ours."""
    url = settings.metering.redis_url
    if not url and pid is None:
        yield await _check_program()
        return
    place = shown_url(url) or "the server's own"
    # While the server runs its clock counts, which follows this machine's slowly.
    clock = open_clock(data_dir / "run")
    try:
        facts = await inspect(
            url or f"unix://{data_dir / 'run' / 'redis.sock'}",
            settings.metering.fsync,
            now_s=lambda: clock.now_ms() / 1000,
        )
    except StoreRefusedError as error:
        for refusal in error.faults:
            text, _, remedy = refusal.partition(": ")
            yield fault("Redis", f"{place}: {text}", remedy or "see docs/operator/run.md, Redis")
        return
    except StoreUnavailableError as error:
        yield fault(
            "Redis", f"{place} does not answer: {error}", "start it, or mend metering.redis_url"
        )
        return
    yield good("Redis", f"{place}, {facts.version}, keeps what it is given")
    apart = f"Redis' clock is {abs(facts.ahead_s):.1f} s "
    if abs(facts.ahead_s) * 1000 > APART_MAX_MS:
        where = "ahead of" if facts.ahead_s > 0 else "behind"
        yield fault("Redis' clock", f"{apart}{where} ours", "keep both machines' clocks by NTP")
    else:
        yield good("Redis' clock", f"{apart}from ours")


async def _check_program() -> Finding:
    try:
        program, version = await find_program()
    except StoreRefusedError as error:
        text, _, remedy = str(error).partition(": ")
        return fault("Redis", text, remedy)
    text = f"{program}, {version[0]}.{version[1]}, will be started"
    if version < _OLD_REDIS:
        return warning("Redis", text, "install redis-server or valkey 7.0 or newer")
    return good("Redis", text)


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
