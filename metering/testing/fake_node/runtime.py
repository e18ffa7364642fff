"""The fake chain's executive: genesis, validity of extrinsics, and blocks made of them.

A signed extrinsic is judged as the runtime does it: the payload is built again from what the chain
knows (spec version, genesis, the block hash of the era's birth) and its sr25519 signature checked
for real. So an expired era, a wrong runtime version and another chain all look the same from
outside: a bad signature.

Fees are a base and a price per byte, not the runtime's weights.

Source: polkadot-sdk, ``frame-executive``, ``CheckMortality``, ``CheckNonce``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from metering import signing
from metering.chain.node.extrinsic import SIGNED_V4
from metering.chain.node.runtime_info import PALLET
from metering.chain.node.scale import ACCOUNT, HASH, U32, U128, Hash, Reader, compact
from metering.chain.node.storage import events_key, now_key, prefix
from metering.errors import InvalidValueError
from metering.testing.fake_node import balances, tables
from metering.testing.fake_node.balances import CallFailedError, Turn
from metering.testing.fake_node.chain import RULES
from metering.testing.fake_node.settle import settle
from metering.testing.fake_node.state import NUMBER_KEY, State
from metering.testing.fake_node.tables import Call
from metering.units import AccountId

SPEC_KEY: Final = b":spec_version"
SUDO_KEY: Final = prefix("Sudo", "Key")
SLOT_MS: Final = 6000
FEE_BASE: Final = 100_000_000
FEE_PER_BYTE: Final = 1_000_000
BLOCK_ENTRIES_MAX: Final = 2500
"""Settled entries that fit the normal weight of one block, roughly."""

UNIT: Final = 10**12
DEV_ACCOUNTS: Final = {
    "Alice": ("d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d", 10**9 * UNIT),
    "Bob": ("8eaf04151687736326c9fea17e25fc5287613693c912909cb226aa4794f26a48", 1000 * UNIT),
    "Operator": ("5afbc302fa68903d0d98dad6a60661e4c8fe657b85b08608f1b1d60d862cf567", 10**6 * UNIT),
    "Creator": ("0ccd1a8dca9aebea3ef92527511605640cf10c851c627ba1c661ea854ccb3536", UNIT),
    "Viewer": ("44354b29c9b339aad70f539d92d8d08ca592831957b13dd50af5f6ae7b86393c", 100 * UNIT),
}
"""Public keys of ``//Alice`` and so on, and what genesis gives them."""


class Validity(Enum):
    """What the runtime says of an extrinsic; the value is the node's text."""

    READY = ""
    FUTURE = "Transaction will be valid in the future"
    STALE = "Transaction is outdated"
    BAD_PROOF = "Transaction has a bad signature"
    ANCIENT = "Transaction has an ancient birth block"
    PAYMENT = "Inability to pay some fees (e.g. account balance too low)"
    EXHAUSTS = "Transaction would exhaust the block limits"
    CALL = "Transaction call is not expected"


@dataclass(frozen=True, slots=True)
class Extrinsic:
    """A signed extrinsic, taken apart.

    Attributes:
        raw: All of it, length included.
        account: Who signed.
        signature: sr25519.
        extra: Bytes of the extensions, signed with the call.
        era: The era's bytes: one for immortal, two for mortal.
        nonce: Of the account.
        tip: In planck.
        call: What to do.
        call_bytes: The same, encoded.
    """

    raw: bytes
    account: AccountId
    signature: bytes
    extra: bytes
    era: bytes
    nonce: int
    tip: int
    call: Call
    call_bytes: bytes

    @property
    def hash(self) -> Hash:
        """Return what the node calls it."""
        return blake2_256(self.raw)

    def birth(self, block: int) -> int:
        """Return the number of the block whose hash is signed, as seen from `block`."""
        period, phase = _era(self.era)
        if not period:
            return 0
        return (max(block, phase) - phase) // period * period + phase

    def death(self, block: int) -> int:
        """Return the first block that cannot hold it, as seen from `block`."""
        period, _ = _era(self.era)
        return self.birth(block) + period if period else 2**64


@dataclass(frozen=True, slots=True)
class Block:
    """A block and the state after it.

    Attributes:
        number: From 0.
        parent: Hash of the one before.
        state_root: Not a trie's root: a hash that makes blocks of different forks differ.
        extrinsics_root: Hash of the extrinsics.
        extrinsics: The timestamp first.
        values: Storage after it, typed.
    """

    number: int
    parent: Hash
    state_root: Hash
    extrinsics_root: Hash
    extrinsics: tuple[bytes, ...]
    values: dict[bytes, Any]

    @property
    def hash(self) -> Hash:
        """Return blake2b-256 of the header's SCALE bytes."""
        return blake2_256(
            self.parent + compact(self.number) + self.state_root + self.extrinsics_root + b"\x00"
        )

    def header(self) -> dict[str, Any]:
        """Return the header as the node's JSON has it."""
        return {
            "parentHash": hexed(self.parent),
            "number": hex(self.number),
            "stateRoot": hexed(self.state_root),
            "extrinsicsRoot": hexed(self.extrinsics_root),
            "digest": {"logs": []},
        }


def blake2_256(data: bytes) -> Hash:
    """Return blake2b-256."""
    return Hash(hashlib.blake2b(data, digest_size=32).digest())


def hexed(data: bytes) -> str:
    """Return bytes as the node's JSON has them."""
    return "0x" + data.hex()


def genesis(seed: int, now_ms: int, funds: dict[AccountId, int] | None = None) -> Block:
    """Return block 0: the accounts of the development runtime, and `funds` beside them.

    Args:
        seed: Makes the genesis hash of one fake chain differ from another's.
        now_ms: Chain time at which it begins.
        funds: Planck for further accounts.
    """
    state = State()
    for public, planck in DEV_ACCOUNTS.values():
        balances.mint(state, AccountId(bytes.fromhex(public)), planck)
    for who, planck in (funds or {}).items():
        balances.mint(state, who, planck)
    balances.mint(state, tables.POT, tables.EXISTENTIAL_DEPOSIT)
    state.put(SUDO_KEY, AccountId(bytes.fromhex(DEV_ACCOUNTS["Alice"][0])))
    state.put(SPEC_KEY, tables.SPEC_VERSION)
    state.put(now_key(), now_ms)
    state.put(NUMBER_KEY, 0)
    root = blake2_256(b"fake genesis %d %d" % (seed, now_ms))
    return Block(0, Hash(bytes(32)), root, blake2_256(b""), (), state.snapshot())


def decode_extrinsic(raw: bytes) -> Extrinsic:
    """Return a signed extrinsic taken apart.

    Raises:
        InvalidValueError: If the runtime could not decode it.
    """
    reader = Reader(raw)
    if reader.compact() != reader.left:
        raise InvalidValueError("an extrinsic is not as long as it says")
    if reader.uint(1) != SIGNED_V4 or reader.uint(1) != 0:
        raise InvalidValueError("an extrinsic is not signed by an account in version 4")
    account = ACCOUNT.read(reader)
    if reader.uint(1) != 1:
        raise InvalidValueError("an extrinsic is not signed with sr25519")
    signature = reader.take(64)
    start = reader.offset
    first = reader.take(1)
    era = first if first == b"\x00" else first + reader.take(1)
    nonce, tip = reader.compact(), reader.compact()
    if tables.HAS_METADATA_HASH and reader.uint(1):
        raise InvalidValueError("a metadata hash is not checked here")
    extra = raw[start : reader.offset]
    call_start = reader.offset
    call = Call.read(reader)
    reader.end()
    return Extrinsic(raw, account, signature, extra, era, nonce, tip, call, raw[call_start:])


def validity(
    state: State,
    extrinsic: Extrinsic,
    *,
    block: int,
    hash_of: Callable[[int], Hash | None],
) -> Validity:
    """Return what the runtime says of an extrinsic that would go into `block`.

    Args:
        state: After the block before.
        block: Number of the block that would hold it.
        hash_of: Hash of a block of this fork by number, None when it is not kept.
    """
    birth_hash = hash_of(extrinsic.birth(block))
    genesis_hash = hash_of(0)
    if birth_hash is None or genesis_hash is None:
        return Validity.ANCIENT
    additional = (
        U32.encode(state.get(SPEC_KEY))
        + U32.encode(tables.TX_VERSION)
        + HASH.encode(genesis_hash)
        + HASH.encode(birth_hash)
        + (b"\x00" if tables.HAS_METADATA_HASH else b"")
    )
    payload = extrinsic.call_bytes + extrinsic.extra + additional
    signed = blake2_256(payload) if len(payload) > 256 else payload
    if not signing.is_signed(extrinsic.account, signed, extrinsic.signature):
        return Validity.BAD_PROOF
    account = state.account(extrinsic.account)
    if not account.providers:
        return Validity.PAYMENT
    if extrinsic.nonce < account.nonce:
        return Validity.STALE
    if extrinsic.nonce > account.nonce:
        return Validity.FUTURE
    if balances.spendable(state, extrinsic.account) < fee_of(extrinsic):
        return Validity.PAYMENT
    return Validity.READY


def fee_of(extrinsic: Extrinsic) -> int:
    """Return what is taken before the call: a settled batch gets it back."""
    return FEE_BASE + FEE_PER_BYTE * len(extrinsic.raw) + extrinsic.tip


def build(
    parent: Block,
    extrinsics: Iterable[Extrinsic],
    *,
    hash_of: Callable[[int], Hash | None],
    salt: bytes,
    is_upgrade: bool = False,
) -> tuple[Block, dict[Hash, Validity]]:
    """Return the block after `parent`, and why each extrinsic that it does not hold is not in it.

    Args:
        extrinsics: In the order to try them.
        hash_of: Hash of a block of this fork up to the parent.
        salt: Makes the block differ from its siblings.
        is_upgrade: The runtime after this block has the next spec version.
    """
    state = State(parent.values)
    number = parent.number + 1
    now_ms = state.get(now_key()) + SLOT_MS
    state.put(now_key(), now_ms)
    state.put(NUMBER_KEY, number)
    inherent = bytes((4, tables.PALLETS["Timestamp"], 0)) + compact(now_ms)
    held = [compact(len(inherent)) + inherent]
    records = [_record(0, _success(_MANDATORY, pays=True))]
    left_out: dict[Hash, Validity] = {}
    entries_left = BLOCK_ENTRIES_MAX
    for extrinsic in extrinsics:
        verdict = validity(state, extrinsic, block=number, hash_of=hash_of)
        size = len(extrinsic.call.arguments.get("entries", ()))
        if verdict is Validity.READY and size > entries_left:
            verdict = Validity.EXHAUSTS
        if verdict is not Validity.READY:
            left_out[extrinsic.hash] = verdict
            continue
        entries_left -= size
        turn = Turn(state, number, now_ms // 1000)
        _apply(turn, extrinsic)
        records += [_record(len(held), event) for event in turn.events]
        held.append(extrinsic.raw)
    if is_upgrade:
        state.put(SPEC_KEY, state.get(SPEC_KEY) + 1)
        records.append(_record(0, tables.event_head("System", "CodeUpdated")))
    state.put(events_key(), compact(len(records)) + b"".join(records))
    root = blake2_256(parent.hash + salt)
    body = blake2_256(b"".join(held))
    return Block(number, parent.hash, root, body, tuple(held), state.snapshot()), left_out


def _apply(turn: Turn, extrinsic: Extrinsic) -> None:
    """Take the fee, do the call, give back what a success does not cost; the nonce is used up."""
    state, who = turn.state, extrinsic.account
    fee = fee_of(extrinsic)
    state.put_account(who, nonce=extrinsic.nonce + 1)
    balances.burn(state, who, fee)
    event_count = len(turn.events)
    try:
        with state.transaction():
            dispatch(turn, who, extrinsic.call)
    except CallFailedError as error:
        del turn.events[event_count:]
        ending, pays = _failure(error), True
    else:
        pays = (extrinsic.call.pallet, extrinsic.call.name) != (PALLET, "settle")
        ending = _success(_NORMAL, pays=pays)
    if not pays:
        balances.mint(state, who, fee)
    paid = U128.encode(fee if pays else 0)
    turn.events.append(
        tables.event_head("TransactionPayment", "TransactionFeePaid") + who + paid + bytes(16)
    )
    turn.events.append(ending)


def dispatch(turn: Turn, signer: AccountId, call: Call, *, is_root: bool = False) -> None:
    """Do a call.

    Raises:
        CallFailedError: What it wrote is to be taken back.
    """
    arguments = call.arguments
    if call.pallet == "Sudo":
        _sudo(turn, signer, arguments["call"])
    elif call.pallet == "Utility":
        for inner in arguments["calls"]:
            dispatch(turn, signer, inner, is_root=is_root)
            turn.events.append(tables.event_head("Utility", "ItemCompleted"))
        turn.events.append(tables.event_head("Utility", "BatchCompleted"))
    elif call.pallet == "Balances" and not is_root:
        keep_alive = call.name == "transfer_keep_alive"
        target, planck = arguments["dest"], arguments["value"]
        balances.transfer(turn, signer, target, planck, keep_alive=keep_alive)
    elif call.pallet == PALLET and is_root == (call.name == "set_operator_active"):
        (settle if call.name == "settle" else RULES[call.name])(turn, signer, **arguments)
    elif call.pallet != "System":
        raise CallFailedError("BadOrigin", b"\x02")


def _sudo(turn: Turn, signer: AccountId, call: Call) -> None:
    """Do a call as root; that it failed is an event, not as a failure."""
    sudo = tables.PALLETS["Sudo"]
    if turn.state.get(SUDO_KEY) != signer:
        raise CallFailedError("Sudo.RequireSudo", bytes((3, sudo, 0, 0, 0, 0)))
    event_count = len(turn.events)
    try:
        with turn.state.transaction():
            dispatch(turn, signer, call, is_root=True)
    except CallFailedError as error:
        del turn.events[event_count:]
        turn.events.append(tables.event_head("Sudo", "Sudid") + b"\x01" + error.encoded)
    else:
        turn.events.append(tables.event_head("Sudo", "Sudid") + b"\x00")


_NORMAL: Final = 0
_MANDATORY: Final = 2
_WEIGHT: Final = compact(100_000_000) + compact(4000)


def _success(kind: int, *, pays: bool) -> bytes:
    return tables.event_head("System", "ExtrinsicSuccess") + _WEIGHT + bytes((kind, not pays))


def _failure(error: CallFailedError) -> bytes:
    head = tables.event_head("System", "ExtrinsicFailed") + error.encoded
    return head + _WEIGHT + bytes((_NORMAL, 0))


def _record(index: int, event: bytes) -> bytes:
    """Return an ``EventRecord`` of the extrinsic with this index."""
    return b"\x00" + U32.encode(index) + event + b"\x00"


def _era(era: bytes) -> tuple[int, int]:
    """Return period and phase, zeros when immortal."""
    if era == b"\x00":
        return 0, 0
    value = int.from_bytes(era, "little")
    period = 2 << (value & 15)
    return period, (value >> 4) * max(period >> 12, 1)
