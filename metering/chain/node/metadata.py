"""A runtime's metadata (V14, as plain lists and dicts) to its facts, and its events to values.

`substrate.py` lets the library decode the metadata; from there on everything is here, without it:
indices, constants, extensions, the shape of what we read, and a reader of any type of the registry.

Source: frame-metadata 23, ``v14``; scale-info 2.11, ``PortableRegistry``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from metering.chain.node import storage
from metering.chain.node.runtime_info import PALLET, Extension, RuntimeFacts
from metering.chain.node.scale import Hash, Reader
from metering.errors import InvalidValueError, RuntimeUnsupportedError

_PRIMITIVE_BYTES: Final = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "u128": 16, "u256": 32}
_HEX: Final = re.compile(r"0x(?:[0-9a-f]{2})*")
_WORDS: Final = {
    "Compact<u32>": "compact",
    "Compact<u128>": "compact",
    "u32": "u32",
    "[u8;32]": "hash",
    "Option<[u8;32]>": "option-hash",
    "variant sp_runtime::generic::era::Era": "era",
    "enum": "mode",
}
"""Shapes of what extensions add, in the words of facts.py."""
_SHAPES: Final = {
    "Operators": "(u128,bool,u64,[u8;32],Option<u64>)",
    "Sessions": "(u128,u128,u64,u64,Option<u64>,u64,u128,Vec<(u32,u64)>)",
    "Escrows": "(u128,Option<(u128,u64)>)",
    "Outcomes": "([u8;32],u32,u64,u128,u32,Vec<(u32,enum)>)",
}
"""What the settler and the audit read: another shape would be read as other numbers."""


@dataclass(frozen=True, slots=True)
class ChainEvent:
    """One event of a block.

    Attributes:
        extrinsic: Index of the extrinsic that it belongs to, None for the block's own.
        pallet: Name of its pallet.
        name: Its name.
        fields: By name (by position when unnamed): int, bytes for arrays and byte lists, bool, str,
            None and values for options, tuples, dicts, ``{"variant": fields}`` for enums.
    """

    extrinsic: int | None
    pallet: str
    name: str
    fields: Mapping[str, Any]


class Types:
    """The registry of types: reads values of any of them.

    Args:
        types: ``[{"id": n, "type": {"path", "params", "def"}}]``.
    """

    def __init__(self, types: list[dict[str, Any]]) -> None:
        self._types = {entry["id"]: entry["type"] for entry in types}
        self._readers: dict[int, Callable[[Reader], Any]] = {}

    def path(self, number: int) -> str:
        """Return a type's path, such as ``Option`` or ``sp_runtime::generic::era::Era``."""
        return "::".join(self._types[number]["path"])

    def definition(self, number: int) -> tuple[str, Any]:
        """Return a type's kind and what it is made of."""
        ((kind, body),) = self._types[number]["def"].items()
        return kind, body

    def reader(self, number: int) -> Callable[[Reader], Any]:
        """Return what reads a value of a type.

        Raises:
            RuntimeUnsupportedError: If the registry has a kind that we do not know.
        """
        if number not in self._readers:
            # Late bound, as a type may hold itself.
            self._readers[number] = lambda reader: self._readers[number](reader)  # noqa: PLW0108
            self._readers[number] = self._make(number)
        return self._readers[number]

    def shape(self, number: int) -> str:
        """Return a type's shape, without names: ``(u128,bool,Vec<(u32,enum)>)``."""
        kind, body = self.definition(number)
        match kind:
            case "primitive":
                return str(body)
            case "composite":
                inner = [self.shape(field["type"]) for field in body["fields"]]
                return inner[0] if len(inner) == 1 else f"({','.join(inner)})"
            case "tuple":
                return f"({','.join(self.shape(one) for one in body)})"
            case "sequence":
                return f"Vec<{self.shape(body['type'])}>"
            case "array":
                return f"[{self.shape(body['type'])};{body['len']}]"
            case "compact":
                return f"Compact<{self.shape(body['type'])}>"
            case "variant" if self.path(number) == "Option":
                return f"Option<{self.shape(body['variants'][1]['fields'][0]['type'])}>"
            case "variant" if not any(variant["fields"] for variant in body["variants"]):
                return "enum"
        return f"{kind} {self.path(number)}"

    def is_empty(self, number: int) -> bool:
        """Return True when a type's values have no bytes."""
        kind, body = self.definition(number)
        match kind:
            case "composite":
                return all(self.is_empty(field["type"]) for field in body["fields"])
            case "tuple":
                return all(self.is_empty(member) for member in body)
            case "array":
                return body["len"] == 0 or self.is_empty(body["type"])
        return False

    def _make(self, number: int) -> Callable[[Reader], Any]:
        kind, body = self.definition(number)
        match kind:
            case "primitive":
                return _primitive(body)
            case "compact":
                return Reader.compact
            case "composite":
                return self._fields(body["fields"])
            case "tuple":
                return self._tuple(body)
            case "sequence":
                return self._sequence(body["type"])
            case "array":
                return self._array(body["type"], body["len"])
            case "variant":
                return self._variant(self.path(number), body["variants"])
        raise RuntimeUnsupportedError(f"the runtime has a type of kind {kind}, which is not known")

    def _fields(self, fields: list[dict[str, Any]]) -> Callable[[Reader], Any]:
        readers = [self.reader(field["type"]) for field in fields]
        if len(fields) == 1 and not fields[0]["name"]:
            return readers[0]  # a wrapper, such as AccountId32
        if fields and all(field["name"] for field in fields):
            named = [(field["name"], reader) for field, reader in zip(fields, readers, strict=True)]
            return lambda reader: {name: read(reader) for name, read in named}
        return lambda reader: tuple(read(reader) for read in readers)

    def _tuple(self, types: list[int]) -> Callable[[Reader], Any]:
        readers = [self.reader(type_id) for type_id in types]
        return lambda reader: tuple(read(reader) for read in readers)

    def _sequence(self, inner: int) -> Callable[[Reader], Any]:
        if self.definition(inner) == ("primitive", "u8"):
            return lambda reader: reader.take(reader.compact())
        read = self.reader(inner)

        def sequence(reader: Reader) -> tuple[Any, ...]:
            count = reader.compact()
            if count > reader.left:
                raise InvalidValueError(f"{count} items are declared in {reader.left} bytes")
            return tuple(read(reader) for _ in range(count))

        return sequence

    def _array(self, inner: int, length: int) -> Callable[[Reader], Any]:
        if self.definition(inner) == ("primitive", "u8"):
            return lambda reader: reader.take(length)
        read = self.reader(inner)
        return lambda reader: tuple(read(reader) for _ in range(length))

    def _variant(self, path: str, variants: list[dict[str, Any]]) -> Callable[[Reader], Any]:
        by_index = {
            variant["index"]: (
                variant["name"],
                self._fields(variant["fields"]) if variant["fields"] else None,
            )
            for variant in variants
        }

        def variant(reader: Reader) -> Any:
            index = reader.uint(1)
            if index not in by_index:
                raise InvalidValueError(f"{path} has no variant {index}")
            name, read = by_index[index]
            if path == "Option":
                return read(reader) if read else None
            return {name: read(reader)} if read else name

        return variant


class Metadata:
    """One version of a runtime's metadata.

    Args:
        value: The V14 part: ``{"types", "pallets", "extrinsic"}``, decoded.
    """

    def __init__(self, value: Mapping[str, Any]) -> None:
        self.types = Types(value["types"]["types"])
        self._pallets = {pallet["name"]: pallet for pallet in value["pallets"]}
        self._extensions = value["extrinsic"]["signed_extensions"]
        self._events: dict[int, tuple[str, dict[int, tuple[str, Any]]]] = {}

    def facts(
        self, spec_name: str, spec_version: int, tx_version: int, genesis: Hash
    ) -> RuntimeFacts:
        """Return what we must know of the runtime.

        Raises:
            RuntimeUnsupportedError: If it has no pallet tick-stream, or one that stores otherwise.
        """
        pallet = self._pallets.get(PALLET)
        if pallet is None:
            raise RuntimeUnsupportedError(
                f"the runtime {spec_name} {spec_version} has no pallet {PALLET}: settle on a chain "
                "that has it, or build it in"
            )
        self._check_storage(pallet)
        errors = self._variants(pallet["error"])
        return RuntimeFacts(
            spec_name=spec_name,
            spec_version=spec_version,
            tx_version=tx_version,
            genesis=genesis,
            pallet=pallet["index"],
            calls=self._variants(pallet["calls"]),
            events=self._variants(pallet["event"]),
            errors={index: name for name, index in errors.items()},
            refusals=self._refusals(pallet),
            extensions=tuple(self._extension(extension) for extension in self._extensions),
            constants=self._constants(pallet),
            pallets={item["index"]: name for name, item in self._pallets.items()},
            block_hash_count=self._constants(self._pallets["System"]).get("BlockHashCount", 0),
            weight_max=self._weight_max(),
        )

    def events(self, raw: bytes) -> tuple[ChainEvent, ...]:
        """Return the events of a block.

        Args:
            raw: What System.Events holds after it.

        Raises:
            InvalidValueError: If they were written by another runtime.
        """
        entries = self._pallets["System"]["storage"]["entries"]
        item = next(entry for entry in entries if entry["name"] == "Events")
        reader = Reader(raw)
        events = tuple(_event(event) for event in self.types.reader(item["type"]["Plain"])(reader))
        reader.end()
        return events

    def call(self, pallet: str, name: str) -> tuple[int, int]:
        """Return the indices of a pallet and of one of its calls.

        Raises:
            RuntimeUnsupportedError: If the runtime has no such call.
        """
        entry = self._pallets.get(pallet)
        index = None if entry is None else self._variants(entry["calls"]).get(name)
        if entry is None or index is None:
            raise RuntimeUnsupportedError(f"the runtime has no call {pallet}.{name}")
        return entry["index"], index

    def error(self, dispatch_error: Any) -> str:
        """Return the words for a DispatchError, such as ``TickStream.SequenceGap``."""
        if isinstance(dispatch_error, str):
            return dispatch_error
        ((kind, body),) = dispatch_error.items()
        if kind != "Module":
            return f"{kind} {body}"
        for name, pallet in self._pallets.items():
            if pallet["index"] == body["index"]:
                wanted = body["error"][0]
                for error, index in self._variants(pallet["error"]).items():
                    if index == wanted:
                        return f"{name}.{error}"
                return f"{name} error {wanted}"
        return f"pallet {body['index']} error {body['error'].hex()}"

    def _variants(self, holder: Mapping[str, Any] | None) -> dict[str, int]:
        """Return name to index of an enum's variants."""
        if holder is None:
            return {}
        kind, body = self.types.definition(holder["ty"])
        variants = body["variants"] if kind == "variant" else ()
        return {variant["name"]: variant["index"] for variant in variants}

    def _constants(self, pallet: Mapping[str, Any]) -> dict[str, int]:
        constants = {}
        for constant in pallet["constants"]:
            kind, body = self.types.definition(constant["type"])
            data = _raw(constant["value"])
            if kind == "primitive" and body in _PRIMITIVE_BYTES:
                constants[constant["name"]] = int.from_bytes(data, "little")
        return constants

    def _weight_max(self) -> tuple[int, int] | None:
        for constant in self._pallets["System"]["constants"]:
            if constant["name"] == "BlockWeights":
                reader = Reader(_raw(constant["value"]))
                weights = self.types.reader(constant["type"])(reader)
                bound = weights["per_class"]["normal"]["max_extrinsic"]
                return None if bound is None else (bound["ref_time"], bound["proof_size"])
        return None

    def _extension(self, extension: Mapping[str, Any]) -> Extension:
        words = []
        for number in (extension["ty"], extension["additional_signed"]):
            shape = self.types.shape(number)
            words.append("" if self.types.is_empty(number) else _WORDS.get(shape, shape))
        return Extension(extension["identifier"], words[0], words[1])

    def _refusals(self, pallet: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the reasons of a refused entry, from the type that an outcome holds."""
        for item in pallet["storage"]["entries"]:
            if item["name"] == "Outcomes":
                return self._enum_in(item["type"]["Map"]["value"])
        return ()

    def _enum_in(self, number: int) -> tuple[str, ...]:
        """Return the names of the first plain enum found in a type, by index."""
        kind, body = self.types.definition(number)
        if kind == "variant" and self.types.shape(number) == "enum":
            names = {variant["index"]: variant["name"] for variant in body["variants"]}
            return tuple(names.get(index, f"Refusal{index}") for index in range(max(names) + 1))
        inner: list[int] = []
        if kind == "composite":
            inner = [field["type"] for field in body["fields"]]
        elif kind == "tuple":
            inner = list(body)
        elif kind == "sequence":
            inner = [body["type"]]
        for type_id in inner:
            if inner_names := self._enum_in(type_id):
                return inner_names
        return ()

    def _check_storage(self, pallet: Mapping[str, Any]) -> None:
        entries = {entry["name"]: entry["type"] for entry in pallet["storage"]["entries"]}
        for item, want in _SHAPES.items():
            if item not in entries or "Map" not in entries[item]:
                raise RuntimeUnsupportedError(
                    f"the runtime's pallet {PALLET} has no map {item}: update this program or the "
                    "runtime; nothing is lost"
                )
            body = entries[item]["Map"]
            shape = self.types.shape(body["value"])
            hashers = tuple(body["hashers"])
            if shape != want or hashers != storage.HASHERS[item]:
                raise RuntimeUnsupportedError(
                    f"the runtime keeps {PALLET}.{item} as {shape} under {', '.join(hashers)}, "
                    f"not as {want} under {', '.join(storage.HASHERS[item])}: update this program "
                    "or the runtime; nothing is lost"
                )


def _raw(value: Any) -> bytes:
    """Return the bytes of a constant: the library gives text where they happen to be UTF-8."""
    if not isinstance(value, str):
        return bytes(value)
    if _HEX.fullmatch(value):
        return bytes.fromhex(value[2:])
    return value.encode()


def _event(record: Mapping[str, Any]) -> ChainEvent:
    phase = record["phase"]
    extrinsic = phase["ApplyExtrinsic"] if isinstance(phase, dict) else None
    ((pallet, inner),) = record["event"].items()
    if isinstance(inner, str):
        return ChainEvent(extrinsic, pallet, inner, {})
    ((name, fields),) = inner.items()
    if not isinstance(fields, dict):
        values = fields if isinstance(fields, tuple) else (fields,)
        fields = {str(index): value for index, value in enumerate(values)}
    return ChainEvent(extrinsic, pallet, name, fields)


def _primitive(name: str) -> Callable[[Reader], Any]:
    if name in _PRIMITIVE_BYTES:
        count = _PRIMITIVE_BYTES[name]
        return lambda reader: reader.uint(count)
    if name == "bool":
        return lambda reader: reader.uint(1) != 0
    if name == "str":
        return lambda reader: reader.take(reader.compact()).decode(errors="replace")
    if name == "char":
        return lambda reader: chr(reader.uint(4))
    count = int(name[1:]) // 8
    return lambda reader: int.from_bytes(reader.take(count), "little", signed=True)
