"""Whether this machine has the addresses that ingest is to receive on.

Imports no codec and no ICE: the command line asks too.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence


def unusable_addresses(addresses: Sequence[str]) -> dict[str, str]:
    """Return the addresses that cannot be bound, each with what is wrong and the remedy."""
    faults: dict[str, str] = {}
    for index, address in enumerate(addresses):
        try:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.bind((address, 0))
        except OSError as error:
            faults[address] = (
                f"ingest.bind_addresses[{index}]: {address} is not an address that this machine "
                f"can receive on ({error.strerror or error}); use one of its own, and name a "
                "public address that is forwarded to it in ingest.advertise_addresses"
            )
    return faults
