"""Every key in Redis: type, unit, lifetime. Nothing else of this program writes there.

All keys of a shard carry its number as hash tag, ``{17}:``, so one script sees them and a cluster
keeps them together. `id` is the account's 32 bytes and the stream's 16, raw; `session` its 8 bytes,
big-endian. The scripts build the same names (scripts/common.lua).

    {k}:e
        string: epoch, which recovery made this shard. Always, 256 of them.
    {k}:m
        hash: cut, booked, gone (cut numbers); from, to, ends (forgiven ticks); epoch, as
        above, but it stays while {k}:e is void. Always, 256.
    {k}:t
        hash of ticks: metered, pending, unpaid, forgiven, late, covered; shows, of which the book
        was to be told. Always, 256.
    {k}:a<account>
        hash of units: b balance, d deposits applied, m limit per stream, y limit per day,
        u<day> spent that day; n day number; q its passes, packed (`model.passes`); on a chain
        v provisional credit and z frozen, both in b. As long as the account.
    {k}:n<id>
        hash: <join>:<version> ticks cut so far; u units spent on the stream;
        of each of the newest shows f<show> ticks that its preview covered, and r<show> units that
        it may still cost, where it is counted; o the newest show that was forgotten.
        On a chain, of each join: c<join> caps (`model.join_caps.CAPS`), l<join> units it may cost,
        a<join> units and t<join> ticks it has, v<join> its price versions, u32 each. As long as the
        account: as many as the book has.
    {k}:i<id>
        set: sessions that are live, or ended with buckets that nobody took over. Until the
        last may be forgotten.
    {k}:s<account><session>
        hash: i stream, s state, x expires ms, j join, l limit units, u units of that limit, h
        those of u that it took over, e ended ms, k the session it replaced, q the one that
        replaced it, b packed (`SLOT`), c 1 when its join is one of the chain, f 1 while its player
        has left. Until expiry or end, and the watched hours + 1 h.
    {k}:w<id>:<hour>
        string, bitmap: watched, bit = tick mod 3600. End of the hour + watched hours + 1 h.
    {k}:p
        hash, pending: b<id>:<join>:<version>:<word> = bits of 30 ticks, the first one highest,
        word = tick // 30. Until cut.
    {k}:f
        hash, free: <id>:<word> = bits of 30 ticks that are watched and never billed (unpaid or
        forgiven). Until the book has them.
    {k}:v
        hash: <id>:<show>:<word> = bits of 30 ticks that are watched and covered by a preview,
        <id>:<show>c:<word> by a cap, <id>:<show>l:<word> by a free list, <id>:<show>p:<word> by
        a pass; <stream>:<show> = 1, a show of which is counted what it costs. Until the book has
        them.
    {k}:g
        string: fencing token that control's writes must carry. Always, 256.
    {0}:o
        hash, the lock on this Redis: b id of the book that it belongs to, n name and h id of the
        server that has it, t fencing token, x expires ms. Always; the token only grows.
    {k}:l<account>
        hash, the right to submit with an operator's key: h holder, t fencing token, x expires ms.
        Always; the token only grows.
    {k}:c:<number>
        hash, a cut: what {k}:p was, and n<id>:<join>:<version> = ticks so far. Until its batch is
        final.
"""

from __future__ import annotations

import struct
from typing import Final

from metering.units import AccountId, SessionId, shard_of

ID_BYTES: Final = 48
"""Account and stream."""
LIVE: Final = b"live"
"""State of a session that may claim; any other state is the reason why it ended."""
SLOT: Final = struct.Struct(">IIQII")
"""Video and audio bucket (fifths of a ms), their time (ms: the last claim), ticks billed, and the
last hour whose watched bitmap is known to have its lifetime."""
SHOWS_KEPT: Final = 16
"""Shows of a stream of which is kept what they cost a viewer (SHOWS in scripts/common.lua)."""
WORD_TICKS: Final = 30
"""Ticks in a pending word: they divide the hour, and stay below the sign of 32 bits."""
DERIVED_KINDS: Final = b"ainsw"
"""First letters of what recovery derives anew from the book: removed before it writes, but for what
a session was billed, which only Redis counts."""


def lock() -> bytes:
    """Return the key of the lock on the whole Redis."""
    return b"{0}:o"


def fence(shard: int) -> bytes:
    """Return the key of the token that control's writes to a shard must carry."""
    return b"{%d}:g" % shard


def prefix(shard: int) -> bytes:
    """Return what every key of a shard begins with."""
    return b"{%d}:" % shard


def epoch(shard: int) -> bytes:
    """Return the key of the shard's epoch marker."""
    return b"{%d}:e" % shard


def meta(shard: int) -> bytes:
    """Return the key of the shard's cut numbers."""
    return b"{%d}:m" % shard


def totals(shard: int) -> bytes:
    """Return the key of the shard's totals."""
    return b"{%d}:t" % shard


def pending(shard: int) -> bytes:
    """Return the key of the shard's pending words."""
    return b"{%d}:p" % shard


def balance(account: AccountId) -> bytes:
    """Return the key of an account's balance."""
    return b"{%d}:a%b" % (shard_of(account), account)


def counts(account: AccountId, stream: bytes) -> bytes:
    """Return the key of what an account spent on a stream, and of its cumulative ticks."""
    return b"{%d}:n%b%b" % (shard_of(account), account, stream)


def session(account: AccountId, number: SessionId) -> bytes:
    """Return the key of a viewer session."""
    return b"{%d}:s%b%b" % (shard_of(account), account, number.to_bytes(8, "big"))


def sessions(account: AccountId, stream: bytes) -> bytes:
    """Return the key of the index of an account's sessions on a stream."""
    return b"{%d}:i%b%b" % (shard_of(account), account, stream)


def watched(account: AccountId, stream: bytes, hour: int) -> bytes:
    """Return the key of a watched bitmap."""
    return b"{%d}:w%b%b:%d" % (shard_of(account), account, stream, hour)


def unbilled(shard: int) -> bytes:
    """Return the key of the shard's words that are watched and never billed."""
    return b"{%d}:f" % shard


def covered(shard: int) -> bytes:
    """Return the key of the shard's words that are watched and covered."""
    return b"{%d}:v" % shard


def pending_field(account: AccountId, stream: bytes, join: int, version: int, word: int) -> bytes:
    """Return the field of a pending word."""
    return b"b%b%b:%d:%d:%d" % (account, stream, join, version, word)


def lease(operator: AccountId) -> bytes:
    """Return the key of the right to submit with an operator's key."""
    return b"{%d}:l%b" % (shard_of(operator), operator)


def cut(shard: int, number: int) -> bytes:
    """Return the key of a cut."""
    return b"{%d}:c:%d" % (shard, number)
