"""Sends one webhook: the name resolved once, each address judged, and only those connected to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Final, TypeVar

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from mediaserver.webhooks.addresses import Network, refusal

ANSWER_BYTES_MAX: Final = 300
"""What is read of an answer: the first words of why it was refused."""
HEADER_BYTES_MAX: Final = 8190

T = TypeVar("T")
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class NotSentError(Exception):
    """The event did not arrive, or nobody said that it did; the message says why."""


class Sender:
    """Posts bodies to addresses that may be used."""

    def __init__(
        self, allowed: Sequence[Network], timeout_s: float, resolve: Resolve | None = None
    ) -> None:
        """Take bounds.

        Args:
            allowed: Networks that may be used though they are not public.
            timeout_s: For all of it, from the name to the end of the answer.
            resolve: Returns the addresses of a host; None: the machine's resolver.
        """
        self._allowed = allowed
        self._timeout_s = timeout_s
        self._resolve = resolve or _resolve

    async def post(self, url: str, body: str, headers: Mapping[str, str]) -> int:
        """Return the status of the answer, 200 to 299.

        Raises:
            NotSentError: There was none, or another.
        """
        return await self._bounded(url, body, headers, _status)

    async def ask(self, url: str, body: str, headers: Mapping[str, str], bytes_max: int) -> bytes:
        """Return the body of the answer, which is 200 and JSON.

        Raises:
            NotSentError: There was none, another, or a longer one than `bytes_max`.
        """
        # A compressed answer would be larger than what is read of it.
        asked = {**headers, "Accept": "application/json", "Accept-Encoding": "identity"}
        return await self._bounded(url, body, asked, partial(_body, bytes_max=bytes_max))

    async def _bounded(
        self,
        url: str,
        body: str,
        headers: Mapping[str, str],
        read: Callable[[aiohttp.ClientResponse], Awaitable[T]],
    ) -> T:
        """Return what `read` makes of the answer.

        Raises:
            NotSentError: There was none in time, or `read` takes no such answer.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._post(URL(url), body, headers, read)
        except TimeoutError as error:
            raise NotSentError(f"no answer within {self._timeout_s:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NotSentError(f"{type(error).__name__}: {error}") from error

    async def _post(
        self,
        url: URL,
        body: str,
        headers: Mapping[str, str],
        read: Callable[[aiohttp.ClientResponse], Awaitable[T]],
    ) -> T:
        host, port = url.host or "", url.port or 443
        addresses = await self._resolve(host, port)
        if not addresses:
            raise NotSentError(f"{host} has no address")
        for address in addresses:
            if why := refusal(address, self._allowed):
                raise NotSentError(f"not sent: {why}")

        # The connector asks nobody again; an address in the URL itself is the one just judged.
        connector = aiohttp.TCPConnector(
            resolver=_Pinned(addresses), use_dns_cache=False, force_close=True
        )
        async with (
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                max_line_size=HEADER_BYTES_MAX,
                max_field_size=HEADER_BYTES_MAX,
            ) as client,
            client.post(
                url,
                data=body.encode(),
                headers={**headers, "Content-Type": "application/json"},
                allow_redirects=False,
            ) as answer,
        ):
            return await read(answer)


async def _status(answer: aiohttp.ClientResponse) -> int:
    if 200 <= answer.status < 300:
        return answer.status
    raise await _refused(answer)


async def _body(answer: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    if answer.status != HTTPStatus.OK:
        raise await _refused(answer)
    if answer.content_type != "application/json":
        raise NotSentError(f"answered {answer.content_type[:80]!r}, which is not application/json")
    found = bytearray()
    while piece := await answer.content.read(bytes_max + 1 - len(found)):
        found += piece
        if len(found) > bytes_max:
            raise NotSentError(f"answered more than {bytes_max} bytes")
    return bytes(found)


async def _refused(answer: aiohttp.ClientResponse) -> NotSentError:
    words = (await answer.content.read(ANSWER_BYTES_MAX)).decode("utf-8", "replace")
    return NotSentError(f"answered {answer.status}: {shown(words)}".rstrip(": "))


def shown(words: str) -> str:
    """Return what a stranger wrote, without what a terminal or page would obey."""
    return "".join(letter if letter.isprintable() else " " for letter in words).strip()


class _Pinned(AbstractResolver):
    """Returns what was resolved already."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses."""
        del family  # both versions were resolved and judged
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses
        ]

    async def close(self) -> None:
        """Do nothing: nothing is open."""


async def _resolve(host: str, port: int) -> Sequence[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(item[4][0]) for item in found))
