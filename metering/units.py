"""The vocabulary of metering: who, which second, how much.

Everything here is a value. Money outside Redis is planck in Python int; in Redis it is units (a
quantum of planck) as signed 64-bit counts (docs/metering.md, "Money").
"""

from __future__ import annotations

import binascii
import re
from bisect import bisect_left
from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from typing import Final, NewType
from uuid import UUID

AccountId = NewType("AccountId", bytes)
"""32 bytes: an sr25519 public key."""
SessionId = NewType("SessionId", int)
"""Unsigned 64-bit; written as 16 hexadecimal digits."""
Planck = NewType("Planck", int)
"""Smallest unit of the asset; never a float, a decimal string outside."""
Units = NewType("Units", int)
"""What Redis counts: `Planck` divided by the asset's quantum."""

ACCOUNT_BYTES: Final = 32
SHARDS: Final = 256
"""Virtual shards, fixed: crc16(account) mod 256."""
HOUR_TICKS: Final = 3600
"""Ticks in one *watched* bitmap: bit = tick mod 3600."""


class Medium(Enum):
    """Which pace bucket a delivery is drawn from."""

    VIDEO = "video"
    AUDIO = "audio"


class Verdict(Enum):
    """What became of a claim; `status` is the HTTP answer it leads to."""

    GRANTED = "granted"
    PURSE = "purse"
    LIMIT = "limit"
    SESSION = "session"
    PACE = "pace"
    TOO_OLD = "too_old"
    FUTURE = "future"
    STORE = "store"

    @property
    def status(self) -> int:
        """Return the HTTP status of this verdict."""
        return _STATUS[self]


_STATUS: Final = {
    Verdict.GRANTED: 200,
    Verdict.PURSE: 402,
    Verdict.LIMIT: 402,
    Verdict.SESSION: 403,
    Verdict.PACE: 429,
    Verdict.TOO_OLD: 403,
    Verdict.FUTURE: 503,
    Verdict.STORE: 503,
}


@dataclass(frozen=True, slots=True, order=True)
class Run:
    """`count` ticks in a row from `first`; `count` is 1 or more."""

    first: int
    count: int

    @property
    def end(self) -> int:
        """Return the tick after the last."""
        return self.first + self.count


@dataclass(frozen=True, slots=True)
class PriceVersion:
    """What one tick of a stream costs from a given tick on.

    Attributes:
        number: From 1, one more for each change of the stream's price.
        from_tick: First tick it holds for; later versions take over at theirs.
        planck_per_tick: 0 means free.
    """

    number: int
    from_tick: int
    planck_per_tick: Planck


@dataclass(frozen=True, slots=True)
class PricedRun:
    """A run of ticks of one price version, with that price in units."""

    run: Run
    version: int
    units_per_tick: Units


@dataclass(frozen=True, slots=True)
class Asset:
    """The asset that everything is paid in.

    Attributes:
        symbol: Shown to people, such as ``UNIT``.
        decimals: Decimal places of one token: 10**decimals planck.
        quantum: Planck in one unit.
    """

    symbol: str = "UNIT"
    decimals: int = 12
    quantum: int = 1


FREE_LIST: Final = 0
"""Price version of seconds that a named viewer has for nothing: claimed, and covered."""


@dataclass(frozen=True, slots=True)
class ViewerPrices:
    """What a stream costs one named viewer.

    Attributes:
        account: Whose.
        prices: Versions in force and to come, instead of the stream's; `FREE_LIST` among them.
    """

    account: AccountId
    prices: tuple[PriceVersion, ...]


@dataclass(frozen=True, slots=True)
class ShowCap:
    """The most that one show of a stream costs an account, for shows from a given one on.

    Attributes:
        from_show: Number of the first show that it may hold for; later ones take over at theirs.
        planck: 0 is no cap.
    """

    from_show: int
    planck: Planck


@dataclass(frozen=True, slots=True)
class StreamPolicy:
    """What an HTTP process must know of a stream to decide alone.

    Attributes:
        stream: The stream's UUID.
        slug: Its public name.
        title: Shown on the watch page.
        prices: Versions in force and to come, by `from_tick`; empty means free.
        is_enabled: False stops new fetches with 404.
        preview_s: Priced seconds of each show that every account has for nothing.
        caps: What a show costs at most, by `from_show`; empty: nothing is counted by show.
        named: Viewers with a price of their own, by account.
    """

    stream: UUID
    slug: str
    title: str
    prices: tuple[PriceVersion, ...]
    is_enabled: bool = True
    preview_s: int = 0
    caps: tuple[ShowCap, ...] = ()
    named: tuple[ViewerPrices, ...] = ()

    def seen_by(self, account: AccountId) -> StreamPolicy:
        """Return the policy with the prices that an account pays; itself for most."""
        if not self.named:
            return self
        at = bisect_left(self.named, account, key=lambda viewer: viewer.account)
        if at == len(self.named) or self.named[at].account != account:
            return self
        return replace(self, prices=self.named[at].prices, named=())


@dataclass(frozen=True, slots=True)
class Fetch:
    """One request for a media object, as the gate needs to know it.

    Attributes:
        account: Who pays.
        session: Which player.
        stream: Which stream.
        run: The seconds the object carries, from its address.
        duration_ms: How much media it holds: what the pace bucket gives.
        medium: Which bucket.
        show: Number of the show that the object is of, from its address; 0 when it is not known.
    """

    account: AccountId
    session: SessionId
    stream: UUID
    run: Run
    duration_ms: int
    medium: Medium
    show: int = 0


class Cause(StrEnum):
    """Why a second is covered: watched, counted, and billed to nobody."""

    PREVIEW = "preview"
    CAP = "cap"
    FREE_LIST = "free_list"
    PASS = "pass"  # noqa: S105 -- no password: what somebody bought


@dataclass(frozen=True, slots=True)
class Cover:
    """What of a claim's ticks may be covered: watched, counted, and never billed.

    Attributes:
        show: Number of the show that they are of; 0 when it is not known.
        preview_ticks: So many ticks of a show are covered for each account; 0 is none.
        cap_units: What a show costs each account at most: a tick that would pass it is covered.
            The same in every claim of a show. None: what a show costs is not counted.
    """

    show: int = 0
    preview_ticks: int = 0
    cap_units: Units | None = None


NO_COVER: Final = Cover()
"""Every tick is billed."""


@dataclass(frozen=True, slots=True)
class Admission:
    """May this object be served, and what the viewer has left.

    Attributes:
        verdict: Granted, or why not.
        balance_units: Balance afterwards, None when not known (served from memory, or the store
        is away).
        seconds_left: Balance divided by the price in force, None when unknown or free.
    """

    verdict: Verdict
    balance_units: Units | None = None
    seconds_left: int | None = None


@dataclass(frozen=True, slots=True)
class EntryKey:
    """What a cumulative count is kept for. Order: stream, account, join, version."""

    stream: UUID
    account: AccountId
    join: int
    version: int


@dataclass(frozen=True, slots=True)
class CutLine:
    """One line of a cut: the ticks themselves.

    Attributes:
        key: Whose ticks.
        runs: Sorted, disjoint, not touching.
        cumulative: Ticks of this key up to and including this cut.
    """

    key: EntryKey
    runs: tuple[Run, ...]
    cumulative: int


@dataclass(frozen=True, slots=True)
class Cut:
    """A numbered taking of a shard's pending ticks: the same number, the same lines."""

    shard: int
    number: int
    lines: tuple[CutLine, ...]


def shard_of(account: AccountId) -> int:
    """Return the shard of an account: crc16 (XMODEM, as Redis Cluster) of its 32 bytes, mod 256."""
    return binascii.crc_hqx(account, 0) % SHARDS


def account_text(account: AccountId) -> str:
    """Return ``0x`` and 64 hexadecimal digits."""
    return "0x" + account.hex()


def top_up_address(template: str, account: AccountId | None) -> str:
    """Return where an account is topped up: `price.top_up_url` with the account filled in.

    Every place that hands out the address takes it from here.

    Args:
        account: None when nobody is known: an address that needs an account is empty then.
    """
    if account is not None:
        return template.replace("{account}", account_text(account))
    return "" if "{account}" in template else template


_ACCOUNT_TEXT: Final = re.compile(r"0x[0-9a-fA-F]{64}")


def parse_account(text: str) -> AccountId:
    """Return the account that `account_text` wrote.

    Raises:
        ValueError: If it is not ``0x`` and 64 hexadecimal digits.
    """
    if not _ACCOUNT_TEXT.fullmatch(text):
        raise ValueError(f"account {text!r} is not 0x and 64 hexadecimal digits")
    return AccountId(bytes.fromhex(text[2:]))


def session_text(session: SessionId) -> str:
    """Return 16 hexadecimal digits."""
    return f"{session:016x}"
