"""The pallet's storage: the key of each value, and the layout of its bytes.

A key is twox128(pallet) + twox128(item) + each map key under its hasher. Which hasher belongs to
which item, and the order of fields, are the pallet's; `substrate.py` refuses a runtime whose
metadata says otherwise. The only importer of `xxhash`.

Source: chain/pallets/tick-stream; polkadot-sdk, ``StorageHasher``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import xxhash

from metering.chain.node.runtime_info import PALLET
from metering.chain.node.scale import (
    ACCOUNT,
    BOOL,
    BYTES,
    HASH,
    U8,
    U32,
    U64,
    U128,
    Codec,
    Hash,
    option,
    pair,
    record,
    vector,
)
from metering.model.credits import Credit
from metering.units import AccountId


@dataclass(frozen=True, slots=True)
class Operator:
    """A registered operator.

    Attributes:
        bond: Planck held.
        active: May settle.
        last_seq: Number of the last batch that took effect.
        last_hash: Of that batch's entries.
        released_at: Chain second at which the bond may be taken back.
    """

    bond: int
    active: bool
    last_seq: int
    last_hash: Hash
    released_at: int | None


@dataclass(frozen=True, slots=True)
class ChainPrice:
    """A price version: planck per tick, in force from a chain second on."""

    number: int
    price: int
    from_: int


@dataclass(frozen=True, slots=True)
class Split:
    """What part of earnings an account gets, in millionths."""

    account: AccountId
    ppm: int


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """A stream as the chain has it; times are chain seconds. `status` is 0 open, 1 closed."""

    creator: AccountId
    operator: AccountId
    title: bytes
    prices: tuple[ChainPrice, ...]
    splits: tuple[Split, ...]
    status: int
    closed_at: int | None
    created_at: int
    total_ticks: int
    total_amount: int
    viewers: int


@dataclass(frozen=True, slots=True)
class ChainSession:
    """One join of a viewer; `by_price` holds (price version, cumulative ticks)."""

    max_spend: int
    max_price: int
    joined_at: int
    expires_at: int
    ended_at: int | None
    ticks: int
    amount: int
    by_price: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Escrow asked back: how much, and from which chain second on it may leave."""

    amount: int
    ready_at: int


@dataclass(frozen=True, slots=True)
class Escrow:
    """What a viewer holds for one operator."""

    held: int
    withdrawal: Withdrawal | None


@dataclass(frozen=True, slots=True)
class Limit:
    """A viewer's own default caps."""

    max_spend: int
    max_price: int
    duration: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch; `refused` holds (index of the entry, index of the reason)."""

    hash: Hash
    entries: int
    ticks: int
    amount: int
    block: int
    refused: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Account:
    """System.Account: the nonce and what the account has, in planck."""

    nonce: int
    consumers: int
    providers: int
    sufficients: int
    free: int
    reserved: int
    frozen: int
    flags: int


OPERATOR: Final = record(
    Operator, bond=U128, active=BOOL, last_seq=U64, last_hash=HASH, released_at=option(U64)
)
CHAIN_PRICE: Final = record(ChainPrice, number=U32, price=U128, from_=U64)
SPLIT: Final = record(Split, account=ACCOUNT, ppm=U32)
STREAM_INFO: Final = record(
    StreamInfo,
    creator=ACCOUNT,
    operator=ACCOUNT,
    title=BYTES,
    prices=vector(CHAIN_PRICE),
    splits=vector(SPLIT),
    status=U8,
    closed_at=option(U64),
    created_at=U64,
    total_ticks=U64,
    total_amount=U128,
    viewers=U32,
)
SESSION: Final = record(
    ChainSession,
    max_spend=U128,
    max_price=U128,
    joined_at=U64,
    expires_at=U64,
    ended_at=option(U64),
    ticks=U64,
    amount=U128,
    by_price=vector(pair(U32, U64)),
)
ESCROW: Final = record(
    Escrow, held=U128, withdrawal=option(record(Withdrawal, amount=U128, ready_at=U64))
)
CREDIT: Final = record(Credit, available=U128, pending=U128, maturing=U128, period=U64)
LIMIT: Final = record(Limit, max_spend=U128, max_price=U128, duration=U64)
OUTCOME: Final = record(
    Outcome,
    hash=HASH,
    entries=U32,
    ticks=U64,
    amount=U128,
    block=U32,
    refused=vector(pair(U32, U8)),
)
SYSTEM_ACCOUNT: Final = record(
    Account,
    nonce=U32,
    consumers=U32,
    providers=U32,
    sufficients=U32,
    free=U128,
    reserved=U128,
    frozen=U128,
    flags=U128,
)
TICK_COUNT: Final = U32
LAST_JOIN: Final = U32
BATCHED_TICKS: Final = vector(pair(ACCOUNT, U32))
BLOCK_HASH: Final = HASH


HASHERS: Final = {
    "Operators": ("Blake2_128Concat",),
    "StreamInfo": ("Blake2_128Concat",),
    "Sessions": ("Blake2_128Concat", "Blake2_128Concat", "Twox64Concat"),
    "LastJoin": ("Blake2_128Concat", "Blake2_128Concat"),
    "Escrows": ("Blake2_128Concat", "Blake2_128Concat"),
    "Credits": ("Blake2_128Concat",),
    "Limits": ("Blake2_128Concat",),
    "Outcomes": ("Blake2_128Concat", "Twox64Concat"),
    "TickCount": ("Blake2_128Concat",),
    "BatchedTicks": ("Blake2_128Concat",),
}
"""How each map of the pallet hashes its keys, in the words of the metadata."""


def prefix(pallet: str, item: str) -> bytes:
    """Return the 32 bytes that every key of a storage item begins with."""
    return _twox128(pallet.encode()) + _twox128(item.encode())


def operator_key(operator: AccountId) -> bytes:
    """Return where an `Operator` is stored."""
    return _map_key("Operators", operator)


def stream_key(stream: UUID) -> bytes:
    """Return where a `StreamInfo` is stored."""
    return _map_key("StreamInfo", _stream(stream))


def session_key(stream: UUID, viewer: AccountId, join: int) -> bytes:
    """Return where a `ChainSession` is stored."""
    return _map_key("Sessions", _stream(stream), viewer, U32.encode(join))


def last_join_key(stream: UUID, viewer: AccountId) -> bytes:
    """Return where the number of a viewer's last join is stored, a u32."""
    return _map_key("LastJoin", _stream(stream), viewer)


def escrow_key(operator: AccountId, viewer: AccountId) -> bytes:
    """Return where an `Escrow` is stored."""
    return _map_key("Escrows", operator, viewer)


def credit_key(account: AccountId) -> bytes:
    """Return where a `Credit` is stored."""
    return _map_key("Credits", account)


def limit_key(viewer: AccountId) -> bytes:
    """Return where a `Limit` is stored."""
    return _map_key("Limits", viewer)


def outcome_key(operator: AccountId, seq: int) -> bytes:
    """Return where the `Outcome` of a batch is stored."""
    return _map_key("Outcomes", operator, U64.encode(seq))


def tick_count_key(stream: UUID) -> bytes:
    """Return where a stream's count of ticks is stored, a u32."""
    return _map_key("TickCount", _stream(stream))


def batched_ticks_key(stream: UUID) -> bytes:
    """Return where the last of what call 0 recorded is stored."""
    return _map_key("BatchedTicks", _stream(stream))


def account_key(account: AccountId) -> bytes:
    """Return where an `Account` of the system is stored."""
    return prefix("System", "Account") + _blake2_128_concat(account)


def block_hash_key(number: int) -> bytes:
    """Return where the hash of a recent block is stored; of block 0 it is the genesis hash."""
    return prefix("System", "BlockHash") + _twox64_concat(U32.encode(number))


def events_key() -> bytes:
    """Return where the events of a block are."""
    return prefix("System", "Events")


def now_key() -> bytes:
    """Return where the chain's time is stored: u64 milliseconds."""
    return prefix("Timestamp", "Now")


def _map_key(item: str, *keys: bytes) -> bytes:
    hashers = HASHERS[item]
    assert len(keys) == len(hashers)
    parts = (_HASH[name](key) for name, key in zip(hashers, keys, strict=True))
    return prefix(PALLET, item) + b"".join(parts)


def _stream(stream: UUID) -> bytes:
    return stream.int.to_bytes(16, "little")


def _twox128(data: bytes) -> bytes:
    return b"".join(xxhash.xxh64_intdigest(data, seed).to_bytes(8, "little") for seed in (0, 1))


def _twox64_concat(data: bytes) -> bytes:
    return xxhash.xxh64_intdigest(data, 0).to_bytes(8, "little") + data


def _blake2_128_concat(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest() + data


_HASH: Final = {"Blake2_128Concat": _blake2_128_concat, "Twox64Concat": _twox64_concat}

VALUES: Final[dict[str, Codec[Any]]] = {
    "Operators": OPERATOR,
    "StreamInfo": STREAM_INFO,
    "Sessions": SESSION,
    "LastJoin": LAST_JOIN,
    "Escrows": ESCROW,
    "Credits": CREDIT,
    "Limits": LIMIT,
    "Outcomes": OUTCOME,
    "TickCount": TICK_COUNT,
    "BatchedTicks": BATCHED_TICKS,
}
"""The values of each map of the pallet."""
