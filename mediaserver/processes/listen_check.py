"""Whether this machine can listen where ``server.host`` and ``server.port`` say.

What names the wrong key sends an operator the wrong way: a name that does not resolve is no port in
use by another program.
"""

from __future__ import annotations

import socket
from typing import Any

from mediaserver import log
from mediaserver.ingest.bind_check import unusable_addresses
from mediaserver.processes.bootstrap import StartRefusedError

_log = log.get("server")


def host_fault(host: str) -> str:
    """Return what is wrong with ``server.host`` on this machine and the remedy, or nothing."""
    try:
        for family, kind, address in addresses_of(host, 0):
            with socket.socket(family, kind) as probe:
                probe.bind(address)
    except socket.gaierror as error:
        return (
            f"server.host: {host} does not resolve on this machine ({error.strerror}); use an "
            "address of it, such as 127.0.0.1 for itself alone or 0.0.0.0 for every address"
        )
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        return (
            f"server.host: {host} is not an address of this machine ({reason}); use one of its "
            "own, or 0.0.0.0 for every address, and name the address that people use in "
            "server.public_url"
        )
    return ""


def check_bind_addresses(addresses: tuple[str, ...]) -> None:
    """Refuse to start where no publisher could reach us; say which addresses are missing."""
    faults = unusable_addresses(addresses)
    if len(faults) == len(set(addresses)):
        raise StartRefusedError("\n".join(faults.values()))
    for fault in faults.values():
        _log.warning("server.ingest.address_missing", reason=fault)


def addresses_of(host: str, port: int) -> list[tuple[int, int, Any]]:
    """Return family, kind and address of each socket that listens on `host`.

    Raises:
        OSError: It does not resolve.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # A name that is listed twice for one address is one socket.
    return list(dict.fromkeys((family, kind, address) for family, kind, _, _, address in found))
