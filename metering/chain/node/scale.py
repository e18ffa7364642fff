"""SCALE by hand, both ways: a `Codec` for each shape, and a bounded `Reader`.

Little-endian; a vector is a compact count, then its items; an option is ``00`` or ``01`` and the
value; a record is its fields one after the other. Nothing here knows a pallet.

Source: parity-scale-codec 3.7, its format's description.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, NewType, TypeVar, cast

from metering.errors import InvalidValueError
from metering.units import AccountId

Hash = NewType("Hash", bytes)
"""32 bytes: of a block, an extrinsic, a batch, a genesis."""

HASH_BYTES: Final = 32
ACCOUNT_BYTES: Final = 32
_SMALL: Final = 1 << 6
_TWO_BYTES: Final = 1 << 14
_FOUR_BYTES: Final = 1 << 30
_BIG_BYTES_MAX: Final = 67
"""A compact integer's longest form: its length is six bits, counted from four."""

T = TypeVar("T")


class Reader:
    """Reads values off bytes, from the front.

    Args:
        data: What is read; never copied whole.

    Attributes:
        offset: Of the next byte.
    """

    def __init__(self, data: bytes, offset: int = 0) -> None:
        self._data = data
        self.offset = offset

    @property
    def left(self) -> int:
        """Return how many bytes are left."""
        return len(self._data) - self.offset

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes.

        Raises:
            InvalidValueError: If there are fewer.
        """
        if count > self.left:
            raise InvalidValueError(
                f"{count} bytes are needed at offset {self.offset} and {self.left} are left"
            )
        start = self.offset
        self.offset += count
        return bytes(self._data[start : self.offset])

    def uint(self, count: int) -> int:
        """Return an unsigned integer of `count` bytes, little-endian."""
        return int.from_bytes(self.take(count), "little")

    def compact(self) -> int:
        """Return a compact integer, which must be in its one shortest form.

        Raises:
            InvalidValueError: If it is cut short, or spelt longer than it need be.
        """
        first = self.uint(1)
        mode = first & 3
        if mode == 3:
            value = self.uint((first >> 2) + 4)
        else:
            more = self.uint((0, 1, 3)[mode])
            value = (first | more << 8) >> 2
        if len(compact(value)) != (1, 2, 4, (first >> 2) + 5)[mode]:
            raise InvalidValueError(f"compact {value} is not in its shortest form")
        return value

    def end(self) -> None:
        """Require that all was read.

        Raises:
            InvalidValueError: If bytes are left.
        """
        if self.left:
            raise InvalidValueError(f"{self.left} bytes are left at offset {self.offset}")


@dataclass(frozen=True, slots=True)
class Codec(Generic[T]):
    """One shape, both ways.

    Attributes:
        encode: Value to bytes. Raises `InvalidValueError` for a value that does not fit.
        read: The next value off a reader. Raises `InvalidValueError` for bytes that are none.
    """

    encode: Callable[[T], bytes]
    read: Callable[[Reader], T]

    def decode(self, data: bytes) -> T:
        """Return the value that `data` is, all of it.

        Raises:
            InvalidValueError: If it is cut short, too long, or none.
        """
        reader = Reader(data)
        value = self.read(reader)
        reader.end()
        return value


def compact(value: int) -> bytes:
    """Return a SCALE compact integer.

    Raises:
        InvalidValueError: If it is negative or above 2**536 - 1.
    """
    if value < 0:
        raise InvalidValueError(f"compact {value} is below 0")
    if value < _SMALL:
        return bytes([value << 2])
    if value < _TWO_BYTES:
        return (value << 2 | 1).to_bytes(2, "little")
    if value < _FOUR_BYTES:
        return (value << 2 | 2).to_bytes(4, "little")
    length = (value.bit_length() + 7) // 8
    if length > _BIG_BYTES_MAX:
        raise InvalidValueError("a compact integer has at most 536 bits")
    return bytes([(length - 4) << 2 | 3]) + value.to_bytes(length, "little")


def uint(count: int) -> Codec[int]:
    """Return the codec of an unsigned integer of `count` bytes."""
    top = 1 << 8 * count

    def encode(value: int) -> bytes:
        if not 0 <= value < top:
            raise InvalidValueError(f"{value} is not a u{8 * count}")
        return value.to_bytes(count, "little")

    return Codec(encode, lambda reader: reader.uint(count))


def fixed(count: int) -> Codec[bytes]:
    """Return the codec of exactly `count` bytes."""

    def encode(value: bytes) -> bytes:
        if len(value) != count:
            raise InvalidValueError(f"{len(value)} bytes stand where {count} must")
        return bytes(value)

    return Codec(encode, lambda reader: reader.take(count))


def option(inner: Codec[T]) -> Codec[T | None]:
    """Return the codec of a value that may be missing."""

    def encode(value: T | None) -> bytes:
        return b"\x00" if value is None else b"\x01" + inner.encode(value)

    def read(reader: Reader) -> T | None:
        flag = reader.uint(1)
        if flag > 1:
            raise InvalidValueError(f"an option begins with 0 or 1, not {flag}")
        return inner.read(reader) if flag else None

    return Codec(encode, read)


def vector(inner: Codec[T], items_max: int | None = None) -> Codec[tuple[T, ...]]:
    """Return the codec of a list of at most `items_max` items; None is bounded by the bytes."""

    def check(count: int) -> int:
        if items_max is not None and count > items_max:
            raise InvalidValueError(f"{count} items are over {items_max}")
        return count

    def encode(values: tuple[T, ...]) -> bytes:
        return compact(check(len(values))) + b"".join(inner.encode(value) for value in values)

    def read(reader: Reader) -> tuple[T, ...]:
        count = check(reader.compact())
        # No shape of ours is empty, so a count above the bytes is refused before it costs.
        if count > reader.left:
            raise InvalidValueError(f"{count} items are declared in {reader.left} bytes")
        return tuple(inner.read(reader) for _ in range(count))

    return Codec(encode, read)


def pair(first: Codec[T], second: Codec[Any]) -> Codec[tuple[T, Any]]:
    """Return the codec of two values in a row."""
    return Codec(
        lambda value: first.encode(value[0]) + second.encode(value[1]),
        lambda reader: (first.read(reader), second.read(reader)),
    )


def record(kind: Callable[..., T], **fields: Codec[Any]) -> Codec[T]:
    """Return the codec of a record: its fields in the order given, by their names in `kind`."""

    def encode(value: T) -> bytes:
        return b"".join(codec.encode(getattr(value, name)) for name, codec in fields.items())

    def read(reader: Reader) -> T:
        return kind(**{name: codec.read(reader) for name, codec in fields.items()})

    return Codec(encode, read)


def choice(values: Sequence[T]) -> Codec[T]:
    """Return the codec of an enum without fields: one byte, an index into `values`."""
    index = {value: number for number, value in enumerate(values)}

    def encode(value: T) -> bytes:
        if value not in index:
            raise InvalidValueError(f"{value} is none of {', '.join(map(str, values))}")
        return bytes([index[value]])

    def read(reader: Reader) -> T:
        number = reader.uint(1)
        if number >= len(values):
            raise InvalidValueError(f"variant {number} is none of {len(values)}")
        return values[number]

    return Codec(encode, read)


def _compact_bytes() -> Codec[bytes]:
    return Codec(
        lambda value: compact(len(value)) + bytes(value),
        lambda reader: reader.take(reader.compact()),
    )


U8: Final = uint(1)
U32: Final = uint(4)
U64: Final = uint(8)
U128: Final = uint(16)
COMPACT: Final = Codec(compact, Reader.compact)
BOOL: Final = choice((False, True))
BYTES: Final = _compact_bytes()
"""``Vec<u8>``."""
HASH: Final = cast("Codec[Hash]", fixed(HASH_BYTES))
ACCOUNT: Final = cast("Codec[AccountId]", fixed(ACCOUNT_BYTES))
