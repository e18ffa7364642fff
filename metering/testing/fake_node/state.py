"""State of the fake chain: storage keys to values, as the real runtime would hold them.

Values stay typed and are encoded when asked for, so that each rule of `chain.py` reads as a
rule and each answer of `rpc.py` is the bytes that the runtime would have.

Source: polkadot-sdk, ``StorageHasher``; chain/pallets/tick-stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from metering.chain.node import scale, storage
from metering.chain.node.runtime_info import PALLET
from metering.chain.node.scale import HASH, U32, U64, U128, Codec
from metering.errors import InvalidValueError
from metering.units import AccountId

NEW_LOGIC: Final = 1 << 127
"""The flag that pallet-balances sets in every account it touches."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Planck held for a reason: `pallet` and `reason` are indices of the runtime."""

    pallet: int
    reason: int
    amount: int


HOLDS: Final = scale.vector(scale.record(Hold, pallet=scale.U8, reason=scale.U8, amount=U128))
NUMBER_KEY: Final = storage.prefix("System", "Number")
ISSUANCE_KEY: Final = storage.prefix("Balances", "TotalIssuance")
_RAW: Final = Codec(bytes, lambda reader: reader.take(reader.left))

_CODECS: Final[dict[bytes, Codec[Any]]] = {
    **{storage.prefix(PALLET, item): codec for item, codec in storage.VALUES.items()},
    storage.prefix("System", "Account"): storage.SYSTEM_ACCOUNT,
    storage.prefix("System", "BlockHash"): HASH,
    storage.prefix("System", "Events"): _RAW,
    storage.prefix("Balances", "Holds"): HOLDS,
    NUMBER_KEY: U32,
    ISSUANCE_KEY: U128,
    storage.prefix("Sudo", "Key"): scale.ACCOUNT,
    storage.now_key(): U64,
}
_PREFIX_BYTES: Final = 32


class State:
    """What the chain holds: one mapping, changed in place, taken back to a mark when a call fails.

    Args:
        values: What it starts from; copied.
    """

    def __init__(self, values: dict[bytes, Any] | None = None) -> None:
        self._values: dict[bytes, Any] = dict(values or {})
        self._undo: list[tuple[bytes, Any]] = []

    def get(self, key: bytes) -> Any:
        """Return the value under a key, None when there is none."""
        return self._values.get(key)

    def put(self, key: bytes, value: Any) -> None:
        """Write a value; None takes it away."""
        self._undo.append((key, self._values.get(key)))
        self._write(key, value)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Take everything back when the block raises, as a call that fails does."""
        mark = len(self._undo)
        try:
            yield
        except BaseException:
            while len(self._undo) > mark:
                self._write(*self._undo.pop())
            raise

    def snapshot(self) -> dict[bytes, Any]:
        """Return all values now and forget how they came about."""
        self._undo.clear()
        return dict(self._values)

    def account(self, who: AccountId) -> storage.Account:
        """Return an account of the system; one of zeros when it does not exist."""
        account: storage.Account | None = self.get(storage.account_key(who))
        return account or storage.Account(0, 0, 0, 0, 0, 0, 0, NEW_LOGIC)

    def put_account(self, who: AccountId, **fields: int) -> None:
        """Change fields of an account."""
        self.put(storage.account_key(who), replace(self.account(who), **fields))

    def _write(self, key: bytes, value: Any) -> None:
        if value is None:
            self._values.pop(key, None)
        else:
            self._values[key] = value


def holds_key(who: AccountId) -> bytes:
    """Return where the holds of an account are."""
    prefix = storage.prefix("Balances", "Holds")
    return prefix + storage.account_key(who)[_PREFIX_BYTES:]


def encoded(key: bytes, value: Any) -> bytes:
    """Return the bytes of a value under its key.

    Raises:
        InvalidValueError: If no storage item of the runtime has such a key.
    """
    codec = _CODECS.get(key[:_PREFIX_BYTES])
    if codec is None:
        raise InvalidValueError(f"0x{key.hex()} is the key of no storage item")
    return codec.encode(value)
