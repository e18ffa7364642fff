"""Keys of issuers (RFC 7517), and what they signed (RFC 7515). The only importer of `joserfc`.

A token's word for its algorithm is held against a list of ours, without shared secrets: a published
key cannot be taken for one. Keys are looked up when they are needed and kept for a while.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp

from mediaserver.clock import Clock
from metering.errors import InvalidValueError

TIMEOUT_S: Final = 5.0
ANSWER_BYTES_MAX: Final = 256 << 10
LIFE_S: Final = 3600.0
"""How long keys are kept: one that an issuer took back opens nothing after that."""
AGAIN_S: Final = 60.0
"""A key that is not known is looked up at most so often: a stranger can invent them."""
FAILED_S: Final = 5.0
"""An issuer that does not answer is asked again after that, however many ask meanwhile."""


class IssuerError(Exception):
    """An issuer did not answer, or not as the standard says; says what."""


class Jwks:
    """The keys of one issuer, at an address or in a file.

    Attributes:
        fetches: How often they were looked up.
    """

    def __init__(self, clock: Clock) -> None:
        self.fetches = 0
        self._clock = clock
        self._keys: Any = None
        self._asked_s = 0.0
        self._failed_s, self._failure = -FAILED_S, ""
        self._asking = asyncio.Lock()

    async def claims(self, token: str, algorithms: Sequence[str], place: str) -> dict[str, Any]:
        """Return what an issuer signed; its claims are the caller's to judge.

        Args:
            place: Address or file of the keys, as a URL or a path.

        Raises:
            IssuerError: The keys cannot be had.
            InvalidValueError: None of them signed it, or not by one of `algorithms`.
        """
        from joserfc import jwt  # noqa: PLC0415 -- only where an issuer is configured
        from joserfc.errors import JoseError  # noqa: PLC0415

        for is_again in (False, True):
            keys = await self._current(place, is_again=is_again)
            try:
                return dict(jwt.decode(token, keys, list(algorithms)).claims)
            except (JoseError, ValueError, KeyError, TypeError) as error:
                if is_again:
                    raise InvalidValueError(f"does not hold: {type(error).__name__}") from error
        raise AssertionError

    async def _current(self, place: str, *, is_again: bool) -> Any:
        """Return the keys; `is_again` where those that are kept did not do.

        Who needs none but those that are kept waits for nobody who looks others up.
        """
        if not self._is_due(is_again=is_again):
            return self._keys
        async with self._asking:
            if self._is_due(is_again=is_again):
                # One that fails counts too, where there are keys to go on with.
                self._asked_s = self._clock.monotonic()
                if self._asked_s < self._failed_s + FAILED_S:
                    raise IssuerError(self._failure)
                self.fetches += 1
                try:
                    self._keys = await _looked_up(place)
                except IssuerError as error:
                    self._failed_s, self._failure = self._asked_s, str(error)
                    raise
        return self._keys

    def _is_due(self, *, is_again: bool) -> bool:
        age_s = self._clock.monotonic() - self._asked_s
        return self._keys is None or age_s > LIFE_S or (is_again and age_s > AGAIN_S)


async def ask(
    method: str,
    url: str,
    form: dict[str, str] | None = None,
    auth: aiohttp.BasicAuth | None = None,
) -> dict[str, Any]:
    """Return the JSON object at an address of an issuer's.

    Raises:
        IssuerError: It does not answer, or with something else.
    """
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as http,
            http.request(
                method,
                url,
                data=form,
                auth=auth,
                headers={"Accept": "application/json"},
                allow_redirects=False,
            ) as answer,
        ):
            raw = await _read(answer.content)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise IssuerError(f"{url} does not answer: {error or type(error).__name__}") from error
    return _object(raw, f"{url} answered {answer.status}")


async def _looked_up(place: str) -> Any:
    from joserfc.errors import JoseError  # noqa: PLC0415
    from joserfc.jwk import KeySet  # noqa: PLC0415

    is_url = place.startswith(("https://", "http://"))
    found: Any = await (ask("GET", place) if is_url else asyncio.to_thread(_of_file, place))
    try:
        # Beside the loop: a file of this size may hold a thousand keys.
        return await asyncio.to_thread(KeySet.import_key_set, found)
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise IssuerError(f"{place} holds no keys: {type(error).__name__}") from error


def _of_file(place: str) -> dict[str, Any]:
    try:
        with Path(place).open("rb") as file:
            raw = file.read(ANSWER_BYTES_MAX + 1)
    except OSError as error:
        raise IssuerError(f"{place} cannot be read: {error.strerror}") from error
    if len(raw) > ANSWER_BYTES_MAX:
        raise IssuerError(f"{place} is over {ANSWER_BYTES_MAX} bytes")
    return _object(raw, f"{place} is read")


def _object(raw: bytes, what: str) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except ValueError as error:
        raise IssuerError(f"{what} without JSON") from error
    if not isinstance(found, dict):
        raise IssuerError(f"{what} without a JSON object")
    return found


async def _read(content: aiohttp.StreamReader) -> bytes:
    """Return the whole of an answer, however many pieces it comes in.

    Raises:
        OSError: It is longer than `ANSWER_BYTES_MAX`.
    """
    raw = bytearray()
    async for piece in content.iter_any():
        raw += piece
        if len(raw) > ANSWER_BYTES_MAX:
            raise OSError(f"its answer is over {ANSWER_BYTES_MAX} bytes")
    return bytes(raw)
