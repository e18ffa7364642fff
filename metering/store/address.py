"""Where Redis is: a URL as redis-py reads it. Opens nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from redis.asyncio.connection import SSLConnection, parse_url

PORT: int = 6379


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """The parts of ``redis://``, ``rediss://`` and ``unix://`` that a raw connection needs.

    Attributes:
        path: Of a unix socket; empty: TCP.
        host: Name or address.
        port: TCP port.
        is_tls: Whether the connection is encrypted.
        user: For AUTH; empty: the default user.
        password: For AUTH; empty: none.
        database: Which database to SELECT.
    """

    path: str
    host: str
    port: int
    is_tls: bool
    user: str
    password: str = field(repr=False)
    database: int

    @classmethod
    def parse(cls, url: str) -> Self:
        """Return the address that a URL names.

        Raises:
            ValueError: If redis-py cannot read it. The text may hold the password: do not show it.
        """
        parts = parse_url(url)
        return cls(
            path=parts.get("path", ""),
            host=parts.get("host", "localhost"),
            port=parts.get("port", PORT),
            is_tls=parts.get("connection_class") is SSLConnection,
            user=parts.get("username", ""),
            password=parts.get("password", ""),
            database=parts.get("db", 0),
        )


def is_address(url: str) -> bool:
    """Return whether redis-py can read a URL, and a unix socket has a path."""
    try:
        address = RedisAddress.parse(url)
    except ValueError:
        return False
    return bool(address.path) or not url.startswith("unix:")
