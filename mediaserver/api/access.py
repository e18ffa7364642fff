"""Who may come in, answered from memory before a body is read: the admin, publishers.

Control tells the hashes of all keys with its policy. A wrong key costs no question to control and
no look into the book: it is counted, logged at a limited rate, and its answer waits, longer each
time, by the address that asks.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from mediaserver import log
from mediaserver.api.auth import (
    CHALLENGE,
    HOOKS_PREFIX,
    NOT_A_KEY,
    NOT_STREAM_KEY,
    bearer,
    unlike_key,
)
from mediaserver.api.cookies import has_session
from mediaserver.clock import Clock
from mediaserver.hls.known_policy import KnownPolicy
from mediaserver.http.client_address import (
    FORWARDED,
    FORWARDED_FOR,
    Client,
    Networks,
    client_of,
    parse,
)
from mediaserver.http.edge_key import VIA_HEADER, has_edge_key
from mediaserver.http.problem import ApiError
from mediaserver.http.request_records import BODY_BYTES_MAX
from mediaserver.http.wrong_keys import WrongKeys
from mediaserver.people import permissions, viewer_tokens
from mediaserver.people.key_format import prefix_of
from metering.log_throttle import LogThrottle

WAITING_MAX: Final = 512
"""Answers to wrong keys that wait, of all addresses."""
WAITING_PER_ADDRESS_MAX: Final = 8
"""One more is answered 429 at once: a program tries keys in parallel."""

STRANGERS_BODY_BYTES_MAX: Final = 16 << 10
"""Of who signs in, or says that they are: a passkey with its attestation is 2 KiB."""
_WRITES: Final = frozenset({"POST", "PUT", "PATCH"})
_NO_HASH: Final = bytes(hashlib.sha256().digest_size)

_log = log.get("http")


class Access:
    """Knows the keys and who tried wrong ones.

    Attributes:
        refused: Wrong keys by what they were for: ``admin``, ``stream``, ``key``, and what control
            says of others (`auth.WRONG_HEADER`).
    """

    def __init__(
        self,
        trusted: Networks,
        admins: Networks,
        clock: Clock,
        edge_key: bytes = b"",
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Begin without a policy: until there is one, everything is control's to answer.

        Args:
            trusted: Proxies of the operator.
            admins: From where the admin token is taken.
            edge_key: What an edge shows to be taken for a proxy of the operator.
        """
        self.refused: Counter[str] = Counter()
        self._trusted = trusted
        self._admins = admins
        self._clock = clock
        self.edge_key = edge_key
        self._sleep = sleep
        self._is_open = False
        self._admin_sha256 = b""
        self._policy: KnownPolicy | None = None
        self._api_keys: dict[str, bytes] = {}
        self._wrong = WrongKeys()
        self._waiting: Counter[str] = Counter()
        self._throttles: dict[str, LogThrottle] = {}

    def set_policy(self, policy: KnownPolicy) -> None:
        """Take over control's keys; those of streams are read from it, the newest each time."""
        rest = policy.rest
        self._policy = policy
        self._is_open = bool(rest.admin_sha256)
        self._admin_sha256 = rest.admin_sha256
        self._api_keys = dict(rest.api_keys)

    def is_edge(self, request: web.BaseRequest) -> bool:
        """Return whether a request came through an edge of the operator's, by its key."""
        return has_edge_key(request, VIA_HEADER, self.edge_key)

    def client(self, request: web.BaseRequest) -> Client:
        """Return who made a request."""
        transport = request.transport
        own = transport.get_extra_info("sockname") if transport is not None else None
        peer = request.remote or ""
        trusted = self._trusted
        if VIA_HEADER in request.headers and self.is_edge(request) and parse(peer) is not None:
            trusted = trusted.joined_by(peer)
        return client_of(
            peer,
            own[0] if isinstance(own, tuple) else "",
            request.headers.getall(FORWARDED_FOR, []),
            request.headers.getall(FORWARDED, []),
            trusted,
        )

    async def api(self, request: web.BaseRequest, client: Client) -> None:
        """Let in who shows a key or a cookie, and everybody to what is open of the API.

        Whether they may is control's to judge; a cookie is only looked up there.

        Raises:
            ApiError: 401 for a wrong key or none, 403 for the admin token from elsewhere than
                ``auth.admin_networks``.
        """
        if request.path.startswith(HOOKS_PREFIX):
            return  # a webhook's signature is control's to judge
        if "Authorization" not in request.headers:
            if not permissions.is_open(request.path) and not has_session(request):
                bearer(request)
            return
        key = bearer(request)
        if permissions.takes_token(request.path) and viewer_tokens.is_token(key):
            return  # control has its issuer's keys
        prefix = prefix_of(key)
        if prefix is not None:
            if self._is_open:
                await self._check(
                    "key", client, key, lambda: self._api_keys.get(prefix, b""), NOT_A_KEY
                )
            return
        kind, text = unlike_key(key)
        if not client.is_certain or not self._admins.hold(client.address):
            if kind == "key":
                await self._check(kind, client, key, lambda: b"", text)
            raise ApiError(
                403,
                "Not from here",
                f"the admin token is taken only from auth.admin_networks, and {client.text} is "
                "not in it; use the command line on the server itself, or name your network there",
            )
        if self._is_open:
            await self._check("admin", client, key, lambda: self._admin_sha256, text)

    async def publisher(self, request: web.BaseRequest, client: Client, slug: str) -> None:
        """Let the publisher of a stream in.

        Raises:
            ApiError: 401 for a wrong key; 404 for an unknown stream, and for a wrong key of one by
                invitation, which is not there for strangers.
        """
        if self._is_open:
            key = bearer(request)
            await self._check(
                "stream",
                client,
                key,
                lambda: self._stream_key(slug),
                NOT_STREAM_KEY,
                is_hidden=lambda: self._policy is not None and self._policy.is_hidden(slug),
            )

    def _stream_key(self, slug: str) -> bytes | None:
        return None if self._policy is None else self._policy.stream_keys.get(slug)

    async def wrong(self, kind: str, client: Client) -> None:
        """Count a wrong key, and wait as long as its answer has to.

        Raises:
            ApiError: 429 when too many of the same address wait.
        """
        self.refused[kind] += 1
        throttle = self._throttles.setdefault(kind, LogThrottle())
        if times := throttle.failed(kind):
            _log.warning("http.key.refused", kind=kind, address=client.text, times=times)
        wait_s = self._wrong.add(client.key, self._clock.monotonic())
        if (
            self._waiting[client.key] >= WAITING_PER_ADDRESS_MAX
            or self._waiting.total() >= WAITING_MAX
        ):
            raise ApiError(
                429,
                "Too many wrong keys",
                f"{client.text} tries many wrong keys at once; wait, and check the key",
                {"Retry-After": str(int(wait_s) + 1)},
            )
        self._waiting[client.key] += 1
        try:
            await self._sleep(wait_s)
        finally:
            self._waiting[client.key] -= 1
            if not self._waiting[client.key]:
                del self._waiting[client.key]

    async def _check(
        self,
        kind: str,
        client: Client,
        key: str,
        right_sha256: Callable[[], bytes | None],
        refusal: str,
        *,
        is_hidden: Callable[[], bool] = lambda: False,
    ) -> None:
        given = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        if _is(given, right_sha256()):
            return
        await self.wrong(kind, client)
        # A stream or key that was made a moment ago may have become known meanwhile.
        right = right_sha256()
        if _is(given, right):
            return
        if right is None or is_hidden():
            raise ApiError(
                404,
                "Unknown name",
                "there is no such stream; or it is by invitation, and this is not its key",
            )
        raise ApiError(401, "Not authorised", refusal, CHALLENGE)


def _is(given: bytes, right: bytes | None) -> bool:
    """Return whether a hash is the right one; where there is none, as much is compared."""
    is_same = hmac.compare_digest(given, right or _NO_HASH)
    return is_same and bool(right)


def body_bytes_max(request: web.BaseRequest) -> int:
    """Return how much of a body is taken: a stranger has no key that is right, and any cookie.

    Webhooks of a checkout are 3 to 10 KiB.
    """
    if "Authorization" in request.headers or request.path.startswith(HOOKS_PREFIX):
        return BODY_BYTES_MAX
    return STRANGERS_BODY_BYTES_MAX if request.method in _WRITES else 0
