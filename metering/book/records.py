"""What the book hands out: frozen values, money in planck, times in Unix milliseconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from metering.model.batch_state import BatchState
from metering.model.join_caps import Join
from metering.units import AccountId, Cause, EntryKey, Planck, PriceVersion, Run, SessionId, ShowCap

_NOTHING: Final = Planck(0)


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """A stream: a channel with its own address and price.

    Attributes:
        id: Its UUID; the chain's u128.
        slug: Public name in URLs; never names another stream.
        title: Shown to viewers.
        creator: Who earns.
        is_enabled: False stops new fetches.
        platform_fee_ppm: The platform's share of what it earns.
        prices: Every version, oldest first.
        created_ms: When.
        key_sha256: Hash of the key that its publisher shows.
        preview_s: Seconds of each show that an account has for nothing; None: as the operator sets.
        caps: What a show costs an account at most, every version, oldest first.
    """

    id: UUID
    slug: str
    title: str
    creator: AccountId
    is_enabled: bool
    platform_fee_ppm: int
    prices: tuple[PriceVersion, ...]
    created_ms: int
    key_sha256: bytes = field(repr=False)
    preview_s: int | None = None
    caps: tuple[ShowCap, ...] = ()

    def preview_of(self, default_s: int) -> int:
        """Return the seconds of a show that are free, `default_s` where the stream has no own."""
        return default_s if self.preview_s is None else self.preview_s


@dataclass(frozen=True, slots=True)
class ViewerRecord:
    """Who pays.

    Attributes:
        account: Their public key.
        name: Unique; shown to the operator.
        created_ms: When.
        deposited: All they ever paid in.
        withdrawn: All that went out again: taken from an escrow, refunded, charged back.
        has_wallet: False when the server made the key and keeps its seed in the book.
        given_back: For bad seconds that they had paid.
    """

    account: AccountId
    name: str
    created_ms: int
    deposited: Planck
    has_wallet: bool
    withdrawn: Planck = _NOTHING
    given_back: Planck = _NOTHING

    @property
    def stayed(self) -> Planck:
        """Return what they may have spent in all."""
        return Planck(self.deposited + self.given_back - self.withdrawn)


@dataclass(frozen=True, slots=True)
class Deposit:
    """A top-up, as booked.

    Attributes:
        is_new: False when this key was booked before, with the same content.
        total_planck: All deposits of the account, this one included.
    """

    is_new: bool
    total_planck: Planck


@dataclass(frozen=True, slots=True)
class Funds:
    """What an account has to do with its escrow, in planck.

    Attributes:
        deposited: All that was ever paid in, by final events, or given back for bad seconds.
        withdrawn: All that was ever taken out again.
        frozen: Requested for withdrawal: it may leave, so it is not to be spent.
        adopted: What the chain settled for a book that was lost: gone from the escrow.
    """

    deposited: Planck
    withdrawn: Planck
    frozen: Planck
    adopted: Planck = _NOTHING

    @property
    def net(self) -> Planck:
        """Return what is there for the ticks of this book: what came and was not taken."""
        return Planck(self.deposited - self.withdrawn - self.adopted)


@dataclass(frozen=True, slots=True)
class ViewerStatus:
    """A viewer's funds and join for a stream, as of the newest block.

    Attributes:
        funds: What they have to do with their escrow.
        provisional: Credit for what is not final.
        join: Their newest join, open or not; None when there is none.
        is_open: It gets new ticks.
        skew_s: Our clock less the chain's.
    """

    funds: Funds
    provisional: Planck
    join: Join | None
    is_open: bool
    skew_s: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """The newest finalized block whose events are in the book.

    Attributes:
        genesis: Hash of the chain's first block: which chain it is.
        number: Height.
        hash: 32 bytes.
        at_s: The chain's time in it.
    """

    genesis: bytes
    number: int
    hash: bytes
    at_s: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What some finalized blocks have changed: whose balances, and whose joins of which stream."""

    cursor: Cursor
    accounts: frozenset[AccountId]
    joins: frozenset[tuple[UUID, AccountId]]


@dataclass(frozen=True, slots=True)
class HeldCall:
    """A call to the chain that we make for a viewer whose key we hold.

    Attributes:
        key: Idempotency key.
        account: Who signs.
        name: Of the pallet's call.
        data: Its arguments, SCALE.
        planck: What the account must have beside its fees; 0 for a call that moves nothing.
        nonce: Of the account: whatever is sent for this call bears it. None before it was chosen.
        is_done: The nonce is used in finalized state: by this call, as no other process signs.
        reason: Why the chain refused it; empty when it did not.
    """

    key: str
    account: AccountId
    name: str
    data: bytes
    planck: Planck
    nonce: int | None = None
    is_done: bool = False
    reason: str = ""


RETURNING: Final = frozenset({"replaced", "purse", "expired", "left"})
"""Ends of a session that its player may come back from: another player took the slot, what was
reported of it ran the balance dry (and it was filled since), its token expired by another clock, or
the viewer left the stream on the chain (and must have joined again)."""


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One player of a viewer; `ended_ms` is None while it lives.

    Attributes:
        expires_ms: Unix time at which its newest token expires.
        ends_ms: Unix time that no token of it outlives, fixed when it was first minted.
        reason: Why it ended: one word.
        own_limit: What its viewer allows it to spend, 0 for no limit.
        began_ms: When the first session of its player began, with whose spending it goes on.
    """

    session: SessionId
    account: AccountId
    stream: UUID
    join: int
    created_ms: int
    expires_ms: int
    ended_ms: int | None
    reason: str | None
    ends_ms: int
    own_limit: Planck
    began_ms: int

    def may_return(self, now_ms: int) -> bool:
        """Return whether its token may mint again: it is live, or another player replaced it.

        rules 6: one ended by its owner, the operator or its end mints nothing.
        """
        is_over = self.ended_ms is not None and self.reason not in RETURNING
        return not is_over and now_ms < self.ends_ms


@dataclass(frozen=True, slots=True)
class EntryRecord:
    """How far an entry is: cumulative ticks.

    Attributes:
        key: Which.
        booked: In cuts.
        settled: Final on the chain.
        refused: Where the chain last refused it; 0 when it did not, or has taken it since.
        planck_per_tick: Price of its version.
        ahead: Ticks that the chain has settled beyond `settled`, of a book that was lost.
    """

    key: EntryKey
    booked: int
    settled: int
    refused: int
    planck_per_tick: Planck
    ahead: int = 0


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """A sealed batch and where it is.

    Attributes:
        seq: From 1, no gaps.
        hash: blake2b-256 of `entries`.
        entries: SCALE bytes.
        entry_count: How many entries.
        state: See settlement.py.
        sealed_ms: When its bytes were fixed.
        finalized_ms: When we learnt that it is final.
        finalized_at: Block or journal record.
    """

    seq: int
    hash: bytes
    entries: bytes = field(repr=False)
    entry_count: int
    state: BatchState
    sealed_ms: int
    finalized_ms: int | None
    finalized_at: int | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """Signed bytes of a batch, kept before they are sent."""

    seq: int
    number: int
    signed: bytes = field(repr=False)
    signed_ms: int
    sent_ms: int | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """An entry that a finalized batch did not settle, and why."""

    seq: int
    position: int
    key: EntryKey
    cumulative: int
    reason: str


@dataclass(frozen=True, slots=True)
class BookedTicks:
    """The ticks themselves, as the book holds them: one cut line, or one hour of history."""

    key: EntryKey
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class UnbilledTicks:
    """Seconds that were delivered and are never billed: unpaid or forgiven."""

    account: AccountId
    stream: UUID
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class CoveredTicks:
    """Seconds of one show that were covered: watched, and billed to nobody."""

    account: AccountId
    stream: UUID
    show: int
    runs: tuple[Run, ...]
    cause: Cause = Cause.PREVIEW


@dataclass(frozen=True, slots=True)
class TrueRun:
    """A part that holds fewer seconds than its address says.

    Attributes:
        stream: Which stream.
        show: Of which show.
        msn: Media sequence number of its segment.
        part: Its index in the segment.
        planned: The seconds in its address.
        held_count: How many of them it holds, from the first on.
    """

    stream: UUID
    show: int
    msn: int
    part: int
    planned: Run
    held_count: int


@dataclass(frozen=True, slots=True)
class Floor:
    """A shard for which this book was found to be an older one, restored.

    Attributes:
        shard: Which.
        epoch: Which recovery had made it, of a book that this one is not.
        forgiven: Ticks that are served and never billed.
        found_ms: When.
        lost_ticks: Billed before, in cuts that were lost with another book.
    """

    shard: int
    epoch: str
    forgiven: Run
    found_ms: int
    lost_ticks: int


@dataclass(frozen=True, slots=True)
class Restore:
    """All floors that were found together: one restored book.

    Attributes:
        found_ms: When control started with it.
        shards: How many shards had gone on with another book.
        forgiven: From the first to the last tick that is served unbilled.
        lost_ticks: Billed before, in cuts that were lost with another book.
    """

    found_ms: int
    shards: int
    forgiven: Run
    lost_ticks: int


@dataclass(frozen=True, slots=True)
class Recovered:
    """Which Redis the book last recovered."""

    epoch: str
    run_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Counters:
    """Ticks that stores counted beside the bill, since the book began.

    Attributes:
        unpaid_ticks: Delivered and reported, but the balance was empty; never collected.
        forgiven_ticks: Served unbilled after the book itself was restored.
        late_ticks: Reported too late to know whether they were billed.
        covered_ticks: Watched and billed to nobody.
    """

    unpaid_ticks: int
    forgiven_ticks: int
    late_ticks: int
    covered_ticks: int = 0
