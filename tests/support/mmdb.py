"""A MaxMind DB of a few networks, as its specification (2.0) says.

https://maxmind.github.io/MaxMind-DB/
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_METADATA: Final = b"\xab\xcd\xefMaxMind.com"
_STRING, _MAP, _UINT16, _UINT32, _UINT64, _ARRAY = 2, 7, 5, 6, 9, 11
NESTED: Final = "nested"
FLAT: Final = "flat"


def write(path: Path, countries: Mapping[str, str], *, form: str = NESTED) -> None:
    """Write a file that says which network is in which country, in place of one that is there."""
    data, places = b"", {}
    for code in sorted(set(countries.values())):
        places[code] = len(data)
        record: dict[str, Any] = {"country": {"iso_code": code}}
        data += _encoded(record if form == NESTED else {"country_code": code})
    nodes: list[list[int | str | None]] = [[None, None]]
    for text, code in countries.items():
        network = ipaddress.ip_network(text)
        bits = network.prefixlen + (96 if network.version == 4 else 0)
        value = int(network.network_address)  # IPv4 is ::/96
        node = 0
        for index in range(bits):
            side = value >> (127 - index) & 1
            if index == bits - 1:
                nodes[node][side] = code
                break
            below = nodes[node][side]
            if not isinstance(below, int):
                nodes.append([below, below])  # as the wider network
                below = nodes[node][side] = len(nodes) - 1
            node = below
    tree = b"".join(_record(each, places, len(nodes)) for pair in nodes for each in pair)
    metadata = {
        "binary_format_major_version": 2,
        "binary_format_minor_version": 0,
        "build_epoch": 1_780_000_000,
        "database_type": "Test-Country",
        "description": {"en": "test"},
        "ip_version": 6,
        "languages": ["en"],
        "node_count": len(nodes),
        "record_size": 32,
    }
    whole = tree + bytes(16) + data + _METADATA + _encoded(metadata)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(whole)
    fresh.replace(path)


def _record(value: int | str | None, places: Mapping[str, int], count: int) -> bytes:
    if value is None:
        return count.to_bytes(4, "big")
    pointed = value if isinstance(value, int) else count + 16 + places[value]
    return pointed.to_bytes(4, "big")


def _encoded(value: Any, kind: int = _UINT32) -> bytes:
    match value:
        case str():
            text = value.encode()
            return _head(_STRING, len(text)) + text
        case dict():
            return _head(_MAP, len(value)) + b"".join(
                _encoded(key) + _encoded(item, _KINDS.get(key, _UINT32))
                for key, item in value.items()
            )
        case list():
            return _head(_ARRAY, len(value)) + b"".join(map(_encoded, value))
        case _:
            number: bytes = value.to_bytes((value.bit_length() + 7) // 8, "big")
            return _head(kind, len(number)) + number


_KINDS: Final = {
    "binary_format_major_version": _UINT16,
    "binary_format_minor_version": _UINT16,
    "ip_version": _UINT16,
    "record_size": _UINT16,
    "build_epoch": _UINT64,
}


def _head(kind: int, size: int) -> bytes:
    if kind > 7:
        return bytes((size, kind - 7))
    if size < 29:
        return bytes((kind << 5 | size,))
    return bytes((kind << 5 | 29, size - 29))
