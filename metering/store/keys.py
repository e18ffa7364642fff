"""Every key in Redis: type, unit, lifetime. Nothing else of this program writes there.

All keys of a shard carry its number as hash tag, ``{17}:``, so one script sees them and a cluster
keeps them together. `id` is the account's 32 bytes and the stream's 16, raw; `session` its 8 bytes,
big-endian. The scripts build the same names (scripts/common.lua).

    {k}:e
        string: epoch, which recovery made this shard. Always, 256 of them.
    {k}:m
        hash: cut, booked, gone (cut numbers); from, to (forgiven ticks). Always, 256.
    {k}:t
        hash of ticks: metered, pending, unpaid, forgiven, late. Always, 256.
    {k}:d
        set: suffixes of the pending bitmaps. While anything is pending.
    {k}:a<account>
        hash of units: b balance, d deposits applied, m limit per stream, y limit per day,
        u<day> spent that day; n day number. As long as the account.
    {k}:n<id>
        hash: u units spent on the stream, <join>:<version> ticks cut so far. As long as the
        account: as many as the book has.
    {k}:i<id>
        set: sessions that are live, or ended with buckets that nobody took over. Until the
        last may be forgotten.
    {k}:s<account><session>
        hash: i stream, s state, x expires ms, j join, l limit units, v and a video and audio
        bucket (fifths of a ms), r their time ms = last claim, t ticks, u units, e ended ms, k whom
        it replaced. Until expiry or end, and the watched hours + 1 h.
    {k}:w<id>:<hour>
        string, bitmap: watched, bit = tick mod 3600. End of the hour + watched hours + 1 h.
    {k}:p<id>:<join>:<version>:<hour>
        string, bitmap: pending, bit = tick mod 3600. Until cut.
    {k}:c:<number>
        hash, a cut: b<suffix> = <first byte>:<bitmap>, n<id>:<join>:<version> = ticks so far.
        Until its batch is final.
"""

from __future__ import annotations

from typing import Final

from metering.units import AccountId, SessionId, shard_of

ID_BYTES: Final = 48
"""Account and stream."""
LIVE: Final = b"live"
"""State of a session that may claim; any other state is the reason why it ended."""
DERIVED_KINDS: Final = b"ainsw"
"""First letters of what recovery derives anew from the book: removed before it writes."""


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


def dirty(shard: int) -> bytes:
    """Return the key of the shard's index of pending bitmaps."""
    return b"{%d}:d" % shard


def purse(account: AccountId) -> bytes:
    """Return the key of an account's purse."""
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


def pending_suffix(account: AccountId, stream: bytes, join: int, version: int, hour: int) -> bytes:
    """Return what names a pending bitmap within its shard."""
    return b"%b%b:%d:%d:%d" % (account, stream, join, version, hour)


def cut(shard: int, number: int) -> bytes:
    """Return the key of a cut."""
    return b"{%d}:c:%d" % (shard, number)
