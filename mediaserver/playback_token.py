"""Viewer sessions and their tokens: who watches which stream in which player, until when, signed.

A token is 81 bytes as 108 characters of base64url, so no character has spare bits and each token
has one spelling:

    u8 version | u32 key | u32 expiry | u64 session | 32 B account | 16 B stream | 16 B HMAC

big-endian; HMAC-SHA256 over all before it, cut to 16 bytes (RFC 2104, 5: not below half). A token
says nothing of money or of the session's life: the claim decides that. Which older session of a
viewer ends for a new one is decided by the store (scripts/open_session.lua), which knows the last
claims. Ids come from the caller: this file draws no random numbers.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import Final
from uuid import UUID

from mediaserver.errors import AccessDeniedError
from metering.units import AccountId, SessionId

VERSION: Final = 1
TOKEN_CHARACTERS: Final = 108
_BODY: Final = Struct("!BIIQ32s16s")
_MAC_BYTES: Final = 16
JOIN_FIRST: Final = 1
"""Join number of a viewer who has never left a stream on the chain (rules 5, "Entry")."""
SESSION_ID_BITS: Final = 64
TTL_MIN_S: Final = 60
TTL_MAX_S: Final = 7 * 86400
"""The bounds of auth.token_ttl_s, and of one token's."""


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """Table ``[auth]``: tokens and viewer sessions. Why each default: config/mediaserver.toml."""

    admin_token_file: str = ""
    token_keys_file: str = ""
    edge_key_file: str = ""
    token_ttl_s: int = field(default=43200, metadata={"low": TTL_MIN_S, "high": TTL_MAX_S})
    session_life_s: int = field(default=43200, metadata={"low": 60, "high": 604800})
    max_sessions: int = field(default=2, metadata={"low": 1, "high": 16})
    admin_networks: tuple[str, ...] = ("127.0.0.0/8", "::1")


@dataclass(frozen=True, slots=True)
class ViewerSession:
    """One player's right to watch one stream at one viewer's cost.

    Attributes:
        session: In the token, on the meter and in logs.
        account: Who pays.
        stream: Which stream.
        join: Join number that its ticks are entered under.
        created_ms: Unix time.
        expires_ms: Unix time from which its token is refused.
        ends_ms: Unix time that no token of it outlives, fixed when it was first minted.
    """

    session: SessionId
    account: AccountId
    stream: UUID
    join: int
    created_ms: int
    expires_ms: int
    ends_ms: int


@dataclass(frozen=True, slots=True)
class Grant:
    """What a valid token says.

    Attributes:
        account: Who pays.
        stream: The only stream it opens.
        session: Which player.
        expires_s: Unix second from which it is refused.
    """

    account: AccountId
    stream: UUID
    session: SessionId
    expires_s: int


def new_session(
    number: int,
    account: AccountId,
    stream: UUID,
    now_ms: int,
    ttl_s: int,
    *,
    ends_ms: int,
    join: int = JOIN_FIRST,
    till_ms: int | None = None,
) -> ViewerSession:
    """Return a session with a token that is minted now.

    Args:
        number: 64 random bits; 0 is no session.
        ttl_s: How long the token lives, if nothing ends before it.
        ends_ms: Unix time at which the session ends, and with it every token.
        join: Join number that its ticks are entered under.
        till_ms: Unix time at which the join ends: the token lives no longer. None: no such end.

    Raises:
        ValueError: If `number` is 0 or does not fit 64 bits.
    """
    if not 0 < number < 1 << SESSION_ID_BITS:
        raise ValueError(f"session {number} is not 1 to 64 bits")
    expires_ms = min(now_ms + ttl_s * 1000, ends_ms)
    if till_ms is not None:
        expires_ms = min(expires_ms, till_ms)
    return ViewerSession(SessionId(number), account, stream, join, now_ms, expires_ms, ends_ms)


def mint(grant: Grant, keys: Sequence[tuple[int, bytes]]) -> str:
    """Return the token of a grant, signed with the first of `keys` (key number, secret)."""
    number, secret = keys[0]
    body = _BODY.pack(
        VERSION, number, grant.expires_s, grant.session, grant.account, grant.stream.bytes
    )
    return urlsafe_b64encode(body + _sign(secret, body)).decode()


def verify(token: str, keys: Sequence[tuple[int, bytes]], now_s: int) -> Grant:
    """Return what `token` grants at `now_s`.

    Args:
        keys: Key number and secret of each key that is still good.

    Raises:
        AccessDeniedError: 401 ``token`` when there is none; 403 ``malformed``, ``key``,
            ``signature`` or ``expired``.
    """
    if not token:
        raise AccessDeniedError(401, "token")
    raw = _decode(token)
    version, number, expires_s, session, account, stream = _BODY.unpack_from(raw)
    if version != VERSION:
        raise AccessDeniedError(403, "malformed")
    secret = next((s for n, s in keys if n == number), None)
    if secret is None:
        raise AccessDeniedError(403, "key")
    body, mac = raw[: _BODY.size], raw[_BODY.size :]
    if not hmac.compare_digest(_sign(secret, body), mac):
        raise AccessDeniedError(403, "signature")
    if now_s >= expires_s:
        raise AccessDeniedError(403, "expired")
    return Grant(AccountId(account), UUID(bytes=stream), SessionId(session), expires_s)


def _decode(token: str) -> bytes:
    if len(token) != TOKEN_CHARACTERS or not token.isascii():
        raise AccessDeniedError(403, "malformed")
    try:
        raw = urlsafe_b64decode(token)
    except binascii.Error as error:
        raise AccessDeniedError(403, "malformed") from error
    # The decoder skips what is not in its alphabet: only the one spelling comes back the same.
    if urlsafe_b64encode(raw).decode() != token:
        raise AccessDeniedError(403, "malformed")
    return raw


def _sign(secret: bytes, body: bytes) -> bytes:
    return hmac.digest(secret, body, "sha256")[:_MAC_BYTES]
