"""Names, indices and shapes of the runtime that the fake chain is a model of: spec version 100.

A test compares every line with the committed metadata of the real runtime, so that the two cannot
drift apart.

Source: chain/runtime; chain/pallets/tick-stream; polkadot-sdk, ``DispatchError``, ``TokenError``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from metering.chain.node import scale
from metering.chain.node.runtime_info import PALLET
from metering.chain.node.scale import ACCOUNT, BOOL, BYTES, HASH, U32, U64, U128, Codec, Reader
from metering.chain.node.storage import SPLIT
from metering.errors import InvalidValueError
from metering.units import AccountId

SPEC_NAME: Final = "vilokanam"
SPEC_VERSION: Final = 100
TX_VERSION: Final = 1
PALLETS: Final = {
    "System": 0,
    "Timestamp": 1,
    "Balances": 4,
    "TransactionPayment": 5,
    "Sudo": 6,
    PALLET: 7,
    "Utility": 8,
}
BLOCK_HASH_COUNT: Final = 4096
EXISTENTIAL_DEPOSIT: Final = 1_000_000
POT: Final = AccountId(b"modlvk/ticks".ljust(32, b"\0"))
"""``PalletId(*b"vk/ticks")`` as an account."""

MAX_ENTRIES: Final = 512
MAX_TITLE_LEN: Final = 128
MAX_SPLITS: Final = 8
MAX_PRICE_VERSIONS: Final = 16
MAX_SESSION_PRICES: Final = 8
MAX_VIEWERS_PER_STREAM: Final = 1_000_000
MAX_TICKS_PER_BATCH: Final = 256
OUTCOMES_KEPT: Final = 1024
TICK_BURST: Final = 120
TICK_RATE_PPM: Final = 1_100_000
WITHDRAW_NOTICE_S: Final = 3600
CREDIT_NOTICE_S: Final = 600
PRICE_NOTICE_S: Final = 60
OPERATOR_BOND: Final = 100 * 10**12
MAX_JOIN_DURATION_S: Final = 30 * 86400
PPM: Final = 1_000_000

HOLD_ESCROW: Final = 0
HOLD_BOND: Final = 1

HAS_METADATA_HASH: Final = True
"""CheckMetadataHash is among the signed extensions, and only in mode Disabled."""

EXTENSIONS: Final = (
    "CheckNonZeroSender",
    "CheckSpecVersion",
    "CheckTxVersion",
    "CheckGenesis",
    "CheckMortality",
    "CheckNonce",
    "CheckWeight",
    "ChargeTransactionPayment",
    "CheckMetadataHash",
    "WeightReclaim",
)
"""Signed extensions in the runtime's order; `runtime.decode_extrinsic` knows what they add."""

ERRORS: Final = (
    "AlreadySettled",
    "SequenceGap",
    "HashMismatch",
    "NotRegistered",
    "AlreadyRegistered",
    "NotActive",
    "StreamNotFound",
    "StreamExists",
    "StreamClosed",
    "Unauthorized",
    "BadSplits",
    "PriceTooSoon",
    "TooManyPrices",
    "NoLimit",
    "BadDuration",
    "TooManyViewers",
    "NotJoined",
    "NoSession",
    "NotYet",
    "ZeroAmount",
    "NoEscrow",
    "NotEnough",
    "NoWithdrawal",
    "NothingToRelease",
    "NothingToWithdraw",
    "BelowMinimum",
    "Overflow",
    "PotMissing",
)
"""Errors of the pallet, by index."""

REFUSALS: Final = (
    "NoStream",
    "NotOperator",
    "NoSession",
    "Ended",
    "NoPrice",
    "PriceNotYet",
    "PriceAboveCap",
    "TooManyPrices",
    "TooFast",
    "SpendCap",
    "Escrow",
    "Overflow",
)
"""Why an entry was not taken, by index."""


OTHER_EVENTS: Final = {
    "System": {
        "ExtrinsicSuccess": 0,
        "ExtrinsicFailed": 1,
        "CodeUpdated": 2,
        "NewAccount": 3,
        "KilledAccount": 4,
    },
    "Balances": {"Endowed": 0, "DustLost": 1, "Transfer": 2, "Held": 24, "Released": 28},
    "TransactionPayment": {"TransactionFeePaid": 0},
    "Sudo": {"Sudid": 0},
    "Utility": {"BatchCompleted": 1, "ItemCompleted": 3},
}
"""Indices of events of other pallets that the fake chain tells."""


def event_head(pallet: str, name: str) -> bytes:
    """Return the two bytes that such an event begins with."""
    return bytes((PALLETS[pallet], OTHER_EVENTS[pallet][name]))


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a batch as the pallet reads it; `ticks` are cumulative."""

    stream: int
    viewer: AccountId
    join: int
    version: int
    ticks: int


ENTRY: Final = scale.record(Entry, stream=U128, viewer=ACCOUNT, join=U32, version=U32, ticks=U64)
_LOOKUP: Final = Codec(
    lambda who: b"\x00" + ACCOUNT.encode(who),
    lambda reader: _address(reader),  # noqa: PLW0108 -- defined below
)


def _address(reader: Reader) -> AccountId:
    if reader.uint(1):
        raise InvalidValueError("only addresses that are accounts are known")
    return ACCOUNT.read(reader)


@dataclass(frozen=True, slots=True)
class CallShape:
    """A call: its index in its pallet, and its arguments in order."""

    index: int
    arguments: dict[str, Codec[Any]]


TICK_STREAM_CALLS: Final[dict[str, CallShape]] = {
    "record_tick": CallShape(0, {"stream_id": U128, "viewer": ACCOUNT, "ticks": U32}),
    "join_stream": CallShape(1, {"stream_id": U128}),
    "settle": CallShape(2, {"seq": U64, "hash": HASH, "entries": scale.vector(ENTRY, MAX_ENTRIES)}),
    "register_operator": CallShape(3, {}),
    "deregister_operator": CallShape(4, {}),
    "release_bond": CallShape(5, {}),
    "create_stream": CallShape(
        6,
        {
            "stream_id": U128,
            "operator": ACCOUNT,
            "title": BYTES,
            "price": U128,
            "splits": scale.vector(SPLIT, MAX_SPLITS),
        },
    ),
    "set_price": CallShape(7, {"stream_id": U128, "price": U128, "from": U64}),
    "close_stream": CallShape(8, {"stream_id": U128}),
    "set_limit": CallShape(9, {"max_spend": U128, "max_price": U128, "duration": U64}),
    "join_with_caps": CallShape(
        10, {"stream_id": U128, "max_spend": U128, "max_price": U128, "duration": U64}
    ),
    "leave_stream": CallShape(11, {"stream_id": U128}),
    "deposit": CallShape(12, {"operator": ACCOUNT, "amount": U128}),
    "request_withdraw": CallShape(13, {"operator": ACCOUNT, "amount": U128}),
    "withdraw_escrow": CallShape(14, {"operator": ACCOUNT}),
    "withdraw_credit": CallShape(15, {}),
    "reap_session": CallShape(16, {"stream_id": U128, "viewer": ACCOUNT, "join": U32}),
    "set_operator_active": CallShape(17, {"operator": ACCOUNT, "active": BOOL}),
}

_CALL_ITSELF: Final[Codec[Any]] = Codec(
    lambda call: call.encode(),
    lambda reader: Call.read(reader),  # noqa: PLW0108 -- defined below
)

CALLS: Final[dict[str, dict[str, CallShape]]] = {
    PALLET: TICK_STREAM_CALLS,
    "System": {"remark": CallShape(0, {"remark": BYTES})},
    "Timestamp": {"set": CallShape(0, {"now": scale.COMPACT})},
    "Balances": {
        "transfer_allow_death": CallShape(0, {"dest": _LOOKUP, "value": scale.COMPACT}),
        "transfer_keep_alive": CallShape(3, {"dest": _LOOKUP, "value": scale.COMPACT}),
    },
    "Sudo": {"sudo": CallShape(0, {"call": _CALL_ITSELF})},
    "Utility": {"batch_all": CallShape(2, {"calls": scale.vector(_CALL_ITSELF)})},
}
"""What can be called; a call of the runtime that is not here is refused as undecodable."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call with its arguments by name."""

    pallet: str
    name: str
    arguments: dict[str, Any]

    def encode(self) -> bytes:
        """Return the bytes of the call."""
        shape = CALLS[self.pallet][self.name]
        return bytes((PALLETS[self.pallet], shape.index)) + b"".join(
            codec.encode(self.arguments[name]) for name, codec in shape.arguments.items()
        )

    @staticmethod
    def read(reader: Reader) -> Call:
        """Return the next call off a reader.

        Raises:
            InvalidValueError: If the fake chain knows no such call, or it is cut short.
        """
        pallet_index, index = reader.uint(1), reader.uint(1)
        for pallet, calls in CALLS.items():
            if PALLETS[pallet] != pallet_index:
                continue
            for name, shape in calls.items():
                if shape.index == index:
                    arguments = {
                        field: codec.read(reader) for field, codec in shape.arguments.items()
                    }
                    return Call(pallet, name, arguments)
        raise InvalidValueError(f"the fake chain knows no call {pallet_index}/{index}")


_WEIGHT_INFO: Final = scale.record(
    lambda **fields: fields, ref_time=scale.COMPACT, proof_size=scale.COMPACT
)


def _shape(*codecs: Codec[Any]) -> tuple[Codec[Any], ...]:
    return codecs


_REFUSAL: Final = scale.choice(REFUSALS)

EVENTS: Final[dict[str, tuple[tuple[str, tuple[Codec[Any], ...]], ...]]] = {
    PALLET: (
        ("TickRecorded", _shape(U128, ACCOUNT, U32)),
        ("ViewerJoined", _shape(U128, ACCOUNT)),
        ("BatchSettled", _shape(ACCOUNT, U64, HASH, U32, U32, U64, U128)),
        ("EntryRefused", _shape(ACCOUNT, U64, U32, _REFUSAL)),
        ("OperatorRegistered", _shape(ACCOUNT, U128)),
        ("OperatorDeregistered", _shape(ACCOUNT)),
        ("BondReleased", _shape(ACCOUNT, U128)),
        ("OperatorActivitySet", _shape(ACCOUNT, BOOL)),
        ("StreamCreated", _shape(U128, ACCOUNT, ACCOUNT)),
        ("PriceSet", _shape(U128, U32, U128, U64)),
        ("StreamClosed", _shape(U128)),
        ("LimitSet", _shape(ACCOUNT)),
        ("SessionOpened", _shape(U128, ACCOUNT, U32, U128, U128, U64)),
        ("SessionEnded", _shape(U128, ACCOUNT, U32)),
        ("SessionReaped", _shape(U128, ACCOUNT, U32)),
        ("EscrowDeposited", _shape(ACCOUNT, ACCOUNT, U128, U128)),
        ("WithdrawRequested", _shape(ACCOUNT, ACCOUNT, U128, U64)),
        ("EscrowWithdrawn", _shape(ACCOUNT, ACCOUNT, U128, U128)),
        ("CreditWithdrawn", _shape(ACCOUNT, U128)),
    ),
}
"""Events of the pallet in the order of their indices, with the shapes of their fields."""


def event_bytes(pallet: str, name: str, *values: Any) -> bytes:
    """Return an event of the pallet: indices, then fields."""
    for index, (event_name, codecs) in enumerate(EVENTS[pallet]):
        if event_name == name:
            assert len(codecs) == len(values), name
            fields = (codec.encode(value) for codec, value in zip(codecs, values, strict=True))
            return bytes((PALLETS[pallet], index)) + b"".join(fields)
    raise AssertionError(name)
